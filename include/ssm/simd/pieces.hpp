#pragma once

#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/simd/intrinsics.hpp>

/// The first n numbers of a register of AVX or AVX-512, moved in pieces of 8, 4, 2 and 1 numbers. Masked moves are
/// shorter, but masked stores take tens of cycles on processors of AMD, and with AVX-512 a load waits for every earlier
/// store to what the mask of either of them leaves out: rows of 8 numbers, one behind the other, took ten times as long.
/// Precondition: n is less than the register holds.
namespace ssm::simd {
inline namespace SSM_ARCH {
namespace detail {

#if defined(__AVX__)
SSM_INLINE void store_pieces(float* p, __m256 x, std::size_t n) noexcept {
    __m128 rest = _mm256_castps256_ps128(x);
    if ((n & 4U) != 0) {
        _mm_storeu_ps(p, rest);
        rest = _mm256_extractf128_ps(x, 1);
        p += 4;
    }
    if ((n & 2U) != 0) {
        _mm_storel_pi(reinterpret_cast<__m64*>(p), rest);
        rest = _mm_movehl_ps(rest, rest);
        p += 2;
    }
    if ((n & 1U) != 0)
        _mm_store_ss(p, rest);
}
SSM_INLINE void store_pieces(double* p, __m256d x, std::size_t n) noexcept {
    __m128d rest = _mm256_castpd256_pd128(x);
    if ((n & 2U) != 0) {
        _mm_storeu_pd(p, rest);
        rest = _mm256_extractf128_pd(x, 1);
        p += 2;
    }
    if ((n & 1U) != 0)
        _mm_store_sd(p, rest);
}
#endif

#if defined(__AVX512F__)
SSM_INLINE void store_pieces(float* p, __m512 x, std::size_t n) noexcept {
    __m256 rest = _mm512_castps512_ps256(x);
    if ((n & 8U) != 0) {
        _mm256_storeu_ps(p, rest);
        rest = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1));
        p += 8;
    }
    store_pieces(p, rest, n);
}
SSM_INLINE void store_pieces(double* p, __m512d x, std::size_t n) noexcept {
    __m256d rest = _mm512_castpd512_pd256(x);
    if ((n & 4U) != 0) {
        _mm256_storeu_pd(p, rest);
        rest = _mm512_extractf64x4_pd(x, 1);
        p += 4;
    }
    store_pieces(p, rest, n);
}

/// The first n & 3 numbers.
SSM_INLINE __m128 load_up_to_3(const float* p, std::size_t n) noexcept {
    __m128 x = _mm_setzero_ps();
    if ((n & 1U) != 0)
        x = _mm_load_ss(p + (n & 2U));
    if ((n & 2U) != 0)
        x = _mm_loadl_pi(_mm_movelh_ps(x, x), reinterpret_cast<const __m64*>(p));
    return x;
}
/// The first n & 7.
SSM_INLINE __m256 load_up_to_7(const float* p, std::size_t n) noexcept {
    if ((n & 4U) == 0)
        return _mm256_zextps128_ps256(load_up_to_3(p, n));
    const __m256 x = _mm256_zextps128_ps256(_mm_loadu_ps(p));
    return (n & 3U) == 0 ? x : _mm256_insertf128_ps(x, load_up_to_3(p + 4, n), 1);
}
SSM_INLINE __m512 load_pieces(const float* p, std::size_t n) noexcept {
    if ((n & 8U) == 0)
        return _mm512_zextps256_ps512(load_up_to_7(p, n));
    const __m512 x = _mm512_zextps256_ps512(_mm256_loadu_ps(p));
    if ((n & 7U) == 0)
        return x;
    const __m256d rest = _mm256_castps_pd(load_up_to_7(p + 8, n));
    return _mm512_castpd_ps(_mm512_insertf64x4(_mm512_castps_pd(x), rest, 1));
}

/// The first n & 3 numbers.
SSM_INLINE __m256d load_up_to_3(const double* p, std::size_t n) noexcept {
    if ((n & 2U) == 0)
        return _mm256_zextpd128_pd256((n & 1U) == 0 ? _mm_setzero_pd() : _mm_load_sd(p));
    const __m256d x = _mm256_zextpd128_pd256(_mm_loadu_pd(p));
    return (n & 1U) == 0 ? x : _mm256_insertf128_pd(x, _mm_load_sd(p + 2), 1);
}
SSM_INLINE __m512d load_pieces(const double* p, std::size_t n) noexcept {
    if ((n & 4U) == 0)
        return _mm512_zextpd256_pd512(load_up_to_3(p, n));
    const __m512d x = _mm512_zextpd256_pd512(_mm256_loadu_pd(p));
    return (n & 3U) == 0 ? x : _mm512_insertf64x4(x, load_up_to_3(p + 4, n), 1);
}
#endif

}  // namespace detail
}  // namespace SSM_ARCH
}  // namespace ssm::simd
