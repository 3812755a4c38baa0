#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/scan/diagonal_state.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/transpose.hpp>
#include <ssm/simd/unroll.hpp>

/// Turns a piece of a sequence, channels last, into rows along time, one for each channel, and
/// back: blocks of registers are transposed on the way.
namespace ssm::detail {

/// Rows panel[c][t] for `count` channels and `steps` steps; the sequence advances by `stride` from
/// step to step, the panel by `length` from channel to channel.
template <class T, class Arch = simd::Arch>
void gather_panel(const T* sequence, std::size_t stride, std::size_t steps, std::size_t count,
                  T* panel, std::size_t length) noexcept {
    constexpr std::size_t width = simd::width<T>;
    if (count < width / 2) {  // a transposed block would be mostly empty
        for (std::size_t c = 0; c < count; ++c)
            for (std::size_t t = 0; t < steps; ++t)
                panel[c * length + t] = sequence[t * stride + c];
        return;
    }
    for (std::size_t t = 0; t < steps; t += width)
        for (std::size_t c = 0; c < count; c += width) {
            const T* const from = sequence + t * stride + c;
            const std::size_t channels = std::min(width, count - c);
            simd::Pack<T> block[width];
            if (channels == width && t + width <= steps)
                simd::unroll<width>(
                    [&](auto i) SSM_INLINE_LAMBDA { block[i] = simd::load(from + i * stride); });
            else
                for (std::size_t i = 0; i < width; ++i)
                    block[i] = t + i < steps ? simd::load_partial(from + i * stride, channels)
                                             : simd::Pack<T>(T(0));
            simd::transpose(block);
            simd::unroll<width>([&](auto i) SSM_INLINE_LAMBDA {
                if (i < channels)
                    simd::store_aligned(panel + (c + i) * length + t, block[i]);
            });
        }
}

/// Back.
template <class T, class Arch = simd::Arch>
void scatter_panel(const T* panel, std::size_t length, std::size_t steps, std::size_t count,
                   T* sequence, std::size_t stride) noexcept {
    constexpr std::size_t width = simd::width<T>;
    if (count < width / 2) {
        for (std::size_t c = 0; c < count; ++c)
            for (std::size_t t = 0; t < steps; ++t)
                sequence[t * stride + c] = panel[c * length + t];
        return;
    }
    for (std::size_t t = 0; t < steps; t += width)
        for (std::size_t c = 0; c < count; c += width) {
            T* const to = sequence + t * stride + c;
            const std::size_t channels = std::min(width, count - c);
            simd::Pack<T> block[width];
            simd::unroll<width>([&](auto i) SSM_INLINE_LAMBDA {
                block[i] = i < channels ? simd::load_aligned(panel + (c + i) * length + t)
                                        : simd::Pack<T>(T(0));
            });
            simd::transpose(block);
            if (channels == width && t + width <= steps)
                simd::unroll<width>(
                    [&](auto i) SSM_INLINE_LAMBDA { simd::store(to + i * stride, block[i]); });
            else
                for (std::size_t i = 0; i < std::min(width, steps - t); ++i)
                    simd::store_partial(to + i * stride, block[i], channels);
        }
}

}  // namespace ssm::detail
