#include <cstddef>

#include <ssm/core/concepts.hpp>
#include <ssm/layer/activation.hpp>
#include <ssm/layer/glu.hpp>

#include "support/conformance.hpp"

using namespace ssm;
using ssm_test::check_conformance;

static_assert(StreamingLayer<Activation<float, math::Gelu>>);
static_assert(TrainableLayer<Activation<float, math::Gelu>>);
static_assert(PointwiseLayer<SwiGlu<double>> && TrainableLayer<SwiGlu<double>>);

// One smooth function and one with a corner stand for all, whose values and slopes tests/math/activation.test.cpp checks.
TEMPLATE_TEST_CASE("activations keep every promise of a layer", "", math::Relu, math::Gelu) {
    check_conformance(Activation<double, TestType>({.channels = 11}));
    check_conformance(Activation<float, TestType>({.channels = 19}));
}

TEST_CASE("an activation carries the parameters of its function") {
    const Activation<double, math::LeakyRelu> leaky({.channels = 1}, {.slope = 0.25});
    const double u[] = {-4.0};
    double y[] = {0.0};
    auto state = leaky.rest_state();
    leaky.step(u, y, state);
    CHECK(y[0] == -1.0);
}

TEST_CASE("gated linear units keep every promise of a layer") {
    const GateHalf gate = GENERATE(GateHalf::first, GateHalf::second);
    check_conformance(Glu<double, math::Sigmoid>({.channels = 5, .gate = gate}));
    check_conformance(Glu<float, math::Silu>({.channels = 18, .gate = gate}));
}

TEST_CASE("activations and gated units without channels are refused") {
    CHECK_THROWS_AS((Activation<float, math::Relu>({.channels = 0})), ValueError);
    CHECK_THROWS_AS(SwiGlu<float>({.channels = 0}), ValueError);
}
