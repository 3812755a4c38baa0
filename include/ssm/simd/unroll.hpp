#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <ssm/core/config.hpp>

namespace ssm::simd {

inline namespace SSM_ARCH {
/// Vector registers of the processor: what register blocking has to work with.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr std::size_t registers = 32;
#else
inline constexpr std::size_t registers = 16;
#endif
}  // namespace SSM_ARCH

/// Calls `body` with 0, 1, ..., count - 1 as compile-time constants, written out one after the other:
/// arrays of packs indexed so stay in registers. Give the body `SSM_INLINE_LAMBDA`.
template <std::size_t count, class Body>
SSM_INLINE void unroll(Body&& body) {
    [&body]<std::size_t... i>(std::index_sequence<i...>) SSM_INLINE_LAMBDA {
        (body(std::integral_constant<std::size_t, i>{}), ...);
    }
    (std::make_index_sequence<count>{});
}

}  // namespace ssm::simd
