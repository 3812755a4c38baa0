#pragma once

#include <cstddef>

#include <ssm/core/aligned.hpp>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SSM_HAS_ADDRESS_SANITIZER
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(SSM_HAS_ADDRESS_SANITIZER)
#define SSM_HAS_ADDRESS_SANITIZER
#endif

#if defined(SSM_HAS_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#endif

/// AddressSanitizer sees a block of memory that is handed out piece by piece as one: these tell it
/// which pieces are in use. Without it they do nothing. A program whose files are compiled partly with it and partly
/// without has two definitions of one function, which C++ forbids: all of them, or none.
namespace ssm::detail {

#if defined(SSM_HAS_ADDRESS_SANITIZER)
inline constexpr std::size_t red_zone = alignment;  ///< bytes between pieces that nobody may touch
inline void poison(const void* memory, std::size_t bytes) noexcept {
    __asan_poison_memory_region(memory, bytes);
}
inline void unpoison(const void* memory, std::size_t bytes) noexcept {
    __asan_unpoison_memory_region(memory, bytes);
}
#else
inline constexpr std::size_t red_zone = 0;
inline void poison(const void*, std::size_t) noexcept {}
inline void unpoison(const void*, std::size_t) noexcept {}
#endif

}  // namespace ssm::detail

#undef SSM_HAS_ADDRESS_SANITIZER
