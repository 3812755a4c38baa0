// Weights of layers to and from files.

#include <ssm/io/load.hpp>
#include <ssm/io/save.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <ssm/core/rng.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/io/safetensors_writer.hpp>
#include <ssm/layer/batch_norm.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/model/sequential.hpp>

#include "support/catch.hpp"
#include "support/equal_weights.hpp"
#include "support/safetensors_bytes.hpp"
#include "support/temporary_folder.hpp"

using ssm::Linear;
using ssm_test::has;
using ssm_test::has_equal_weights;
using ssm_test::message_of;

namespace {

template <class T>
Linear<T> linear(std::uint64_t seed, bool bias = true) {
    return Linear<T>({.in = 3, .out = 2, .bias = bias}, ssm::Rng(seed));
}

std::string with_dot(std::string_view name) {
    return "net." + std::string(name);
}

/// Whether loading fails with that message, and changes nothing.
template <class L>
std::string refusal(L& layer, const std::filesystem::path& path,
                    const ssm::LoadOptions& options = {}) {
    const L before = layer;
    const std::string message = message_of([&] { ssm::load(layer, path, options); });
    if (!message.empty())
        CHECK(has_equal_weights(layer, before));
    return message;
}

}  // namespace

TEMPLATE_TEST_CASE("a layer that was saved and loaded has the same bits", "", float, double) {
    const ssm_test::TemporaryFolder folder;
    const auto saved = linear<TestType>(1);
    auto loaded = linear<TestType>(2);
    ssm::save(saved, folder / "x", {.metadata = {{"epoch", "12"}}});
    const ssm::LoadReport report = ssm::load(loaded, folder / "x");
    CHECK(has_equal_weights(saved, loaded));
    CHECK(report.missing.empty());
    CHECK(report.unexpected.empty());
    CHECK(ssm::Safetensors(folder / "x").metadata().at("epoch") == "12");
}

TEST_CASE("composites and statistics are saved too") {
    const ssm_test::TemporaryFolder folder;
    ssm::Sequential saved(linear<float>(1), ssm::BatchNorm<float>({.channels = 2}));
    ssm::Sequential loaded(linear<float>(2), ssm::BatchNorm<float>({.channels = 2}));
    ssm::visit([](std::string_view, const ssm::WeightTraits&, auto& weight) { weight.fill(0.5F); },
               saved);
    ssm::save(saved, folder / "x");
    ssm::load(loaded, folder / "x");
    CHECK(has_equal_weights(saved, loaded));
    CHECK(ssm::Safetensors(folder / "x").contains("1.running_mean"));
}

TEST_CASE("weights are converted when the file has another float type") {
    const ssm_test::TemporaryFolder folder;
    const auto saved = linear<double>(1);
    auto loaded = linear<float>(2);
    ssm::save(saved, folder / "x");
    ssm::load(loaded, folder / "x");
    CHECK(loaded.weight[3] == static_cast<float>(saved.weight[3]));

    ssm::save(saved, folder / "x", {.dtype = ssm::Dtype::bf16});
    ssm::load(loaded, folder / "x");
    CHECK(loaded.weight[3] == static_cast<float>(ssm::Bfloat16(saved.weight[3])));
}

TEST_CASE("everything that does not fit is listed, and nothing is loaded") {
    const ssm_test::TemporaryFolder folder;
    ssm::save(Linear<float>({.in = 5, .out = 2, .bias = false}), folder / "x");
    auto layer = linear<float>(1);
    const std::string message = refusal(layer, folder / "x");
    INFO(message);
    CHECK(has(message, "x\" does not fit"));
    CHECK(has(message, "missing from the file (1):\n    \"bias\""));
    CHECK(has(message, "\"weight\" has shape (2, 5), expected (2, 3)"));

    ssm::save(layer, folder / "x");
    auto without = linear<float>(2, false);
    CHECK(has(refusal(without, folder / "x"), "not expected in the file (1):\n    \"bias\""));
}

TEST_CASE("a value that does not fit is found before anything is loaded") {
    const ssm_test::TemporaryFolder folder;
    auto saved = linear<double>(1);
    saved.bias[1] = 1e300;
    ssm::save(saved, folder / "x");
    auto layer = linear<float>(2);
    CHECK(has(refusal(layer, folder / "x"), "\"bias\" number 1 of dtype F64"));
}

