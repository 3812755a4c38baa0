#pragma once

#include <cstddef>

#include <ssm/simd/intrinsics.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::simd {
inline namespace SSM_ARCH {

namespace detail {

/// Through memory: right for every T and width.
template <class T>
SSM_INLINE void transpose_buffered(Pack<T> (&rows)[width<T>]) noexcept {
    constexpr std::size_t w = width<T>;
    T in[w * w];
    T out[w * w];
    for (std::size_t i = 0; i < w; ++i)
        store(in + i * w, rows[i]);
    for (std::size_t i = 0; i < w; ++i)
        for (std::size_t j = 0; j < w; ++j)
            out[j * w + i] = in[i * w + j];
    for (std::size_t i = 0; i < w; ++i)
        rows[i] = load(out + i * w);
}

}  // namespace detail

/// Transposes a width x width block held in registers: lane j of row i becomes lane i of row j.
template <class T>
SSM_INLINE void transpose(Pack<T> (&rows)[width<T>]) noexcept {
    detail::transpose_buffered(rows);
}

}  // namespace SSM_ARCH
}  // namespace ssm::simd
