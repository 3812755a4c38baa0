#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/config.hpp>
#include <ssm/core/context.hpp>
#include <ssm/scan/segments.hpp>
#include <ssm/scan/selective_ahead.hpp>
#include <ssm/scan/selective_blocks.hpp>
#include <ssm/scan/selective_coefficients.hpp>
#include <ssm/scan/selective_number.hpp>
#include <ssm/scan/selective_system.hpp>
#include <ssm/scan/selective_tile.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/sigmoid.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// What is kept of a step of one vector of channels in the level 1 cache: dt, dt u and y, a vector each, next to each
/// other.
inline constexpr std::size_t selective_forward_rows = 3;

/// Steps begin .. end - 1 of one vector of channels, all modes: y += weight Re sum_n C h. `pause(n)` is called before
/// each group of modes.
template <class Number, class Discretization, class Maps, class T, class Pause>
void selective_states(SelectiveMapRows<T> B, SelectiveMapRows<T> C, const T* rates, T* rows,
                      std::size_t begin, std::size_t end, std::size_t modes, T* states,
                      Pause&& pause) noexcept {
    using V = typename SelectiveVector<Number>::Vector;
    using P = simd::Pack<T>;
    constexpr std::size_t w = simd::width<T>;
    constexpr std::size_t vector = SelectiveLayout<Number>::vector;
    constexpr std::size_t group = Maps::group;
    for (std::size_t n = 0; n < modes; n += group) {
        pause(n);
        V h[group];
        V rate[group];
        simd::unroll<group>([&](auto i) SSM_INLINE_LAMBDA {
            h[i] = load_vector<V>(states + (n + i) * vector);
            rate[i] = load_vector<V>(rates + (n + i) * vector);
        });
        for (std::size_t t = begin; t < end; ++t) {
            T* const row = rows + t * selective_forward_rows * w;
            const P dt = simd::load_aligned(row);
            const P dtu = simd::load_aligned(row + w);
            V decay[group];
            V input[group];
            simd::unroll<group>([&](auto i) SSM_INLINE_LAMBDA {
                input[i] = Maps::template at<V>(B, t, n + i) * dtu;
                if constexpr (Discretization::has_gain) {
                    const auto d = Discretization::decay_and_gain(rate[i] * dt);
                    decay[i] = d.exp;
                    input[i] *= d.phi1;
                } else {
                    decay[i] = Discretization::decay(rate[i] * dt);
                }
            });
            P sum[2] = {simd::load_aligned(row + 2 * w), P(T(0))};
            simd::unroll<group>([&](auto i) SSM_INLINE_LAMBDA {
                h[i] = simd::fma(decay[i], h[i], input[i]);
                sum[i % 2] = real_fma(Maps::template at<V>(C, t, n + i), h[i], sum[i % 2]);
            });
            simd::store_aligned(row + 2 * w, sum[0] + sum[1]);
        }
        simd::unroll<group>(
            [&](auto i) SSM_INLINE_LAMBDA { store_vector(states + (n + i) * vector, h[i]); });
    }
}

/// Forward through one block of channels of one sequence: a few steps of all its tiles, then the next steps. So the
/// rows of the input are read one after the other, and each tile can ask for what the next one will read.
template <class Number, class Discretization, class Maps>
class SelectiveForwardBlock {
    using T = RealOfNumber<Number>;
    using P = simd::Pack<T>;
    using Layout = SelectiveLayout<Number>;
    using Blocks = SelectiveBlocks<Number>;
    using Coefficients = SelectiveCoefficients<Number, Discretization>;
    static constexpr std::size_t w = simd::width<T>;
    static constexpr std::size_t packs = SelectiveTiles<Number>::packs;
    static constexpr std::size_t row = selective_forward_rows * w;
    using Ahead = SelectiveAhead<T, 4>;

public:
    /// Scratch numbers of one task.
    [[nodiscard]] static std::size_t scratch(const Blocks& blocks) noexcept {
        return Coefficients::scratch(blocks.layout, blocks.vectors) +
               blocks.vectors * blocks.layout.state() + packs * selective_steps * row;
    }

    SelectiveForwardBlock(const SelectiveSystem<Number>& system,
                          const SelectiveInput<Number>& input, BatchView<T> y, const Blocks& blocks,
                          std::size_t block, SelectivePieces<T> piece) noexcept
        : system_(system),
          input_(input),
          y_(y),
          layout_(blocks.layout),
          first_(blocks.tiles.begin(blocks.first_tile(block))),
          count_(blocks.channels(block)),
          coefficients_(system, input, layout_, blocks.tiles.sections,
                        {first_, count_, blocks.section(block)}, blocks.vectors, piece),
          states_(piece(blocks.vectors * layout_.state())),
          rows_(piece(packs * selective_steps * row)) {}

