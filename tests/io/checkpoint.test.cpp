// Runs that are interrupted and resumed.

#include <ssm/io/checkpoint.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/dropout.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/model/sequential.hpp>
#include <ssm/train/adam.hpp>
#include <ssm/train/nadam.hpp>

#include "support/catch.hpp"
#include "support/equal_weights.hpp"
#include "support/safetensors_bytes.hpp"
#include "support/temporary_folder.hpp"

using ssm::Checkpoint;
using ssm::Linear;
using ssm_test::has;
using ssm_test::has_equal_weights;
using ssm_test::message_of;

namespace {

/// A training run with everything that must survive: weights, moments, counters, random numbers
/// for data and dropout, a history.
template <class Optimizer, class Model>
struct Run {
    Model model;
    Optimizer optimizer{model};
    ssm::Rng rng{7};
    std::uint64_t step = 0;
    double loss = 0.0;
    std::vector<double> history{};
    std::string note = "new";

    void train(int steps) {
        ssm::Workspace workspace;
        ssm::Batch<float> u(4, 5, 3), y(4, 5, 2);
        typename Model::Cache cache;
        Model gradient = zeros_like(model);
        for (int i = 0; i < steps; ++i) {
            for (float& number : u.view().flat())
                number = static_cast<float>(rng.normal());
            const ssm::Context context = ssm::Context(workspace).with_rng(rng);
            model.forward(u.view(), y.view(), cache, context);
            loss = 0.0;
            for (const float number : y.view().flat())
                loss += static_cast<double>(number * number);
            ssm::set_zero(gradient);
            model.backward(u.view(), y.view(), ssm::BatchView<float>(), cache, gradient, context);
            optimizer.step(model, gradient);
            history.push_back(loss);
            ++step;
        }
        note = "trained";
    }
    [[nodiscard]] Checkpoint checkpoint() {
        Checkpoint result;
        result.add("weights", model);
        result.add("optimizer", optimizer);
        result.add("rng", rng);
        result.add("step", step);
        result.add("loss", loss);
        result.add("history", history);
        result.add("note", note);
        return result;
    }
};

using Model = decltype(ssm::Sequential(Linear<float>({.in = 3, .out = 8}),
                                       ssm::Dropout<float>({.channels = 8, .p = 0.3}),
                                       Linear<float>({.in = 8, .out = 2})));

Model new_model(std::uint64_t seed) {
    ssm::Rng rng(seed);
    return ssm::Sequential(Linear<float>({.in = 3, .out = 8}, rng.split()),
                           ssm::Dropout<float>({.channels = 8, .p = 0.3}),
                           Linear<float>({.in = 8, .out = 2}, rng.split()));
}

/// What a streaming layer might remember.
struct Stream {
    ssm::AlignedVector<float> memory;
    std::uint64_t position = 0;

    template <class Visitor, class... Streams>
    static void visit_numbers(Visitor&& visitor, Streams&... streams) {
        visitor("memory", streams.memory...);
        visitor("position", streams.position...);
    }
};

/// The message of a load that fails; checks that nothing was changed.
std::string refusal_of_run(const std::filesystem::path& path, auto&& add) {
    auto layer = Linear<float>({.in = 3, .out = 2}, ssm::Rng(1));
    const auto before = layer;
    ssm::Rng rng(3);
    std::uint64_t number = 5;
    Checkpoint checkpoint;
    checkpoint.add("weights", layer);
    checkpoint.add("rng", rng);
    checkpoint.add("number", number);
    add(checkpoint);
    const std::string message = message_of([&] { checkpoint.load(path); });
    CHECK(!message.empty());
    CHECK(has_equal_weights(layer, before));
    CHECK(rng == ssm::Rng(3));
    CHECK(number == 5);
    return message;
}

/// Saves what `refusal_of_run` tries to load.
void save_good(const std::filesystem::path& path) {
    auto layer = Linear<float>({.in = 3, .out = 2}, ssm::Rng(2));
    ssm::Rng rng(4);
    std::uint64_t number = 6;
    Checkpoint checkpoint;
    checkpoint.add("weights", layer);
    checkpoint.add("rng", rng);
    checkpoint.add("number", number);
    checkpoint.save(path);
}

}  // namespace

