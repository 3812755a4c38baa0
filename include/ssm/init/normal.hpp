#pragma once

#include <complex>
#include <numbers>

#include <ssm/core/rng.hpp>

namespace ssm::init {

/// Circular complex normal number of unit variance: real and imaginary part independent, variance 1/2
/// each. The entries of C start so.
[[nodiscard]] inline std::complex<double> complex_normal(Rng& rng) noexcept {
    const double re = rng.normal();
    const double im = rng.normal();
    return {re / std::numbers::sqrt2, im / std::numbers::sqrt2};
}

}  // namespace ssm::init
