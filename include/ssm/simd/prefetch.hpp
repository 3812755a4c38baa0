#pragma once

#include <ssm/core/config.hpp>

/// Hints that a cache line will be needed soon. Any address is allowed: a hint never faults.
namespace ssm::simd {

/// The line of `p` will be read.
SSM_INLINE void prefetch(const void* p) noexcept {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(p, 0, 3);
#else
    static_cast<void>(p);
#endif
}

/// The line of `p` will be used after so much else that it belongs into the level 2 cache.
SSM_INLINE void prefetch_later(const void* p) noexcept {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(p, 0, 2);
#else
    static_cast<void>(p);
#endif
}

/// The line of `p` will be written.
SSM_INLINE void prefetch_for_write(const void* p) noexcept {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(p, 1, 3);
#else
    static_cast<void>(p);
#endif
}

}  // namespace ssm::simd
