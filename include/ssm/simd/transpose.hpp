#pragma once

#include <cstddef>
#include <type_traits>

#include <ssm/simd/intrinsics.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::simd {
inline namespace SSM_ARCH {

namespace detail {

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

#if SSM_HAS_VECTORS
/// Registers of 16 bytes: log2 w rounds of interleaving rows i and i + w / 2.
template <class T>
SSM_INLINE void transpose_interleaving(Pack<T> (&rows)[width<T>]) noexcept {
    constexpr std::size_t w = width<T>;
    Pack<T> next[w];
    for (std::size_t round = 1; round < w; round *= 2) {
        unroll<w / 2>([&](auto i_) SSM_INLINE_LAMBDA {
            constexpr std::size_t i = i_;
            next[2 * i] = Pack<T>::of(xsimd::zip_lo(rows[i].raw, rows[i + w / 2].raw));
            next[2 * i + 1] = Pack<T>::of(xsimd::zip_hi(rows[i].raw, rows[i + w / 2].raw));
        });
        unroll<w>([&](auto i) SSM_INLINE_LAMBDA { rows[i] = next[i]; });
    }
}
#endif

// The wider ones interleave inside the 16-byte parts of the registers first, then move the parts.

#if defined(__AVX512F__)
/// Parts of 16 bytes: two of a, then two of b.
template <int parts>
SSM_INLINE __m512 pick_parts(__m512 a, __m512 b) noexcept {
    return _mm512_shuffle_f32x4(a, b, parts);
}
template <int parts>
SSM_INLINE __m512d pick_parts(__m512d a, __m512d b) noexcept {
    return _mm512_shuffle_f64x2(a, b, parts);
}

/// Part j of each of the four registers goes to register j.
template <class R>
SSM_INLINE void transpose_parts(R& a, R& b, R& c, R& d) noexcept {
    const R low_ab = pick_parts<0x44>(a, b);
    const R high_ab = pick_parts<0xEE>(a, b);
    const R low_cd = pick_parts<0x44>(c, d);
    const R high_cd = pick_parts<0xEE>(c, d);
    a = pick_parts<0x88>(low_ab, low_cd);
    b = pick_parts<0xDD>(low_ab, low_cd);
    c = pick_parts<0x88>(high_ab, high_cd);
    d = pick_parts<0xDD>(high_ab, high_cd);
}

SSM_INLINE void transpose_wide(Pack<float> (&rows)[16]) noexcept {
    __m512 r[16];
    unroll<4>([&](auto i_) SSM_INLINE_LAMBDA {
        constexpr std::size_t i = 4 * i_;
        const __m512 t0 = _mm512_unpacklo_ps(rows[i].raw, rows[i + 1].raw);
        const __m512 t1 = _mm512_unpackhi_ps(rows[i].raw, rows[i + 1].raw);
        const __m512 t2 = _mm512_unpacklo_ps(rows[i + 2].raw, rows[i + 3].raw);
        const __m512 t3 = _mm512_unpackhi_ps(rows[i + 2].raw, rows[i + 3].raw);
        r[i] = _mm512_shuffle_ps(t0, t2, 0x44);
        r[i + 1] = _mm512_shuffle_ps(t0, t2, 0xEE);
        r[i + 2] = _mm512_shuffle_ps(t1, t3, 0x44);
        r[i + 3] = _mm512_shuffle_ps(t1, t3, 0xEE);
    });
    unroll<4>([&](auto i_) SSM_INLINE_LAMBDA {
        constexpr std::size_t i = i_;
        transpose_parts(r[i], r[i + 4], r[i + 8], r[i + 12]);
        for (std::size_t part = 0; part < 4; ++part)
            rows[i + 4 * part] = Pack<float>::of(r[i + 4 * part]);
    });
}

SSM_INLINE void transpose_wide(Pack<double> (&rows)[8]) noexcept {
    __m512d r[8];
    unroll<4>([&](auto i_) SSM_INLINE_LAMBDA {
        constexpr std::size_t i = 2 * i_;
        r[i] = _mm512_unpacklo_pd(rows[i].raw, rows[i + 1].raw);
        r[i + 1] = _mm512_unpackhi_pd(rows[i].raw, rows[i + 1].raw);
    });
    unroll<2>([&](auto i_) SSM_INLINE_LAMBDA {
        constexpr std::size_t i = i_;
        transpose_parts(r[i], r[i + 2], r[i + 4], r[i + 6]);
        for (std::size_t part = 0; part < 4; ++part)
            rows[i + 2 * part] = Pack<double>::of(r[i + 2 * part]);
    });
}
#elif defined(__AVX__)
SSM_INLINE void transpose_wide(Pack<float> (&rows)[8]) noexcept {
    __m256 r[8];
    unroll<2>([&](auto i_) SSM_INLINE_LAMBDA {
        constexpr std::size_t i = 4 * i_;
        const __m256 t0 = _mm256_unpacklo_ps(rows[i].raw, rows[i + 1].raw);
        const __m256 t1 = _mm256_unpackhi_ps(rows[i].raw, rows[i + 1].raw);
        const __m256 t2 = _mm256_unpacklo_ps(rows[i + 2].raw, rows[i + 3].raw);
        const __m256 t3 = _mm256_unpackhi_ps(rows[i + 2].raw, rows[i + 3].raw);
        r[i] = _mm256_shuffle_ps(t0, t2, 0x44);
        r[i + 1] = _mm256_shuffle_ps(t0, t2, 0xEE);
        r[i + 2] = _mm256_shuffle_ps(t1, t3, 0x44);
        r[i + 3] = _mm256_shuffle_ps(t1, t3, 0xEE);
    });
    unroll<4>([&](auto i_) SSM_INLINE_LAMBDA {
        constexpr std::size_t i = i_;
        rows[i] = Pack<float>::of(_mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        rows[i + 4] = Pack<float>::of(_mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    });
}

SSM_INLINE void transpose_wide(Pack<double> (&rows)[4]) noexcept {
    __m256d r[4];
    unroll<2>([&](auto i_) SSM_INLINE_LAMBDA {
        constexpr std::size_t i = 2 * i_;
        r[i] = _mm256_unpacklo_pd(rows[i].raw, rows[i + 1].raw);
        r[i + 1] = _mm256_unpackhi_pd(rows[i].raw, rows[i + 1].raw);
    });
    unroll<2>([&](auto i_) SSM_INLINE_LAMBDA {
        constexpr std::size_t i = i_;
        rows[i] = Pack<double>::of(_mm256_permute2f128_pd(r[i], r[i + 2], 0x20));
        rows[i + 2] = Pack<double>::of(_mm256_permute2f128_pd(r[i], r[i + 2], 0x31));
    });
}
#endif

}  // namespace detail

/// Transposes a width x width block held in registers: lane j of row i becomes lane i of row j.
///
/// Cost      float and double: w log2 w shuffles (64 for 16 x 16 float), no memory; others through
///           memory
template <class T>
SSM_INLINE void transpose(Pack<T> (&rows)[width<T>]) noexcept {
#if defined(__AVX__)
    if constexpr (std::is_floating_point_v<T> && detail::is_vector<T>)
        detail::transpose_wide(rows);
    else
        detail::transpose_buffered(rows);
#elif SSM_HAS_VECTORS
    if constexpr (std::is_floating_point_v<T> && detail::is_vector<T>)
        detail::transpose_interleaving(rows);
    else
        detail::transpose_buffered(rows);
#else
    detail::transpose_buffered(rows);
#endif
}

}  // namespace SSM_ARCH
}  // namespace ssm::simd
