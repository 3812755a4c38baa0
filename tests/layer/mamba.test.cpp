#include <ssm/layer/mamba.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include <ssm/core/concepts.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/math/small_float.hpp>

#include "support/conformance.hpp"
#include "support/intervals.hpp"
#include "support/prebuilt_selective.hpp"

using namespace ssm;
using ssm_test::check_conformance;

static_assert(StreamingLayer<Mamba<float>> && TrainableLayer<Mamba<float>>);
using Rounded = Mamba<float, Bfloat16>;
static_assert(StreamingLayer<Rounded> && !TrainableLayer<Rounded>);

TEST_CASE("Mamba keeps every promise of a layer") {
    const MambaNorm norm = GENERATE(MambaNorm::none, MambaNorm::plain, MambaNorm::learned);
    check_conformance(
        ssm_test::with_noise(Mamba<double>({.channels = 5,
                                            .state = norm == MambaNorm::none ? 6U : 3U,
                                            .width = 3,
                                            .bias = norm == MambaNorm::none,
                                            .norm = norm})));
}

TEST_CASE("Mamba in float keeps every promise too") {
    check_conformance(Mamba<float>({.channels = 9, .state = 16}, Rng(3)));
}

TEST_CASE("Mamba with matrices rounded to Bfloat16 keeps the promises of a layer for inference") {
    check_conformance(Rounded({.channels = 9, .norm = MambaNorm::learned}, Rng(3)));
}

TEST_CASE("Mamba begins with A = -(1, ..., N) and time steps in their range") {
    const Mamba<double> layer({.channels = 20, .state = 4});
    CHECK(layer.options().inner == 40);
    CHECK(layer.options().rank == 2);
    for (std::size_t n = 0; n < 4; ++n)
        CHECK(std::exp(layer.A_log[n * 40 + 7]) == Approx(static_cast<double>(n + 1)));
    for (const double bias : layer.dt_proj.bias.flat()) {
        const double dt = std::log1p(std::exp(bias));
        CHECK(dt >= 1e-3 * (1 - 1e-12));
        CHECK(dt <= 1e-1 * (1 + 1e-12));
    }
}

TEST_CASE("Mamba refuses sizes of zero and states of other batches") {
    CHECK_THROWS_AS(Mamba<float>({.channels = 0}), ValueError);
    CHECK_THROWS_AS(Mamba<float>({.channels = 3, .state = 0}), ValueError);
    CHECK_THROWS_AS(Mamba<float>({.channels = 3, .timescale = {.min = 0.0}}), ValueError);
    CHECK_THROWS_AS(Mamba<float>({.channels = 3, .state = std::size_t{1} << 63}), ValueError);
    CHECK_THROWS_AS(Mamba<float>({.channels = 3, .rank = std::size_t{1} << 63}), ValueError);
    CHECK_THROWS_AS(Mamba<float>({.channels = std::size_t{1} << 30, .expand = 1U << 30}),
                    ValueError);
    const Mamba<float> layer({.channels = 3});
    Workspace workspace;
    Batch<float> u(2, 4, 3);
    Batch<float> y(u.shape());
    auto state = layer.rest_state(1);
    CHECK_THROWS_AS(layer.forward(u, y, state, workspace), ShapeError);
    auto narrow = Mamba<float>({.channels = 3, .width = 2}).rest_state(2);
    CHECK_THROWS_AS(layer.forward(u, y, narrow, workspace), ShapeError);
}

TEST_CASE("Mamba refuses a cache that its forward did not fill, and changes nothing") {
    using Layer = Mamba<float>;
    const Layer layer({.channels = 3, .state = 4});
    Layer gradient = zeros_like(layer);
    Workspace workspace;
    Batch<float> u(2, 4, 3);
    std::ranges::fill(u.view().flat(), 1.0F);
    Batch<float> y(u.shape());
    Batch<float> du(u.shape());
    Layer::Cache cache;
    const auto refuses = [&] {
        CHECK_THROWS_AS(layer.backward(u, u, du, cache, gradient, workspace), ShapeError);
        CHECK(std::ranges::all_of(gradient.out_proj.weight.flat(), [](float x) { return x == 0; }));
    };
    refuses();
    const Batch<float> step(1, 1, 3);
    Batch<float> answer(1, 1, 3);
    layer.forward(step, answer, cache, workspace);
    refuses();
    for (Batch<float> Layer::Cache::*part :
         {&Layer::Cache::x, &Layer::Cache::z, &Layer::Cache::c, &Layer::Cache::maps}) {
        layer.forward(u, y, cache, workspace);
        (cache.*part).resize({1, 1, 1});
        refuses();
    }
    layer.forward(u, y, cache, workspace);
    cache.checkpoints.states.clear();
    refuses();
}

TEST_CASE("Mamba has no intervals") {
    ssm_test::check_refuses_intervals(Mamba<float>({.channels = 3}));
}
