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
    // Silu keeps so many constants in registers that it leaves room for two vectors only.
    const std::size_t packs = f.silu ? 2 : 4;
    const std::size_t strip = packs * simd::width<T>;
    for (std::size_t t = begin; t < end; t += depthwise_tile) {
        const std::size_t tile_end = std::min(end, t + depthwise_tile);
        std::size_t h = 0;
        for (; h + strip <= f.channels; h += strip) {
            if (f.silu)
                depthwise_dispatch<2>(f, in.x, y, t, tile_end, h, simd::AllLanes<T>{});
            else
                depthwise_dispatch<4>(f, in.x, y, t, tile_end, h, simd::AllLanes<T>{});
        }
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

/// Adjoint of steps begin .. end - 1, at most a tile, for one vector of channels. `g` holds the gradient before f:
/// of the steps behind the tile on entry, in its first width - 1 vectors, and of the tile on return.
template <std::size_t width, class T, class Lanes>
SSM_INLINE void depthwise_adjoint_steps(const Depthwise<T>& f, DepthwiseInput<T> in, const T* dy,
                                        std::size_t begin, std::size_t end, DepthwiseGradient<T> to,
                                        T* g, std::size_t h, Lanes lanes) noexcept {
    using Pack = simd::Pack<T>;
    constexpr std::size_t w = simd::width<T>;
    constexpr std::size_t held = width > 0 ? width : 1;
    const std::size_t taps = width > 0 ? width : f.width;
    const std::size_t count = end - begin;
    std::copy_backward(g, g + (taps - 1) * w, g + (count + taps - 1) * w);

    Pack weight[held];
    Pack weight_sum[held];
    for (std::size_t k = 0; k < width; ++k) {
        weight[k] = lanes.load(f.weight + k * f.channels + h);
        weight_sum[k] = lanes.load(to.dweight + k * f.channels + h);
    }
    const auto tap = [&](std::size_t k) {
        return width > 0 ? weight[k] : lanes.load(f.weight + k * f.channels + h);
    };
    Pack bias_sum(T(0));
    for (std::size_t i = 0; i < count; ++i) {
        const T* rows[held];  // the inputs of this step, null for zeros
        for (std::size_t k = 0; k < width; ++k)
            rows[k] = in.before(begin + i, taps - 1 - k, f);
        Pack d = lanes.load(dy + (begin + i) * f.channels + h);
        if (f.silu)
            d *= math::Silu{}.derivative(depthwise_sum(f, in, begin + i, h, lanes));
        bias_sum += d;
        simd::store(g + i * w, d);
        for (std::size_t k = 0; k < width; ++k)
            if (rows[k] != nullptr)
                weight_sum[k] = simd::fma(lanes.load(rows[k] + h), d, weight_sum[k]);
        for (std::size_t k = width; k < taps; ++k)
            if (const T* row = in.before(begin + i, taps - 1 - k, f)) {
                T* sum = to.dweight + k * f.channels + h;
                lanes.store(sum, simd::fma(lanes.load(row + h), d, lanes.load(sum)));
            }
    }
    for (std::size_t k = 0; k < width; ++k)
        lanes.store(to.dweight + k * f.channels + h, weight_sum[k]);
    if (to.dbias != nullptr)
        lanes.store(to.dbias + h, lanes.load(to.dbias + h) + bias_sum);
    if (to.dx != nullptr)
        for (std::size_t i = 0; i < count; ++i) {
            Pack sum(T(0));
            for (std::size_t j = 0; j < taps; ++j)
                sum = simd::fma(simd::load(g + (i + j) * w), tap(taps - 1 - j), sum);
            lanes.store(to.dx + (begin + i) * f.channels + h, sum);
        }
}

/// Vectors of scratch for one vector of channels.
template <class T>
[[nodiscard]] std::size_t depthwise_scratch(const Depthwise<T>& f) noexcept {
    return depthwise_tile + f.width - 1;
}

/// Adjoint of channels low .. high - 1 of a stretch of `steps` steps, from its end to its begin in tiles. `scratch`
/// has `depthwise_scratch` vectors for every vector of channels.
template <class T>
void depthwise_adjoint(const Depthwise<T>& f, DepthwiseInput<T> in, const T* dy, std::size_t steps,
                       DepthwiseGradient<T> to, T* scratch, std::size_t low,
                       std::size_t high) noexcept {
    constexpr std::size_t w = simd::width<T>;
    const std::size_t behind = f.width - 1;
    const auto for_each_vector = [&](auto&& body) {
        simd::for_each_pack<T>(high - low, [&](auto lanes, std::size_t i) {
            body(lanes, low + i, scratch + i * depthwise_scratch(f));
        });
    };
    for_each_vector([&](auto, std::size_t, T* g) { std::fill_n(g, behind * w, T(0)); });
    for (std::size_t end = steps; end > 0;) {
        const std::size_t begin = end - ((end - 1) % depthwise_tile + 1);
        for_each_vector([&](auto lanes, std::size_t h, T* g) {
            if (f.width == 4)
                depthwise_adjoint_steps<4>(f, in, dy, begin, end, to, g, h, lanes);
            else
                depthwise_adjoint_steps<0>(f, in, dy, begin, end, to, g, h, lanes);
        });
        end = begin;
    }
    if (to.dwindow == nullptr)
        return;
    for_each_vector([&](auto lanes, std::size_t h, T* g) {
        for (std::size_t r = 0; r < behind; ++r) {
            T* target = to.dwindow + r * f.channels + h;
            simd::Pack<T> sum = lanes.load(target);
            for (std::size_t j = 0; j <= r; ++j)
                sum = simd::fma(simd::load(g + j * w),
                                lanes.load(f.weight + (r - j) * f.channels + h), sum);
            lanes.store(target, sum);
        }
    });
}

}  // namespace detail

}  // namespace ssm
