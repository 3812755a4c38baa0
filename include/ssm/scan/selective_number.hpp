#pragma once

#include <complex>
#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>

/// What the kernels of the selective scan need of a vector of numbers, real or complex, so that they are
/// written once for both.
namespace ssm::detail {

/// The vector of `Number`s of `width<T>` channels: `parts` registers.
template <class Number>
struct SelectiveVector {
    using Vector = simd::Pack<Number>;
    static constexpr std::size_t parts = 1;
    /// y = weight Re sum_n C_n h_n
    static constexpr Number weight = Number(1);
};
template <class T>
struct SelectiveVector<std::complex<T>> {
    using Vector = simd::Complex<simd::Pack<T>>;
    static constexpr std::size_t parts = 2;
    static constexpr T weight = T(2);  // a pole and its conjugate
};

/// Numbers of one vector, one part after the other.
template <class T>
[[nodiscard]] SSM_INLINE simd::Pack<T> load_vector(simd::Pack<T>, const T* p) noexcept {
    return simd::load_aligned(p);
}
template <class T>
[[nodiscard]] SSM_INLINE simd::Complex<simd::Pack<T>> load_vector(simd::Complex<simd::Pack<T>>,
                                                                  const T* p) noexcept {
    return {simd::load_aligned(p), simd::load_aligned(p + simd::width<T>)};
}
template <class V, class T>
[[nodiscard]] SSM_INLINE V load_vector(const T* p) noexcept {
    return load_vector(V{}, p);
}
template <class T>
SSM_INLINE void store_vector(T* p, simd::Pack<T> x) noexcept {
    simd::store_aligned(p, x);
}
template <class T>
SSM_INLINE void store_vector(T* p, simd::Complex<simd::Pack<T>> x) noexcept {
    simd::store_aligned(p, x.re);
    simd::store_aligned(p + simd::width<T>, x.im);
}

/// The same number in all lanes: its real part at p, its imaginary part at p + plane.
template <class T>
[[nodiscard]] SSM_INLINE simd::Pack<T> spread(simd::Pack<T>, const T* p, std::size_t) noexcept {
    return simd::broadcast(*p);
}
template <class T>
[[nodiscard]] SSM_INLINE simd::Complex<simd::Pack<T>> spread(simd::Complex<simd::Pack<T>>,
                                                             const T* p,
                                                             std::size_t plane) noexcept {
    return {simd::broadcast(*p), simd::broadcast(p[plane])};
}

template <class T>
[[nodiscard]] SSM_INLINE simd::Pack<T> zero_vector(simd::Pack<T>) noexcept {
    return simd::Pack<T>(T(0));
}
template <class T>
[[nodiscard]] SSM_INLINE simd::Complex<simd::Pack<T>> zero_vector(
    simd::Complex<simd::Pack<T>>) noexcept {
    return {simd::Pack<T>(T(0)), simd::Pack<T>(T(0))};
}
template <class V>
[[nodiscard]] SSM_INLINE V zero_vector() noexcept {
    return zero_vector(V{});
}

/// conj(a) b
template <class T>
[[nodiscard]] SSM_INLINE simd::Pack<T> dual_mul(simd::Pack<T> a, simd::Pack<T> b) noexcept {
    return a * b;
}
template <class P>
[[nodiscard]] SSM_INLINE simd::Complex<P> dual_mul(simd::Complex<P> a,
                                                   simd::Complex<P> b) noexcept {
    return simd::conj_mul(a, b);
}

/// conj(a) x + c for real x
template <class T>
[[nodiscard]] SSM_INLINE simd::Pack<T> dual_fma(simd::Pack<T> a, simd::Pack<T> x,
                                                simd::Pack<T> c) noexcept {
    return simd::fma(a, x, c);
}
template <class P>
[[nodiscard]] SSM_INLINE simd::Complex<P> dual_fma(simd::Complex<P> a, P x,
                                                   simd::Complex<P> c) noexcept {
    return simd::fma(simd::conj(a), x, c);
}

/// Re(a b) + c
template <class T>
[[nodiscard]] SSM_INLINE simd::Pack<T> real_fma(simd::Pack<T> a, simd::Pack<T> b,
                                                simd::Pack<T> c) noexcept {
    return simd::fma(a, b, c);
}
template <class P>
[[nodiscard]] SSM_INLINE P real_fma(simd::Complex<P> a, simd::Complex<P> b, P c) noexcept {
    return simd::real_fma(a, b, c);
}

/// Re(conj(a) b) + c
template <class T>
[[nodiscard]] SSM_INLINE simd::Pack<T> real_dual_fma(simd::Pack<T> a, simd::Pack<T> b,
                                                     simd::Pack<T> c) noexcept {
    return simd::fma(a, b, c);
}
template <class P>
[[nodiscard]] SSM_INLINE P real_dual_fma(simd::Complex<P> a, simd::Complex<P> b, P c) noexcept {
    return simd::fma(a.im, b.im, simd::fma(a.re, b.re, c));
}

/// `count` neighbouring numbers of the user's, zeros in the other lanes.
template <class T>
[[nodiscard]] SSM_INLINE simd::Pack<T> gather(const T* p, std::size_t count) noexcept {
    return count == simd::width<T> ? simd::load(p) : simd::load_partial(p, count);
}
template <class T>
[[nodiscard]] SSM_INLINE simd::Complex<simd::Pack<T>> gather(const std::complex<T>* p,
                                                             std::size_t count) noexcept {
    T re[simd::width<T>] = {};
    T im[simd::width<T>] = {};
    for (std::size_t i = 0; i < count; ++i) {
        re[i] = p[i].real();
        im[i] = p[i].imag();
    }
    return {simd::load(re), simd::load(im)};
}
template <class T>
SSM_INLINE void scatter(T* p, simd::Pack<T> x, std::size_t count) noexcept {
    if (count == simd::width<T>)
        simd::store(p, x);
    else
        simd::store_partial(p, x, count);
}
template <class T>
SSM_INLINE void scatter(std::complex<T>* p, simd::Complex<simd::Pack<T>> x,
                        std::size_t count) noexcept {
    T re[simd::width<T>];
    T im[simd::width<T>];
    simd::store(re, x.re);
    simd::store(im, x.im);
    for (std::size_t i = 0; i < count; ++i)
        p[i] = {re[i], im[i]};
}

/// Real and imaginary part (0 for real numbers) of a number.
template <class T>
[[nodiscard]] SSM_INLINE T part_of(T x, std::size_t part) noexcept {
    return part == 0 ? x : T(0);
}
template <class T>
[[nodiscard]] SSM_INLINE T part_of(std::complex<T> x, std::size_t part) noexcept {
    return part == 0 ? x.real() : x.imag();
}

}  // namespace ssm::detail
