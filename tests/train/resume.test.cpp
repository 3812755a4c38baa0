#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/io/checkpoint.hpp>
#include <ssm/layer/batch_norm.hpp>
#include <ssm/layer/dropout.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/model/sequential.hpp>
#include <ssm/train/adam.hpp>
#include <ssm/train/cross_entropy.hpp>
#include <ssm/train/fit.hpp>
#include <ssm/train/nadam.hpp>
#include <ssm/train/plateau.hpp>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace {

using Network = ssm::Sequential<ssm::Linear<float>, ssm::BatchNorm<float>, ssm::Dropout<float>,
                                ssm::Linear<float>>;
using Rates = ssm::schedule::Warmup<ssm::schedule::Plateau>;
template <class Rule>
using State = ssm::TrainState<Network, Rule, Rates>;

Network new_model() {
    return Network(ssm::Linear<float>({.in = 3, .out = 8}, ssm::Rng(1)),
                   ssm::BatchNorm<float>({.channels = 8}),
                   ssm::Dropout<float>({.channels = 8, .p = 0.3}),
                   ssm::Linear<float>({.in = 8, .out = 2}, ssm::Rng(2)));
}

template <class Rule>
State<Rule> new_state(const Network& model) {
    typename Rule::Options options;
    options.learning_rate = 0.05;
    if constexpr (requires { options.amsgrad; })
        options.amsgrad = true;
    return State<Rule>(model, ssm::Optimizer<Network, Rule>(model, options),
                       Rates{.steps = 3, .then = {.gamma = 0.5, .patience = 0}},
                       {.patience = 5, .restores_best = true}, ssm::Rng(4));
}

/// A run and the file that it is saved in.
struct Data {
    Data() : inputs(30, 1, 3), labels(30) {
        ssm::Rng rng(3);
        for (float& value : inputs.view().flat())
            value = static_cast<float>(rng.normal());
        for (std::size_t i = 0; i < 30; ++i)
            labels[i] = inputs(i, 0, 0) * inputs(i, 0, 1) > 0.0F ? 1 : 0;
    }
    ssm::Batch<float> inputs;
    std::vector<std::int32_t> labels;
    ssm_test::TemporaryFolder folder;
    std::filesystem::path path = folder / "run.safetensors";
};

const ssm::FitOptions options{.epochs = 6, .batch_size = 4, .accumulation = 3, .clip_norm = 1.0};

template <class Rule>
ssm::FitReport run(const Data& data, Network& model, State<Rule>& state,
                   const ssm::Callbacks& callbacks = {}) {
    const ssm::Examples examples(data.inputs, data.labels);
    return ssm::fit(model, state, examples, examples, ssm::loss::CrossEntropy<float>{}, options,
                    callbacks);
}

template <class Rule>
void bind(ssm::Checkpoint& checkpoint, Network& model, State<Rule>& state) {
    checkpoint.add("model", model);
    checkpoint.add("state", state);
}

/// All weights and all that the state remembers, as text of their exact values.
struct Everything {
    std::vector<double> numbers;
    std::vector<ssm::Rng> generators;

    template <class V>
    void operator()(std::string_view, V& value) {
        if constexpr (std::is_arithmetic_v<V>)
            numbers.push_back(static_cast<double>(value));
        else if constexpr (std::is_same_v<std::remove_const_t<V>, ssm::Rng>)
            generators.push_back(value);
        else if constexpr (requires { V::visit_numbers(*this, value); })
            V::visit_numbers(*this, value);
        else
            ssm::visit(
                [this](std::string_view, const ssm::WeightTraits&, const auto& tensor) {
                    numbers.insert(numbers.end(), tensor.flat().begin(), tensor.flat().end());
                },
                value);
    }
    friend bool operator==(const Everything&, const Everything&) = default;
};

template <class Rule>
Everything everything(Network& model, State<Rule>& state) {
    Everything all;
    all("model", model);
    all("state", state);
    // NaN, a best metric before the first epoch, is not equal to itself.
    for (double& number : all.numbers)
        if (number != number)
            number = -1e300;
    return all;
}

}  // namespace

TEMPLATE_TEST_CASE(
    "a run interrupted after any update and resumed from a file continues bit for bit", "",
    ssm::rule::AdamW, ssm::rule::NAdam) {
    const Data data;
    Network straight = new_model();
    State<TestType> straight_state = new_state<TestType>(straight);
    run(data, straight, straight_state);
    const Everything expected = everything(straight, straight_state);
    const std::uint64_t steps = straight_state.steps();
    REQUIRE(steps > 10);
    REQUIRE(straight_state.schedule(100) < 1.0);

    for (std::uint64_t stop = 1; stop <= steps; ++stop) {
        {
            Network model = new_model();
            State<TestType> state = new_state<TestType>(model);
            ssm::Checkpoint checkpoint;
            bind(checkpoint, model, state);
            const ssm::FitReport report = run(
                data, model, state,
                {.on_step = [&](const ssm::Progress& progress) { return progress.step < stop; }});
            CHECK(report.end == ssm::FitReport::End::interrupted);
            checkpoint.save(data.path);
        }
        Network model = new_model();
        State<TestType> state = new_state<TestType>(model);
        ssm::Checkpoint checkpoint;
        bind(checkpoint, model, state);
        checkpoint.load(data.path);
        CHECK(state.steps() == stop);
        run(data, model, state);
        CHECK(everything(model, state) == expected);
    }
}

TEST_CASE("a state saved in a callback after an epoch continues bit for bit") {
    const Data data;
    using Rule = ssm::rule::AdamW;
    Network model = new_model();
    State<Rule> state = new_state<Rule>(model);
    ssm::Checkpoint checkpoint;
    bind(checkpoint, model, state);
    run(data, model, state, {.on_epoch = [&](const ssm::Progress& progress) {
            if (progress.epoch == 2)
                checkpoint.save(data.path);
            return true;
        }});
    const Everything expected = everything(model, state);
    checkpoint.load(data.path);
    CHECK(state.epoch == 2);
    run(data, model, state);
    CHECK(everything(model, state) == expected);
}

TEST_CASE("an error in a callback leaves a state that continues bit for bit") {
    const Data data;
    using Rule = ssm::rule::AdamW;
    Network straight = new_model();
    State<Rule> straight_state = new_state<Rule>(straight);
    run(data, straight, straight_state);

    Network model = new_model();
    State<Rule> state = new_state<Rule>(model);
    for (std::uint64_t stop = 2; stop < straight_state.steps(); stop += 2)
        CHECK_THROWS_AS(
            run(data, model, state, {.on_step = [&](const ssm::Progress& progress) -> bool {
                    if (progress.step == stop)
                        throw ssm::Error("stop");
                    return true;
                }}),
            ssm::Error);
    run(data, model, state);
    CHECK(everything(model, state) == everything(straight, straight_state));
}

TEST_CASE("a state is a value: a copy of model and state repeats the run") {
    const Data data;
    using Rule = ssm::rule::AdamW;
    Network model = new_model();
    State<Rule> state = new_state<Rule>(model);
    Network other = model;
    State<Rule> other_state = state;
    run(data, model, state);
    run(data, other, other_state);
    CHECK(everything(model, state) == everything(other, other_state));
}
