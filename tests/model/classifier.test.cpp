#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <ssm/core/concepts.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/layer/s4d.hpp>
#include <ssm/model/classifier.hpp>

#include "support/conformance.hpp"
#include "support/prebuilt_bank.hpp"

using namespace ssm;
using ssm_test::check_conformance;

using Model = Classifier<S4D<double>>;
using PostNorm = Classifier<S4D<double>, LayerNorm<double>, MeanPool<double>, NormOrder::post>;

static_assert(check_streaming<Model>() && check_trainable<Model>());
static_assert(ReducingLayer<Model>);

namespace {

template <class M>
M small(double dropout = 0.0) {
    return M({.inputs = 2,
              .classes = 3,
              .width = 5,
              .depth = 2,
              .dropout = dropout,
              .system = {.state = 6, .timescale = {.min = 0.05, .max = 0.3}}},
             Rng(3));
}

}  // namespace

TEST_CASE("a classifier keeps every promise of a layer, whatever the order of its norms") {
    check_conformance(small<Model>());
    check_conformance(small<PostNorm>());
}

TEST_CASE("a classifier with dropout differs in training only, and by its random numbers only") {
    const Model model = small<Model>(0.4);
    const Model without = small<Model>();
    Batch<double> u(2, 9, 2);
    u.fill(0.7);
    Batch<double> y(2, 1, 3), z(2, 1, 3);
    Workspace workspace;
    model.forward(u, y, workspace);
    without.forward(u, z, workspace);
    CHECK(y == z);
    Model::Cache cache;
    CHECK_THROWS_AS(model.forward(u, y, cache, workspace), ValueError);
    Rng one(1), same(1), other(2);
    model.forward(u, y, cache, Context(workspace).with_rng(one));
    model.forward(u, z, cache, Context(workspace).with_rng(same));
    CHECK(y == z);
    model.forward(u, z, cache, Context(workspace).with_rng(other));
    CHECK(!(y == z));
}

TEST_CASE("the weights of a classifier have the names of its parts") {
    const Model named = small<Model>();
    std::vector<std::string> names;
    visit([&](std::string_view name, const WeightTraits&,
              const Tensor<double>&) { names.emplace_back(name); },
          named);
    CHECK(names.front() == "0.weight");
    CHECK(names.back() == "4.bias");
    std::size_t systems = 0;
    for (const std::string& name : names)
        systems += name == "1.1.inner.0.kernel.A_imag" ? 1U : 0U;
    CHECK(systems == 1);
}

TEST_CASE("a classifier without classes or blocks of zero width is refused") {
    CHECK_THROWS_AS(Model({.classes = 0}), ValueError);
    CHECK_THROWS_AS(Model({.classes = 2, .width = 0}), ValueError);
    CHECK_THROWS_AS(Model({.classes = 2, .dropout = 1.0}), ValueError);
    CHECK_THROWS_AS(Model({.inputs = 0, .classes = 2}), ValueError);
}
