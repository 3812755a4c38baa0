#pragma once

#include <type_traits>

#include <ssm/simd/intrinsics.hpp>
#include <ssm/simd/register.hpp>

/// Minimum and maximum that return the second operand when either is NaN: x86 defines it so, but
/// versions of xsimd hand over the operands in different orders.
namespace ssm::simd {
inline namespace SSM_ARCH {
namespace detail {

#if defined(__SSE2__)
template <class T>
inline constexpr bool orders_itself = std::is_floating_point_v<T>&& RegisterOf<T>::is_vector;

SSM_INLINE __m128 minimum(__m128 a, __m128 b) noexcept {
    return _mm_min_ps(a, b);
}
SSM_INLINE __m128d minimum(__m128d a, __m128d b) noexcept {
    return _mm_min_pd(a, b);
}
SSM_INLINE __m128 maximum(__m128 a, __m128 b) noexcept {
    return _mm_max_ps(a, b);
}
SSM_INLINE __m128d maximum(__m128d a, __m128d b) noexcept {
    return _mm_max_pd(a, b);
}
#if defined(__AVX__)
SSM_INLINE __m256 minimum(__m256 a, __m256 b) noexcept {
    return _mm256_min_ps(a, b);
}
SSM_INLINE __m256d minimum(__m256d a, __m256d b) noexcept {
    return _mm256_min_pd(a, b);
}
SSM_INLINE __m256 maximum(__m256 a, __m256 b) noexcept {
    return _mm256_max_ps(a, b);
}
SSM_INLINE __m256d maximum(__m256d a, __m256d b) noexcept {
    return _mm256_max_pd(a, b);
}
#endif
#if defined(__AVX512F__)
SSM_INLINE __m512 minimum(__m512 a, __m512 b) noexcept {
    return _mm512_min_ps(a, b);
}
SSM_INLINE __m512d minimum(__m512d a, __m512d b) noexcept {
    return _mm512_min_pd(a, b);
}
SSM_INLINE __m512 maximum(__m512 a, __m512 b) noexcept {
    return _mm512_max_ps(a, b);
}
SSM_INLINE __m512d maximum(__m512d a, __m512d b) noexcept {
    return _mm512_max_pd(a, b);
}
#endif
#else
template <class T>
inline constexpr bool orders_itself = false;

template <class R>
R minimum(R, R) = delete;
template <class R>
R maximum(R, R) = delete;
#endif

}  // namespace detail
}  // namespace SSM_ARCH
}  // namespace ssm::simd
