#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>

#include <ssm/simd/bits.hpp>

namespace ssm::simd {
inline namespace SSM_ARCH {

/// Sine and cosine of one angle; cosine less one too, without the cancellation near multiples of
/// 2 pi, which complex expm1 needs.
template <Numeric V>
struct SinCos {
    V sin;
    V cos;
    V cosm1;
};

namespace detail {

/// On |r| <= pi/4: sin r = r + r^3 s(r^2) and cos r = 1 - r^2 / 2 + r^4 c(r^2), minimax relative
/// errors 4e-9 (float) and 3e-18 (double).
template <class T>
struct TrigConstants;

template <>
struct TrigConstants<float> {
    static constexpr float s[] = {-0x1.555546p-3F, 0x1.11075ep-7F, -0x1.994dd6p-13F};
    static constexpr float c[] = {0x1.555550p-5F, -0x1.6c0efcp-10F, 0x1.9aa80cp-16F};
    // pi/2 in three parts of full precision.
    static constexpr float half_pi[] = {0x1.921fb6p+0F, -0x1.777a5cp-25F, -0x1.ee59dap-50F};
    static constexpr float limit = 1e5F;
};

template <>
struct TrigConstants<double> {
    static constexpr double s[] = {-0x1.5555555555549p-3,  0x1.111111110f871p-7,
                                   -0x1.a01a019c105c5p-13, 0x1.71de357697fb4p-19,
                                   -0x1.ae5e6551b22ecp-26, 0x1.5d92bb2f87786p-33};
    static constexpr double c[] = {0x1.5555555555552p-5,  -0x1.6c16c16c15fc4p-10,
                                   0x1.a01a019e14ba7p-16, -0x1.27e4f9079cfe1p-22,
                                   0x1.1eea95dbe77a3p-29, -0x1.90052668d04c7p-37};
    static constexpr double half_pi[] = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54,
                                         -0x1.f1976b7ed8fbcp-110};
    static constexpr double limit = 1e9;
};

/// sin, cos, cos - 1 for |x| up to the limit.
template <class T>
SSM_INLINE SinCos<Pack<T>> sincos_reduced(Pack<T> x) noexcept {
    using C = TrigConstants<T>;
    using U = BitsOf<T>;
    constexpr int top = 8 * static_cast<int>(sizeof(T)) - 1;
    // x = n pi/2 + r. The first difference is exact, the second rounds once, relative to r.
    const Pack<T> n = round(x * T(0.63661977236758134));
    Pack<T> r = fnma_exact(n, C::half_pi[0], x);
    r = fnma_exact(n, C::half_pi[1], r);
    r = fnma(n, C::half_pi[2], r);
    const Pack<T> r2 = r * r;
    const Pack<T> r4 = r2 * r2;
    const Pack<T> sine = fma(r * r2, polynomial(r2, r4, C::s), r);
    const Pack<T> cosine_m1 = fma(r4, polynomial(r2, r4, C::c), r2 * T(-0.5));
    const Pack<T> cosine = cosine_m1 + T(1);
    // The quarter n mod 4: odd ones exchange sine and cosine, the signs follow.
    const BitPack<T> quarter = bits(n + Format<T>::shifter);
    const BitPack<T> odd = shift_left<top>(quarter);
    const BitPack<T> high = bit_and(shift_left<top - 1>(quarter), U(1) << top);
    const Mask<T> even = from_bits<T>(bit_or(odd, bits(Pack<T>(T(1))))) > T(0);
    const Pack<T> sin_x = flip_sign(select(even, sine, cosine), high);
    const Pack<T> cos_x = flip_sign(select(even, cosine, sine), bit_xor(high, odd));
    const Mask<T> first = even && from_bits<T>(bit_or(high, bits(Pack<T>(T(1))))) > T(0);
    // sin(-0) = -0, which the sums above lose.
    return {select(x == T(0), x, sin_x), cos_x, select(first, cosine_m1, cos_x - T(1))};
}

/// Recomputes lanes that are out of range with the standard library.
template <class T>
#if defined(__GNUC__)
[[gnu::noinline, gnu::cold]]
#endif
void sincos_far(const T* x, T* sine, T* cosine, T* cosine_m1, std::size_t n, T limit) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        if (std::abs(x[i]) <= limit)
            continue;
        const T half = std::sin(x[i] / 2);
        sine[i] = std::sin(x[i]);
        cosine[i] = std::cos(x[i]);
        cosine_m1[i] = -2 * half * half;
    }
}

}  // namespace detail

/// Sine and cosine together.
///
/// Range     any: lanes with |x| > 1e5 (float) or 1e9 (double) are computed one by one
/// Special   infinite x gives NaN
/// Accuracy  1.6 ULP (float and double), cosm1 3 ULP; tests/simd/trig.test.cpp
/// Cost      about 17 fused multiply-adds in float, 23 in double, and 12 other operations
template <class T>
[[nodiscard]] SSM_INLINE SinCos<Pack<T>> sincos(Pack<T> x) noexcept {
    using C = detail::TrigConstants<T>;
    if constexpr (!detail::is_vector<T>) {
        const T half = std::sin(x.raw / 2);
        return {std::sin(x.raw), std::cos(x.raw), -2 * half * half};
    } else {
        SinCos<Pack<T>> y = detail::sincos_reduced(x);
        if (!all(abs(x) <= C::limit)) [[unlikely]] {
            T lane[4][width<T>];
            store(lane[0], x);
            store(lane[1], y.sin);
            store(lane[2], y.cos);
            store(lane[3], y.cosm1);
            detail::sincos_far(lane[0], lane[1], lane[2], lane[3], width<T>, C::limit);
            y = {load(lane[1]), load(lane[2]), load(lane[3])};
        }
        return y;
    }
}

/// Sine. Range and accuracy as `sincos`.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> sin(Pack<T> x) noexcept {
    return sincos(x).sin;
}

/// Cosine. Range and accuracy as `sincos`.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> cos(Pack<T> x) noexcept {
    return sincos(x).cos;
}

template <std::floating_point T>
[[nodiscard]] SSM_INLINE SinCos<T> sincos(T x) noexcept {
    const T half = std::sin(x / 2);
    return {std::sin(x), std::cos(x), -2 * half * half};
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T sin(T x) noexcept {
    return std::sin(x);
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T cos(T x) noexcept {
    return std::cos(x);
}

}  // namespace SSM_ARCH
}  // namespace ssm::simd
