#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/batch.hpp>
#include <ssm/core/config.hpp>
#include <ssm/core/context.hpp>
#include <ssm/scan/selective_adjoint.hpp>
#include <ssm/scan/selective_ahead.hpp>
#include <ssm/scan/selective_blocks.hpp>
#include <ssm/scan/selective_coefficients.hpp>
#include <ssm/scan/selective_number.hpp>
#include <ssm/scan/selective_system.hpp>
#include <ssm/scan/selective_tile.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/sigmoid.hpp>
#include <ssm/simd/transpose.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// Backward through one block of channels of one sequence.
template <class Number, class Discretization, class Maps>
class SelectiveBackwardBlock {
    using T = RealOfNumber<Number>;
    using P = simd::Pack<T>;
    using V = typename SelectiveVector<Number>::Vector;
    using Layout = SelectiveLayout<Number>;
    using Blocks = SelectiveBlocks<Number>;
    using Coefficients = SelectiveCoefficients<Number, Discretization>;
    static constexpr std::size_t w = simd::width<T>;
    using Adjoint = SelectiveAdjoint<Number, Discretization, Maps>;
    using Ahead = SelectiveAhead<T, 7>;
    static constexpr T weight = SelectiveVector<Number>::weight;

public:
    /// Scratch numbers of one task.
    [[nodiscard]] static std::size_t scratch(const Blocks& blocks) noexcept {
        const Layout& layout = blocks.layout;
        return Coefficients::scratch(layout, blocks.vectors) + blocks.vectors * layout.state() +
               Adjoint::rows_size + Adjoint::kept_size +
               selective_steps * (2 * layout.state() + layout.map());
    }

    SelectiveBackwardBlock(const SelectiveSystem<Number>& system,
                           const SelectiveInput<Number>& input,
                           const SelectiveGradient<Number>& gradient, const Blocks& blocks,
                           std::size_t block, const SelectiveResult<T>& result,
                           SelectivePieces<T> piece) noexcept
        : system_(system),
          input_(input),
          gradient_(gradient),
          layout_(blocks.layout),
          result_(result),
          first_(blocks.tiles.begin(blocks.first_tile(block))),
          count_(blocks.channels(block)),
          coefficients_(system, input, layout_, blocks.tiles.sections,
                        {first_, count_, blocks.section(block)}, blocks.vectors, piece),
          carry_(piece(blocks.vectors * layout_.state())) {
        rows_ = piece(Adjoint::rows_size);
        kept_ = piece(Adjoint::kept_size);
        B_sums_ = piece(selective_steps * layout_.state());
        C_sums_ = piece(selective_steps * layout_.state());
        lane_sums_ = piece(selective_steps * layout_.map());
        std::fill_n(result_.A, blocks.vectors * (3 * layout_.state() + 2 * w), T(0));
    }

    /// All steps of sequence b; the checkpoints of tile i of this block are at checkpoints + i tile_stride.
    void run(std::size_t b, BatchView<const T> dy, const T* checkpoints, std::size_t tile_stride,
             const Context& context) noexcept {
        Number* const state = gradient_.state == nullptr
                                  ? nullptr
                                  : gradient_.state + b * system_.modes * system_.channels;
        coefficients_.load_state(state, carry_);
        const std::size_t valid = context.valid_length(b, dy.length());
        for (std::size_t end = valid; end > 0;) {
            const std::size_t begin = end - ((end - 1) % selective_steps + 1);
            run_tile(b, begin, end, dy, checkpoints, tile_stride, context);
            end = begin;
        }
        if (state != nullptr)
            coefficients_.store_state(carry_, state);
    }

private:
    void run_tile(std::size_t b, std::size_t begin, std::size_t end, BatchView<const T> dy,
                  const T* checkpoints, std::size_t tile_stride, const Context& context) noexcept {
        const std::size_t row = b * dy.length() + begin;
        const std::size_t steps = end - begin;
        const std::size_t packs = Blocks::packs;
        coefficients_.load_maps(row, steps);
        std::fill_n(B_sums_, selective_steps * layout_.state(), T(0));
        std::fill_n(C_sums_, selective_steps * layout_.state(), T(0));
        const auto checkpoint = [&](std::size_t p, std::size_t step) {
            return checkpoints + p / packs * tile_stride +
                   (step / selective_steps * packs + p % packs) * layout_.state();
        };
        for (std::size_t p = 0; p * w < count_; ++p) {
            const std::size_t channels = std::min(w, count_ - p * w);
            const bool is_last = (p + 1) * w >= count_;
            const std::size_t next_p = is_last ? 0 : p + 1;
            const std::size_t next_step = is_last && begin > 0 ? begin - selective_steps : begin;
            const Ahead ahead{
                {input_.u.data(), input_.delta.data(), input_.z.data(), dy.data(),
                 gradient_.u.data(), gradient_.delta.data(), gradient_.z.data()},
                system_.channels,
                (b * dy.length() + next_step) * system_.channels + first_ + next_p * w,
                checkpoint(next_p, next_step),
                layout_.state()};
            prepare(row, steps, first_ + p * w, channels, dy.data());
            go_back(p, b, begin, end, checkpoint(p, begin), ahead, context);
            finish(p, row, steps, first_ + p * w, channels);
        }
        sum_channels(input_.B, B_sums_, begin, steps, T(1), result_.B_rows);
        sum_channels(input_.C, C_sums_, begin, steps, weight, result_.C_rows);
    }

