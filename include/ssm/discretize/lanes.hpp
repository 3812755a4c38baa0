#pragma once

#include <cstddef>
#include <span>

#include <ssm/core/config.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>

namespace ssm::detail {

/// One complex number of each of several modes, as discretisations compute with them.
using ComplexModes = simd::Complex<simd::Pack<double>>;

/// Some of the modes beginning with the i-th, as complex numbers; `lanes` is that of `for_each_pack`.
template <class Lanes>
[[nodiscard]] SSM_INLINE auto load_complex(const Lanes& lanes, std::span<const double> re,
                                           std::span<const double> im, std::size_t i) noexcept {
    return ComplexModes{lanes.load(re.data() + i), lanes.load(im.data() + i)};
}

template <class Lanes>
SSM_INLINE void store_complex(const Lanes& lanes, std::span<double> re, std::span<double> im,
                              std::size_t i, ComplexModes x) noexcept {
    lanes.store(re.data() + i, x.re);
    lanes.store(im.data() + i, x.im);
}

/// Re(conj(a) b)
template <simd::Numeric V>
[[nodiscard]] SSM_INLINE V inner(simd::Complex<V> a, simd::Complex<V> b) noexcept {
    return simd::fma(a.re, b.re, a.im * b.im);
}

template <simd::Numeric V>
[[nodiscard]] SSM_INLINE simd::Complex<V> one_plus(simd::Complex<V> a) noexcept {
    return {V(1) + a.re, a.im};
}

template <simd::Numeric V>
[[nodiscard]] SSM_INLINE simd::Complex<V> reciprocal(simd::Complex<V> a) noexcept {
    return simd::conj(a) * (V(1) / simd::norm(a));
}

}  // namespace ssm::detail
