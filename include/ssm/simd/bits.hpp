#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <ssm/simd/intrinsics.hpp>
#include <ssm/simd/pack.hpp>

/// The binary representation of floating-point packs: what exponential, logarithm and sine are
/// assembled from. Internal.
namespace ssm::simd {
inline namespace SSM_ARCH {
namespace detail {

template <class T>
using BitPack = Pack<BitsOf<T>>;

/// Field widths of the binary format.
template <class T>
struct Format;
template <>
struct Format<float> {
    static constexpr int mantissa = 23;
    static constexpr int bias = 127;
    static constexpr float shifter =
        0x1.8p23F;  ///< adding it leaves a whole number in the low bits
    static constexpr float least_normal = 0x1p-126F;
};
template <>
struct Format<double> {
    static constexpr int mantissa = 52;
    static constexpr int bias = 1023;
    static constexpr double shifter = 0x1.8p52;
    static constexpr double least_normal = 0x1p-1022;
};

template <class T>
SSM_INLINE BitPack<T> bits(Pack<T> x) noexcept {
    if constexpr (!is_vector<T>)
        return std::bit_cast<BitsOf<T>>(x.raw);
    else
#if SSM_HAS_VECTORS && XSIMD_VERSION_MAJOR < 9
        return BitPack<T>::of(xsimd::bitwise_cast<typename BitPack<T>::Register>(x.raw));
#else
        return BitPack<T>::of(xsimd::bitwise_cast<BitsOf<T>>(x.raw));
#endif
}

template <class T>
SSM_INLINE Pack<T> from_bits(BitPack<T> x) noexcept {
    if constexpr (!is_vector<T>)
        return std::bit_cast<T>(x.raw);
    else
#if SSM_HAS_VECTORS && XSIMD_VERSION_MAJOR < 9
        return Pack<T>::of(xsimd::bitwise_cast<typename Pack<T>::Register>(x.raw));
#else
        return Pack<T>::of(xsimd::bitwise_cast<T>(x.raw));
#endif
}

template <class U>
SSM_INLINE Pack<U> bit_and(Pack<U> a, Same<U> b) noexcept {
    return Pack<U>::of(a.raw & b.raw);
}
template <class U>
SSM_INLINE Pack<U> bit_or(Pack<U> a, Same<U> b) noexcept {
    return Pack<U>::of(a.raw | b.raw);
}
template <class U>
SSM_INLINE Pack<U> bit_xor(Pack<U> a, Same<U> b) noexcept {
    return Pack<U>::of(a.raw ^ b.raw);
}
template <int count, class U>
SSM_INLINE Pack<U> shift_left(Pack<U> a) noexcept {
    return Pack<U>::of(a.raw << count);
}
template <int count, class U>
SSM_INLINE Pack<U> shift_right(Pack<U> a) noexcept {
    return Pack<U>::of(a.raw >> count);
}

/// The sign bit alone, as the bits of +0 or -0.
template <class T>
SSM_INLINE BitPack<T> sign_bit(Pack<T> x) noexcept {
    return bit_and(bits(x), BitsOf<T>(1) << (8 * sizeof(T) - 1));
}

/// x with the sign flipped where `sign` (bits of +0 or -0) is set.
template <class T>
SSM_INLINE Pack<T> flip_sign(Pack<T> x, BitPack<T> sign) noexcept {
    return from_bits<T>(bit_xor(bits(x), sign));
}

/// 2^n for whole n between the exponents of the least and the greatest normal number.
template <class T>
SSM_INLINE Pack<T> exp2_whole(Pack<T> n) noexcept {
    using F = Format<T>;
    return from_bits<T>(shift_left<F::mantissa>(bits(n + (F::shifter + T(F::bias)))));
}

#if defined(__AVX512DQ__)
/// x - floor(x), 0 for infinite x: in one operation, of which `scale` takes the rest.
template <class T>
SSM_INLINE Pack<T> fraction(Pack<T> x) noexcept {
    constexpr int down = 0x01;  // rounding
    constexpr int quiet = 0x08;
    if constexpr (std::is_same_v<T, float>)
        return Pack<T>::of(_mm512_reduce_ps(x.raw, down | quiet));
    else
        return Pack<T>::of(_mm512_reduce_pd(x.raw, down | quiet));
}
#endif

/// x 2^n for whole n, exact but for one rounding where the result is subnormal; overflows to
/// infinity. |n| may be up to twice the largest exponent.
template <class T>
SSM_INLINE Pack<T> scale(Pack<T> x, Same<T> n) noexcept {
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<T, float>)
        return Pack<T>::of(_mm512_scalef_ps(x.raw, n.raw));
    else
        return Pack<T>::of(_mm512_scalef_pd(x.raw, n.raw));
#else
    const Pack<T> half = round(n * T(0.5));
    return x * exp2_whole(half) * exp2_whole(n - half);
#endif
}

/// The same for n from minus one and a half times the largest exponent to 0.
template <class T>
SSM_INLINE Pack<T> scale_down(Pack<T> x, Same<T> n) noexcept {
#if defined(__AVX512F__)
    return scale(x, n);
#else
    // 2^n may be subnormal: the first product is with one that is not.
    constexpr int lift = (Format<T>::bias + 1) / 2;
    constexpr T lower = std::bit_cast<T>(BitsOf<T>(Format<T>::bias - lift) << Format<T>::mantissa);
    return x * exp2_whole(n + T(lift)) * lower;
#endif
}

/// a b - p for p = a b rounded: the rounding error of a product, exactly.
template <class T>
SSM_INLINE Pack<T> product_error(Pack<T> a, Pack<T> b, Pack<T> p) noexcept {
    if constexpr (has_fma && is_vector<T>) {
        return fms(a, b, p);
    } else {  // Dekker: halves of the numbers have products without rounding
        constexpr T splitter = sizeof(T) == 4 ? T(4097) : T(134217729);
        const Pack<T> ta = a * splitter;
        const Pack<T> tb = b * splitter;
        const Pack<T> ah = ta - (ta - a);
        const Pack<T> bh = tb - (tb - b);
        const Pack<T> al = a - ah;
        const Pack<T> bl = b - bh;
        return ((ah * bh - p) + ah * bl + al * bh) + al * bl;
    }
}

/// c - a b with one rounding on every processor, for a b near c.
template <class T>
SSM_INLINE Pack<T> fnma_exact(Pack<T> a, Same<T> b, Same<T> c) noexcept {
    if constexpr (has_fma && is_vector<T>) {
        return fnma(a, b, c);
    } else {
        const Pack<T> p = a * b;
        return (c - p) - product_error(a, b, p);
    }
}

/// 1 / x for x whose reciprocal is a normal number, to 0.7 ULP: with AVX-512 an estimate and Newton's
/// iteration, a third of the time of a division.
template <class T>
SSM_INLINE Pack<T> reciprocal(Pack<T> x) noexcept {
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<T, float>) {
        const Pack<T> r = Pack<T>::of(_mm512_rcp14_ps(x.raw));
        return fma(r, fnma(x, r, T(1)), r);
    } else {
        Pack<T> r = Pack<T>::of(_mm512_rcp14_pd(x.raw));
        r = fma(r, fnma(x, r, T(1)), r);
        return fma(r, fnma(x, r, T(1)), r);
    }
#else
    return Pack<T>(T(1)) / x;
#endif
}

/// c[0] + c[1] x + c[2] x^2 + ..., as two interleaved Horner chains in x2 = x^2: half the latency
/// of one chain for the same number of operations.
template <class T, std::size_t n, std::size_t first = 0, std::size_t step = 1>
SSM_INLINE Pack<T> horner(Pack<T> x, const T (&c)[n]) noexcept {
    if constexpr (first + step >= n)
        return Pack<T>(c[first]);
    else
        return fma(horner<T, n, first + step, step>(x, c), x, c[first]);
}
template <class T, std::size_t n>
SSM_INLINE Pack<T> polynomial(Pack<T> x, Pack<T> x2, const T (&c)[n]) noexcept {
    if constexpr (n < 4)
        return horner(x, c);
    else
        return fma(horner<T, n, 1, 2>(x2, c), x, horner<T, n, 0, 2>(x2, c));
}

}  // namespace detail
}  // namespace SSM_ARCH
}  // namespace ssm::simd
