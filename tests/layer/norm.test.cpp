#include <cstddef>

#include <ssm/core/concepts.hpp>
#include <ssm/layer/batch_norm.hpp>
#include <ssm/layer/group_norm.hpp>
#include <ssm/layer/norm.hpp>

#include "support/conformance.hpp"

using namespace ssm;
using ssm_test::check_conformance;
using ssm_test::with_noise;

static_assert(StreamingLayer<LayerNorm<float>> && TrainableLayer<LayerNorm<float>>);
static_assert(PointwiseLayer<RMSNorm<double>> && TrainableLayer<RMSNorm<double>>);
static_assert(StreamingLayer<BatchNorm<float>> && TrainableLayer<BatchNorm<float>>);
static_assert(TrainableLayer<GroupNorm<float>> && !StreamingLayer<GroupNorm<float>>);

TEMPLATE_TEST_CASE("LayerNorm keeps every promise of a layer", "", float, double) {
    const std::size_t channels = GENERATE(1U, 3U, 16U, 21U);
    check_conformance(with_noise(LayerNorm<TestType>({.channels = channels})));
}

TEMPLATE_TEST_CASE("RMSNorm keeps every promise of a layer", "", float, double) {
    const std::size_t channels = GENERATE(1U, 3U, 16U, 21U);
    check_conformance(with_noise(RMSNorm<TestType>({.channels = channels})));
}

TEST_CASE("norms over groups and without weights keep every promise") {
    check_conformance(with_noise(LayerNorm<double>({.channels = 12, .groups = 3})));
    check_conformance(with_noise(RMSNorm<double>({.channels = 14, .groups = 2, .bias = true})));
    check_conformance(LayerNorm<double>({.channels = 7, .weight = false, .bias = false}));
}

TEMPLATE_TEST_CASE("BatchNorm keeps every promise of a layer", "", float, double) {
    const std::size_t channels = GENERATE(1U, 5U, 17U);
    ssm::testing::ConformanceOptions options;
    options.training_differs = true;
    options.rows_are_coupled = true;
    check_conformance(with_noise(BatchNorm<TestType>({.channels = channels})), options);
    options.tolerance = 0.0;
    check_conformance(BatchNorm<TestType>({.channels = channels, .weight = false, .bias = false}),
                      options);
}

TEMPLATE_TEST_CASE("GroupNorm keeps every promise of a layer", "", float, double) {
    check_conformance(with_noise(GroupNorm<TestType>({.channels = 6, .groups = 3})));
    check_conformance(with_noise(GroupNorm<TestType>({.channels = 17, .groups = 17})));
    check_conformance(GroupNorm<TestType>({.channels = 4, .weight = false, .bias = false}));
}

TEST_CASE("running statistics of BatchNorm are those of the valid steps") {
    BatchNorm<double> norm({.channels = 1});
    Batch<double> u(2, 3, 1);
    u(0, 0, 0) = 1.0;
    u(0, 1, 0) = 2.0;
    u(0, 2, 0) = 100.0;  // padding
    u(1, 0, 0) = 6.0;
    u(1, 1, 0) = 100.0;  // padding
    u(1, 2, 0) = 100.0;  // padding
    const std::size_t lengths[] = {2, 1};
    Workspace workspace;
    const Context context = Context(workspace).with_lengths(lengths);
    Batch<double> y(u.shape());
    BatchNorm<double>::Cache cache;
    norm.forward(u, y, cache, context);
    BatchNorm<double> gradient = zeros_like(norm);
    norm.backward(u, y, {}, cache, gradient, context);
    CHECK(gradient.running_mean[0] == Approx(3.0));
    CHECK(gradient.running_variance[0] ==
          Approx(7.0 - 1.0));  // 14 / (3 - 1), minus the start value
}

TEST_CASE("norms refuse options that make no sense") {
    CHECK_THROWS_AS(LayerNorm<float>({.channels = 0}), ValueError);
    CHECK_THROWS_AS(RMSNorm<float>({.channels = 6, .groups = 4}), ValueError);
    CHECK_THROWS_AS(LayerNorm<float>({.channels = 6, .epsilon = -1.0}), ValueError);
    CHECK_THROWS_AS(BatchNorm<float>({.channels = 6, .momentum = 1.5}), ValueError);
    CHECK_THROWS_AS(GroupNorm<float>({.channels = 6, .groups = 5}), ValueError);
}

TEST_CASE("BatchNorm refuses to train on a single step") {
    const BatchNorm<float> norm({.channels = 2});
    BatchNorm<float>::Cache cache;
    Workspace workspace;
    const Batch<float> u(1, 1, 2);
    Batch<float> y(1, 1, 2);
    CHECK_THROWS_AS(norm.forward(u, y, cache, workspace), ValueError);
}

TEST_CASE("BatchNorm refuses a cache that its forward did not fill") {
    const BatchNorm<float> norm({.channels = 2});
    BatchNorm<float> gradient = zeros_like(norm);
    Workspace workspace;
    const Batch<float> u(2, 3, 2);
    Batch<float> y(2, 3, 2);
    BatchNorm<float>::Cache fresh;
    CHECK_THROWS_AS(norm.backward(u, u, y, fresh, gradient, workspace), ShapeError);
    BatchNorm<float>::Cache other;
    Batch<float> two(1, 2, 2);
    norm.forward(two, two, other, workspace);
    CHECK_THROWS_AS(norm.backward(u, u, y, other, gradient, workspace), ShapeError);
}
