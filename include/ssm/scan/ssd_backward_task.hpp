#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>

#include <ssm/core/config.hpp>
#include <ssm/core/context.hpp>
#include <ssm/scan/ssd_decay.hpp>
#include <ssm/scan/ssd_panel.hpp>
#include <ssm/scan/ssd_system.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>

namespace ssm::detail {

/// sum_i a_i b_i
template <class T>
[[nodiscard]] double ssd_dot(const T* a, const T* b, std::size_t n) noexcept {
    simd::Pack<T> sum(T(0));
    simd::for_each_pack<T>(n, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
        sum = simd::fma(lanes.load(a + i), lanes.load(b + i), sum);
    });
    return static_cast<double>(simd::reduce_add(sum));
}

/// Sums over the steps of one head.
template <class T>
struct SsdHeadSums {
    double A = 0.0;
    double dt_bias = 0.0;
    T* D = nullptr;     ///< (channels)
    T* rest = nullptr;  ///< (modes, channels), padded; null: not wanted
};

/// The adjoint through the heads of one task in two sweeps of three scans, all in `SsdPanel`:
///
///   forward    S_t = a_t S_{t-1} + dt_t B_t x_t^T          dC_t = S_t dy_t       vector B, coefficients x and dy
///   backward   R_t = a_{t+1} R_{t+1} + C_t dy_t^T          dB_t = dt_t R_t x_t   vector C, coefficients dy and x
///   the same, transposed                                   dx_t = dt_t R_t^T B_t  vector dy, coefficients C and B
///
/// The gradient of the logarithm of a_t, e_t = <R_t, a_t S_{t-1}>, follows from its neighbour: e_t = e_{t+1} +
/// <C_t, dC_t> - <B_t, dB_t>. Errors of that sum do not add up, because it starts anew from <R, S> every few blocks.
template <class T>
class SsdBackwardTask {
    using P = simd::Pack<T>;

public:
    [[nodiscard]] static std::size_t scratch(const SsdSystem<T>& system, std::size_t heads,
                                             std::size_t length) noexcept {
        const SsdPanel<T> maps(system.modes, system.channels);
        const SsdPanel<T> rows(system.channels, system.modes);
        return maps.scratch() + rows.scratch() +
               heads * ((2 + anchors(length)) * maps.state_size() + rows.state_size());
    }
    /// Numbers of double that a task needs.
    [[nodiscard]] static std::size_t scalars(std::size_t heads, std::size_t length) noexcept {
        return heads * (length + 1);
    }
    /// Numbers of dB or dC of one step.
    [[nodiscard]] static std::size_t map_width(const SsdSystem<T>& system) noexcept {
        return SsdPanel<T>(system.modes, 1).width();
    }

    SsdBackwardTask(const SsdSystem<T>& system, const SsdInput<T>& input, StridedRows<const T> dy,
                    const T* state, const SsdGradient<T>& gradient, const Context& context,
                    T* memory, double* scalars) noexcept
        : system_(system),
          input_(input),
          dy_(dy),
          state_(state),
          gradient_(gradient),
          context_(context),
          maps_(system.modes, system.channels),
          rows_(system.channels, system.modes),
          memory_(memory + maps_.scratch() + rows_.scratch()),
          scalars_(scalars) {
        maps_.use(memory);
        rows_.use(memory + maps_.scratch());
    }

    /// Heads first .. last - 1 of sequence b: adds to dB and dC, (length, map_width) numbers, and to `sums` of each.
    void run(std::size_t b, std::size_t first, std::size_t last, T* dB, T* dC,
             SsdHeadSums<T>* sums) noexcept {
        b_ = b;
        first_ = first;
        valid_ = context_.valid_length(b, input_.length);
        const std::size_t blocks = (valid_ + ssd_steps - 1) / ssd_steps;
        for (head_ = first; head_ < last; ++head_) {
            maps_.load_states(start(), true, map_states());
            const T* end = gradient_.state == nullptr ? nullptr : gradient_.state + offset();
            rows_.load_states(end, false, carry());
            maps_.load_states(end, true, carry_maps());
        }
        for (std::size_t block = 0; block < blocks; ++block)
            for (head_ = first; head_ < last; ++head_)
                go_forward(block, dC);
        for (std::size_t block = blocks; block-- > 0;) {
            share_coefficients(block);
            for (head_ = first; head_ < last; ++head_)
                go_back(block, block + 1 == blocks, dB, sums[head_ - first]);
        }
        for (head_ = first; head_ < last; ++head_) {
            if (state_ == nullptr)
                add_to_rest(sums[head_ - first]);
            if (gradient_.state != nullptr)
                rows_.store_states(carry(), gradient_.state + offset());
            clear_padding();
        }
    }

private:
    /// Blocks from one kept state to the next.
    static constexpr std::size_t anchor = 128 / ssd_steps;