TEMPLATE_TEST_CASE("a run that is interrupted and resumed goes on bit for bit", "",
                   ssm::AdamW<Model>, ssm::NAdam<Model>) {
    const ssm_test::TemporaryFolder folder;
    Run<TestType, Model> whole{new_model(1)};
    whole.train(6);

    Run<TestType, Model> first{new_model(1)};
    first.train(3);
    first.checkpoint().save(folder / "run");

    Run<TestType, Model> second{new_model(99)};
    second.train(1);
    second.checkpoint().load(folder / "run");
    CHECK(has_equal_weights(second.model, first.model));
    CHECK(second.note == "trained");
    second.train(3);

    CHECK(has_equal_weights(second.model, whole.model));
    CHECK(second.rng == whole.rng);
    CHECK(second.step == whole.step);
    CHECK(second.history == whole.history);
    for (std::size_t k = 0; k < whole.optimizer.moments().size(); ++k)
        CHECK(has_equal_weights(second.optimizer.moments()[k], whole.optimizer.moments()[k]));
    CHECK(second.optimizer.steps() == 6);
}

TEST_CASE("numbers of every type come back exactly") {
    const ssm_test::TemporaryFolder folder;
    std::uint64_t large = std::numeric_limits<std::uint64_t>::max();
    std::int64_t small = std::numeric_limits<std::int64_t>::min();
    double third = 1.0 / 3.0;
    double tiny = std::numeric_limits<double>::denorm_min();
    double nan = std::bit_cast<double>(0x7ff8000000001234U);
    double minus_zero = -0.0;
    float single = 0.1F;
    bool flag = true;
    std::int8_t byte = -3;
    std::vector<std::int32_t> empty;
    std::string text = "\xc3\xa9\n";

    Checkpoint checkpoint;
    checkpoint.add("large", large);
    checkpoint.add("small", small);
    checkpoint.add("third", third);
    checkpoint.add("tiny", tiny);
    checkpoint.add("nan", nan);
    checkpoint.add("minus_zero", minus_zero);
    checkpoint.add("single", single);
    checkpoint.add("flag", flag);
    checkpoint.add("byte", byte);
    checkpoint.add("empty", empty);
    checkpoint.add("text", text);
    checkpoint.save(folder / "run");
    large = 0;
    small = 0;
    third = tiny = nan = minus_zero = 5.0;
    single = 0.0F;
    flag = false;
    byte = 0;
    empty = {1, 2};
    text = "";
    checkpoint.load(folder / "run");

    CHECK(large == std::numeric_limits<std::uint64_t>::max());
    CHECK(small == std::numeric_limits<std::int64_t>::min());
    CHECK(third == 1.0 / 3.0);
    CHECK(tiny == std::numeric_limits<double>::denorm_min());
    CHECK(std::bit_cast<std::uint64_t>(nan) == 0x7ff8000000001234U);
    CHECK(std::bit_cast<std::uint64_t>(minus_zero) == 0x8000000000000000U);
    CHECK(single == 0.1F);
    CHECK(flag);
    CHECK(byte == -3);
    CHECK(empty.empty());
    CHECK(text == "\xc3\xa9\n");
}

TEST_CASE("values may move their parts between adding and saving") {
    const ssm_test::TemporaryFolder folder;
    Stream stream{{1, 2}, 3};
    Checkpoint checkpoint;
    checkpoint.add("stream", stream);
    stream = Stream{{4, 5, 6, 7}, 8};
    checkpoint.save(folder / "run");
    stream = Stream{{0, 0, 0, 0}, 0};
    checkpoint.load(folder / "run");
    CHECK(stream.memory == ssm::AlignedVector<float>{4, 5, 6, 7});
    CHECK(stream.position == 8);

    stream.memory.resize(3);
    CHECK(has(message_of([&] { checkpoint.load(folder / "run"); }),
              "\"stream.memory\" is F32 of shape (4), expected F32 of shape (3)"));
    CHECK(stream.memory.size() == 3);
}

