#pragma once

#include <cstddef>
#include <cstdint>

#include <ssm/core/config.hpp>

/// Hints that a cache line will be needed soon. The number that is asked for is `ahead` numbers behind p, and need not
/// exist: a hint never faults, and its address is computed as a number, which no array bounds.
namespace ssm::simd {

namespace detail {

template <class T>
[[nodiscard]] SSM_INLINE const void* address_ahead(const T* p, std::ptrdiff_t ahead) noexcept {
    const auto bytes = static_cast<std::uintptr_t>(ahead) * sizeof(T);
    return reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(p) + bytes);
}

}  // namespace detail

/// It will be read.
template <class T>
SSM_INLINE void prefetch(const T* p, std::ptrdiff_t ahead = 0) noexcept {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(detail::address_ahead(p, ahead), 0, 3);
#else
    static_cast<void>(p);
    static_cast<void>(ahead);
#endif
}

/// It will be written.
template <class T>
SSM_INLINE void prefetch_for_write(const T* p, std::ptrdiff_t ahead = 0) noexcept {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(detail::address_ahead(p, ahead), 1, 3);
#else
    static_cast<void>(p);
    static_cast<void>(ahead);
#endif
}

/// It will be read after so much else that it belongs into the level 2 cache.
template <class T>
SSM_INLINE void prefetch_later(const T* p, std::ptrdiff_t ahead = 0) noexcept {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(detail::address_ahead(p, ahead), 0, 2);
#else
    static_cast<void>(p);
    static_cast<void>(ahead);
#endif
}

}  // namespace ssm::simd