    /// Loads what a vector of channels needs. Exponentials go before, in a loop of their own: see `exp_minus_abs`.
    void prepare(std::size_t row, std::size_t steps, std::size_t channel, std::size_t channels,
                 const T* dy) noexcept {
        const SelectiveTimestep<T> timestep{system_.softplus};
        const T* const z = input_.z.data();
        simd::for_each_pack<T>(channels, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const P bias = weight_of(lanes, system_.delta_bias, channel + i);
            const P skip = weight_of(lanes, system_.D, channel + i);
            const auto place = [&](std::size_t t, SelectiveRow which)
                                   SSM_INLINE_LAMBDA { return rows_ + Adjoint::row(t, which); };
            for (std::size_t t = 0; t < steps; ++t) {
                const std::size_t at = (row + t) * system_.channels + channel + i;
                const P raw = lanes.load(input_.delta.data() + at) + bias;
                simd::store_aligned(place(t, row_dt), raw);
                if (system_.softplus)
                    simd::store_aligned(place(t, row_slope), simd::exp_minus_abs(raw));
                if (z != nullptr)
                    simd::store_aligned(place(t, row_dgate),
                                        simd::exp_minus_abs(lanes.load(z + at)));
            }
            for (std::size_t t = 0; t < steps; ++t) {
                const std::size_t at = (row + t) * system_.channels + channel + i;
                const auto keep = [&](SelectiveRow which, P value) SSM_INLINE_LAMBDA {
                    simd::store_aligned(place(t, which), value);
                };
                const P x = lanes.load(input_.u.data() + at);
                const P raw = simd::load_aligned(place(t, row_dt));
                const P e = system_.softplus ? simd::load_aligned(place(t, row_slope)) : P(T(0));
                const P dt = timestep(raw, e);
                P g = lanes.load(dy + at);
                P dgate(T(0));
                if (z != nullptr) {
                    const SelectiveGate<T> gate(lanes.load(z + at),
                                                simd::load_aligned(place(t, row_dgate)));
                    dgate = g * gate.derivative();
                    g *= gate.value();
                }
                keep(row_dt, dt);
                keep(row_slope, timestep.derivative(raw, e));
                keep(row_dtu, dt * x);
                keep(row_dy, g);
                keep(row_dgate, dgate);
                keep(row_y, skip * x);
                keep(row_du_by_dt, P(T(0)));
                keep(row_ddt_by_rate, P(T(0)));
                if constexpr (Discretization::has_gain)
                    keep(row_ddt_by_u, P(T(0)));
            }
        });
    }

    template <class Lanes>
    [[nodiscard]] SSM_INLINE static P weight_of(Lanes lanes, const T* data,
                                                std::size_t channel) noexcept {
        return data == nullptr ? P(T(0)) : lanes.load(data + channel);
    }

    /// The adjoint between resets, from the last to the first.
    void go_back(std::size_t p, std::size_t b, std::size_t begin, std::size_t end,
                 const T* checkpoint, const Ahead& ahead, const Context& context) noexcept {
        const std::size_t state = p * layout_.state();
        const SelectiveSums<T> sums{result_.A + state,
                                    sums_of(input_.B, result_.B + state, B_sums_),
                                    sums_of(input_.C, result_.C + state, C_sums_)};
        const SelectiveMapRows<T> B = coefficients_.B(p);
        const SelectiveMapRows<T> C = coefficients_.C(p);
        const Adjoint adjoint(B, C, coefficients_.rates(p), rows_, sums, layout_.modes, kept_);
        for (std::size_t last = end; last > begin;) {
            std::size_t first = last - 1;
            while (first > begin && !context.resets_at(b, first))
                --first;
            const bool fresh = context.resets_at(b, first);
            adjoint.run(first - begin, last - begin, fresh ? nullptr : checkpoint, carry_ + state,
                        [&](std::size_t n) SSM_INLINE_LAMBDA {
                            ahead.ask(n / Maps::group, layout_.modes / Maps::group);
                        });
            if (fresh)
                std::fill_n(carry_ + state, layout_.state(), T(0));
            last = first;
        }
    }

    /// The sums over channels have all steps of the modes that are in registers together next to each other: these are
    /// what must stay in the level 1 cache, and steps apart by all modes would share its sets.
    [[nodiscard]] static SelectiveMapSums<T> sums_of(const SelectiveMap<const Number>& map,
                                                     T* over_steps, T* over_channels) noexcept {
        if (map.is_constant())
            return {over_steps, Layout::vector, 0};
        return {over_channels, selective_steps * Layout::vector, Maps::group * Layout::vector};
    }

    /// The gradients of u, delta and z, and the sums for D and the bias.
    void finish(std::size_t p, std::size_t row, std::size_t steps, std::size_t channel,
                std::size_t channels) noexcept {
        const P per_unit(T(1) / static_cast<T>(Discretization::unit(V{})));
        simd::for_each_pack<T>(channels, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const P skip = weight_of(lanes, system_.D, channel + i);
            T* const D_sums = result_.D + p * w + i;
            T* const bias_sums = result_.delta_bias + p * w + i;
            P D_sum = simd::load_aligned(D_sums);
            P bias_sum = simd::load_aligned(bias_sums);
            for (std::size_t t = 0; t < steps; ++t) {
                const std::size_t at = (row + t) * system_.channels + channel + i;
                const auto kept = [&](SelectiveRow which) SSM_INLINE_LAMBDA {
                    return simd::load_aligned(rows_ + Adjoint::row(t, which));
                };
                const P x = lanes.load(input_.u.data() + at);
                const P g = kept(row_dy);
                const P by_dt = kept(row_du_by_dt);
                const P by_u = Discretization::has_gain ? kept(row_ddt_by_u) : by_dt;
                const P du = simd::fma(kept(row_dt), by_dt, skip * g);
                const P ddelta =
                    simd::fma(kept(row_ddt_by_rate), per_unit, x * by_u) * kept(row_slope);
                D_sum = simd::fma(g, x, D_sum);
                bias_sum += ddelta;
                if (!gradient_.u.empty())
                    lanes.store(gradient_.u.data() + at, du);
                if (!gradient_.delta.empty())
                    lanes.store(gradient_.delta.data() + at, ddelta);
                if (!gradient_.z.empty())
                    lanes.store(gradient_.z.data() + at, kept(row_dgate) * kept(row_y));
            }
            simd::store_aligned(D_sums, D_sum);
            simd::store_aligned(bias_sums, bias_sum);
        });
    }

    void sum_channels(const SelectiveMap<const Number>& map, const T* sums, std::size_t begin,
                      std::size_t steps, T scale, T* rows) noexcept {
        if (map.is_constant())
            return;
        constexpr std::size_t group = Maps::group * Layout::parts;
        const std::size_t numbers = layout_.modes * Layout::parts;
        sum_all_lanes(sums, selective_steps * numbers, lane_sums_);
        for (std::size_t t = 0; t < steps; ++t)
            for (std::size_t i = 0; i < numbers; i += group)
                for (std::size_t k = 0; k < group; ++k)
                    rows[(begin + t) * layout_.map() + i + k] =
                        scale * lane_sums_[i * selective_steps + t * group + k];
    }

    /// The sum over the lanes of each of `count` vectors.
    static void sum_all_lanes(const T* vectors, std::size_t count, T* sums) noexcept {
        std::size_t i = 0;
        for (; i + w <= count; i += w) {
            P rows[w];
            simd::unroll<w>([&](auto j) SSM_INLINE_LAMBDA {
                rows[j] = simd::load_aligned(vectors + (i + j) * w);
            });
            simd::transpose(rows);
            for (std::size_t half = w / 2; half > 0; half /= 2)
                for (std::size_t j = 0; j < half; ++j)
                    rows[j] += rows[j + half];
            simd::store(sums + i, rows[0]);
        }
        for (; i < count; ++i)
            sums[i] = simd::reduce_add(simd::load_aligned(vectors + i * w));
    }

    const SelectiveSystem<Number>& system_;
    const SelectiveInput<Number>& input_;
    const SelectiveGradient<Number>& gradient_;
    const Layout& layout_;
    SelectiveResult<T> result_;
    std::size_t first_;
    std::size_t count_;
    Coefficients coefficients_;
    T* carry_;
    T* rows_;
    T* kept_;
    T* B_sums_;
    T* C_sums_;
    T* lane_sums_;
};

}  // namespace ssm::detail
