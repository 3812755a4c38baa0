#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/aligned.hpp>
#include <ssm/scan/dplr_tile.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// `DplrSteps` for rank 1, some steps at a time. Step after step every state and coefficient would pass through the
/// first-level cache, because the feedback w of a step needs all modes. In a block it is known beforehand:
///
///   w_s = free_s + sum_{j<s} (Re q z^{s-1-j} b) u_j - (Re q z^{s-1-j} p) w_j      free_s = Re q z^s x
///
/// So first all modes run freely, a few at a time in registers, then w follows from sums over the block, and then
/// the modes run again, with their inputs: 16 multiply-adds instead of 12, and half of the time.
template <class T, bool has_input, class Arch = simd::Arch>
class DplrBlocks {
    using Pack = simd::Pack<T>;
    using Number = LaneNumber<T>;
    static constexpr std::size_t lanes = line<T>;
    static constexpr std::size_t pair = 2 * lanes;
    static constexpr std::size_t block = dplr_block;
    static constexpr std::size_t free_modes = simd::registers == 32 ? 4 : 2;
    static constexpr std::size_t driven_modes = simd::registers == 32 ? 2 : 1;

public:
    DplrBlocks(const DplrBank<T>& bank, std::size_t tile) noexcept
        : modes_(bank.shape().modes),
          heads_(bank.shape().heads),
          coefficients_(bank.tile(tile)),
          taps_(bank.taps(tile)),
          stride_(bank.stride()) {}

    void run(const T* u, std::size_t steps, T* y, std::size_t y_stride, T* state) const noexcept {
        for (std::size_t first = 0; first < steps; first += block)
            for (std::size_t lane = 0; lane < lanes; lane += simd::width<T>)
                run_block(lane, has_input ? u + first * lanes + lane : nullptr,
                          std::min(block, steps - first), y + first * lanes + lane, y_stride,
                          state + lane);
    }

private:
    SSM_INLINE void run_block(std::size_t lane, const T* u, std::size_t steps, T* y,
                              std::size_t y_stride, T* state) const noexcept {
        alignas(alignment) T w[block * simd::width<T>];
        std::fill_n(w, steps * simd::width<T>, T(0));
        std::size_t n = 0;
        for (; n + free_modes <= modes_; n += free_modes)
            run_freely<free_modes>(n, lane, steps, state, w);
        for (; n < modes_; ++n)
            run_freely<1>(n, lane, steps, state, w);
        feed_back(taps_ + lane, u, steps, w);
        for (std::size_t head = 0; head < heads_; ++head)
            for (std::size_t t = 0; t < steps; ++t)
                simd::store_aligned(y + head * y_stride + t * lanes, Pack(T(0)));
        n = 0;
        for (; n + driven_modes <= modes_; n += driven_modes)
            drive<driven_modes>(n, lane, u, w, steps, y, y_stride, state);
        for (; n < modes_; ++n)
            drive<1>(n, lane, u, w, steps, y, y_stride, state);
    }

    [[nodiscard]] SSM_INLINE const T* of_mode(std::size_t n, std::size_t lane) const noexcept {
        return coefficients_ + n * stride_ + lane;
    }
    /// z x from z - 1, where only differences from 1 are rounded.
    SSM_INLINE static Number advance(Number z_1, Number x, Number add) noexcept {
        return {simd::fma(z_1.re, x.re, x.re) + simd::fnma(z_1.im, x.im, add.re),
                simd::fma(z_1.re, x.im, x.im) + simd::fma(z_1.im, x.re, add.im)};
    }

    template <std::size_t count>
    SSM_INLINE void run_freely(std::size_t n, std::size_t lane, std::size_t steps, const T* state,
                               T* w) const noexcept {
        Number z[count], q[count], x[count];
        simd::unroll<count>([&](auto i) SSM_INLINE_LAMBDA {
            z[i] = load_lanes(of_mode(n + i, lane));
            q[i] = load_lanes(of_mode(n + i, lane) + 3 * pair);
            x[i] = load_lanes(state + (n + i) * pair);
        });
        const Number none{Pack(T(0)), Pack(T(0))};
        for (std::size_t t = 0; t < steps; ++t) {
            Pack even = simd::load_aligned(w + t * simd::width<T>);
            Pack odd(T(0));
            simd::unroll<count>([&](auto i) SSM_INLINE_LAMBDA {
                Pack& sum = i % 2 == 0 ? even : odd;
                sum = simd::real_fma(q[i], x[i], sum);
                x[i] = advance(z[i], x[i], none);
            });
            simd::store_aligned(w + t * simd::width<T>, even + odd);
        }
    }

