// Weights that a file stores in parts, stacked or transposed, and the names of the S5 and LRU codes.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/io/load.hpp>
#include <ssm/io/names/s5.hpp>
#include <ssm/io/safetensors.hpp>
#include <ssm/io/save.hpp>
#include <ssm/io/stored_as.hpp>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace ssm;

namespace {

/// Two weights, numbered from `first`.
struct Weights {
    explicit Weights(double first = 0.0) : a({4, 2}), b({2, 3, 2}) {
        for (Tensor<double>* weight : {&a, &b})
            for (double& w : weight->flat())
                w = first++;
    }
    template <class Visitor, class... Values>
    static void visit_weights(Visitor&& visitor, Values&... values) {
        visitor("a", WeightTraits{}, values.a...);
        visitor("b", WeightTraits{}, values.b...);
    }
    Tensor<double> a, b;
};

StoredAs stored(std::string_view weight) {
    if (weight == "a")
        return StoredAs::parts({"top", "bottom"}, 0).transposed();
    return StoredAs::stacked({"re", "im"}, 2);
}

}  // namespace

TEST_CASE("weights go into parts and come back") {
    const ssm_test::TemporaryFolder folder;
    const auto path = folder / "parts.safetensors";
    const Weights weights(1.0);
    save(weights, path, {.prefix = "model.", .stored_as = stored});

    const Safetensors file(path);
    CHECK(file.entries().size() == 4);
    CHECK(file.read<double>("model.top") == std::vector<double>{1, 3, 2, 4});
    CHECK(file.read<double>("model.bottom") == std::vector<double>{5, 7, 6, 8});
    CHECK(file.read<double>("model.im") == std::vector<double>{10, 12, 14, 16, 18, 20});
    CHECK(file.real_shape("model.re") == std::vector<std::size_t>{2, 3});

    Weights loaded;
    load(loaded, file, {.prefix = "model.", .stored_as = stored});
    CHECK(loaded.a == weights.a);
    CHECK(loaded.b == weights.b);
}

TEST_CASE("an empty list of names leaves a weight out, and as it is") {
    const ssm_test::TemporaryFolder folder;
    const auto path = folder / "part.safetensors";
    const auto only_a = [](std::string_view weight) {
        return weight == "a" ? StoredAs("a") : StoredAs();
    };
    save(Weights(1.0), path, {.stored_as = only_a});
    Weights loaded(50.0);
    load(loaded, path, {.stored_as = only_a});
    CHECK(loaded.a == Weights(1.0).a);
    CHECK(loaded.b == Weights(50.0).b);
    // Also where, with a name, it could not be stored so.
    const auto transposed = [](std::string_view weight) {
        return StoredAs(weight == "a" ? "a" : "").transposed();
    };
    save(Weights(3.0), path, {.stored_as = transposed});
    load(loaded, path, {.stored_as = transposed});
    CHECK(loaded.a == Weights(3.0).a);
    CHECK(loaded.b == Weights(50.0).b);
}

TEST_CASE("a file may have an axis of size 1 more, also in transposed parts") {
    const ssm_test::TemporaryFolder folder;
    const auto path = folder / "unit.safetensors";
    const auto with_unit = [](std::string_view weight) {
        return weight == "a" ? StoredAs("a").transposed().with_unit_axis(1)
                             : StoredAs::stacked({"re", "im"}, 2).with_unit_axis(2);
    };
    const Weights weights(1.0);
    save(weights, path, {.stored_as = with_unit});
    const Safetensors file(path);
    CHECK(file.real_shape("a") == std::vector<std::size_t>{2, 1, 4});
    CHECK(file.read<double>("a") == std::vector<double>{1, 3, 5, 7, 2, 4, 6, 8});
    CHECK(file.real_shape("im") == std::vector<std::size_t>{2, 3, 1});
    Weights loaded;
    load(loaded, file, {.stored_as = with_unit});
    CHECK((loaded.a == weights.a && loaded.b == weights.b));

    const auto too_far = [](std::string_view) { return StoredAs("a").with_unit_axis(4); };
    CHECK_THROWS_AS(save(weights, path, {.stored_as = too_far}), ValueError);
    CHECK_THROWS_AS(load(loaded, file, {.stored_as = stored}), FileError);
}

TEST_CASE("parts that do not fit are named with both shapes, and nothing is loaded") {
    const ssm_test::TemporaryFolder folder;
    const auto path = folder / "other.safetensors";
    save(Weights(1.0), path, {.stored_as = stored});
    Weights loaded(50.0);
    const auto turned = [](std::string_view weight) {
        return weight == "a" ? StoredAs::parts({"top", "bottom"}, 0)
                             : StoredAs::stacked({"re", "imaginary"}, 2);
    };
    std::string message;
    try {
        load(loaded, path, {.stored_as = turned});
    } catch (const FileError& error) {
        message = error.what();
    }
    CHECK(message.find("imaginary") != std::string::npos);
    CHECK(loaded.a == Weights(50.0).a);

    const auto thirds = [](std::string_view) { return StoredAs::parts({"1", "2", "3"}, 0); };
    CHECK_THROWS_AS(load(loaded, path, {.stored_as = thirds}), ValueError);
    const auto cube = [](std::string_view name) {
        return StoredAs(std::string(name)).transposed();
    };
    CHECK_THROWS_AS(load(loaded, path, {.stored_as = cube}), ValueError);
}

TEST_CASE("weights of blocks and models have the names of the Flax modules") {
    const auto one = [](const StoredAs& stored_as) { return stored_as.names.front(); };
    const names::FlaxModel flax;
    CHECK(one(flax.model("0.weight")) == "params/encoder/encoder/kernel");
    CHECK(flax.model("0.weight").is_transposed);
    CHECK(one(flax.model("1.11.inner.0.B")) == "params/encoder/layers_11/seq/B");
    CHECK(one(flax.model("1.2.norm.weight")) == "params/encoder/layers_2/norm/scale");
    CHECK(one(flax.model("1.2.norm.running_var")) == "batch_stats/encoder/layers_2/norm/var");
    CHECK(flax.model("1.0.inner.3.weight").names ==
          std::vector<std::string>{"params/encoder/layers_0/out1/kernel",
                                   "params/encoder/layers_0/out2/kernel"});
    CHECK(one(flax.model("1.0.inner.3.inner.bias")) == "params/encoder/layers_0/out2/bias");
    CHECK(one(flax.model("3.bias")) == "params/decoder/bias");
    const names::FlaxModel lru{.layer = names::lru, .norm = "normalization"};
    CHECK(one(lru.block("inner.0.C")) == "params/seq/C_re");
    CHECK(one(lru.block("norm.bias")) == "params/normalization/bias");
    CHECK(names::s5_two_outputs("C").names == std::vector<std::string>{"C1", "C2"});
    CHECK(names::s5("Lambda").is_stacked);
}
