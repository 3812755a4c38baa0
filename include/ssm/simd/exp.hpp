#pragma once

#include <cmath>
#include <concepts>

#include <ssm/simd/bits.hpp>

/// The exponential family. All functions are correct for every argument, including infinities,
/// NaN, overflow to infinity and gradual underflow; `exp2_fast` says what it leaves out.
namespace ssm::simd {
inline namespace SSM_ARCH {

namespace detail {

/// exp(r) = 1 + r + r^2 q(r) for |r| <= ln 2 / 2: minimax relative error 3e-9 and 4e-18.
template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
    static constexpr float q[] = {0x1.fffffcp-2F, 0x1.555492p-3F, 0x1.5558f2p-5F, 0x1.1239e2p-7F,
                                  0x1.6a2446p-10F};
    // Where exp has become zero, infinite, or (expm1) -1.
    static constexpr float lowest = -104.0F;
    static constexpr float highest = 89.0F;
    static constexpr float lowest_exp2 = -151.0F;
    static constexpr float highest_exp2 = 129.0F;
    // ln 2 in two parts, the first so short that its product with an exponent is exact.
    static constexpr float ln2_high = 0x1.62e4p-1F;
    static constexpr float ln2_low = 0x1.7f7d1cp-20F;
    // 2^f for |f| <= 1/2: minimax relative error 7.5e-8.
    static constexpr float exp2[] = {0x1.000002p+0F, 0x1.62e428p-1F, 0x1.ebf918p-3F,
                                     0x1.c6b6e6p-5F, 0x1.3d0c58p-7F, 0x1.5c08e8p-10F};
    // 2^f for f from 0 to 1: minimax relative error 8.2e-8 among those with 2^0 = 1.
    static constexpr float exp2_unit[] = {0x1.000000p+0F, 0x1.62e4bap-1F, 0x1.ebdb56p-3F,
                                          0x1.c91cf0p-5F, 0x1.277828p-7F, 0x1.e9758ap-10F};
    // The same with relative error 2e-9.
    static constexpr float exp2_unit_long[] = {0x1.000000p+0F, 0x1.62e42cp-1F, 0x1.ebfd58p-3F,
                                               0x1.c68910p-5F, 0x1.3d0b94p-7F, 0x1.46d640p-10F,
                                               0x1.c54196p-13F};
    // 1 / ln 2 in two parts.
    static constexpr float log2e_high = 0x1.715476p+0F;
    static constexpr float log2e_low = 0x1.4ae0cp-26F;
};

template <>
struct ExpConstants<double> {
    static constexpr double q[] = {
        0x1.000000000000ap-1,  0x1.55555555554fap-3,  0x1.555555555087cp-5,  0x1.1111111127be6p-7,
        0x1.6c16c1842a198p-10, 0x1.a01a012a57713p-13, 0x1.a0199a0c53efap-16, 0x1.71df2552a3075p-19,
        0x1.28ad72dd1dd64p-22, 0x1.ad7f6e8eaa133p-26};
    static constexpr double lowest = -746.0;
    static constexpr double highest = 710.0;
    static constexpr double lowest_exp2 = -1076.0;
    static constexpr double highest_exp2 = 1025.0;
    static constexpr double ln2_high = 0x1.62e42fefa38p-1;
    static constexpr double ln2_low = 0x1.ef35793c7673p-45;
    // minimax relative error 1.3e-14
    static constexpr double exp2[] = {
        0x1.0000000000039p+0,  0x1.62e42fefa3752p-1,  0x1.ebfbdff8156fbp-3,  0x1.c6b08d70d203ap-5,
        0x1.3b2ab72a12389p-7,  0x1.5d87fd900d087p-10, 0x1.43088fc799e98p-13, 0x1.ffce2468791dep-17,
        0x1.63edf46ef67e6p-20, 0x1.b3f420c82eed3p-24};
    // minimax relative error 1.3e-14
    static constexpr double exp2_unit[] = {
        0x1.fffffffffff87p-1,  0x1.62e42fefa9e1bp-1,  0x1.ebfbdff4c9eebp-3,  0x1.c6b08e244942cp-5,
        0x1.3b2aa4246c405p-7,  0x1.5d8a3e3ff0312p-10, 0x1.42df8a7b5f27ap-13, 0x1.01bc5866d0028p-16,
        0x1.49f6351677fa2p-20, 0x1.34438ddd70854p-23};
};

/// x = n ln 2 + r, with whole n and |r| <= ln 2 / 2 (as far as the rounding of x / ln 2 allows).
template <class T>
struct ExpReduction {
    Pack<T> n;
    Pack<T> r;
};

template <class T>
SSM_INLINE ExpReduction<T> reduce_exp(Pack<T> x) noexcept {
    using C = ExpConstants<T>;
    // The bounds come first: min and max then return the second operand, x, if it is NaN.
    const Pack<T> inside = max(Pack<T>(C::lowest), min(Pack<T>(C::highest), x));
    const Pack<T> n = round(inside * T(1.4426950408889634));
    return {n, fnma(n, C::ln2_low, fnma(n, C::ln2_high, inside))};
}

/// exp(r) - 1 for |r| <= ln 2 / 2.
template <class T>
SSM_INLINE Pack<T> expm1_reduced(Pack<T> r) noexcept {
    const Pack<T> r2 = r * r;
    return fma(polynomial(r, r2, ExpConstants<T>::q), r2, r);
}

}  // namespace detail

/// e^x.
///
/// Accuracy  1.1 ULP (float and double), subnormal results 1.6; tests/simd/exp.test.cpp
/// Cost      9 fused multiply-adds in float and 14 in double, 5 other operations with AVX-512
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> exp(Pack<T> x) noexcept {
    if constexpr (!detail::is_vector<T>) {
        return std::exp(x.raw);
    } else {
        const auto [n, r] = detail::reduce_exp(x);
        return detail::scale(detail::expm1_reduced(r) + T(1), n);
    }
}

namespace detail {

/// e^x for x <= 0, to 1.5 ULP: with fewer operations than `exp`.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> exp_down(Pack<T> x) noexcept {
    if constexpr (!is_vector<T>) {
        return std::exp(x.raw);
    } else {
#if defined(__AVX512DQ__)
        if constexpr (sizeof(T) == 4) {
            // y + rest = x / ln 2; `scale` rounds y down by itself.
            using C = ExpConstants<T>;
            const Pack<T> inside = max(Pack<T>(C::lowest), x);
            const Pack<T> y = inside * C::log2e_high;
            const Pack<T> rest = fma(inside, C::log2e_low, fms(inside, C::log2e_high, y));
            return scale(horner(fraction(y) + rest, C::exp2_unit_long), y);
        }
#endif
        const auto [n, r] = reduce_exp(x);
        return scale_down(expm1_reduced(r) + T(1), n);
    }
}

}  // namespace detail

