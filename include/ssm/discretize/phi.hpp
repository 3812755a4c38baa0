#pragma once

#include <cmath>
#include <complex>

namespace ssm::detail {

/// e^x - 1 without cancellation: e^{a + ib} - 1 = expm1(a) cos b - 2 sin^2(b/2) + i e^a sin b.
[[nodiscard]] inline std::complex<double> expm1(std::complex<double> x) noexcept {
    const double s = std::sin(0.5 * x.imag());
    return {std::expm1(x.real()) * std::cos(x.imag()) - 2.0 * s * s,
            std::exp(x.real()) * std::sin(x.imag())};
}

/// (e^x - 1) / x, 1 at 0.
[[nodiscard]] inline std::complex<double> phi1(std::complex<double> x) noexcept {
    return std::norm(x) < 1e-40 ? 1.0 + 0.5 * x : expm1(x) / x;
}

/// d phi1 / dx = (e^x - phi1(x)) / x, near 0 by its series sum_k (k+1) / (k+2)! x^k.
[[nodiscard]] inline std::complex<double> phi1_derivative(std::complex<double> x) noexcept {
    if (std::norm(x) > 0.25)
        return (std::exp(x) - phi1(x)) / x;
    std::complex<double> sum = 0.0;
    for (int k = 14; k >= 0; --k)
        sum = sum * x + (k + 1) / std::tgamma(k + 3.0);
    return sum;
}

}  // namespace ssm::detail
