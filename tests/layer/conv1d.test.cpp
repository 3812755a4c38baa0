#include <cstddef>

#include <ssm/core/concepts.hpp>
#include <ssm/layer/conv1d.hpp>

#include "support/conformance.hpp"
#include "support/intervals.hpp"
#include "support/prebuilt_selective.hpp"

using namespace ssm;
using ssm_test::check_conformance;

static_assert(StreamingLayer<Conv1d<float>> && TrainableLayer<Conv1d<float>>);
static_assert(!PointwiseLayer<Conv1d<float>>);

TEMPLATE_TEST_CASE("Conv1d keeps every promise of a layer", "", float, double) {
    const std::size_t width = GENERATE(1U, 2U, 3U, 4U, 7U, 20U);
    const bool silu = GENERATE(false, true);
    const std::size_t channels = width == 4 ? 70 : 5;
    check_conformance(
        Conv1d<TestType>({.channels = channels, .width = width, .silu = silu}, Rng(4)));
}

TEST_CASE("Conv1d without bias keeps every promise") {
    check_conformance(Conv1d<double>({.channels = 9, .bias = false}, Rng(4)));
}

TEST_CASE("Conv1d is the sum of the formula") {
    const Conv1d<double> conv({.channels = 2, .width = 3}, Rng(1));
    Workspace workspace;
    Batch<double> u(1, 5, 2);
    for (std::size_t i = 0; i < u.size(); ++i)
        u.data()[i] = static_cast<double>(i * i % 7);
    Batch<double> y(u.shape());
    conv.forward(u, y, workspace);
    for (std::size_t l = 0; l < 5; ++l)
        for (std::size_t h = 0; h < 2; ++h) {
            double expected = conv.bias[h];
            for (std::size_t k = 0; k < 3; ++k)
                if (l + k >= 2)
                    expected += conv.weight[k * 2 + h] * u(0, l + k - 2, h);
            CHECK(y(0, l, h) == Approx(expected));
        }
}

TEST_CASE("Conv1d refuses sizes of zero") {
    CHECK_THROWS_AS(Conv1d<float>({.channels = 0}), ValueError);
    CHECK_THROWS_AS(Conv1d<float>({.channels = 3, .width = 0}), ValueError);
}

TEST_CASE("Conv1d refuses states of other batches and widths") {
    const Conv1d<float> conv({.channels = 16});
    Workspace workspace;
    const Batch<float> u(64, 3, 16);
    Batch<float> y(u.shape());
    Conv1d<float>::State empty;
    auto one = conv.rest_state(1);
    auto narrow = Conv1d<float>({.channels = 16, .width = 2}).rest_state(64);
    CHECK_THROWS_AS(conv.forward(u, y, empty, workspace), ShapeError);
    CHECK_THROWS_AS(conv.forward(u, y, one, workspace), ShapeError);
    CHECK_THROWS_AS(conv.forward(u, y, narrow, workspace), ShapeError);
}

TEST_CASE("Conv1d has no intervals") {
    const Conv1d<float> conv({.channels = 2});
    ssm_test::check_refuses_intervals(conv);
    Workspace workspace;
    const Batch<double> intervals(1, 3, 1);
    const Batch<float> u(1, 3, 2);
    Batch<float> du(u.shape());
    Conv1d<float> gradient = conv;
    CHECK_THROWS_AS(
        conv.backward(u, u, du, {}, gradient, Context(workspace).with_intervals(intervals)),
        ValueError);
}
