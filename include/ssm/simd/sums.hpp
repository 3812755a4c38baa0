#pragma once

#include <cstddef>
#include <type_traits>

#include <ssm/simd/intrinsics.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::simd {
inline namespace SSM_ARCH {

/// y[i] = the sum over the lanes of x[i]: less than half of the work of four `reduce_add`. The order of the additions is
/// the processor's.
template <class T>
SSM_INLINE void reduce_add_four(const Pack<T> (&x)[4], T* y) noexcept {
    if constexpr (std::is_same_v<T, float> && detail::is_vector<float>) {
        // Pairs are interleaved and added twice: each 16 bytes are then four partial sums, one of each pack.
#if defined(__AVX512F__)
        const auto pair = [](__m512 a, __m512 b) SSM_INLINE_LAMBDA {
            return _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
        };
        const __m512 low = pair(x[0].raw, x[1].raw);
        const __m512 high = pair(x[2].raw, x[3].raw);
        const __m512d parts = _mm512_castps_pd(
            _mm512_add_ps(_mm512_shuffle_ps(low, high, 0x44), _mm512_shuffle_ps(low, high, 0xee)));
        const __m256 half = _mm256_add_ps(_mm256_castpd_ps(_mm512_castpd512_pd256(parts)),
                                          _mm256_castpd_ps(_mm512_extractf64x4_pd(parts, 1)));
        return _mm_storeu_ps(
            y, _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
#elif defined(__AVX__)
        const __m256 parts =
            _mm256_hadd_ps(_mm256_hadd_ps(x[0].raw, x[1].raw), _mm256_hadd_ps(x[2].raw, x[3].raw));
        return _mm_storeu_ps(
            y, _mm_add_ps(_mm256_castps256_ps128(parts), _mm256_extractf128_ps(parts, 1)));
#elif defined(__SSE2__)
        const auto pair = [](__m128 a, __m128 b) SSM_INLINE_LAMBDA {
            return _mm_add_ps(_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
        };
        const __m128 low = pair(x[0].raw, x[1].raw);
        const __m128 high = pair(x[2].raw, x[3].raw);
        return _mm_storeu_ps(y, _mm_add_ps(_mm_movelh_ps(low, high), _mm_movehl_ps(high, low)));
#elif defined(__aarch64__)
        const auto pair = [](float32x4_t a, float32x4_t b)
                              SSM_INLINE_LAMBDA { return vpaddq_f32(a, b); };
        return vst1q_f32(y, pair(pair(x[0].raw, x[1].raw), pair(x[2].raw, x[3].raw)));
#endif
    }
    for (std::size_t i = 0; i < 4; ++i)
        y[i] = reduce_add(x[i]);
}

}  // namespace SSM_ARCH
}  // namespace ssm::simd
