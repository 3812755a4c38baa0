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

TEMPLATE_TEST_CASE("activations keep every promise of a layer", "", math::Identity, math::Relu,
                   math::Silu, math::Sigmoid, math::Tanh, math::Softplus, math::Gelu,
                   math::GeluTanh) {
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

TEMPLATE_TEST_CASE("gated linear units keep every promise of a layer", "", math::Sigmoid,
                   math::Gelu, math::Silu, math::Relu) {
    const GateHalf gate = GENERATE(GateHalf::first, GateHalf::second);
    check_conformance(Glu<double, TestType>({.channels = 5, .gate = gate}));
    check_conformance(Glu<float, TestType>({.channels = 18, .gate = gate}));
}

TEST_CASE("activations and gated units without channels are refused") {
    CHECK_THROWS_AS((Activation<float, math::Relu>({.channels = 0})), ValueError);
    CHECK_THROWS_AS(SwiGlu<float>({.channels = 0}), ValueError);
}
