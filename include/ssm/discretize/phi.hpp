#pragma once

#include <array>
#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/complex_exp.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::detail {

/// (k + 1) / (k + 2)!, the series of phi1' at 0.
inline constexpr auto phi1_derivative_series = [] {
    std::array<double, 15> series{};
    double factorial = 1.0;
    for (std::size_t k = 0; k < series.size(); ++k) {
        factorial *= static_cast<double>(k + 2);
        series[k] = static_cast<double>(k + 1) / factorial;
    }
    return series;
}();

/// d phi1 / dx = (e^x - phi1(x)) / x for given e = {e^x, phi1(x)}; by its series for |x| < 1/2, where the
/// difference cancels.
template <class T>
[[nodiscard]] SSM_INLINE simd::Complex<simd::Pack<T>> phi1_derivative(
    simd::Complex<simd::Pack<T>> x, simd::ExpPhi1<simd::Complex<simd::Pack<T>>> e) noexcept {
    using P = simd::Pack<T>;
    const P size = simd::norm(x);
    const simd::Complex<P> far = simd::conj_mul(x, e.exp - e.phi1) * (P(T(1)) / size);
    const auto is_near = size < P(T(0.25));
    if (!simd::any(is_near))
        return far;
    simd::Complex<P> near{P(T(0)), P(T(0))};
    for (std::size_t k = phi1_derivative_series.size(); k-- > 0;)
        near = simd::fma(near, x, {P(static_cast<T>(phi1_derivative_series[k])), P(T(0))});
    return {simd::select(is_near, near.re, far.re), simd::select(is_near, near.im, far.im)};
}

}  // namespace ssm::detail
