#pragma once

#include <cmath>
#include <concepts>

#include <ssm/simd/exp.hpp>

/// The error function and the normal distribution (for GELU).
namespace ssm::simd {
inline namespace SSM_ARCH {

namespace detail {

/// With u = (z - k) / (z + k), e^(z^2) erfc(z) (z + k) = p(u) for z >= 0 up to where erfc has
/// underflowed: minimax relative error 2.4e-9 (float), 2e-17 (double).
/// erf(x) / x = s(x^2) for |x| <= 3/4: minimax relative error 1.5e-9 and 8e-19.
template <class T>
struct ErfConstants;

template <>
struct ErfConstants<float> {
    static constexpr float k = 3.0F;
    static constexpr float p[] = {
        0x1.12f21ep+0F,  -0x1.c44c48p-1F,  0x1.2e3266p-1F, -0x1.3deac8p-2F,  0x1.e99788p-4F,
        -0x1.b7c058p-6F, -0x1.41d344p-10F, 0x1.93cef8p-9F, -0x1.f82e1ap-12F, -0x1.53da54p-12F};
    static constexpr float s[] = {0x1.20dd74p+0F,  -0x1.81273ap-2F, 0x1.ce2ac2p-4F,
                                  -0x1.b7a814p-6F, 0x1.4f27f6p-8F,  -0x1.61c212p-11F};
    static constexpr float vanished =
        14.6F;  // Phi(-x) is zero from here, erfc(x) from sqrt(1/2) of it
};

template <>
struct ErfConstants<double> {
    static constexpr double k = 4.0;
    static constexpr double p[] = {
        0x1.18932bf08e154p+0,   -0x1.f3fe31ecb49c3p-1,  0x1.8be202d26c726p-1,
        -0x1.14eacb1ad0185p-1,  0x1.52cac2370f24ep-2,   -0x1.645fd8a4ca1cdp-3,
        0x1.38dbd2c934a40p-4,   -0x1.b00c052576243p-6,  0x1.908f46eca0453p-8,
        -0x1.269b60bf760a8p-12, -0x1.dd28303f92773p-12, 0x1.72ce434bff782p-13,
        -0x1.e80e56db7dfcdp-19, -0x1.3c7f59d2075ddp-16, 0x1.3b30451b6b6b9p-18,
        0x1.808e6174bd134p-20,  -0x1.c77a468b44a5fp-21, -0x1.755cb6762a05fp-24,
        0x1.0abec2ec24656p-23,  0x1.4a060d94d3794p-27,  -0x1.d996737517bfcp-27,
        -0x1.794964a197368p-29};
    static constexpr double s[] = {
        0x1.20dd750429b6dp+0,   -0x1.812746b0379e0p-2,  0x1.ce2f21a042459p-4,
        -0x1.b82ce31254e34p-6,  0x1.565bcd02f7116p-8,   -0x1.c02db10aea858p-11,
        0x1.f9a2acafcffddp-14,  -0x1.f4c5a30502f80p-17, 0x1.b90bf2f384da4p-20,
        -0x1.563c205fefafep-23, 0x1.89c1f90408fa6p-27};
    static constexpr double vanished = 38.6;
};

/// e^(z^2) erfc(z) for z >= 0.
template <class T>
SSM_INLINE Pack<T> erfc_scaled(Pack<T> z) noexcept {
    using C = ErfConstants<T>;
    const Pack<T> inverse = reciprocal(z + C::k);
    const Pack<T> u = (z - C::k) * inverse;
    return polynomial(u, u * u, C::p) * inverse;
}

/// e^-(a b), with the rounding of the product made good.
template <class T>
SSM_INLINE Pack<T> exp_minus_product(Pack<T> a, Pack<T> b) noexcept {
    const Pack<T> p = a * b;
    const Pack<T> e = exp(-p);
    return fnma(e, product_error(a, b, p), e);
}

}  // namespace detail

/// erfc(x) = 1 - erf(x), relatively accurate for large x too.
///
/// Accuracy  8 ULP; tests/simd/erf.test.cpp
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> erfc(Pack<T> x) noexcept {
    if constexpr (!detail::is_vector<T>) {
        return std::erfc(x.raw);
    } else {
        const Pack<T> z = min(Pack<T>(detail::ErfConstants<T>::vanished), abs(x));
        const Pack<T> upper = detail::erfc_scaled(z) * detail::exp_minus_product(z, z);
        return select(x < T(0), Pack<T>(T(2)) - upper, upper);
    }
}

/// Error function.
///
/// Accuracy  3.5 ULP (float), 2.5 ULP (double); tests/simd/erf.test.cpp
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> erf(Pack<T> x) noexcept {
    if constexpr (!detail::is_vector<T>) {
        return std::erf(x.raw);
    } else {
        const Pack<T> x2 = x * x;
        const Pack<T> inner = x * detail::polynomial(x2, x2 * x2, detail::ErfConstants<T>::s);
        const Pack<T> outer = detail::flip_sign(T(1) - erfc(abs(x)), detail::sign_bit(x));
        return select(abs(x) < T(0.75), inner, outer);
    }
}

/// The normal distribution at one place: density phi(x) = e^(-x^2/2) / sqrt(2 pi) and its integral
/// Phi(x) = erfc(-x / sqrt 2) / 2.
template <Numeric V>
struct Normal {
    V density;
    V cumulative;
};

/// Density and cumulative distribution of the standard normal distribution together.
///
/// Accuracy  density 3.5 ULP, cumulative 8 ULP, relatively also for x far below zero; tests/simd/erf.test.cpp
/// Cost      one exponential, one division, 10 (22) fused multiply-adds
template <class T>
[[nodiscard]] SSM_INLINE Normal<Pack<T>> normal(Pack<T> x) noexcept {
    constexpr T inverse_root_two_pi = T(0.39894228040143268);
    constexpr T root_half = T(0.70710678118654752);
    if constexpr (!detail::is_vector<T>) {
        return {std::exp(T(-0.5) * x.raw * x.raw) * inverse_root_two_pi,
                T(0.5) * std::erfc(-x.raw * root_half)};
    } else {
        const Pack<T> size = min(Pack<T>(detail::ErfConstants<T>::vanished), abs(x));
        const Pack<T> gauss = detail::exp_minus_product(size, size * T(0.5));
        const Pack<T> tail = detail::erfc_scaled(size * root_half) * (gauss * T(0.5));
        return {gauss * inverse_root_two_pi, select(x < T(0), tail, Pack<T>(T(1)) - tail)};
    }
}

template <std::floating_point T>
[[nodiscard]] SSM_INLINE T erf(T x) noexcept {
    return std::erf(x);
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T erfc(T x) noexcept {
    return std::erfc(x);
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE Normal<T> normal(T x) noexcept {
    return {std::exp(T(-0.5) * x * x) * T(0.39894228040143268),
            T(0.5) * std::erfc(-x * T(0.70710678118654752))};
}

}  // namespace SSM_ARCH
}  // namespace ssm::simd
