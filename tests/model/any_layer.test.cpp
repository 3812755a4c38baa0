// AnyLayer around layers that are quick to compile: what it holds is tested elsewhere.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/io/checkpoint.hpp>
#include <ssm/io/load.hpp>
#include <ssm/io/save.hpp>
#include <ssm/layer/conv1d.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/model/any_layer.hpp>

#include "support/catch.hpp"
#include "support/conformance.hpp"
#include "support/prebuilt_selective.hpp"
#include "support/temporary_folder.hpp"

using namespace ssm;

namespace {

using Any = AnyLayer<double>;
using Convolution = Conv1d<double>;

Convolution convolution(std::size_t channels, std::uint64_t seed) {
    return Convolution({.channels = channels, .width = 3}, Rng(seed));
}

/// Names and sizes of all weights.
std::vector<std::string> weights_of(const auto& layer) {
    std::vector<std::string> list;
    visit(
        [&](std::string_view name, const WeightTraits& traits, const Tensor<double>& weight) {
            list.push_back(std::string(name) + " " + std::to_string(weight.size()) + " " +
                           std::to_string(traits.weight_decay.value_or(-1.0)));
        },
        layer);
    return list;
}

Batch<double> random_batch(std::size_t length, std::size_t channels) {
    Rng rng(9);
    Batch<double> u(2, length, channels);
    for (double& number : u.view().flat())
        number = rng.normal();
    return u;
}

/// The message of what `call` throws.
std::string message_of(auto&& call) {
    try {
        call();
    } catch (const ShapeError& error) {
        return error.what();
    }
    return "no error";
}

bool names_both(const std::string& message) {
    return message.find("Linear<double>") != std::string::npos &&
           message.find("Conv1d<double>") != std::string::npos;
}

}  // namespace

TEST_CASE("an AnyLayer keeps the promises of its contents") {
    static_assert(StreamingLayer<Any> && TrainableLayer<Any>);
    ssm_test::check_conformance(Any(ssm_test::with_noise(convolution(5, 1))));
}

TEST_CASE("an AnyLayer computes what its contents do, under the same names") {
    const Convolution inside = convolution(4, 1);
    const Any layer = inside;
    CHECK(layer.type_name() == "ssm::Conv1d<double>");
    CHECK(layer.target<Linear<double>>() == nullptr);
    REQUIRE(layer.target<Convolution>() != nullptr);
    CHECK(layer.target<Convolution>()->weight == inside.weight);
    CHECK(weights_of(layer) == weights_of(inside));

    Workspace workspace;
    const Batch<double> u = random_batch(6, 4);
    Batch<double> y(u.shape()), expected(u.shape());
    layer.forward(u, y, workspace);
    inside.forward(u, expected, workspace);
    CHECK(y == expected);
}

TEST_CASE("an AnyLayer and its contents share files") {
    const ssm_test::TemporaryFolder folder;
    const auto path = folder.path() / "layer.safetensors";
    save(Any(convolution(4, 1)), path);
    Convolution inside = convolution(4, 2);
    load(inside, path);
    CHECK(inside.weight == convolution(4, 1).weight);
    save(inside, path);
    Any layer = convolution(4, 3);
    load(layer, path);
    CHECK(layer.target<Convolution>()->weight == inside.weight);
}

TEST_CASE("states of an AnyLayer are values") {
    const Any layer = convolution(4, 1);
    Workspace workspace;
    const Batch<double> u = random_batch(6, 4);
    Batch<double> y(u.shape());
    const Any::State rest = layer.rest_state(2);
    Any::State state = rest;
    CHECK(state == rest);
    layer.forward(u, y, state, workspace);
    CHECK_FALSE(state == rest);
    CHECK_FALSE(state == Any(Linear<double>({.in = 4, .out = 4})).rest_state(2));
    CHECK_FALSE(state == Any::State());

    SECTION("assigned without allocation") {
        const ssm_test::AllocationCounter counter;
        state = rest;
        if (ssm_test::AllocationCounter::available())
            CHECK(counter.count() == 0);
        CHECK(state == rest);
    }
    SECTION("saved with the names of the contents") {
        const ssm_test::TemporaryFolder folder;
        const auto path = folder.path() / "state.safetensors";
        Checkpoint run;
        run.add("stream", state);
        run.save(path);
        Convolution::State inside = convolution(4, 1).rest_state(2);
        Checkpoint own;
        own.add("stream", inside);
        own.load(path);
        own.save(path);
        Any::State again = rest;
        Checkpoint third;
        third.add("stream", again);
        third.load(path);
        CHECK(again == state);
    }
}

TEST_CASE("an AnyLayer is made of options") {
    const auto options = Any::of<Convolution>({.width = 3});
    Any::Options wide = options;
    wide.channels = 7;
    const Any layer(wide, Rng(3));
    CHECK(layer.in_channels() == 7);
    CHECK(layer.target<Convolution>()->weight == convolution(7, 3).weight);
    CHECK_THROWS_AS(Any(Any::Options{.channels = 7}), ValueError);
}

TEST_CASE("what belongs to other contents is refused by name") {
    const Any layer = convolution(4, 1);
    const Any other = Linear<double>({.in = 4, .out = 4}, Rng(1));
    Workspace workspace;
    const Batch<double> u = random_batch(3, 4);
    Batch<double> y(u.shape());

    Any changed = layer;
    CHECK(names_both(message_of([&] {
        visit([](std::string_view, const WeightTraits&, auto& a, const auto& b) { a = b; }, changed,
              other);
    })));
    Any::State state = other.rest_state(2);
    CHECK(names_both(message_of([&] { layer.forward(u, y, state, workspace); })));
    Any::Cache cache;
    layer.forward(u, y, cache, workspace);
    Any gradient = other;
    CHECK(names_both(message_of([&] { layer.backward(u, y, {}, cache, gradient, workspace); })));
    gradient = zeros_like(layer);
    CHECK_NOTHROW(layer.backward(u, y, {}, cache, gradient, workspace));
    other.forward(u, y, cache, workspace);
    CHECK_THROWS_AS(layer.backward(u, y, {}, cache, gradient, workspace), ShapeError);

    const Any biased = Linear<double>({.in = 4, .out = 4});
    const Any plain = Linear<double>({.in = 4, .out = 4, .bias = false});
    const auto nothing = [](std::string_view, const WeightTraits&, const auto&, const auto&) {};
    CHECK_THROWS_AS(visit(nothing, biased, plain), ShapeError);
}
