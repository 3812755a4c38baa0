#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/math/smooth_activations.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>

namespace ssm {

/// A causal filter of its own for every channel:
///
///   y_t = f(bias + sum_k weight_k u_{t - width + 1 + k}),   f(x) = x or silu(x)
///
/// Shapes    weight (width, channels), its last row multiplies the present; bias (channels) or null
template <class T>
struct Depthwise {
    std::size_t channels = 0;
    std::size_t width = 0;
    const T* weight = nullptr;
    const T* bias = nullptr;
    bool silu = false;
};

namespace detail {

/// Steps of a tile: what a tile reads and writes of a few vectors of channels stays in the level 1 cache.
inline constexpr std::size_t depthwise_tile = 32;

/// Input of a stretch of steps and the width - 1 rows before it; `window` null: zeros.
template <class T>
struct DepthwiseInput {
    const T* x;
    const T* window;

    /// Row `t - back`, null for zeros.
    [[nodiscard]] const T* before(std::size_t t, std::size_t back,
                                  const Depthwise<T>& f) const noexcept {
        if (t >= back)
            return x + (t - back) * f.channels;
        return window == nullptr ? nullptr : window + (f.width - 1 + t - back) * f.channels;
    }
};

/// The sum before f at step t; right for every t.
template <class T, class Lanes>
SSM_INLINE simd::Pack<T> depthwise_sum(const Depthwise<T>& f, DepthwiseInput<T> in, std::size_t t,
                                       std::size_t h, Lanes lanes) noexcept {
    simd::Pack<T> sum = f.bias == nullptr ? simd::Pack<T>(T(0)) : lanes.load(f.bias + h);
    for (std::size_t k = 0; k < f.width; ++k)
        if (const T* row = in.before(t, f.width - 1 - k, f))
            sum = simd::fma(lanes.load(row + h), lanes.load(f.weight + k * f.channels + h), sum);
    return sum;
}

/// `packs` neighbouring vectors of channels at steps begin .. end - 1, all of whose inputs are in x. Width 0 stands
/// for f.width; other widths keep the weights in registers.
template <std::size_t width, std::size_t packs, bool silu, class T, class Lanes>
SSM_INLINE void depthwise_steps(const Depthwise<T>& f, const T* x, T* y, std::size_t begin,
                                std::size_t end, std::size_t h, Lanes lanes) noexcept {
    using Pack = simd::Pack<T>;
    constexpr std::size_t held = width > 0 ? width : 1;
    const std::size_t taps = width > 0 ? width : f.width;
    Pack weight[held][packs];
    Pack bias[packs];
    for (std::size_t p = 0; p < packs; ++p) {
        const std::size_t at = h + p * simd::width<T>;
        bias[p] = f.bias == nullptr ? Pack(T(0)) : lanes.load(f.bias + at);
        for (std::size_t k = 0; k < width; ++k)
            weight[k][p] = lanes.load(f.weight + k * f.channels + at);
    }
    for (std::size_t t = begin; t < end; ++t) {
        const T* first = x + (t + 1 - taps) * f.channels + h;
        for (std::size_t p = 0; p < packs; ++p) {
            const std::size_t at = p * simd::width<T>;
            Pack sum = bias[p];
            for (std::size_t k = 0; k < taps; ++k) {
                if constexpr (width > 0)
                    sum = simd::fma(lanes.load(first + k * f.channels + at), weight[k][p], sum);
                else
                    sum = simd::fma(lanes.load(first + k * f.channels + at),
                                    lanes.load(f.weight + k * f.channels + h + at), sum);
            }
            if constexpr (silu)
                sum = math::Silu{}(sum);
            lanes.store(y + t * f.channels + h + at, sum);
        }
    }
}

template <std::size_t packs, class T, class Lanes>
void depthwise_dispatch(const Depthwise<T>& f, const T* x, T* y, std::size_t begin, std::size_t end,
                        std::size_t h, Lanes lanes) noexcept {
    const auto run = [&]<std::size_t width>() {
        if (f.silu)
            depthwise_steps<width, packs, true>(f, x, y, begin, end, h, lanes);
        else
            depthwise_steps<width, packs, false>(f, x, y, begin, end, h, lanes);
    };
    if (f.width == 4)
        run.template operator()<4>();
    else if (f.width == 3)
        run.template operator()<3>();
    else
        run.template operator()<0>();
}

/// Steps begin .. end - 1 of a stretch, all channels.
template <class T>
void depthwise_stretch(const Depthwise<T>& f, DepthwiseInput<T> in, T* y, std::size_t begin,
                       std::size_t end) noexcept {
    for (; begin < end && begin + 1 < f.width; ++begin)
        simd::for_each_pack<T>(f.channels, [&](auto lanes, std::size_t h) {
            const simd::Pack<T> sum = depthwise_sum(f, in, begin, h, lanes);
            lanes.store(y + begin * f.channels + h, f.silu ? math::Silu{}(sum) : sum);
        });
    constexpr std::size_t packs = 4;
    constexpr std::size_t strip = packs * simd::width<T>;
    for (std::size_t t = begin; t < end; t += depthwise_tile) {
        const std::size_t tile_end = std::min(end, t + depthwise_tile);
        std::size_t h = 0;
        for (; h + strip <= f.channels; h += strip)
            depthwise_dispatch<packs>(f, in.x, y, t, tile_end, h, simd::AllLanes<T>{});
        simd::for_each_pack<T>(f.channels - h, [&](auto lanes, std::size_t rest) {
            depthwise_dispatch<1>(f, in.x, y, t, tile_end, h + rest, lanes);
        });
    }
}

/// Where the adjoint of a stretch writes: dx is overwritten (null: not wanted), the others are added to; dbias and
/// dwindow may be null.
template <class T>
struct DepthwiseGradient {
    T* dx;
    T* dweight;
    T* dbias;
    T* dwindow;
};

/// Adjoint of one vector of channels of a stretch of `steps` steps, from its end to its begin in tiles.
/// `g` is scratch of depthwise_tile + width - 1 vectors: the gradient before f of a tile and of the steps behind it.
template <class T, class Lanes>
void depthwise_adjoint(const Depthwise<T>& f, DepthwiseInput<T> in, const T* dy, std::size_t steps,
                       DepthwiseGradient<T> to, T* g, std::size_t h, Lanes lanes) noexcept {
    using Pack = simd::Pack<T>;
    constexpr std::size_t w = simd::width<T>;
    const std::size_t behind = f.width - 1;
    std::fill_n(g, (depthwise_tile + behind) * w, T(0));
    const auto tap = [&](std::size_t k) { return lanes.load(f.weight + k * f.channels + h); };
    // Gradient of the input at the step that row `row` of g stands for; rows before 0 are zero.
    const auto input_gradient = [&](std::size_t row, std::size_t skipped) {
        Pack sum(T(0));
        for (std::size_t j = skipped; j <= behind; ++j)
            sum = simd::fma(simd::load(g + (row + j - skipped) * w), tap(behind - j), sum);
        return sum;
    };
    for (std::size_t end = steps; end > 0;) {
        const std::size_t count = (end - 1) % depthwise_tile + 1;
        const std::size_t begin = end - count;
        if (end < steps)  // the previous tile's first rows are what follows this one
            std::copy_backward(g, g + behind * w, g + (count + behind) * w);
        Pack bias_sum(T(0));
        for (std::size_t i = 0; i < count; ++i) {
            Pack d = lanes.load(dy + (begin + i) * f.channels + h);
            if (f.silu)
                d *= math::Silu{}.derivative(depthwise_sum(f, in, begin + i, h, lanes));
            bias_sum += d;
            simd::store(g + i * w, d);
        }
        for (std::size_t k = 0; k < f.width; ++k) {
            T* target = to.dweight + k * f.channels + h;
            Pack sum = lanes.load(target);
            for (std::size_t i = 0; i < count; ++i)
                if (const T* row = in.before(begin + i, behind - k, f))
                    sum = simd::fma(lanes.load(row + h), simd::load(g + i * w), sum);
            lanes.store(target, sum);
        }
        if (to.dbias != nullptr)
            lanes.store(to.dbias + h, lanes.load(to.dbias + h) + bias_sum);
        if (to.dx != nullptr)
            for (std::size_t i = 0; i < count; ++i)
                lanes.store(to.dx + (begin + i) * f.channels + h, input_gradient(i, 0));
        end = begin;
    }
    if (to.dwindow != nullptr)
        for (std::size_t r = 0; r < behind; ++r) {
            T* target = to.dwindow + r * f.channels + h;
            lanes.store(target, lanes.load(target) + input_gradient(0, behind - r));
        }
}

}  // namespace detail

}  // namespace ssm
