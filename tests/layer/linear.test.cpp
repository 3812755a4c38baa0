#include <algorithm>
#include <cmath>
#include <cstddef>

#include <ssm/core/concepts.hpp>
#include <ssm/layer/linear.hpp>

#include "support/conformance.hpp"

using namespace ssm;
using ssm_test::check_conformance;

static_assert(StreamingLayer<Linear<float>> && TrainableLayer<Linear<float>>);
static_assert(PointwiseLayer<Linear<double>>);

TEMPLATE_TEST_CASE("Linear keeps every promise of a layer", "", float, double) {
    const std::size_t in = GENERATE(1U, 7U, 16U);
    const std::size_t out = GENERATE(1U, 3U, 20U);
    check_conformance(Linear<TestType>({.in = in, .out = out}, Rng(1)));
    check_conformance(Linear<TestType>({.in = in, .out = out, .bias = false}, Rng(1)));
}

TEST_CASE("gradients of Linear are the same bits for any number of threads, however they are cut") {
    // Many outputs are cut over the outputs, few over the rows.
    const std::size_t out = GENERATE(5U, 600U);
    const Linear<float> layer({.in = 3, .out = out}, Rng(1));
    ssm::testing::ConformanceOptions options;
    options.large_length = 700;
    Rng rng(2);
    CHECK_NOTHROW(ssm::testing::check_threads(layer, options, rng));
}

TEST_CASE("Linear starts uniform within the bounds of PyTorch's") {
    const Linear<double> layer({.in = 100, .out = 50}, Rng(1));
    double largest = 0.0;
    for (const double w : layer.weight.flat())
        largest = std::max(largest, std::abs(w));
    CHECK(largest <= 0.1);
    CHECK(largest > 0.0999);
    CHECK_FALSE(Linear<double>({.in = 2, .out = 2}, Rng(1)).weight ==
                Linear<double>({.in = 2, .out = 2}, Rng(2)).weight);
}

TEST_CASE("Linear refuses views that do not fit, naming both numbers") {
    const Linear<float> layer({.in = 3, .out = 2});
    Workspace workspace;
    const Batch<float> u(1, 4, 3);
    Batch<float> y(1, 4, 2);
    Batch<float> wrong(1, 4, 3);
    CHECK_NOTHROW(layer.forward(u, y, workspace));
    CHECK_THROWS_AS(layer.forward(u, wrong, workspace), ShapeError);
    CHECK_THROWS_AS(layer.forward(y, y, workspace), ShapeError);
    CHECK_THROWS_AS(Linear<float>({.in = 0, .out = 2}), ValueError);
}
