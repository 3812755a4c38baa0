#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/convolution/depthwise_kernel.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/padding.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/math/smooth_activations.hpp>
#include <ssm/scan/segments.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>

/// Short causal convolution of each channel by itself, vectorised across channels. A `window` is the
/// width - 1 inputs before the first step of each sequence, (batch, width - 1, channels), oldest first; null stands
/// for zeros, and so does a reset. Steps behind a sequence's valid length give zero.
namespace ssm {

namespace detail {

template <class T>
[[nodiscard]] T* window_of(const Depthwise<T>& f, T* window, std::size_t b) noexcept {
    return window == nullptr ? nullptr : window + b * (f.width - 1) * f.channels;
}
template <class T>
[[nodiscard]] const T* window_of(const Depthwise<T>& f, const T* window, std::size_t b) noexcept {
    return window == nullptr ? nullptr : window + b * (f.width - 1) * f.channels;
}

}  // namespace detail

/// The filter's output y (batch, L, channels) for u (batch, L, channels).
///
/// Cost      2 width flops a number and one pass over memory
/// Threads   cut into stretches of time; the same bits for any number of threads
template <class T>
void depthwise_forward(const Depthwise<T>& f, BatchView<const T> u, BatchView<T> y, const T* window,
                       const Context& context) {
    constexpr std::size_t steps = 256;
    const std::size_t cuts = (u.length() + steps - 1) / steps;
    parallel_for(u.batch() * cuts, [&](std::size_t task, std::size_t) {
        const std::size_t b = task / cuts;
        const std::size_t first = task % cuts * steps;
        const std::size_t last = std::min(first + steps, context.valid_length(b, u.length()));
        detail::for_each_segment(
            context, b, first, last, [&](std::size_t begin, std::size_t end, bool fresh) {
                // The inputs that the filter sees begin at most width - 1 steps earlier.
                std::size_t origin = begin;
                while (!fresh && origin > 0 && begin - origin + 1 < f.width &&
                       !context.resets_at(b, origin))
                    --origin;
                const bool continues = origin == 0 && !context.resets_at(b, 0);
                const std::size_t offset = origin * f.channels;
                const T* x = u.sequence(b).data() + offset;
                detail::depthwise_stretch<T>(
                    f, {x, continues ? detail::window_of(f, window, b) : nullptr},
                    y.sequence(b).data() + offset, begin - origin, end - origin);
            });
    });
    detail::clear_padding(y, context);
}

/// Moves `window` on: what it is in front of the step behind the last valid one.
template <class T>
void depthwise_advance(const Depthwise<T>& f, BatchView<const T> u, T* window,
                       const Context& context) {
    const std::size_t behind = f.width - 1;
    const auto remembered_steps = [&](std::size_t b, std::size_t valid) {
        std::size_t back = 1;
        while (back <= valid && !context.resets_at(b, valid - back))
            ++back;
        return back <= valid ? back : valid + behind;
    };
    for (std::size_t b = 0; b < u.batch(); ++b) {
        const std::size_t valid = context.valid_length(b, u.length());
        T* rows = detail::window_of(f, window, b);
        const std::size_t kept = remembered_steps(b, valid);
        for (std::size_t r = 0; r < behind; ++r) {
            T* row = rows + r * f.channels;
            const std::size_t back = behind - r;  // steps from this row to the next input
            if (back > kept)
                std::fill_n(row, f.channels, T(0));
            else if (back > valid)
                std::copy_n(row + valid * f.channels, f.channels, row);
            else
                std::copy_n(u.row(b, valid - back).data(), f.channels, row);
        }
    }
}

/// One step of `batch` streams: u and y (batch, channels); moves the window on.
template <class T>
void depthwise_step(const Depthwise<T>& f, std::span<const T> u, std::span<T> y,
                    T* window) noexcept {
    const std::size_t behind = f.width - 1;
    for (std::size_t b = 0; b * f.channels < u.size(); ++b) {
        T* rows = detail::window_of(f, window, b);
        simd::for_each_pack<T>(f.channels, [&](auto lanes, std::size_t h) {
            const auto tap = [&](std::size_t k) {
                return lanes.load(f.weight + k * f.channels + h);
            };
            simd::Pack<T> sum = f.bias == nullptr ? simd::Pack<T>(T(0)) : lanes.load(f.bias + h);
            for (std::size_t k = 0; k < behind; ++k) {
                const simd::Pack<T> x = lanes.load(rows + k * f.channels + h);
                sum = simd::fma(x, tap(k), sum);
                if (k > 0)
                    lanes.store(rows + (k - 1) * f.channels + h, x);
            }
            const simd::Pack<T> x = lanes.load(u.data() + b * f.channels + h);
            sum = simd::fma(x, tap(behind), sum);
            if (behind > 0)
                lanes.store(rows + (behind - 1) * f.channels + h, x);
            lanes.store(y.data() + b * f.channels + h, f.silu ? math::Silu{}(sum) : sum);
        });
    }
}

/// Adjoint of `depthwise_forward`: overwrites du (empty: not wanted), adds to dweight, and to dbias and
/// dwindow unless they are null.
///
/// Cost      the forward again (with silu) and twice as much; one pass over u, dy and du
/// Threads   cut into sequences and blocks of channels; the sums of sequences are added in order
template <class T>
void depthwise_backward(const Depthwise<T>& f, BatchView<const T> u, BatchView<const T> dy,
                        BatchView<T> du, const T* window, T* dweight, T* dbias, T* dwindow,
                        const Context& context) {
    constexpr std::size_t block = 128;  // channels of a task: half a kilobyte of a row in float
    const std::size_t blocks = (f.channels + block - 1) / block;
    const std::size_t size = (f.width + 1) * f.channels;  // dweight and dbias of a sequence
    const std::size_t scratch_size = block * detail::depthwise_scratch(f);
    const Workspace::Frame frame = context.workspace.frame();
    const std::span<T> sums = context.workspace.take_zero<T>(u.batch() * size);
    const std::span<T> scratch = context.workspace.take<T>(threads() * scratch_size);
    parallel_for(u.batch() * blocks, [&](std::size_t task, std::size_t worker) {
        const std::size_t b = task / blocks;
        const std::size_t low = task % blocks * block;
        T* sum = sums.data() + b * size;
        detail::for_each_segment(
            context, b, 0, context.valid_length(b, u.length()),
            [&](std::size_t begin, std::size_t end, bool fresh) {
                const bool continues = begin == 0 && !fresh;
                const std::size_t offset = (b * u.length() + begin) * f.channels;
                detail::depthwise_adjoint<T>(
                    f, {u.data() + offset, continues ? detail::window_of(f, window, b) : nullptr},
                    dy.data() + offset, end - begin,
                    {du.empty() ? nullptr : du.data() + offset, sum, sum + f.width * f.channels,
                     continues ? detail::window_of(f, dwindow, b) : nullptr},
                    scratch.data() + worker * scratch_size, low, std::min(low + block, f.channels));
            });
    });
    for (std::size_t b = 0; b < u.batch(); ++b) {
        const T* sum = sums.data() + b * size;
        for (std::size_t i = 0; i < f.width * f.channels; ++i)
            dweight[i] += sum[i];
        for (std::size_t h = 0; h < f.channels && dbias != nullptr; ++h)
            dbias[h] += sum[f.width * f.channels + h];
    }
    if (!du.empty())
        detail::clear_padding(du, context);
}

}  // namespace ssm
