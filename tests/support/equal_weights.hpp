#pragma once

#include <string_view>

#include <ssm/core/weights.hpp>

namespace ssm_test {

/// Whether two layers have the same weights, to the last bit.
template <class L>
[[nodiscard]] bool has_equal_weights(const L& a, const L& b) {
    bool equal = true;
    ssm::visit([&](std::string_view, const ssm::WeightTraits&, const auto& x,
                   const auto& y) { equal = equal && x == y; },
               a, b);
    return equal;
}

}  // namespace ssm_test
