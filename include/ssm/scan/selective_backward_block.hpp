#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/batch.hpp>
#include <ssm/core/config.hpp>
#include <ssm/core/context.hpp>
#include <ssm/math/smooth_activations.hpp>
#include <ssm/scan/selective_adjoint.hpp>
#include <ssm/scan/selective_blocks.hpp>
#include <ssm/scan/selective_coefficients.hpp>
#include <ssm/scan/selective_number.hpp>
#include <ssm/scan/selective_system.hpp>
#include <ssm/scan/selective_tile.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/prefetch.hpp>
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
    static constexpr std::size_t pair = selective_pair<Maps>;
    static constexpr std::size_t row_size = pair * selective_steps * w;
    template <std::size_t packs>
    using Adjoint = SelectiveAdjoint<packs, Number, Discretization, Maps>;
    static constexpr T weight = SelectiveVector<Number>::weight;

public:
    /// Scratch numbers of one task.
    [[nodiscard]] static std::size_t scratch(const Blocks& blocks) noexcept {
        const Layout& layout = blocks.layout;
        return Coefficients::scratch(layout, blocks.vectors) + blocks.vectors * layout.state() +
               9 * row_size + Adjoint<pair>::kept_size +
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
        for (T** row : {&dt_, &dtu_, &dy_, &y_, &du_by_dt_, &by_rate_, &by_u_, &slope_, &dgate_})
            *row = piece(row_size);
        kept_ = piece(Adjoint<pair>::kept_size);
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
        std::fill_n(B_sums_, steps * layout_.state(), T(0));
        std::fill_n(C_sums_, steps * layout_.state(), T(0));
        for (T* sum : {du_by_dt_, by_rate_, by_u_})
            std::fill_n(sum, row_size, T(0));
        for (std::size_t p = 0; p * w < count_; p += pair) {
            const std::size_t channels = std::min(pair * w, count_ - p * w);
            const T* checkpoint = checkpoints + p / packs * tile_stride +
                                  (begin / selective_steps * packs + p % packs) * layout_.state();
            prepare(row, steps, first_ + p * w, channels, dy.data());
            if (channels > w)
                go_back<pair>(p, b, begin, end, checkpoint, context);
            else
                go_back<1>(p, b, begin, end, checkpoint, context);
            finish(p, row, steps, first_ + p * w, channels);
        }
        sum_channels(input_.B, B_sums_, begin, steps, T(1), result_.B_rows);
        sum_channels(input_.C, C_sums_, begin, steps, weight, result_.C_rows);
    }

    /// Loads what a pair of vectors of channels needs, and asks for what the next one will.
    void prepare(std::size_t row, std::size_t steps, std::size_t channel, std::size_t channels,
                 const T* dy) noexcept {
        simd::for_each_pack<T>(channels, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const P bias = weight_of(lanes, system_.delta_bias, channel + i);
            const P skip = weight_of(lanes, system_.D, channel + i);
            for (std::size_t t = 0; t < steps; ++t) {
                const std::size_t at = (row + t) * system_.channels + channel + i;
                const std::size_t to = i * selective_steps + t * w;
                const std::size_t ahead = at + pair * w;
                simd::prefetch(input_.u.data() + ahead);
                simd::prefetch(input_.delta.data() + ahead);
                simd::prefetch(dy + ahead);
                const P x = lanes.load(input_.u.data() + at);
                const P raw = lanes.load(input_.delta.data() + at) + bias;
                const P dt = system_.softplus ? simd::softplus(raw) : raw;
                P g = lanes.load(dy + at);
                P dgate(T(0));
                if (!input_.z.empty()) {
                    simd::prefetch(input_.z.data() + ahead);
                    const P z = lanes.load(input_.z.data() + at);
                    const P s = simd::sigmoid(z);  // once for the gate and its derivative
                    const P low = simd::max(P(T(-800)), z);
                    dgate = g * simd::fma(s * simd::min(P(T(800)), low), P(T(1)) - s, s);
                    g *= low * s;
                }
                simd::store_aligned(dt_ + to, dt);
                simd::store_aligned(slope_ + to,
                                    system_.softplus ? math::Softplus{}.derivative(raw) : P(T(1)));
                simd::store_aligned(dtu_ + to, dt * x);
                simd::store_aligned(dy_ + to, g);
                simd::store_aligned(dgate_ + to, dgate);
                simd::store_aligned(y_ + to, skip * x);
            }
        });
    }

    template <class Lanes>
    [[nodiscard]] SSM_INLINE static P weight_of(Lanes lanes, const T* data,
                                                std::size_t channel) noexcept {
        return data == nullptr ? P(T(0)) : lanes.load(data + channel);
    }

    /// The adjoint between resets, from the last to the first.
    template <std::size_t packs>
    void go_back(std::size_t p, std::size_t b, std::size_t begin, std::size_t end,
                 const T* checkpoint, const Context& context) noexcept {
        const std::size_t state = p * layout_.state();
        const bool sums_B = input_.B.is_constant();
        const bool sums_C = input_.C.is_constant();
        const SelectiveSums<T> sums{result_.A + state, sums_B ? result_.B + state : B_sums_,
                                    sums_C ? result_.C + state : C_sums_,
                                    sums_B ? 0 : layout_.state(), sums_C ? 0 : layout_.state()};
        const SelectiveAdjointRows<T> rows{dt_, dtu_, dy_, y_, du_by_dt_, by_rate_, by_u_};
        const SelectiveMapRows<T> B = coefficients_.B(p);
        const SelectiveMapRows<T> C = coefficients_.C(p);
        const Adjoint<packs> adjoint(B, C, coefficients_.rates(p), rows, sums, layout_.modes,
                                     kept_);
        for (std::size_t last = end; last > begin;) {
            std::size_t first = last - 1;
            while (first > begin && !context.resets_at(b, first))
                --first;
            const bool fresh = context.resets_at(b, first);
            adjoint.run(first - begin, last - begin, fresh ? nullptr : checkpoint, carry_ + state);
            if (fresh)
                std::fill_n(carry_ + state, packs * layout_.state(), T(0));
            last = first;
        }
    }

    /// The gradients of u, delta and z, and the sums for D and the bias. Clears the sums of a tile for the next one.
    void finish(std::size_t p, std::size_t row, std::size_t steps, std::size_t channel,
                std::size_t channels) noexcept {
        const P per_unit(T(1) / static_cast<T>(Discretization::unit(V{})));
        simd::for_each_pack<T>(channels, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const P skip = weight_of(lanes, system_.D, channel + i);
            T* const D_sums = result_.D + p * w + i;
            T* const bias_sums = result_.delta_bias + p * w + i;
            P D_sum = simd::load_aligned(D_sums);
            P bias_sum = simd::load_aligned(bias_sums);
            const auto taken = [](T* row_data) {
                const P value = simd::load_aligned(row_data);
                simd::store_aligned(row_data, P(T(0)));
                return value;
            };
            for (std::size_t t = 0; t < steps; ++t) {
                const std::size_t at = (row + t) * system_.channels + channel + i;
                const std::size_t from = i * selective_steps + t * w;
                const P x = lanes.load(input_.u.data() + at);
                const P g = simd::load_aligned(dy_ + from);
                const P by_dt = taken(du_by_dt_ + from);
                const P by_u = Discretization::has_gain ? taken(by_u_ + from) : by_dt;
                const P du = simd::fma(simd::load_aligned(dt_ + from), by_dt, skip * g);
                const P ddelta = simd::fma(taken(by_rate_ + from), per_unit, x * by_u) *
                                 simd::load_aligned(slope_ + from);
                D_sum = simd::fma(g, x, D_sum);
                bias_sum += ddelta;
                if (!gradient_.u.empty())
                    lanes.store(gradient_.u.data() + at, du);
                if (!gradient_.delta.empty())
                    lanes.store(gradient_.delta.data() + at, ddelta);
                if (!gradient_.z.empty())
                    lanes.store(gradient_.z.data() + at,
                                simd::load_aligned(dgate_ + from) * simd::load_aligned(y_ + from));
            }
            simd::store_aligned(D_sums, D_sum);
            simd::store_aligned(bias_sums, bias_sum);
        });
    }

    void sum_channels(const SelectiveMap<const Number>& map, const T* sums, std::size_t begin,
                      std::size_t steps, T scale, T* rows) noexcept {
        if (map.is_constant())
            return;
        const std::size_t numbers = layout_.modes * Layout::parts;
        sum_all_lanes(sums, steps * numbers, lane_sums_);
        for (std::size_t t = 0; t < steps; ++t)
            for (std::size_t i = 0; i < numbers; ++i)
                rows[(begin + t) * layout_.map() + i] = scale * lane_sums_[t * numbers + i];
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
    T* dt_;
    T* dtu_;
    T* dy_;
    T* y_;
    T* du_by_dt_;
    T* by_rate_;
    T* by_u_;
    T* slope_;
    T* dgate_;
    T* kept_;
    T* B_sums_;
    T* C_sums_;
    T* lane_sums_;
};

}  // namespace ssm::detail