/// 2^x. Accuracy and cost as `exp`.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> exp2(Pack<T> x) noexcept {
    if constexpr (!detail::is_vector<T>) {
        return std::exp2(x.raw);
    } else {
        using C = detail::ExpConstants<T>;
        const Pack<T> inside = max(Pack<T>(C::lowest_exp2), min(Pack<T>(C::highest_exp2), x));
        const Pack<T> n = round(inside);
        const Pack<T> r = (inside - n) * T(0.69314718055994531);
        return detail::scale(detail::expm1_reduced(r) + T(1), n);
    }
}

/// e^x and e^x - 1 of the same number.
template <Numeric V>
struct ExpPair {
    V exp;
    V expm1;
};

/// e^x and e^x - 1 from one polynomial. Accuracy as `exp` and `expm1`.
template <class T>
[[nodiscard]] SSM_INLINE ExpPair<Pack<T>> exp_expm1(Pack<T> x) noexcept {
    if constexpr (!detail::is_vector<T>) {
        return {std::exp(x.raw), std::expm1(x.raw)};
    } else {
        // 2^n (1 + e) - 1 = (2^n - 1) + 2^n e, where 2^n - 1 is exact as long as it matters. Half
        // of everything, so that 2^n does not overflow before the result does.
        const auto [n, r] = detail::reduce_exp(x);
        const Pack<T> e = detail::expm1_reduced(r);
        const Pack<T> half_power = detail::scale(Pack<T>(T(0.5)), n);
        const Pack<T> half = fma(half_power, e, half_power - T(0.5));
        // The result has the sign of x; for -0 this says so.
        const auto m1 = detail::bit_or(detail::bits(half + half), detail::sign_bit(x));
        return {detail::scale(e + T(1), n), detail::from_bits<T>(m1)};
    }
}

/// e^x - 1, accurate also where e^x is near 1.
///
/// Accuracy  1.7 ULP (float), 2.3 ULP (double); tests/simd/exp.test.cpp
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> expm1(Pack<T> x) noexcept {
    return exp_expm1(x).expm1;
}

/// 2^x for scans, whose decays are products 2^(dt A / ln 2) with A scaled beforehand: the shortest
/// polynomial that is still at the rounding level of such a product.
///
/// Special   NaN gives NaN; overflows to infinity, at the earliest from the largest power of two times 2^0.5 on, and may give
///           zero for less than the least normal number
/// Accuracy  relative error 2.2e-7 (float), 1.4e-14 (double); tests/simd/exp.test.cpp
/// Cost      5 (9) fused multiply-adds; 2 other operations with AVX-512, 7 without
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> exp2_fast(Pack<T> x) noexcept {
    using C = detail::ExpConstants<T>;
#if defined(__AVX512DQ__)
    // `scale` rounds x down by itself.
    return detail::scale(detail::horner(detail::fraction(x), C::exp2_unit), x);
#else
    // 2^n is put together from a biased exponent, whose ends mean zero and infinity.
    using F = detail::Format<T>;
    const Pack<T> inside = max(Pack<T>(T(-F::bias)), min(Pack<T>(T(F::bias + 1)), x));
    const Pack<T> shifted = inside + (F::shifter + T(F::bias));
    const Pack<T> n = shifted - (F::shifter + T(F::bias));
    const Pack<T> power =
        detail::from_bits<T>(detail::shift_left<F::mantissa>(detail::bits(shifted)));
    return detail::horner(inside - n, C::exp2) * power;
#endif
}

// The same words for plain numbers.

template <std::floating_point T>
[[nodiscard]] SSM_INLINE T exp(T x) noexcept {
    return std::exp(x);
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T exp2(T x) noexcept {
    return std::exp2(x);
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T expm1(T x) noexcept {
    return std::expm1(x);
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE ExpPair<T> exp_expm1(T x) noexcept {
    return {std::exp(x), std::expm1(x)};
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T exp2_fast(T x) noexcept {
    return std::exp2(x);
}

}  // namespace SSM_ARCH
}  // namespace ssm::simd
