#pragma once

#include <type_traits>

#include <ssm/simd/intrinsics.hpp>
#include <ssm/simd/register.hpp>

/// Operations with one rounding, on registers. xsimd 8 multiplies and adds separately with AVX-512, and
/// for differences with NEON (the compiler may or may not fuse that, and the exact argument reductions
/// need it fused); its NEON square root of float is an approximation.
namespace ssm::simd {
inline namespace SSM_ARCH {

/// Whether a product and a sum are fused into one rounding here.
#if defined(__FMA__) || defined(__aarch64__) || defined(__AVX512F__)
inline constexpr bool has_fma = true;
#else
inline constexpr bool has_fma = false;
#endif

namespace detail {

template <class T>
using RegisterFor = typename RegisterOf<T>::Register;

#if defined(__AVX512F__)
template <class T>
inline constexpr bool fuses_itself = std::is_floating_point_v<T> && sizeof(RegisterFor<T>) == 64;

SSM_INLINE __m512 multiply_add(__m512 a, __m512 b, __m512 c) noexcept {
    return _mm512_fmadd_ps(a, b, c);
}
SSM_INLINE __m512d multiply_add(__m512d a, __m512d b, __m512d c) noexcept {
    return _mm512_fmadd_pd(a, b, c);
}
SSM_INLINE __m512 multiply_sub(__m512 a, __m512 b, __m512 c) noexcept {
    return _mm512_fmsub_ps(a, b, c);
}
SSM_INLINE __m512d multiply_sub(__m512d a, __m512d b, __m512d c) noexcept {
    return _mm512_fmsub_pd(a, b, c);
}
SSM_INLINE __m512 sub_product(__m512 a, __m512 b, __m512 c) noexcept {
    return _mm512_fnmadd_ps(a, b, c);
}
SSM_INLINE __m512d sub_product(__m512d a, __m512d b, __m512d c) noexcept {
    return _mm512_fnmadd_pd(a, b, c);
}
#elif defined(__aarch64__)
template <class T>
inline constexpr bool fuses_itself = std::is_floating_point_v<T> &&
                                     sizeof(RegisterFor<T>) == 16 && RegisterOf<T>::is_vector;

SSM_INLINE float32x4_t multiply_add(float32x4_t a, float32x4_t b, float32x4_t c) noexcept {
    return vfmaq_f32(c, a, b);
}
SSM_INLINE float64x2_t multiply_add(float64x2_t a, float64x2_t b, float64x2_t c) noexcept {
    return vfmaq_f64(c, a, b);
}
SSM_INLINE float32x4_t multiply_sub(float32x4_t a, float32x4_t b, float32x4_t c) noexcept {
    return vfmaq_f32(vnegq_f32(c), a, b);
}
SSM_INLINE float64x2_t multiply_sub(float64x2_t a, float64x2_t b, float64x2_t c) noexcept {
    return vfmaq_f64(vnegq_f64(c), a, b);
}
SSM_INLINE float32x4_t sub_product(float32x4_t a, float32x4_t b, float32x4_t c) noexcept {
    return vfmsq_f32(c, a, b);
}
SSM_INLINE float64x2_t sub_product(float64x2_t a, float64x2_t b, float64x2_t c) noexcept {
    return vfmsq_f64(c, a, b);
}
#else
template <class T>
inline constexpr bool fuses_itself = false;

template <class R>
SSM_INLINE R multiply_add(R a, R b, R c) noexcept {
    return a * b + c;
}
template <class R>
SSM_INLINE R multiply_sub(R a, R b, R c) noexcept {
    return a * b - c;
}
template <class R>
SSM_INLINE R sub_product(R a, R b, R c) noexcept {
    return c - a * b;
}
#endif

}  // namespace detail
}  // namespace SSM_ARCH
}  // namespace ssm::simd
