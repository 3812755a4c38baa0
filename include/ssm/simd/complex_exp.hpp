#pragma once

#include <limits>

#include <ssm/simd/complex.hpp>
#include <ssm/simd/exp.hpp>
#include <ssm/simd/trig.hpp>

/// Exponentials of complex numbers and the phi function of zero-order hold: what turns a
/// continuous pole into a discrete one.
namespace ssm::simd {
inline namespace SSM_ARCH {

/// e^z = e^a (cos b + i sin b) for z = a + i b.
///
/// Range     as `sincos` for b; e^a overflows and underflows as `exp`
/// Accuracy  3 ULP in each part; tests/simd/complex_exp.test.cpp
template <Numeric V>
[[nodiscard]] SSM_INLINE Complex<V> exp(Complex<V> z) noexcept {
    const V size = simd::exp(z.re);
    const SinCos<V> turn = simd::sincos(z.im);
    return {size * turn.cos, size * turn.sin};
}

/// e^z - 1, accurate also where e^z is near 1:
///
///     e^z - 1 = (e^a - 1) cos b + (cos b - 1) + i e^a sin b
///
/// Accuracy  4 ULP of |e^z - 1| in each part; tests/simd/complex_exp.test.cpp
template <Numeric V>
[[nodiscard]] SSM_INLINE Complex<V> expm1(Complex<V> z) noexcept {
    const ExpPair<V> size = simd::exp_expm1(z.re);
    const SinCos<V> turn = simd::sincos(z.im);
    return {simd::fma(size.expm1, turn.cos, turn.cosm1), size.exp * turn.sin};
}

namespace detail {

/// x / z with z scaled to about 1, so that no square over- or underflows. Where z is 0 or subnormal
/// the result is 1, the limit of phi1 to all digits.
template <Numeric V>
SSM_INLINE Complex<V> divide_or_one(Complex<V> x, Complex<V> z) noexcept {
    using T = Scalar<V>;
    const V size = simd::max(simd::abs(z.re), simd::abs(z.im));
    const V inverse = V(T(1)) / size;
    const Complex<V> unit = z * inverse;
    const Complex<V> quotient = conj_mul(unit, x * inverse) * (V(T(1)) / norm(unit));
    const auto is_tiny = size < V(std::numeric_limits<T>::min());
    return {simd::select(is_tiny, V(T(1)), quotient.re),
            simd::select(is_tiny, V(T(0)), quotient.im)};
}

}  // namespace detail

namespace detail {

/// expm1 / x, and 1 where x is 0 or subnormal.
template <Numeric V>
SSM_INLINE V divide_or_one(V expm1, V x) noexcept {
    using T = Scalar<V>;
    return simd::select(simd::abs(x) < V(std::numeric_limits<T>::min()), V(T(1)), expm1 / x);
}

}  // namespace detail

/// phi1(x) = (e^x - 1) / x, with the limit 1 at 0. Expects x < infinity.
///
/// Accuracy  3 ULP; tests/simd/complex_exp.test.cpp
template <Numeric V>
[[nodiscard]] SSM_INLINE V phi1(V x) noexcept {
    return detail::divide_or_one(simd::expm1(x), x);
}

/// phi1(z) = (e^z - 1) / z for finite complex z, with the limit 1 at 0.
///
/// Range     as `exp`
/// Accuracy  8 ULP of |phi1(z)| in each part; tests/simd/complex_exp.test.cpp
template <Numeric V>
[[nodiscard]] SSM_INLINE Complex<V> phi1(Complex<V> z) noexcept {
    return detail::divide_or_one(simd::expm1(z), z);
}

/// What zero-order hold needs of z = dt lambda: e^z and phi1(z) = (e^z - 1) / z.
template <class V>
struct ExpPhi1 {
    V exp;
    V phi1;
};

/// e^x and phi1(x) from one exponential. Accuracy as `exp` and `phi1`.
template <Numeric V>
[[nodiscard]] SSM_INLINE ExpPhi1<V> exp_phi1(V x) noexcept {
    const ExpPair<V> e = simd::exp_expm1(x);
    return {e.exp, detail::divide_or_one(e.expm1, x)};
}

/// e^z and phi1(z) from one exponential, one sine and one cosine. Accuracy as `exp` and `phi1`.
template <Numeric V>
[[nodiscard]] SSM_INLINE ExpPhi1<Complex<V>> exp_phi1(Complex<V> z) noexcept {
    const ExpPair<V> size = simd::exp_expm1(z.re);
    const SinCos<V> turn = simd::sincos(z.im);
    const Complex<V> m1{simd::fma(size.expm1, turn.cos, turn.cosm1), size.exp * turn.sin};
    return {{size.exp * turn.cos, size.exp * turn.sin}, detail::divide_or_one(m1, z)};
}

}  // namespace SSM_ARCH
}  // namespace ssm::simd
