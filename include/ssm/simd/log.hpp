#pragma once

#include <cmath>
#include <concepts>
#include <limits>

#include <ssm/simd/bits.hpp>
#include <ssm/simd/exp.hpp>

namespace ssm::simd {
inline namespace SSM_ARCH {

namespace detail {

/// log(1 + f) for f from sqrt(1/2) - 1 to sqrt(2) - 1.
///
/// float:  f - f^2 / 2 + f^3 p(f), minimax relative error 6e-9.
/// double: with s = f / (2 + f), log(1 + f) = 2 artanh(s) = f - s (f - s^2 p(s^2)), minimax
/// relative
///         error 1e-18; the leading f is free of rounding.
template <class T>
struct LogConstants;

template <>
struct LogConstants<float> {
    static constexpr float p[] = {0x1.555554p-2F, -0x1.000226p-2F, 0x1.99a008p-3F, -0x1.547244p-3F,
                                  0x1.22da1ap-3F, -0x1.0d8548p-3F, 0x1.055b7ep-3F, -0x1.38b594p-4F};
    static constexpr float sqrt_half = 0x1.6a09e6p-1F;
};

template <>
struct LogConstants<double> {
    static constexpr double p[] = {0x1.5555555555592p-1, 0x1.999999997fd74p-2, 0x1.24924941f52d6p-2,
                                   0x1.c71c5205e1814p-3, 0x1.74663fa981effp-3, 0x1.39a1a646853dbp-3,
                                   0x1.2f063b03bc977p-3};
    static constexpr double sqrt_half = 0x1.6a09e667f3bcdp-1;
};

/// k ln 2 + log(1 + f), for whole k and f in the range above.
template <class T>
SSM_INLINE Pack<T> log_reduced(Pack<T> k, Pack<T> f) noexcept {
    using E = ExpConstants<T>;
    using C = LogConstants<T>;
    const Pack<T> f2 = f * f;
    Pack<T> correction;
    if constexpr (sizeof(T) == 4) {
        correction = f2 * fma(polynomial(f, f2, C::p), f, T(-0.5));
    } else {
        // 2 s = f - s f, and s f = f^2 / 2 - s f^2 / 2: the large terms stay exact.
        const Pack<T> s = f * reciprocal(f + T(2));
        const Pack<T> s2 = s * s;
        const Pack<T> half_square = f2 * T(0.5);
        correction = fms(s, fma(polynomial(s2, s2 * s2, C::p), s2, half_square), half_square);
    }
    return fma(k, E::ln2_high, f + fma(k, E::ln2_low, correction));
}

/// x = 2^k m with m from sqrt(1/2) to sqrt(2), for positive normal x.
template <class T>
struct LogReduction {
    Pack<T> k;
    Pack<T> m;
};

template <class T>
SSM_INLINE LogReduction<T> reduce_log(Pack<T> x) noexcept {
    using F = Format<T>;
    using U = BitsOf<T>;
    constexpr U sqrt_half = std::bit_cast<U>(LogConstants<T>::sqrt_half);
    constexpr U bias = U(F::bias) << F::mantissa;
    constexpr T whole = T(U(1) << F::mantissa);  // a number whose last place is worth 1
    const BitPack<T> shifted = bits(x) + BitPack<T>(bias - sqrt_half);
    const BitPack<T> exponent = shift_right<F::mantissa>(shifted);
    const BitPack<T> fraction = bit_and(shifted, (U(1) << F::mantissa) - 1);
    const Pack<T> k = from_bits<T>(bit_or(exponent, std::bit_cast<U>(whole)));
    return {k - (whole + T(F::bias)), from_bits<T>(fraction + BitPack<T>(sqrt_half))};
}

/// The values at the ends of the domain: log(0) = -infinity, of negative numbers and NaN NaN, of
/// infinity infinity.
template <class T>
SSM_INLINE Pack<T> log_ends(Pack<T> x, Pack<T> value) noexcept {
    using L = std::numeric_limits<T>;
    const Pack<T> below = select(x == T(0), Pack<T>(-L::infinity()), Pack<T>(L::quiet_NaN()));
    return select(x > T(0) && x < L::infinity(), value, select(x > T(0), x, below));
}

}  // namespace detail

/// Natural logarithm. log(0) = -infinity, negative x gives NaN.
///
/// Accuracy  1 ULP (float and double), also for subnormal x; tests/simd/log.test.cpp
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> log(Pack<T> x) noexcept {
    if constexpr (!detail::is_vector<T>) {
        return std::log(x.raw);
    } else {
        using F = detail::Format<T>;
        const auto tiny = x < F::least_normal;
        constexpr T lift = T(detail::BitsOf<T>(1) << F::mantissa);
        const auto [k, m] = detail::reduce_log(select(tiny, x * lift, x));
        const Pack<T> exponent = k - select(tiny, Pack<T>(T(F::mantissa)), T(0));
        return detail::log_ends(x, detail::log_reduced(exponent, m - T(1)));
    }
}

/// log(1 + x), accurate also where x is small. log1p(-1) = -infinity, x < -1 gives NaN.
///
/// Accuracy  1.6 ULP (float), 1.5 ULP (double); tests/simd/log.test.cpp
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> log1p(Pack<T> x) noexcept {
    if constexpr (!detail::is_vector<T>) {
        return std::log1p(x.raw);
    } else {
        // 1 + x = u + lost with u rounded; what is lost joins the reduced argument.
        const Pack<T> u = x + T(1);
        const Pack<T> lost = select(x < T(1), x - (u - T(1)), (x - u) + T(1));
        const auto [k, m] = detail::reduce_log(u);
        const Pack<T> power = min(k, T(detail::Format<T>::bias - 1));
        const Pack<T> f = fma(detail::exp2_whole(-power), lost, m - T(1));
        const Pack<T> value = detail::log_reduced(k, select(k == T(0), x, f));
        return select(x == T(0), x, detail::log_ends(u, value));  // log1p(-0) = -0
    }
}

template <std::floating_point T>
[[nodiscard]] SSM_INLINE T log(T x) noexcept {
    return std::log(x);
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T log1p(T x) noexcept {
    return std::log1p(x);
}

}  // namespace SSM_ARCH
}  // namespace ssm::simd
