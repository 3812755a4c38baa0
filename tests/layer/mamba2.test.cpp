#include <ssm/layer/mamba2.hpp>

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
using ssm_test::with_noise;

static_assert(StreamingLayer<Mamba2<float>> && TrainableLayer<Mamba2<float>>);
using Rounded = Mamba2<float, Bfloat16>;
static_assert(StreamingLayer<Rounded> && !TrainableLayer<Rounded>);

TEST_CASE("Mamba2 keeps every promise of a layer") {
    Mamba2<double>::Options options{.channels = 6, .state = 3, .head_channels = 3};
    SECTION("as published") {}
    SECTION("in groups, with all biases, normalised in front of the gate") {
        options.groups = 2;
        options.bias = true;
        options.width = 3;
        options.order = GateOrder::norm_first;
    }
    SECTION("without norm, with limited time steps, and D for each channel") {
        options.norm = false;
        options.dt_lowest = 0.02;
        options.dt_highest = 0.9;
        options.D_per_channel = true;
    }
    SECTION("with channels beside the scan, and first states that are learned") {
        options.ssm_channels = 6;
        options.learns_init_state = true;
    }
    check_conformance(with_noise(Mamba2<double>(options)));
}

TEST_CASE("Mamba2 in float keeps every promise too") {
    check_conformance(Mamba2<float>({.channels = 8, .state = 16, .head_channels = 16}, Rng(3)));
}

TEST_CASE("Mamba2 with matrices rounded to Bfloat16 keeps the promises of a layer for inference") {
    check_conformance(Rounded({.channels = 8, .state = 16, .head_channels = 8}, Rng(3)));
}

TEST_CASE("Mamba2 begins with decays and time steps in their ranges") {
    const Mamba2<double> layer({.channels = 64, .state = 4, .head_channels = 4});
    CHECK(layer.options().inner == 128);
    CHECK(layer.heads() == 32);
    for (std::size_t h = 0; h < layer.heads(); ++h) {
        const double a = std::exp(layer.A_log[h]);
        CHECK((a >= 1.0 && a <= 16.0));
        const double dt = std::log1p(std::exp(layer.dt_bias[h]));
        CHECK((dt >= 1e-3 * (1 - 1e-12) && dt <= 1e-1 * (1 + 1e-12)));
        CHECK(layer.D[h] == 1.0);
    }
}

TEST_CASE("Mamba2 refuses sizes that do not fit together and states of other batches") {
    using Layer = Mamba2<float>;
    CHECK_THROWS_AS(Layer({.channels = 0}), ValueError);
    CHECK_THROWS_AS(Layer({.channels = 6, .head_channels = 5}), ValueError);
    CHECK_THROWS_AS(Layer({.channels = 6, .head_channels = 4, .groups = 2}), ValueError);
    CHECK_THROWS_AS(Layer({.channels = 6, .head_channels = 4, .ssm_channels = 16}), ValueError);
    CHECK_THROWS_AS(Layer({.channels = 6, .head_channels = 4, .dt_lowest = 1.0, .dt_highest = 0.5}),
                    ValueError);
    for (const std::size_t huge : {std::size_t{1} << 31, std::size_t{1} << 63}) {
        CHECK_THROWS_AS(Layer({.channels = 6, .state = huge, .head_channels = 4}), ValueError);
        CHECK_THROWS_AS(Layer({.channels = 6, .head_channels = 4, .expand = huge}), ValueError);
        CHECK_THROWS_AS(Layer({.channels = 6, .head_channels = 4, .ssm_channels = huge}),
                        ValueError);
    }
    CHECK_THROWS_AS(Layer({.channels = std::size_t{1} << 30, .expand = 1U << 30}), ValueError);
    const Layer layer({.channels = 6, .state = 2, .head_channels = 4});
    Workspace workspace;
    Batch<float> u(2, 4, 6);
    Batch<float> y(u.shape());
    auto state = layer.rest_state(1);
    CHECK_THROWS_AS(layer.forward(u, y, state, workspace), ShapeError);
}

TEST_CASE("Mamba2 refuses a cache that its forward did not fill") {
    using Layer = Mamba2<float>;
    const Layer layer({.channels = 6, .state = 2, .head_channels = 4});
    Layer gradient = zeros_like(layer);
    Workspace workspace;
    const Batch<float> u(2, 4, 6);
    Batch<float> du(u.shape());
    Layer::Cache fresh;
    CHECK_THROWS_AS(layer.backward(u, u, du, fresh, gradient, workspace), ShapeError);
    const Batch<float> step(1, 1, 6);
    Batch<float> y(1, 1, 6);
    Layer::Cache other;
    layer.forward(step, y, other, workspace);
    CHECK_THROWS_AS(layer.backward(u, u, du, other, gradient, workspace), ShapeError);
}

TEST_CASE("Mamba2 has no intervals") {
    ssm_test::check_refuses_intervals(
        Mamba2<float>({.channels = 6, .state = 2, .head_channels = 4}));
}
