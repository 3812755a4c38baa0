#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/context.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/scan/ssd_decay.hpp>
#include <ssm/scan/ssd_panel.hpp>
#include <ssm/scan/ssd_system.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>

namespace ssm {

namespace detail {

/// How an SSD scan is cut into tasks: some neighbouring heads of one group of one sequence.
template <class T>
struct SsdTasks {
    std::size_t heads;   ///< of a task
    std::size_t chunks;  ///< tasks of a group
    std::size_t groups;
    std::size_t per_group;

    explicit SsdTasks(const SsdSystem<T>& system)
        : heads(std::clamp<std::size_t>(system.heads / system.groups / 4, 1, 8)),
          chunks((system.heads / system.groups + heads - 1) / heads),
          groups(system.groups),
          per_group(system.heads / system.groups) {}

    [[nodiscard]] std::size_t per_sequence() const noexcept { return groups * chunks; }
    [[nodiscard]] std::size_t group(std::size_t task) const noexcept { return task / chunks; }
    [[nodiscard]] std::size_t first(std::size_t task) const noexcept {
        return group(task) * per_group + task % chunks * heads;
    }
    [[nodiscard]] std::size_t last(std::size_t task) const noexcept {
        return std::min(first(task) + heads, (group(task) + 1) * per_group);
    }
};

/// Time of a task at `flops` operations for each number of the states and step.
template <class T>
[[nodiscard]] TaskCost ssd_cost(const SsdSystem<T>& system, std::size_t length, std::size_t heads,
                                double flops) noexcept {
    return {static_cast<double>(system.channels * system.modes * length * heads) * flops / 50.0};
}

/// Forward through the heads of one task.
template <class T>
class SsdForwardTask {
public:
    [[nodiscard]] static std::size_t scratch(const SsdSystem<T>& system,
                                             std::size_t heads) noexcept {
        const SsdPanel<T> panel(system.channels, system.modes);
        return panel.scratch() + heads * panel.state_size();
    }
    SsdForwardTask(const SsdSystem<T>& system, const SsdInput<T>& input, StridedRows<T> y,
                   const Context& context, T* memory) noexcept
        : system_(system),
          input_(input),
          y_(y),
          context_(context),
          panel_(system.channels, system.modes),
          states_(memory + panel_.scratch()) {
        panel_.use(memory);
    }

    /// Heads first .. last - 1 of sequence b; `state` (heads, modes, channels) of that sequence, or null.
    void run(std::size_t b, std::size_t group, std::size_t first, std::size_t last,
             T* state) noexcept {
        const std::size_t size = system_.modes * system_.channels;
        for (std::size_t head = first; head < last; ++head)
            panel_.load_states(state != nullptr ? state + head * size : rest(head), false,
                               states_of(head - first));
        const std::size_t valid = context_.valid_length(b, input_.length);
        for (std::size_t begin = 0; begin < valid; begin += ssd_steps) {
            const std::size_t steps = std::min(ssd_steps, valid - begin);
            const std::size_t row = b * input_.length + begin;
            panel_.set_coefficients(ssd_walk(input_.B, row, group * system_.modes),
                                    ssd_walk(input_.C, row, group * system_.modes), steps);
            for (std::size_t head = first; head < last; ++head)
                block(b, begin, steps, head, states_of(head - first));
        }
        if (state != nullptr)
            for (std::size_t head = first; head < last; ++head)
                panel_.store_states(states_of(head - first), state + head * size);
        for (std::size_t t = valid; t < input_.length; ++t)
            std::fill_n(y_.at(b * input_.length + t) + first * system_.channels,
                        (last - first) * system_.channels, T(0));
    }

private:
    [[nodiscard]] T* states_of(std::size_t i) noexcept { return states_ + i * panel_.state_size(); }
    [[nodiscard]] const T* rest(std::size_t head) const noexcept {
        return system_.rest == nullptr ? nullptr
                                       : system_.rest + head * system_.modes * system_.channels;
    }
    void block(std::size_t b, std::size_t begin, std::size_t steps, std::size_t head,
               T* states) noexcept {
        const std::size_t row = b * input_.length + begin;
        const std::size_t channel = head * system_.channels;
        decay_.load(system_, input_, head, b, begin, steps, context_);
        double scale[ssd_steps];
        for (std::size_t t = 0; t < steps; ++t)
            scale[t] = decay_.dt(t) * decay_.grown(t);
        panel_.set_vectors(ssd_walk(input_.x, row, channel), scale, steps);
        for (std::size_t i = 0; i < decay_.stretches(); ++i) {
            const SsdStretch& stretch = decay_.stretch(i);
            if (stretch.fresh)
                panel_.load_states(rest(head), false, states);
            panel_.advance(stretch.first, stretch.last, decay_.decay(stretch.first),
                           decay_.shrunk(stretch.last - 1), states);
        }
        for (std::size_t t = 0; t < steps; ++t) {
            const simd::Pack<T> shrunk(static_cast<T>(decay_.shrunk(t)));
            const T* x = input_.x.at(row + t) + channel;
            T* y = y_.at(row + t) + channel;
            simd::for_each_pack<T>(
                system_.channels, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
                    const simd::Pack<T> skip = ssd_skip(system_, lanes, head, i);
                    const simd::Pack<T> sum = simd::load_aligned(panel_.y(t) + i);
                    lanes.store(y + i, simd::fma(sum, shrunk, skip * lanes.load(x + i)));
                });
        }
    }

    const SsdSystem<T>& system_;
    const SsdInput<T>& input_;
    StridedRows<T> y_;
    const Context& context_;
    SsdPanel<T> panel_;
    T* states_;
    SsdDecay<T> decay_;
};

}  // namespace detail

/// y of an SSD scan, for rows (heads, channels): see `SsdSystem`. `state` (batch, heads, modes, channels) is where the
/// scan starts, and moves on; null: it starts from rest.
///
/// Errors    ShapeError for what does not fit together, ValueError for a system without sense
/// Cost      2 multiply-adds for each state and step. Chunks of Q steps as matrix products, the other evaluation of
///           SSD, take the same 2 and those of a masked Q x Q matrix besides: with Eigen's products they are 1.6 (Q 32)
///           to 2.1 times (Q 256) slower than this loop in the cache, bench/scan/ssd.bench.cpp, so there are none here
/// Accuracy  that of the recurrence; decays are computed in double
/// Threads   cut into sequences and groups of heads; the same bits for any number of threads
template <class T>
void ssd_forward(const SsdSystem<T>& system, const SsdInput<T>& input, StridedRows<T> y, T* state,
                 const Context& context) {
    detail::check_ssd("ssm::ssd_forward", system, input, context);
    detail::check_ssd_rows("ssm::ssd_forward", "y", y, system.width());
    const detail::SsdTasks<T> tasks(system);
    const std::size_t size = detail::SsdForwardTask<T>::scratch(system, tasks.heads);
    const Workspace::Frame frame = context.workspace.frame();
    const std::span<T> scratch = context.workspace.take<T>(threads() * size);
    parallel_for(
        input.batch * tasks.per_sequence(),
        [&](std::size_t task, std::size_t worker) {
            const std::size_t b = task / tasks.per_sequence();
            const std::size_t part = task % tasks.per_sequence();
            detail::SsdForwardTask<T> run(system, input, y, context,
                                          scratch.data() + worker * size);
            run.run(b, tasks.group(part), tasks.first(part), tasks.last(part),
                    state == nullptr ? nullptr : state + b * system.state_size());
        },
        detail::ssd_cost(system, input.length, tasks.heads, 4.0));
}

}  // namespace ssm