    /// From the free response to w: each w, once known, goes to all later ones.
    SSM_INLINE static void feed_back(const T* taps, const T* u, std::size_t steps, T* w) noexcept {
        for (std::size_t j = 0; j + 1 < steps; ++j) {
            const Pack known = simd::load_aligned(w + j * simd::width<T>);
            const Pack input = has_input ? simd::load_aligned(u + j * lanes) : Pack(T(0));
            for (std::size_t s = j + 1; s < steps; ++s) {
                const T* const tap = taps + (s - 1 - j) * pair;
                Pack later = simd::load_aligned(w + s * simd::width<T>);
                if constexpr (has_input)
                    later = simd::fma(simd::load_aligned(tap), input, later);
                simd::store_aligned(w + s * simd::width<T>,
                                    simd::fnma(simd::load_aligned(tap + lanes), known, later));
            }
        }
    }

    template <std::size_t count>
    SSM_INLINE void drive(std::size_t n, std::size_t lane, const T* u, const T* w,
                          std::size_t steps, T* y, std::size_t y_stride, T* state) const noexcept {
        Number z[count], b[count], p[count], c[count], x[count];
        simd::unroll<count>([&](auto i) SSM_INLINE_LAMBDA {
            const T* const from = of_mode(n + i, lane);
            z[i] = load_lanes(from);
            if constexpr (has_input)
                b[i] = load_lanes(from + pair);
            p[i] = load_lanes(from + 2 * pair);
            c[i] = load_lanes(from + 4 * pair);
            x[i] = load_lanes(state + (n + i) * pair);
        });
        for (std::size_t t = 0; t < steps; ++t) {
            const Pack feedback = simd::load_aligned(w + t * simd::width<T>);
            Pack sum = simd::load_aligned(y + t * lanes);
            simd::unroll<count>([&](auto i) SSM_INLINE_LAMBDA {
                Number add{-(p[i].re * feedback), -(p[i].im * feedback)};
                if constexpr (has_input)
                    add = simd::fma(b[i], simd::load_aligned(u + t * lanes), add);
                x[i] = advance(z[i], x[i], add);
                sum = simd::real_fma(c[i], x[i], sum);
            });
            simd::store_aligned(y + t * lanes, sum);
            for (std::size_t head = 1; head < heads_; ++head) {
                T* const out = y + head * y_stride + t * lanes;
                Pack other = simd::load_aligned(out);
                simd::unroll<count>([&](auto i) SSM_INLINE_LAMBDA {
                    other = simd::real_fma(load_lanes(of_mode(n + i, lane) + (4 + head) * pair),
                                           x[i], other);
                });
                simd::store_aligned(out, other);
            }
        }
        simd::unroll<count>([&](auto i)
                                SSM_INLINE_LAMBDA { store_lanes(state + (n + i) * pair, x[i]); });
    }

    std::size_t modes_, heads_;
    const T* coefficients_;
    const T* taps_;
    std::size_t stride_;
};

/// Steps of one tile, by the rank of the system. Shapes as in `DplrSteps`.
template <class T, bool has_input, class Arch = simd::Arch>
void dplr_steps(const DplrBank<T>& bank, std::size_t tile, const T* u, std::size_t steps, T* y,
                std::size_t y_stride, T* state) noexcept {
    if (bank.shape().rank == 1)
        DplrBlocks<T, has_input>(bank, tile).run(u, steps, y, y_stride, state);
    else
        DplrSteps<T, 0, has_input>(bank.shape(), bank.tile(tile), bank.stride())
            .run(u, steps, y, y_stride, state);
}

}  // namespace ssm::detail
