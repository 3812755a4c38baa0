#pragma once

#include <cmath>

#include <ssm/core/rng.hpp>

namespace ssm::init {

/// Normal number cut at two standard deviations, of unit variance after the cut.
[[nodiscard]] inline double truncated_normal(Rng& rng) noexcept {
    constexpr double deviation = 0.87962566103423978;  // of a standard normal number cut at 2
    for (;;) {
        const double z = rng.normal();
        if (std::abs(z) <= 2.0)
            return z / deviation;
    }
}

}  // namespace ssm::init
