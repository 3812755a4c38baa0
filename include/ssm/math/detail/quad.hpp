#pragma once

#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::math {
inline namespace SSM_ARCH {
namespace detail {

template <class T>
using LaneComplex = simd::Complex<simd::Pack<T>>;

/// Numbers of one point in an array x[n][2][lanes].
template <class T>
inline constexpr std::size_t point_size = 2 * simd::width<T>;

template <class T>
[[nodiscard]] SSM_INLINE LaneComplex<T> load_point(const T* x) {
    return {simd::load_aligned(x), simd::load_aligned(x + simd::width<T>)};
}
template <class T>
SSM_INLINE void store_point(T* x, LaneComplex<T> a) {
    simd::store_aligned(x, a.re);
    simd::store_aligned(x + simd::width<T>, a.im);
}
template <class T>
[[nodiscard]] SSM_INLINE LaneComplex<T> broadcast_point(const T* w) {
    return {simd::Pack<T>(w[0]), simd::Pack<T>(w[1])};
}

/// The same position in the four quarters of an array, in registers.
template <class T>
struct Quad {
    using Complex = LaneComplex<T>;

    [[nodiscard]] SSM_INLINE static Quad load(const T* x, std::size_t distance) {
        return {{load_point(x), load_point(x + distance), load_point(x + 2 * distance),
                 load_point(x + 3 * distance)}};
    }
    SSM_INLINE void store(T* x, std::size_t distance) const {
        store_point(x, v[0]);
        store_point(x + distance, v[1]);
        store_point(x + 2 * distance, v[2]);
        store_point(x + 3 * distance, v[3]);
    }

    Complex v[4];
};

/// r, r^2, r^3 of a factor x^4m - r^4, the same for all its coefficients and lanes.
template <class T>
struct QuadTwiddles {
    static constexpr std::size_t numbers = 6;

    SSM_INLINE explicit QuadTwiddles(const T* w)
        : r1(broadcast_point(w)), r2(broadcast_point(w + 2)), r3(broadcast_point(w + 4)) {}

    LaneComplex<T> r1, r2, r3;
};

/// The discrete Fourier transform of four numbers, sum_m i^(j m) v[m].
template <class T>
[[nodiscard]] SSM_INLINE Quad<T> combine(LaneComplex<T> a, LaneComplex<T> b, LaneComplex<T> c,
                                         LaneComplex<T> d) {
    const LaneComplex<T> even = a + c;
    const LaneComplex<T> odd = a - c;
    const LaneComplex<T> sum = b + d;
    const LaneComplex<T> difference = b - d;
    return {{even + sum,
             {odd.re - difference.im, odd.im + difference.re},
             even - sum,
             {odd.re + difference.im, odd.im - difference.re}}};
}

/// The inverse of `combine`, times 4.
template <class T>
[[nodiscard]] SSM_INLINE Quad<T> separate(const Quad<T>& a) {
    const LaneComplex<T> even = a.v[0] + a.v[2];
    const LaneComplex<T> odd = a.v[0] - a.v[2];
    const LaneComplex<T> sum = a.v[1] + a.v[3];
    const LaneComplex<T> difference = a.v[1] - a.v[3];
    return {{even + sum,
             {odd.re + difference.im, odd.im - difference.re},
             even - sum,
             {odd.re - difference.im, odd.im + difference.re}}};
}

/// Remainders modulo x^m - r, x^m - i r, x^m + r, x^m + i r of what is known modulo x^4m - r^4.
template <class T>
[[nodiscard]] SSM_INLINE Quad<T> split(const Quad<T>& a, const QuadTwiddles<T>& w) {
    return combine<T>(a.v[0], a.v[1] * w.r1, a.v[2] * w.r2, a.v[3] * w.r3);
}

/// The inverse of `split`, times 4.
template <class T>
[[nodiscard]] SSM_INLINE Quad<T> join(const Quad<T>& a, const QuadTwiddles<T>& w) {
    const Quad<T> b = separate(a);
    return {{b.v[0], simd::conj_mul(w.r1, b.v[1]), simd::conj_mul(w.r2, b.v[2]),
             simd::conj_mul(w.r3, b.v[3])}};
}

/// `split` of 4 * quarter coefficients, in place.
template <class T>
void split_all(T* x, std::size_t quarter, const T* w) {
    const QuadTwiddles<T> twiddles(w);
    const std::size_t distance = quarter * point_size<T>;
    for (T* const end = x + distance; x != end; x += point_size<T>)
        split(Quad<T>::load(x, distance), twiddles).store(x, distance);
}

/// `join` of 4 * quarter coefficients, in place.
template <class T>
void join_all(T* x, std::size_t quarter, const T* w) {
    const QuadTwiddles<T> twiddles(w);
    const std::size_t distance = quarter * point_size<T>;
    for (T* const end = x + distance; x != end; x += point_size<T>)
        join(Quad<T>::load(x, distance), twiddles).store(x, distance);
}

}  // namespace detail
}  // namespace SSM_ARCH
}  // namespace ssm::math