TEST_CASE("missing and unexpected tensors can be allowed, each on its own") {
    const ssm_test::TemporaryFolder folder;
    const auto saved = linear<float>(1, false);
    ssm::save(saved, folder / "x");
    auto layer = linear<float>(2);
    const auto bias = layer.bias;
    CHECK(!refusal(layer, folder / "x", {.allow_unexpected = true}).empty());
    const ssm::LoadReport report = ssm::load(layer, folder / "x", {.allow_missing = true});
    CHECK(report.missing == std::vector<std::string>{"bias"});
    CHECK(layer.weight == saved.weight);
    CHECK(layer.bias == bias);

    ssm::save(layer, folder / "x");
    auto without = linear<float>(3, false);
    CHECK(!refusal(without, folder / "x", {.allow_missing = true}).empty());
    CHECK(ssm::load(without, folder / "x", {.allow_unexpected = true}).unexpected ==
          std::vector<std::string>{"bias"});
    CHECK(without.weight == layer.weight);
}

TEST_CASE("names are mapped both ways, and a prefix picks a part of a file") {
    const ssm_test::TemporaryFolder folder;
    const auto saved = linear<float>(1);
    auto layer = linear<float>(2);
    ssm::save(saved, folder / "x", {.name = with_dot});
    CHECK(ssm::Safetensors(folder / "x").contains("net.weight"));
    CHECK(!refusal(layer, folder / "x").empty());
    ssm::load(layer, folder / "x", {.name = with_dot});
    CHECK(has_equal_weights(layer, saved));

    auto other = linear<float>(3);
    ssm::load(other, folder / "x", {.prefix = "net."});
    CHECK(has_equal_weights(other, saved));

    const auto keeps_bias = [](std::string_view name) {
        return name == "bias" ? std::string() : std::string(name);
    };
    auto kept = linear<float>(4);
    const auto bias = kept.bias;
    ssm::load(kept, folder / "x", {.prefix = "net.", .name = keeps_bias, .allow_unexpected = true});
    CHECK(kept.weight == saved.weight);
    CHECK(kept.bias == bias);
}

TEST_CASE("two weights of one name in the file cannot be saved, and can be loaded") {
    const ssm_test::TemporaryFolder folder;
    const auto same = [](std::string_view) { return std::string("w"); };
    const Linear<float> square({.in = 1, .out = 1}, ssm::Rng(1));
    CHECK(has(message_of<ssm::ValueError>([&] { ssm::save(square, folder / "x", {.name = same}); }),
              "\"w\""));
    CHECK(folder.size() == 0);

    const Linear<float> one({.in = 1, .out = 1, .bias = false}, ssm::Rng(2));
    ssm::Sequential tied(Linear<float>({.in = 1, .out = 1, .bias = false}),
                         Linear<float>({.in = 1, .out = 1, .bias = false}));
    ssm::save(one, folder / "x", {.name = same});
    ssm::load(tied, folder / "x", {.name = same});
    CHECK(std::get<0>(tied.layers).weight == one.weight);
    CHECK(std::get<1>(tied.layers).weight == one.weight);
}

TEST_CASE("axes of size one may be ignored") {
    const ssm_test::TemporaryFolder folder;
    const std::vector<double> numbers{1, 2, 3, 4, 5, 6};
    const std::array<std::size_t, 3> shape{2, 1, 3};
    ssm::SafetensorsWriter writer;
    writer.add("weight", shape, std::span<const double>(numbers));
    writer.save(folder / "x");
    auto layer = linear<float>(1, false);
    CHECK(has(refusal(layer, folder / "x"), "(2, 1, 3), expected (2, 3)"));
    ssm::load(layer, folder / "x", {.ignore_unit_axes = true});
    CHECK(layer.weight[5] == 6.0F);
}

TEST_CASE("a layer with thousands of wrong tensors gives a message one can read") {
    const ssm_test::TemporaryFolder folder;
    const double number = 1;
    ssm::SafetensorsWriter writer;
    for (int i = 0; i < 5000; ++i)
        writer.add("tensor" + std::to_string(i), {}, std::span<const double>(&number, 1));
    writer.save(folder / "x");
    auto layer = linear<float>(1);
    const std::string message = refusal(layer, folder / "x");
    CHECK(has(message, "(5000)"));
    CHECK(has(message, "and 4950 more"));
    CHECK(message.size() < 3000);
}
