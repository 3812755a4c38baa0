#include <cmath>
#include <cstddef>
#include <limits>

#include <ssm/core/concepts.hpp>
#include <ssm/layer/pool.hpp>

#include "support/conformance.hpp"

using namespace ssm;
using ssm_test::check_conformance;

static_assert(StreamingLayer<MeanPool<float>> && TrainableLayer<MaxPool<float>>);
static_assert(ReducingLayer<LastPool<double>> && !PointwiseLayer<LastPool<double>>);

TEMPLATE_TEST_CASE("pools over time keep every promise of a layer", "", float, double) {
    const std::size_t channels = GENERATE(1U, 4U, 19U);
    check_conformance(MeanPool<TestType>({.channels = channels}));
    check_conformance(SumPool<TestType>({.channels = channels}));
    check_conformance(FirstPool<TestType>({.channels = channels}));
    check_conformance(LastPool<TestType>({.channels = channels}));
    check_conformance(MaxPool<TestType>({.channels = channels}));
}

TEST_CASE("a pool of nothing is zero, in every mode") {
    const MeanPool<float> pool({.channels = 2});
    Workspace workspace;
    const Batch<float> nothing(1, 0, 2);
    Batch<float> y(1, 1, 2);
    y.fill(5.0F);
    pool.forward(nothing, y, workspace);
    CHECK(y(0, 0, 0) == 0.0F);
    y.fill(5.0F);
    auto state = pool.rest_state(1);
    pool.forward(nothing, y, state, workspace);
    CHECK(y(0, 0, 1) == 0.0F);
}

TEST_CASE("a maximum over a sequence with NaN is NaN wherever it stands") {
    const MaxPool<double> pool({.channels = 1});
    Workspace workspace;
    for (std::size_t position = 0; position < 3; ++position) {
        Batch<double> u(1, 3, 1);
        u(0, position, 0) = std::numeric_limits<double>::quiet_NaN();
        Batch<double> y(1, 1, 1);
        pool.forward(u, y, workspace);
        CHECK(std::isnan(y(0, 0, 0)));
    }
}

TEST_CASE("a pool without channels is refused") {
    CHECK_THROWS_AS(MeanPool<float>({.channels = 0}), ValueError);
}

TEST_CASE("a pool refuses states of other batches and channels") {
    const MeanPool<float> pool({.channels = 16});
    Workspace workspace;
    const Batch<float> u(64, 3, 16);
    Batch<float> y(64, 1, 16);
    MeanPool<float>::State empty;
    auto one = pool.rest_state(1);
    auto narrow = MeanPool<float>({.channels = 4}).rest_state(64);
    CHECK_THROWS_AS(pool.forward(u, y, empty, workspace), ShapeError);
    CHECK_THROWS_AS(pool.forward(u, y, one, workspace), ShapeError);
    CHECK_THROWS_AS(pool.forward(u, y, narrow, workspace), ShapeError);
}
