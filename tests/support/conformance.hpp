#pragma once

#include <string_view>
#include <type_traits>

#include <ssm/core/concepts.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/testing/conformance.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

namespace ssm_test {

/// The layer with noise on all its weights, so that one that is forgotten and starts as zero or one shows.
template <ssm::Layer L>
L with_noise(L layer) {
    ssm::Rng rng(5);
    ssm::visit(
        [&](std::string_view, const ssm::WeightTraits&, auto& weight) {
            for (auto& w : weight.flat())
                w += static_cast<std::remove_reference_t<decltype(w)>>(0.3 * rng.normal());
        },
        layer);
    return layer;
}

/// Checks every promise of a layer, allocations included; a broken one fails the test with its sentence.
template <ssm::Layer L>
ssm::testing::ConformanceReport check_conformance(const L& layer,
                                                  ssm::testing::ConformanceOptions options = {}) {
    const AllocationCounter counter;
    if (AllocationCounter::available())
        options.allocations = [&counter] { return counter.count(); };
    ssm::Rng rng(20240229);
    ssm::testing::ConformanceReport report;
    REQUIRE_NOTHROW(report = check_layer_conformance(layer, options, rng));
    return report;
}

}  // namespace ssm_test
