#include <cstddef>

#include <ssm/core/concepts.hpp>
#include <ssm/layer/gated_norm.hpp>

#include "support/conformance.hpp"

using namespace ssm;
using ssm_test::check_conformance;
using ssm_test::with_noise;

static_assert(StreamingLayer<GatedRMSNorm<float>> && TrainableLayer<GatedRMSNorm<float>>);

TEMPLATE_TEST_CASE("gated norms keep every promise of a layer", "", float, double) {
    const GateOrder order = GENERATE(GateOrder::norm_first, GateOrder::gate_first);
    check_conformance(
        with_noise(GatedRMSNorm<TestType>({.channels = 21, .groups = 3, .order = order})));
    check_conformance(with_noise(GatedLayerNorm<TestType>({.channels = 5, .order = order})));
    check_conformance(GatedRMSNorm<TestType>({.channels = 4, .order = order, .weight = false}));
}

TEST_CASE("gated norms refuse options that make no sense") {
    CHECK_THROWS_AS(GatedRMSNorm<float>({.channels = 0}), ValueError);
    CHECK_THROWS_AS(GatedRMSNorm<float>({.channels = 6, .groups = 4}), ValueError);
    CHECK_THROWS_AS(GatedRMSNorm<float>({.channels = 6, .epsilon = -1.0}), ValueError);
}