    [[nodiscard]] static std::size_t anchors(std::size_t length) noexcept {
        return length / (anchor * ssd_steps);
    }
    // What is remembered of the present head.
    [[nodiscard]] T* of_head() const noexcept {
        return memory_ + (head_ - first_) * ((2 + anchors(input_.length)) * maps_.state_size() +
                                             rows_.state_size());
    }
    [[nodiscard]] T* map_states() const noexcept { return of_head(); }
    [[nodiscard]] T* carry_maps() const noexcept { return of_head() + maps_.state_size(); }
    [[nodiscard]] T* carry() const noexcept { return carry_maps() + maps_.state_size(); }
    [[nodiscard]] T* kept(std::size_t block) const noexcept {
        return carry() + rows_.state_size() + block / anchor * maps_.state_size();
    }
    /// <C_t, dC_t> of each step, and behind them e of the step that follows.
    [[nodiscard]] double* from_output() const noexcept {
        return scalars_ + (head_ - first_) * (input_.length + 1);
    }
    [[nodiscard]] double& decay_gradient() const noexcept { return from_output()[input_.length]; }

    [[nodiscard]] std::size_t offset() const noexcept {
        return b_ * system_.state_size() + head_ * system_.modes * system_.channels;
    }
    [[nodiscard]] const T* rest() const noexcept {
        return system_.rest == nullptr ? nullptr
                                       : system_.rest + head_ * system_.modes * system_.channels;
    }
    [[nodiscard]] const T* start() const noexcept {
        return state_ == nullptr ? rest() : state_ + offset();
    }
    [[nodiscard]] std::size_t map() const noexcept {
        return head_ / (system_.heads / system_.groups) * system_.modes;
    }
    [[nodiscard]] std::size_t channel() const noexcept { return head_ * system_.channels; }
    [[nodiscard]] std::size_t steps_of(std::size_t block) const noexcept {
        return std::min(ssd_steps, valid_ - block * ssd_steps);
    }
    [[nodiscard]] std::size_t last_row(std::size_t block) const noexcept {
        return b_ * input_.length + block * ssd_steps + steps_of(block) - 1;
    }

    void go_forward(std::size_t block, T* dC) noexcept {
        const std::size_t begin = block * ssd_steps;
        const std::size_t steps = steps_of(block);
        const std::size_t row = b_ * input_.length + begin;
        decay_.load(system_, input_, head_, b_, begin, steps, context_);
        double scale[ssd_steps];
        for (std::size_t t = 0; t < steps; ++t)
            scale[t] = decay_.dt(t) * decay_.grown(t);
        maps_.set_coefficients(ssd_walk(input_.x, row, channel()), ssd_walk(dy_, row, channel()),
                               steps);
        maps_.set_vectors(ssd_walk(input_.B, row, map()), scale, steps);
        T* const states = map_states();
        for (std::size_t i = 0; i < decay_.stretches(); ++i) {
            const SsdStretch& stretch = decay_.stretch(i);
            if (stretch.fresh)
                maps_.load_states(rest(), true, states);
            maps_.advance(stretch.first, stretch.last, decay_.decay(stretch.first),
                          decay_.shrunk(stretch.last - 1), states);
        }
        if ((block + 1) % anchor == 0 && steps == ssd_steps)  // room for that of full blocks alone
            std::copy_n(states, maps_.state_size(), kept(block));
        for (std::size_t t = 0; t < steps; ++t)
            from_output()[begin + t] =
                add_map(maps_.y(t), decay_.shrunk(t), 1.0, input_.C.at(row + t) + map(),
                        dC + (begin + t) * maps_.width());
    }

    /// C and B are the same for all heads of the task.
    void share_coefficients(std::size_t block) noexcept {
        head_ = first_;
        rows_.set_coefficients(ssd_walk_back(input_.C, last_row(block), map()),
                               ssd_walk_back(input_.B, last_row(block), map()), steps_of(block));
    }

