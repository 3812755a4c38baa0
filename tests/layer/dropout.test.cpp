#include <cmath>
#include <cstddef>

#include <ssm/core/concepts.hpp>
#include <ssm/layer/dropout.hpp>

#include "support/conformance.hpp"

using namespace ssm;

static_assert(StreamingLayer<Dropout<float>> && TrainableLayer<Dropout<float>>);

namespace {

Batch<double> masked(const Dropout<double>& dropout, const Shape& shape, Rng rng) {
    Workspace workspace;
    Batch<double> u(shape);
    u.fill(1.0);
    Batch<double> y(shape);
    Dropout<double>::Cache cache;
    dropout.forward(u, y, cache, Context(workspace).with_rng(rng));
    return y;
}

}  // namespace

TEMPLATE_TEST_CASE("Dropout keeps every promise of a layer", "", float, double) {
    ssm::testing::ConformanceOptions options;
    ssm_test::check_conformance(Dropout<TestType>({.channels = 5}), options);
    options.training_differs = true;
    ssm_test::check_conformance(Dropout<TestType>({.channels = 5, .p = 0.3}), options);
    ssm_test::check_conformance(Dropout<TestType>({.channels = 5, .p = 0.3, .tied = true}),
                                options);
}

TEST_CASE("Dropout drops the share it was told and keeps the mean") {
    const double p = GENERATE(0.1, 0.5, 0.9);
    const auto y = masked(Dropout<double>({.channels = 100, .p = p}), {10, 100, 100}, Rng(7));
    double dropped = 0.0;
    for (const double value : y.view().flat()) {
        REQUIRE((value == 0.0 || value == Approx(1.0 / (1.0 - p))));
        dropped += value == 0.0 ? 1.0 : 0.0;
    }
    // 1e5 independent decisions: five standard deviations are below 0.008.
    CHECK(dropped / 1e5 == Approx(p).margin(0.008));
}

TEST_CASE("decisions of neighbours in channels, steps and calls are independent") {
    const Dropout<double> dropout({.channels = 100, .p = 0.5});
    const auto y = masked(dropout, {1, 1000, 100}, Rng(7));
    const auto other = masked(dropout, {1, 1000, 100}, Rng(8));
    double channel = 0.0;
    double step = 0.0;
    double call = 0.0;
    for (std::size_t l = 0; l + 1 < 1000; ++l)
        for (std::size_t h = 0; h + 1 < 100; ++h) {
            channel += y(0, l, h) == y(0, l, h + 1) ? 1.0 : -1.0;
            step += y(0, l, h) == y(0, l + 1, h) ? 1.0 : -1.0;
            call += y(0, l, h) == other(0, l, h) ? 1.0 : -1.0;
        }
    // Correlations of 1e5 pairs: five standard deviations are 0.016.
    CHECK(std::abs(channel) / 1e5 < 0.016);
    CHECK(std::abs(step) / 1e5 < 0.016);
    CHECK(std::abs(call) / 1e5 < 0.016);
}

TEST_CASE("tied dropout decides once for all steps of a sequence") {
    const auto y =
        masked(Dropout<double>({.channels = 50, .p = 0.5, .tied = true}), {4, 10, 50}, Rng(2));
    std::size_t differ = 0;
    for (std::size_t b = 0; b < 4; ++b)
        for (std::size_t h = 0; h < 50; ++h) {
            for (std::size_t l = 1; l < 10; ++l)
                REQUIRE(y(b, l, h) == y(b, 0, h));
            differ += y(b, 0, h) != y(0, 0, h) ? 1U : 0U;
        }
    CHECK(differ > 0);
}

TEST_CASE("training with dropout asks for random numbers, and p is checked") {
    const Dropout<float> dropout({.channels = 2, .p = 0.5});
    Workspace workspace;
    const Batch<float> u(1, 1, 2);
    Batch<float> y(1, 1, 2);
    Dropout<float>::Cache cache;
    CHECK_THROWS_AS(dropout.forward(u, y, cache, workspace), ValueError);
    CHECK_THROWS_AS(Dropout<float>({.channels = 2, .p = 1.0}), ValueError);
    CHECK_THROWS_AS(Dropout<float>({.channels = 2, .p = -0.1}), ValueError);
    CHECK_THROWS_AS(Dropout<float>({.channels = 0}), ValueError);
}
