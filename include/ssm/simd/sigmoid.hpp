#pragma once

#include <cmath>
#include <concepts>

#include <ssm/simd/exp.hpp>
#include <ssm/simd/log.hpp>

/// Sigmoid, hyperbolic tangent and softplus. Each uses an exponential of -|x|, which cannot
/// overflow, so that the ends of the range come out right: 0, 1, -1, x.
namespace ssm::simd {
inline namespace SSM_ARCH {

/// 1 / (1 + e^-x).
///
/// Accuracy  3 ULP, to the last subnormal number; tests/simd/sigmoid.test.cpp
/// Cost      one exponential, one division
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> sigmoid(Pack<T> x) noexcept {
    const Pack<T> e = exp(-abs(x));
    return select(x < T(0), e, Pack<T>(T(1))) * detail::reciprocal(e + T(1));
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

/// log(1 + u) for u from 0 to 1, which needs no exponent of 1 + u.
template <class T>
SSM_INLINE Pack<T> log1p_unit(Pack<T> u) noexcept {
    const Mask<T> upper = u > T(0.41421356237309503);
    return log_reduced(select(upper, Pack<T>(T(1)), T(0)),
                       select(upper, fms(u, T(0.5), T(0.5)), u));
}

}  // namespace detail

/// log(1 + e^x), and x itself above 20, as in PyTorch (the difference is below 2.1e-9).
///
/// Accuracy  2 ULP below 20; tests/simd/sigmoid.test.cpp
/// Cost      one exponential and one logarithm without their ends
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> softplus(Pack<T> x) noexcept {
    if constexpr (!detail::is_vector<T>) {
        return x.raw > T(20) ? x.raw : std::log1p(std::exp(x.raw));
    } else {
        const Pack<T> tail = detail::log1p_unit(exp(-abs(x)));
        // The zero comes first: max then returns the second operand, x, if it is NaN.
        return select(x > T(20), x, max(Pack<T>(T(0)), x) + tail);
    }
}

/// log(1 / (1 + e^-x)) = -log(1 + e^-x).
///
/// Accuracy  2 ULP; tests/simd/sigmoid.test.cpp
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> log_sigmoid(Pack<T> x) noexcept {
    if constexpr (!detail::is_vector<T>) {
        return simd::min(T(0), x.raw) - std::log1p(std::exp(-std::abs(x.raw)));
    } else {
        return min(Pack<T>(T(0)), x) - detail::log1p_unit(exp(-abs(x)));
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
