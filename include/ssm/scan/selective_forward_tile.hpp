#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/config.hpp>
#include <ssm/core/context.hpp>
#include <ssm/math/smooth_activations.hpp>
#include <ssm/scan/segments.hpp>
#include <ssm/scan/selective_coefficients.hpp>
#include <ssm/scan/selective_number.hpp>
#include <ssm/scan/selective_system.hpp>
#include <ssm/scan/selective_tile.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/prefetch.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// The steps of one vector of channels in the level 1 cache, one vector a step.
template <class T>
struct SelectiveRows {
    const T* dt;
    const T* dtu;  ///< dt u
    T* y;
};

/// Steps begin .. end - 1 of one vector of channels, all modes: y += weight Re sum_n C h.
template <class Number, class Discretization, class Maps, class T>
void selective_states(const SelectiveMapRows<T>& B, const SelectiveMapRows<T>& C, const T* rates,
                      SelectiveRows<T> rows, std::size_t begin, std::size_t end, std::size_t modes,
                      T* states) noexcept {
    using V = typename SelectiveVector<Number>::Vector;
    using P = simd::Pack<T>;
    constexpr std::size_t w = simd::width<T>;
    constexpr std::size_t vector = SelectiveLayout<Number>::vector;
    constexpr std::size_t group = Maps::group;
    for (std::size_t n = 0; n < modes; n += group) {
        V h[group];
        V rate[group];
        simd::unroll<group>([&](auto i) SSM_INLINE_LAMBDA {
            h[i] = load_vector<V>(states + (n + i) * vector);
            rate[i] = load_vector<V>(rates + (n + i) * vector);
        });
        for (std::size_t t = begin; t < end; ++t) {
            const P dt = simd::load_aligned(rows.dt + t * w);
            const P dtu = simd::load_aligned(rows.dtu + t * w);
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
            P sum[2] = {simd::load_aligned(rows.y + t * w), P(T(0))};
            simd::unroll<group>([&](auto i) SSM_INLINE_LAMBDA {
                h[i] = simd::fma(decay[i], h[i], input[i]);
                sum[i % 2] = real_fma(Maps::template at<V>(C, t, n + i), h[i], sum[i % 2]);
            });
            simd::store_aligned(rows.y + t * w, sum[0] + sum[1]);
        }
        simd::unroll<group>(
            [&](auto i) SSM_INLINE_LAMBDA { store_vector(states + (n + i) * vector, h[i]); });
    }
}

/// Forward through one tile of channels of one sequence.
template <class Number, class Discretization, class Maps>
class SelectiveForwardTile {
    using T = RealOfNumber<Number>;
    using P = simd::Pack<T>;
    using Layout = SelectiveLayout<Number>;
    using Coefficients = SelectiveCoefficients<Number, Discretization>;
    static constexpr std::size_t w = simd::width<T>;
    static constexpr std::size_t packs = SelectiveTiles<Number>::packs;

public:
    /// Scratch numbers of one task.
    [[nodiscard]] static std::size_t scratch(const Layout& layout) noexcept {
        return Coefficients::scratch(layout, packs) +
               packs * (layout.state() + 3 * selective_steps * w);
    }

    SelectiveForwardTile(const SelectiveSystem<Number>& system, const SelectiveInput<Number>& input,
                         const Layout& layout, const SelectiveTiles<Number>& tiles,
                         std::size_t tile, SelectivePieces<T> piece) noexcept
        : system_(system),
          input_(input),
          layout_(layout),
          first_(tiles.begin(tile)),
          count_(tiles.width(tile)),
          coefficients_(system, input, layout, tiles.sections,
                        {first_, count_, tiles.section(tile)}, packs, piece),
          states_(piece(packs * layout.state())),
          dt_(piece(packs * selective_steps * w)),
          dtu_(piece(packs * selective_steps * w)),
          y_(piece(packs * selective_steps * w)) {}

