#pragma once

#include <cstddef>
#include <type_traits>

#include <ssm/simd/intrinsics.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::simd {
inline namespace SSM_ARCH {

namespace detail {

/// Two registers with their lanes dealt out in turn: a0 b0 a1 b1 ...
template <class T>
struct Zipped {
    Pack<T> low;
    Pack<T> high;
};

#if defined(__AVX512F__)
SSM_INLINE Zipped<float> zip(Pack<float> a, Pack<float> b) noexcept {
    const __m512i low =
        _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high =
        _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    return {Pack<float>::of(_mm512_permutex2var_ps(a.raw, low, b.raw)),
            Pack<float>::of(_mm512_permutex2var_ps(a.raw, high, b.raw))};
}
SSM_INLINE Zipped<double> zip(Pack<double> a, Pack<double> b) noexcept {
    const __m512i low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    const __m512i high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    return {Pack<double>::of(_mm512_permutex2var_pd(a.raw, low, b.raw)),
            Pack<double>::of(_mm512_permutex2var_pd(a.raw, high, b.raw))};
}
#elif defined(__AVX__)
SSM_INLINE Zipped<float> zip(Pack<float> a, Pack<float> b) noexcept {
    const __m256 low = _mm256_unpacklo_ps(a.raw, b.raw);
    const __m256 high = _mm256_unpackhi_ps(a.raw, b.raw);
    return {Pack<float>::of(_mm256_permute2f128_ps(low, high, 0x20)),
            Pack<float>::of(_mm256_permute2f128_ps(low, high, 0x31))};
}
SSM_INLINE Zipped<double> zip(Pack<double> a, Pack<double> b) noexcept {
    const __m256d low = _mm256_unpacklo_pd(a.raw, b.raw);
    const __m256d high = _mm256_unpackhi_pd(a.raw, b.raw);
    return {Pack<double>::of(_mm256_permute2f128_pd(low, high, 0x20)),
            Pack<double>::of(_mm256_permute2f128_pd(low, high, 0x31))};
}
#elif defined(__SSE2__)
SSM_INLINE Zipped<float> zip(Pack<float> a, Pack<float> b) noexcept {
    return {Pack<float>::of(_mm_unpacklo_ps(a.raw, b.raw)),
            Pack<float>::of(_mm_unpackhi_ps(a.raw, b.raw))};
}
SSM_INLINE Zipped<double> zip(Pack<double> a, Pack<double> b) noexcept {
    return {Pack<double>::of(_mm_unpacklo_pd(a.raw, b.raw)),
            Pack<double>::of(_mm_unpackhi_pd(a.raw, b.raw))};
}
#elif defined(__aarch64__)
SSM_INLINE Zipped<float> zip(Pack<float> a, Pack<float> b) noexcept {
    return {Pack<float>::of(vzip1q_f32(a.raw, b.raw)), Pack<float>::of(vzip2q_f32(a.raw, b.raw))};
}
SSM_INLINE Zipped<double> zip(Pack<double> a, Pack<double> b) noexcept {
    return {Pack<double>::of(vzip1q_f64(a.raw, b.raw)), Pack<double>::of(vzip2q_f64(a.raw, b.raw))};
}
#endif

template <class T>
concept Zippable = requires(Pack<T> a) { zip(a, a); };

/// Through memory: right for every T and width.
template <class T>
SSM_INLINE void transpose_buffered(Pack<T> (&rows)[width<T>]) noexcept {
    constexpr std::size_t w = width<T>;
    T in[w * w];
    T out[w * w];
    for (std::size_t i = 0; i < w; ++i)
        store(in + i * w, rows[i]);
    for (std::size_t i = 0; i < w; ++i)
        for (std::size_t j = 0; j < w; ++j)
            out[j * w + i] = in[i * w + j];
    for (std::size_t i = 0; i < w; ++i)
        rows[i] = load(out + i * w);
}

}  // namespace detail

/// Transposes a width x width block held in registers: lane j of row i becomes lane i of row j.
///
/// Each of log2(width) rounds zips the rows of the upper half with those of the lower, which moves one bit of
/// the row number into the lane number.
template <class T>
SSM_INLINE void transpose(Pack<T> (&rows)[width<T>]) noexcept {
    constexpr std::size_t half = width<T> / 2;
    if constexpr (width<T> == 1) {
        return;
    } else if constexpr (!detail::is_vector<T> || !detail::Zippable<T>) {
        detail::transpose_buffered(rows);
    } else {
        for (std::size_t round = 1; round < width<T>; round *= 2) {
            Pack<T> zipped[width<T>];
            unroll<half>([&](auto i) SSM_INLINE_LAMBDA {
                const detail::Zipped<T> pair = detail::zip(rows[i], rows[i + half]);
                zipped[2 * i] = pair.low;
                zipped[2 * i + 1] = pair.high;
            });
            unroll<width<T>>([&](auto i) SSM_INLINE_LAMBDA { rows[i] = zipped[i]; });
        }
    }
}

}  // namespace SSM_ARCH
}  // namespace ssm::simd