    /// Steps of one sequence; `state` (modes, channels) or null; the checkpoints of tile i of this block are at
    /// checkpoints + i tile_stride, or null.
    void run(std::size_t b, Number* state, T* checkpoints, std::size_t tile_stride,
             const Context& context) noexcept {
        coefficients_.load_state(state, states_);
        const std::size_t valid = context.valid_length(b, y_.length());
        for (std::size_t begin = 0; begin < valid; begin += selective_steps) {
            const std::size_t end = std::min(begin + selective_steps, valid);
            coefficients_.load_maps(b * y_.length() + begin, end - begin);
            for (std::size_t p = 0; p * w < count_; p += packs) {
                const auto checkpoint = [&](std::size_t q, std::size_t step) {
                    return checkpoints + q / packs * tile_stride +
                           step / selective_steps * packs * layout_.state();
                };
                const bool is_last = (p + packs) * w >= count_;
                const std::size_t next_p = is_last ? 0 : p + packs;
                const std::size_t next_step = is_last ? end : begin;
                Ahead ahead{{input_.u.data(), input_.delta.data(), input_.z.data(), y_.data()},
                            system_.channels,
                            (b * y_.length() + next_step) * system_.channels + first_ + next_p * w};
                if (checkpoints != nullptr) {
                    std::copy_n(states_ + p * layout_.state(), packs * layout_.state(),
                                checkpoint(p, begin));
                    ahead.states = checkpoint(next_p, next_step);
                    ahead.states_size = layout_.state();
                }
                run_tile(p, b, begin, end, ahead, context);
            }
        }
        if (state != nullptr)
            coefficients_.store_state(states_, state);
    }

private:
    /// Steps begin .. end - 1 of the tile that begins with vector p.
    void run_tile(std::size_t p, std::size_t b, std::size_t begin, std::size_t end, Ahead ahead,
                  const Context& context) noexcept {
        const std::size_t channels = std::min(packs * w, count_ - p * w);
        const std::size_t at = (b * y_.length() + begin) * system_.channels + first_ + p * w;
        prepare(at, first_ + p * w, end - begin, channels);
        for_each_segment(context, b, begin, end, [&](std::size_t from, std::size_t to, bool fresh) {
            if (fresh)
                std::fill_n(states_ + p * layout_.state(), packs * layout_.state(), T(0));
            for (std::size_t i = 0; i * w < channels; ++i)
                advance(p, i, from - begin, to - begin, ahead);
        });
        finish(at, end - begin, channels);
    }

    /// dt, dt u and D u of the steps from number `at` on. Exponentials go before, in a loop of their own: see
    /// `exp_minus_abs`.
    void prepare(std::size_t at, std::size_t channel, std::size_t steps,
                 std::size_t channels) noexcept {
        const SelectiveTimestep<T> timestep{system_.softplus};
        simd::for_each_pack<T>(channels, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const auto weight = [&](const T* data) {
                return data == nullptr ? P(T(0)) : lanes.load(data + channel + i);
            };
            const P bias = weight(system_.delta_bias);
            const P skip = weight(system_.D);
            T* const rows = rows_ + i * selective_steps * selective_forward_rows;
            for (std::size_t t = 0; t < steps; ++t) {
                const P raw =
                    lanes.load(input_.delta.data() + at + t * system_.channels + i) + bias;
                simd::store_aligned(rows + t * row, raw);
                if (system_.softplus)
                    simd::store_aligned(rows + t * row + w, simd::exp_minus_abs(raw));
            }
            for (std::size_t t = 0; t < steps; ++t) {
                T* const to = rows + t * row;
                const P x = lanes.load(input_.u.data() + at + t * system_.channels + i);
                const P e = system_.softplus ? simd::load_aligned(to + w) : P(T(0));
                const P dt = timestep(simd::load_aligned(to), e);
                simd::store_aligned(to, dt);
                simd::store_aligned(to + w, dt * x);
                simd::store_aligned(to + 2 * w, skip * x);
            }
        });
    }

    /// Steps of vector i of the tile that begins with vector p; asks for vector i of the next tile.
    void advance(std::size_t p, std::size_t i, std::size_t begin, std::size_t end,
                 Ahead ahead) noexcept {
        ahead.at += i * w;
        if (ahead.states != nullptr)
            ahead.states += i * layout_.state();
        selective_states<Number, Discretization, Maps, T>(
            coefficients_.B(p + i), coefficients_.C(p + i), coefficients_.rates(p + i),
            rows_ + i * selective_steps * row, begin, end, layout_.modes,
            states_ + (p + i) * layout_.state(), [&](std::size_t n) SSM_INLINE_LAMBDA {
                ahead.ask(n / Maps::group, layout_.modes / Maps::group);
            });
    }

    /// Gates and writes the output.
    void finish(std::size_t at, std::size_t steps, std::size_t channels) noexcept {
        const T* const z = input_.z.data();
        simd::for_each_pack<T>(channels, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            T* const rows = rows_ + i * selective_steps * selective_forward_rows;
            if (z != nullptr)
                for (std::size_t t = 0; t < steps; ++t)
                    simd::store_aligned(
                        rows + t * row,
                        simd::exp_minus_abs(lanes.load(z + at + t * system_.channels + i)));
            for (std::size_t t = 0; t < steps; ++t) {
                const std::size_t to = at + t * system_.channels + i;
                P value = simd::load_aligned(rows + t * row + 2 * w);
                if (z != nullptr)
                    value *=
                        SelectiveGate<T>(lanes.load(z + to), simd::load_aligned(rows + t * row))
                            .value();
                lanes.store(y_.data() + to, value);
            }
        });
    }

    const SelectiveSystem<Number>& system_;
    const SelectiveInput<Number>& input_;
    BatchView<T> y_;
    const Layout& layout_;
    std::size_t first_;
    std::size_t count_;
    Coefficients coefficients_;
    T* states_;
    T* rows_;
};

}  // namespace ssm::detail
