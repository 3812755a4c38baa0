#pragma once

#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/discretize/phi.hpp>
#include <ssm/simd/complex_exp.hpp>
#include <ssm/simd/exp.hpp>
#include <ssm/simd/pack.hpp>

/// How a selective scan makes discrete poles and inputs of dt_t, A and B_t. A discretisation is given
/// x = dt A, as vectors of channels, and says what h_t = decay h_{t-1} + gain dt B u has for decay and gain.
namespace ssm {

namespace detail {

/// d phi1 / dx for real x, as for complex x in discretize/phi.hpp.
template <class T>
[[nodiscard]] SSM_INLINE simd::Pack<T> phi1_derivative(simd::Pack<T> x,
                                                       simd::ExpPhi1<simd::Pack<T>> e) noexcept {
    using P = simd::Pack<T>;
    const auto is_near = simd::abs(x) < P(T(0.5));
    P near(T(0));
    for (std::size_t k = phi1_derivative_series.size(); k-- > 0;)
        near = simd::fma(near, x, P(static_cast<T>(phi1_derivative_series[k])));
    return simd::select(is_near, near, (e.exp - e.phi1) / x);
}

}  // namespace detail

/// Zero-order hold of the state and a plain factor dt for the input, as in all models of the Mamba family:
///
///   decay = exp(dt A)     gain = 1
///
/// Source    Gu and Dao 2023, "simplified ZOH"; equal to zero-order hold to first order in dt A
struct SimplifiedZoh {
    static constexpr bool has_gain = false;

    /// What A is multiplied by beforehand: real decays are powers of two.
    template <class T>
    static constexpr T unit(simd::Pack<T>) noexcept {
        return T(1.4426950408889634);
    }
    template <class T>
    static constexpr T unit(simd::Complex<simd::Pack<T>>) noexcept {
        return T(1);
    }
    template <class T>
    [[nodiscard]] SSM_INLINE static simd::Pack<T> decay(simd::Pack<T> x) noexcept {
        return simd::exp2_fast(x);
    }
    template <class T>
    [[nodiscard]] SSM_INLINE static simd::Complex<simd::Pack<T>> decay(
        simd::Complex<simd::Pack<T>> x) noexcept {
        return simd::exp(x);
    }
};

/// Exact zero-order hold: the input is constant during each step.
///
///   decay = exp(dt A)     gain = phi1(dt A),  phi1(x) = (e^x - 1) / x
///
/// Source    Gu and Dao 2023, equation 4
struct ExactZoh {
    static constexpr bool has_gain = true;

    template <class V>
    static constexpr auto unit(V) noexcept {
        return 1.0F;
    }
    /// {decay, gain}
    template <class V>
    [[nodiscard]] SSM_INLINE static simd::ExpPhi1<V> decay_and_gain(V x) noexcept {
        return simd::exp_phi1(x);
    }
    /// d gain / dx
    template <class V>
    [[nodiscard]] SSM_INLINE static V gain_derivative(V x, simd::ExpPhi1<V> e) noexcept {
        return detail::phi1_derivative(x, e);
    }
};

}  // namespace ssm