    /// Steps of one sequence; `state` (modes, channels) or null, `checkpoints` of this tile or null.
    void run(std::size_t b, BatchView<T> y, Number* state, T* checkpoints,
             const Context& context) noexcept {
        coefficients_.load_state(state, states_);
        const std::size_t valid = context.valid_length(b, y.length());
        const std::size_t size = packs * layout_.state();
        for (std::size_t begin = 0; begin < valid; begin += selective_steps) {
            const std::size_t end = std::min(begin + selective_steps, valid);
            const std::size_t row = b * y.length() + begin;
            if (checkpoints != nullptr)
                std::copy_n(states_, size, checkpoints + begin / selective_steps * size);
            coefficients_.load_maps(row, end - begin);
            prepare(row, end - begin);
            for_each_segment(
                context, b, begin, end, [&](std::size_t from, std::size_t to, bool fresh) {
                    if (fresh)
                        std::fill_n(states_, size, T(0));
                    coefficients_.for_each_vector([&](std::size_t p, std::size_t, std::size_t) {
                        advance(p, from - begin, to - begin);
                    });
                });
            finish(row, end - begin, y);
        }
        if (state != nullptr)
            coefficients_.store_state(states_, state);
    }

private:
    /// dt, dt u and D u of the steps from row `row` on. Asks for the rows of the next tile: a row is so far from the
    /// next that the processor does not see it coming.
    void prepare(std::size_t row, std::size_t steps) noexcept {
        const SelectiveTimestep<T> timestep{system_.softplus};
        for (std::size_t t = 0; t < steps; ++t) {
            const std::size_t at = (row + t) * system_.channels + first_;
            const std::size_t ahead = at + selective_steps * system_.channels;
            for (std::size_t i = 0; i < count_; i += alignment / sizeof(T)) {
                simd::prefetch(input_.u.data() + ahead + i);
                simd::prefetch(input_.delta.data() + ahead + i);
                if (!input_.z.empty())
                    simd::prefetch(input_.z.data() + ahead + i);
            }
            const T* u = input_.u.data() + at;
            const T* delta = input_.delta.data() + at;
            simd::for_each_pack<T>(count_, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
                const std::size_t to = (i / w * selective_steps + t) * w;
                const auto weight = [&](const T* data) {
                    return data == nullptr ? P(T(0)) : lanes.load(data + first_ + i);
                };
                const P x = lanes.load(u + i);
                const P dt = timestep(lanes.load(delta + i), weight(system_.delta_bias));
                simd::store_aligned(dt_ + to, dt);
                simd::store_aligned(dtu_ + to, dt * x);
                simd::store_aligned(y_ + to, weight(system_.D) * x);
            });
        }
    }

    void advance(std::size_t p, std::size_t begin, std::size_t end) noexcept {
        const std::size_t at = p * selective_steps * w;
        selective_states<Number, Discretization, Maps, T>(
            coefficients_.B(p), coefficients_.C(p), coefficients_.rates(p),
            {dt_ + at, dtu_ + at, y_ + at}, begin, end, layout_.modes,
            states_ + p * layout_.state());
    }

    /// Gates and writes the output.
    void finish(std::size_t row, std::size_t steps, BatchView<T> y) noexcept {
        for (std::size_t t = 0; t < steps; ++t) {
            const std::size_t at = (row + t) * system_.channels + first_;
            simd::for_each_pack<T>(count_, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
                P value = simd::load_aligned(y_ + (i / w * selective_steps + t) * w);
                if (!input_.z.empty())
                    value *= math::Silu{}(lanes.load(input_.z.data() + at + i));
                lanes.store(y.data() + at + i, value);
            });
        }
    }

    const SelectiveSystem<Number>& system_;
    const SelectiveInput<Number>& input_;
    const Layout& layout_;
    std::size_t first_;
    std::size_t count_;
    Coefficients coefficients_;
    T* states_;
    T* dt_;
    T* dtu_;
    T* y_;
};

}  // namespace ssm::detail