    /// sum += factor scale y; returns scale <y, other>.
    [[nodiscard]] double add_map(const T* y, double scale, double factor, const T* other,
                                 T* sum) const noexcept {
        const P weight(static_cast<T>(scale * factor));
        P dot(T(0));
        simd::for_each_pack<T>(system_.modes, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const P value = simd::load_aligned(y + i);
            simd::store_aligned(sum + i, simd::fma(value, weight, simd::load_aligned(sum + i)));
            dot = simd::fma(value, lanes.load(other + i), dot);
        });
        return scale * static_cast<double>(simd::reduce_add(dot));
    }

    void go_back(std::size_t block, bool last, T* dB, SsdHeadSums<T>& sums) noexcept {
        const std::size_t begin = block * ssd_steps;
        const std::size_t steps = steps_of(block);
        decay_.load(system_, input_, head_, b_, begin, steps, context_);
        double into[ssd_steps];
        double out[ssd_steps];
        for (std::size_t i = 0; i < decay_.stretches(); ++i) {
            const SsdStretch& stretch = decay_.stretch(i);
            const std::size_t end = stretch.last - 1;
            for (std::size_t t = stretch.first; t <= end; ++t) {
                into[steps - 1 - t] = decay_.shrunk(t) * decay_.grown(end);
                out[steps - 1 - t] = decay_.shrunk(end) * decay_.grown(t);
            }
        }
        const auto dy = ssd_walk_back(dy_, last_row(block), channel());
        maps_.set_coefficients(dy, ssd_walk_back(input_.x, last_row(block), channel()), steps);
        maps_.set_vectors(ssd_walk_back(input_.C, last_row(block), map()), into, steps);
        rows_.set_vectors(dy, into, steps);
        if (last || (block + 1) % anchor == 0)  // a block that is not full is the last
            decay_gradient() =
                ssd_dot(carry_maps(), last ? map_states() : kept(block), maps_.state_size());
        for (std::size_t i = decay_.stretches(); i-- > 0;) {
            const SsdStretch& stretch = decay_.stretch(i);
            const double after = decay_.shrunk(stretch.last - 1) * decay_.decay(stretch.first);
            maps_.advance(steps - stretch.last, steps - stretch.first, 1.0, after, carry_maps());
            rows_.advance(steps - stretch.last, steps - stretch.first, 1.0, after, carry());
            for (std::size_t t = stretch.last; t-- > stretch.first;)
                go_back_a_step(begin + t, t, steps - 1 - t, out[steps - 1 - t],
                               t == stretch.first && stretch.fresh, dB, sums);
            if (stretch.fresh) {
                add_to_rest(sums);
                std::fill_n(carry(), rows_.state_size(), T(0));
                std::fill_n(carry_maps(), maps_.state_size(), T(0));
                decay_gradient() = 0.0;
            }
        }
    }

    /// Step l of the sequence, t of the block, `at` of the panels.
    void go_back_a_step(std::size_t l, std::size_t t, std::size_t at, double out, bool fresh, T* dB,
                        SsdHeadSums<T>& sums) noexcept {
        const T* B = input_.B.at(b_ * input_.length + l) + map();
        const double by_dt = add_map(maps_.y(at), out, decay_.dt(t), B, dB + l * maps_.width());
        decay_gradient() += from_output()[l] - decay_.dt(t) * by_dt;
        // What hardly comes through is less than the rounding of the sum, which A would make large.
        constexpr double lost = -0.6931471805599453 * std::numeric_limits<T>::digits;
        const bool from_nothing = fresh ? rest() == nullptr : l == 0 && start() == nullptr;
        if (from_nothing || decay_.rate() * decay_.dt(t) < lost)
            decay_gradient() = 0.0;
        finish(l, t, rows_.y(at), out, by_dt, decay_gradient(), sums);
    }

    /// Step l of the sequence, t of the block: dx, d delta, and the sums over steps.
    void finish(std::size_t l, std::size_t t, const T* y, double scale, double by_dt,
                double decay_gradient, SsdHeadSums<T>& sums) noexcept {
        const std::size_t row = b_ * input_.length + l;
        const double dt = decay_.dt(t);
        const double ddelta = (by_dt + decay_.rate() * decay_gradient) * decay_.slope(system_, t);
        sums.A += dt * decay_gradient;
        sums.dt_bias += ddelta;
        if (gradient_.delta.data != nullptr)
            gradient_.delta.at(row)[head_] = static_cast<T>(ddelta);
        const T* dy = dy_.at(row) + channel();
        const T* x = input_.x.at(row) + channel();
        const P weight(static_cast<T>(scale * dt));
        simd::for_each_pack<T>(system_.channels, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const P g = lanes.load(dy + i);
            if (gradient_.x.data != nullptr)
                lanes.store(gradient_.x.at(row) + channel() + i,
                            simd::fma(simd::load_aligned(y + i), weight,
                                      ssd_skip(system_, lanes, head_, i) * g));
            lanes.store(sums.D + i, simd::fma(g, lanes.load(x + i), lanes.load(sums.D + i)));
        });
    }

    /// What is left of the gradient of a state that started from rest.
    void add_to_rest(SsdHeadSums<T>& sums) const noexcept {
        if (sums.rest != nullptr)
            for (std::size_t i = 0; i < rows_.state_size(); ++i)
                sums.rest[i] += carry()[i];
    }

    void clear_padding() noexcept {
        for (std::size_t l = valid_; l < input_.length; ++l) {
            const std::size_t row = b_ * input_.length + l;
            if (gradient_.x.data != nullptr)
                std::fill_n(gradient_.x.at(row) + channel(), system_.channels, T(0));
            if (gradient_.delta.data != nullptr)
                gradient_.delta.at(row)[head_] = T(0);
        }
    }

    const SsdSystem<T>& system_;
    const SsdInput<T>& input_;
    StridedRows<const T> dy_;
    const T* state_;
    const SsdGradient<T>& gradient_;
    const Context& context_;
    SsdPanel<T> maps_;  ///< states (channels, modes)
    SsdPanel<T> rows_;  ///< states (modes, channels)
    T* memory_;         ///< of the heads
    double* scalars_;   ///< of the heads
    SsdDecay<T> decay_;
    std::size_t b_ = 0;
    std::size_t first_ = 0;
    std::size_t head_ = 0;
    std::size_t valid_ = 0;
};

}  // namespace ssm::detail
