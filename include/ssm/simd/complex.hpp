#pragma once

#include <complex>

#include <ssm/simd/pack.hpp>

namespace ssm::simd {
inline namespace SSM_ARCH {

/// Complex numbers as two registers, real parts and imaginary parts: `Complex<Pack<T>>`, or
/// `Complex<T>` for one number. Multiplication costs 4 operations and has none of std::complex's
/// repairs for infinite parts.
template <Numeric V>
struct Complex {
    V re;
    V im;

    SSM_INLINE friend Complex operator+(Complex a, Complex b) noexcept {
        return {a.re + b.re, a.im + b.im};
    }
    SSM_INLINE friend Complex operator-(Complex a, Complex b) noexcept {
        return {a.re - b.re, a.im - b.im};
    }
    SSM_INLINE friend Complex operator-(Complex a) noexcept { return {-a.re, -a.im}; }
    SSM_INLINE friend Complex operator*(Complex a, Complex b) noexcept {
        return {simd::fnma(a.im, b.im, a.re * b.re), simd::fma(a.re, b.im, a.im * b.re)};
    }
    SSM_INLINE friend Complex operator*(Complex a, V b) noexcept { return {a.re * b, a.im * b}; }
    SSM_INLINE friend Complex operator*(V a, Complex b) noexcept { return b * a; }
    SSM_INLINE Complex& operator+=(Complex b) noexcept { return *this = *this + b; }
    SSM_INLINE Complex& operator-=(Complex b) noexcept { return *this = *this - b; }
    SSM_INLINE Complex& operator*=(Complex b) noexcept { return *this = *this * b; }
};

template <Numeric V>
[[nodiscard]] SSM_INLINE Complex<V> conj(Complex<V> a) noexcept {
    return {a.re, -a.im};
}

/// |a|^2
template <Numeric V>
[[nodiscard]] SSM_INLINE V norm(Complex<V> a) noexcept {
    return simd::fma(a.re, a.re, a.im * a.im);
}

/// conj(a) b: the product that adjoints need.
template <Numeric V>
[[nodiscard]] SSM_INLINE Complex<V> conj_mul(Complex<V> a, Complex<V> b) noexcept {
    return {simd::fma(a.re, b.re, a.im * b.im), simd::fnma(a.im, b.re, a.re * b.im)};
}

/// a b + c in 4 fused operations.
template <Numeric V>
[[nodiscard]] SSM_INLINE Complex<V> fma(Complex<V> a, Complex<V> b, Complex<V> c) noexcept {
    return {simd::fnma(a.im, b.im, simd::fma(a.re, b.re, c.re)),
            simd::fma(a.im, b.re, simd::fma(a.re, b.im, c.im))};
}

/// a b + c with real b: 2 fused operations.
template <Numeric V>
[[nodiscard]] SSM_INLINE Complex<V> fma(Complex<V> a, V b, Complex<V> c) noexcept {
    return {simd::fma(a.re, b, c.re), simd::fma(a.im, b, c.im)};
}

/// conj(a) b + c in 4 fused operations.
template <Numeric V>
[[nodiscard]] SSM_INLINE Complex<V> conj_fma(Complex<V> a, Complex<V> b, Complex<V> c) noexcept {
    return {simd::fma(a.im, b.im, simd::fma(a.re, b.re, c.re)),
            simd::fnma(a.im, b.re, simd::fma(a.re, b.im, c.im))};
}

/// Re(a b) + c in 2 fused operations: the read-out y = Re(C x).
template <Numeric V>
[[nodiscard]] SSM_INLINE V real_fma(Complex<V> a, Complex<V> b, V c) noexcept {
    return simd::fnma(a.im, b.im, simd::fma(a.re, b.re, c));
}

}  // namespace SSM_ARCH
}  // namespace ssm::simd
