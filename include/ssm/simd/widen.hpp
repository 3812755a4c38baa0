#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <ssm/math/small_float.hpp>
#include <ssm/simd/intrinsics.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>

/// Numbers of a storage type, such as Bfloat16, as packs of the type to compute in. Exact.
namespace ssm::simd {
inline namespace SSM_ARCH {

namespace detail {

/// A Bfloat16 is the upper half of a float.
SSM_INLINE Pack<float> load_upper_halves(const Bfloat16* p) noexcept {
#if defined(__AVX512F__)
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return Pack<float>::of(
        _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16)));
#elif defined(__AVX2__)
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return Pack<float>::of(
        _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16)));
#elif defined(__AVX__)
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i zero = _mm_setzero_si128();
    const __m128 low = _mm_castsi128_ps(_mm_unpacklo_epi16(zero, halves));
    const __m128 high = _mm_castsi128_ps(_mm_unpackhi_epi16(zero, halves));
    return Pack<float>::of(_mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1));
#elif defined(__SSE2__)
    const __m128i halves = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return Pack<float>::of(_mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), halves)));
#elif defined(__aarch64__)
    const uint16x4_t halves = vld1_u16(reinterpret_cast<const std::uint16_t*>(p));
    return Pack<float>::of(vreinterpretq_f32_u32(vshll_n_u16(halves, 16)));
#else
    float lanes[width<float>];
    for (std::size_t i = 0; i < width<float>; ++i)
        lanes[i] = static_cast<float>(p[i]);
    return load(lanes);
#endif
}

}  // namespace detail

/// The first n <= width numbers at p, and zeros; nothing past them is read.
template <class T, class Stored>
[[nodiscard]] SSM_INLINE Pack<T> load_as(const Stored* p, std::size_t n) noexcept {
    if constexpr (std::is_same_v<T, Stored>) {
        return load_partial(p, n);
    } else {
        T lanes[width<T>] = {};
        for (std::size_t i = 0; i < n; ++i)
            lanes[i] = static_cast<T>(p[i]);
        return load(lanes);
    }
}

/// `width<T>` numbers.
template <class T, class Stored>
[[nodiscard]] SSM_INLINE Pack<T> load_as(const Stored* p) noexcept {
    if constexpr (std::is_same_v<T, Stored>)
        return load(p);
    else if constexpr (std::is_same_v<Stored, Bfloat16> && std::is_same_v<T, float> &&
                       detail::is_vector<float>)
        return detail::load_upper_halves(p);
    else
        return load_as<T>(p, width<T>);
}

}  // namespace SSM_ARCH
}  // namespace ssm::simd
