#pragma once

#include <cstddef>
#include <type_traits>

#if defined(__AVX__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include <ssm/simd/pack.hpp>

/// Packs of double to and from arrays of another type: tables are computed in double and used in T.
namespace ssm::simd {
inline namespace SSM_ARCH {

/// Writes `width<double>` numbers rounded to T.
template <class T>
SSM_INLINE void store_rounded(T* p, Pack<double> x) noexcept {
    if constexpr (std::is_same_v<T, double>) {
        store(p, x);
    } else if constexpr (std::is_same_v<T, float> && detail::is_vector<double>) {
#if defined(__AVX512F__)
        _mm256_storeu_ps(p, _mm512_cvtpd_ps(x.raw));
#elif defined(__AVX__)
        _mm_storeu_ps(p, _mm256_cvtpd_ps(x.raw));
#elif defined(__SSE2__)
        _mm_storel_pi(reinterpret_cast<__m64*>(p), _mm_cvtpd_ps(x.raw));
#elif defined(__aarch64__)
        vst1_f32(p, vcvt_f32_f64(x.raw));
#else
        double lane[width<double>];
        store(lane, x);
        for (std::size_t i = 0; i < width<double>; ++i)
            p[i] = static_cast<float>(lane[i]);
#endif
    } else {
        double lane[width<double>];
        store(lane, x);
        for (std::size_t i = 0; i < width<double>; ++i)
            p[i] = static_cast<T>(lane[i]);
    }
}

/// Reads `width<double>` numbers of type T.
template <class T>
[[nodiscard]] SSM_INLINE Pack<double> load_widened(const T* p) noexcept {
    if constexpr (std::is_same_v<T, double>) {
        return load(p);
    } else if constexpr (std::is_same_v<T, float> && detail::is_vector<double>) {
#if defined(__AVX512F__)
        return Pack<double>::of(_mm512_cvtps_pd(_mm256_loadu_ps(p)));
#elif defined(__AVX__)
        return Pack<double>::of(_mm256_cvtps_pd(_mm_loadu_ps(p)));
#elif defined(__SSE2__)
        return Pack<double>::of(
            _mm_cvtps_pd(_mm_loadl_pi(_mm_setzero_ps(), reinterpret_cast<const __m64*>(p))));
#elif defined(__aarch64__)
        return Pack<double>::of(vcvt_f64_f32(vld1_f32(p)));
#else
        double lane[width<double>];
        for (std::size_t i = 0; i < width<double>; ++i)
            lane[i] = static_cast<double>(p[i]);
        return load(lane);
#endif
    } else {
        double lane[width<double>];
        for (std::size_t i = 0; i < width<double>; ++i)
            lane[i] = static_cast<double>(p[i]);
        return load(lane);
    }
}

}  // namespace SSM_ARCH
}  // namespace ssm::simd