TEST_CASE("the model alone is loaded out of a checkpoint by its prefix") {
    const ssm_test::TemporaryFolder folder;
    save_good(folder / "run");
    auto layer = Linear<double>({.in = 3, .out = 2});
    ssm::load(layer, folder / "run", {.prefix = "weights."});
    CHECK(layer.weight[0] ==
          static_cast<double>(Linear<float>({.in = 3, .out = 2}, ssm::Rng(2)).weight[0]));
}

TEST_CASE("a checkpoint that holds something else changes nothing") {
    const ssm_test::TemporaryFolder folder;
    save_good(folder / "run");

    double extra = 1.0;
    std::string text;
    std::string message = refusal_of_run(folder / "run", [&](Checkpoint& checkpoint) {
        checkpoint.add("extra", extra);
        checkpoint.add("text", text);
    });
    CHECK(has(message, "missing from the file (2):\n    \"extra\"\n    \"text\""));

    ssm::Checkpoint one;
    std::uint64_t number = 0;
    one.add("number", number);
    message = message_of([&] { one.load(folder / "run"); });
    CHECK(has(message, "not expected in the file (3)"));
    CHECK(has(message, "\"weights.bias\""));
    CHECK(number == 0);

    ssm::Checkpoint other;
    auto layer = Linear<double>({.in = 3, .out = 2});
    std::int64_t signed_number = 0;
    std::vector<std::uint64_t> rng;
    other.add("weights", layer);
    other.add("number", signed_number);
    other.add("rng", rng);
    message = message_of([&] { other.load(folder / "run"); });
    CHECK(has(message, "\"weights.weight\" has dtype F32, expected F64"));
    CHECK(has(message, "\"number\" is U64 of shape (), expected I64 of shape ()"));
    CHECK(rng.empty());
}

TEST_CASE("a file that is no checkpoint, or a broken one, changes nothing") {
    const ssm_test::TemporaryFolder folder;
    const auto nothing = [](Checkpoint&) {};
    ssm::save(Linear<float>({.in = 3, .out = 2}), folder / "run");
    CHECK(has(refusal_of_run(folder / "run", nothing), "no checkpoint of version 1"));
    ssm::save(Linear<float>({.in = 3, .out = 2}), folder / "run",
              {.metadata = {{"ssm.checkpoint", "2"}}});
    CHECK(has(refusal_of_run(folder / "run", nothing), "no checkpoint of version 1"));

    save_good(folder / "run");
    const std::string good = ssm_test::read_file(folder / "run");
    for (std::size_t size = 0; size < good.size(); ++size) {
        ssm_test::write_file(folder / "run", good.substr(0, size));
        CHECK(!refusal_of_run(folder / "run", nothing).empty());
    }
}

TEST_CASE("the state of a generator that is none is refused") {
    const ssm_test::TemporaryFolder folder;
    std::vector<std::uint64_t> zeros(4);
    std::uint64_t number = 6;
    auto layer = Linear<float>({.in = 3, .out = 2});
    Checkpoint writer;
    writer.add("rng", zeros);
    writer.add("number", number);
    writer.add("weights", layer);
    writer.save(folder / "run");
    CHECK(has(refusal_of_run(folder / "run", [](Checkpoint&) {}), "\"rng\" is not the state"));
}

TEST_CASE("one name cannot be used twice") {
    const ssm_test::TemporaryFolder folder;
    double a = 1.0;
    Stream stream;
    double inside = 0.0;
    Checkpoint checkpoint;
    checkpoint.add("a", a);
    CHECK(has(message_of<ssm::ValueError>([&] { checkpoint.add("a", a); }), "\"a\""));
    checkpoint.add("stream", stream);
    checkpoint.add("stream.position", inside);
    CHECK(has(message_of<ssm::ValueError>([&] { checkpoint.save(folder / "run"); }),
              "\"stream.position\""));
    CHECK(folder.size() == 0);
}

TEST_CASE("what cannot be loaded into cannot be added") {
    const auto can_add = []<class V>(V&& value) {
        return requires(Checkpoint checkpoint) {
            checkpoint.add("x", std::forward<V>(value));
        };
    };
    double number = 1.0;
    const double constant = 1.0;
    CHECK(can_add(number));
    CHECK_FALSE(can_add(constant));
    CHECK_FALSE(can_add(2.0));
}
