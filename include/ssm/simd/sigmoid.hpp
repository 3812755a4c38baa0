#pragma once

#include <cmath>
#include <concepts>

#include <ssm/simd/exp.hpp>
#include <ssm/simd/log.hpp>

/// Sigmoid, hyperbolic tangent and softplus. Each uses an exponential of -|x|, which cannot
/// overflow, so that the ends of the range come out right: 0, 1, -1, x.
namespace ssm::simd {
inline namespace SSM_ARCH {

/// e^-|x|, of which the sigmoid and the softplus of x are made. Both chains of operations are so long that a loop over
/// many x goes quicker in two: one that keeps this, one that does the rest.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> exp_minus_abs(Pack<T> x) noexcept {
    return detail::exp_down(-abs(x));
}

/// `sigmoid(x)` for e = `exp_minus_abs(x)`.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> sigmoid(Pack<T> x, Pack<T> e) noexcept {
    return select(x < T(0), e, Pack<T>(T(1))) * detail::reciprocal(e + T(1));
}

/// 1 / (1 + e^-x).
///
/// Accuracy  3 ULP, to the last subnormal number; tests/simd/sigmoid.test.cpp
/// Cost      one exponential, one division
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> sigmoid(Pack<T> x) noexcept {
    return sigmoid(x, exp_minus_abs(x));
}

/// Hyperbolic tangent.
///
/// Accuracy  3.5 ULP; tests/simd/sigmoid.test.cpp
/// Cost      one exponential, one division
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> tanh(Pack<T> x) noexcept {
    if constexpr (!detail::is_vector<T>) {
        return std::tanh(x.raw);
    } else {
        const Pack<T> e = expm1(abs(x) * T(-2));  // from -1 to -0
        return detail::flip_sign(abs(e * detail::reciprocal(e + T(2))), detail::sign_bit(x));
    }
}

namespace detail {

/// log(1 + u) = u - u^2 / 2 + u^3 p(u) for u from 0 to 1: minimax relative error 1.2e-9.
inline constexpr float log1p_unit_p[] = {0x1.5554b4p-2F,  -0x1.ffdd06p-3F, 0x1.98181ep-3F,
                                         -0x1.4c5e70p-3F, 0x1.03b47ep-3F,  -0x1.600026p-4F,
                                         0x1.6b0754p-5F,  -0x1.e15e82p-7F, 0x1.2a9592p-9F};

/// log(1 + u) for u from 0 to 1, which needs no exponent of 1 + u, and in float no reduction at all.
template <class T>
SSM_INLINE Pack<T> log1p_unit(Pack<T> u) noexcept {
    if constexpr (sizeof(T) == 4) {
        return fma(fma(horner(u, log1p_unit_p), u, T(-0.5)), u * u, u);
    } else {
        const Mask<T> upper = u > T(0.41421356237309503);
        return log_reduced(select(upper, Pack<T>(T(1)), T(0)),
                           select(upper, fms(u, T(0.5), T(0.5)), u));
    }
}

}  // namespace detail

/// `softplus(x)` for e = `exp_minus_abs(x)`.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> softplus(Pack<T> x, Pack<T> e) noexcept {
    if constexpr (!detail::is_vector<T>) {
        return x.raw > T(20) ? x.raw : max(T(0), x.raw) + std::log1p(e.raw);
    } else {
        // The zero comes first: max then returns the second operand, x, if it is NaN.
        const Pack<T> value = max(Pack<T>(T(0)), x) + detail::log1p_unit(e);
        if constexpr (sizeof(T) == 4)
            return value;  // above 20 the logarithm is too small to change x
        else
            return select(x > T(20), x, value);
    }
}

/// log(1 + e^x), and x itself above 20, as in PyTorch (the difference is below 2.1e-9).
///
/// Accuracy  2 ULP below 20; tests/simd/sigmoid.test.cpp
/// Cost      one exponential and one logarithm without their ends
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> softplus(Pack<T> x) noexcept {
    return softplus(x, exp_minus_abs(x));
}

/// log(1 / (1 + e^-x)) = -log(1 + e^-x).
///
/// Accuracy  2 ULP; tests/simd/sigmoid.test.cpp
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> log_sigmoid(Pack<T> x) noexcept {
    if constexpr (!detail::is_vector<T>) {
        return simd::min(T(0), x.raw) - std::log1p(std::exp(-std::abs(x.raw)));
    } else {
        return min(Pack<T>(T(0)), x) - detail::log1p_unit(exp_minus_abs(x));
    }
}

template <std::floating_point T>
[[nodiscard]] SSM_INLINE T log_sigmoid(T x) noexcept {
    return simd::min(T(0), x) - std::log1p(std::exp(-std::abs(x)));
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T sigmoid(T x) noexcept {
    const T e = std::exp(-std::abs(x));
    return (x < T(0) ? e : T(1)) / (T(1) + e);
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T tanh(T x) noexcept {
    return std::tanh(x);
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T softplus(T x) noexcept {
    return x > T(20) ? x : std::log1p(std::exp(x));
}

}  // namespace SSM_ARCH
}  // namespace ssm::simd
