#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/context.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/scan/ssd_backward_task.hpp>
#include <ssm/scan/ssd_decay.hpp>
#include <ssm/scan/ssd_forward.hpp>
#include <ssm/scan/ssd_panel.hpp>
#include <ssm/scan/ssd_system.hpp>

namespace ssm {

namespace detail {

/// Sums that the tasks of one sequence computed of dB or dC, added in order.
template <class T>
void add_ssd_maps(StridedRows<T> to, const SsdSystem<T>& system, const SsdTasks<T>& tasks,
                  std::size_t batch, std::size_t length, std::span<const T> parts) {
    if (to.data == nullptr)
        return;
    const std::size_t width = SsdBackwardTask<T>::map_width(system);
    parallel_ranges(batch * length, 256, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (std::size_t row = begin; row < end; ++row)
            for (std::size_t g = 0; g < system.groups; ++g) {
                T* sum = to.at(row) + g * system.modes;
                std::fill_n(sum, system.modes, T(0));
                for (std::size_t chunk = 0; chunk < tasks.chunks; ++chunk) {
                    const std::size_t task =
                        row / length * tasks.per_sequence() + g * tasks.chunks + chunk;
                    const T* part = parts.data() + (task * length + row % length) * width;
                    for (std::size_t n = 0; n < system.modes; ++n)
                        sum[n] += part[n];
                }
            }
    });
}

/// Adds what the heads of all sequences computed to the gradients of the weights, in order.
template <class T>
void add_ssd_sums(const SsdSystem<T>& system, const SsdGradient<T>& gradient,
                  std::span<const SsdHeadSums<T>> sums) {
    const SsdPanel<T> rows(system.channels, system.modes);
    for (std::size_t i = 0; i < sums.size(); ++i) {
        const SsdHeadSums<T>& sum = sums[i];
        const std::size_t head = i % system.heads;
        if (gradient.A != nullptr)
            gradient.A[head] +=
                static_cast<T>(system.log_A ? sum.A * ssd_rate(system, head) : sum.A);
        if (gradient.dt_bias != nullptr)
            gradient.dt_bias[head] += static_cast<T>(sum.dt_bias);
        if (gradient.D != nullptr)
            for (std::size_t p = 0; p < system.channels; ++p)
                gradient.D[system.D_per_channel ? head * system.channels + p : head] += sum.D[p];
        if (gradient.rest != nullptr)
            for (std::size_t n = 0; n < system.modes; ++n)
                for (std::size_t p = 0; p < system.channels; ++p)
                    gradient.rest[(head * system.modes + n) * system.channels + p] +=
                        sum.rest[n * rows.width() + p];
    }
}

}  // namespace detail

/// Adjoint of `ssd_forward` that started from `state` (null: from rest), for the gradient `dy` of its output.
/// Nothing need be kept by the forward.
///
/// Errors    as `ssd_forward`
/// Cost      6 multiply-adds for each state and step: three scans as the forward's
/// Memory    modes / 128 numbers of scratch for each number of x of the heads that run at present, and sums of dB and
///           dC for about every fourth of the heads of a group
/// Threads   cut into sequences and groups of heads, whose sums are added in order
template <class T>
void ssd_backward(const SsdSystem<T>& system, const SsdInput<T>& input, StridedRows<const T> dy,
                  const T* state, const SsdGradient<T>& gradient, const Context& context) {
    using Task = detail::SsdBackwardTask<T>;
    const char* what = "ssm::ssd_backward";
    detail::check_ssd(what, system, input, context);
    detail::check_ssd_rows(what, "dy", dy, system.width());
    const detail::SsdTasks<T> tasks(system);
    const std::size_t count = input.batch * tasks.per_sequence();
    const std::size_t maps = input.length * Task::map_width(system);
    const std::size_t rest_size = detail::SsdPanel<T>(system.channels, system.modes).state_size();
    const std::size_t size = Task::scratch(system, tasks.heads, input.length);
    const std::size_t scalars = Task::scalars(tasks.heads, input.length);

    const Workspace::Frame frame = context.workspace.frame();
    Workspace& workspace = context.workspace;
    const std::span<T> scratch = workspace.take<T>(threads() * size);
    const std::span<double> doubles = workspace.take<double>(threads() * scalars);
    const std::span<T> dB = workspace.take_zero<T>(count * maps);
    const std::span<T> dC = workspace.take_zero<T>(count * maps);
    const std::size_t streams = input.batch * system.heads;
    const std::span<T> dD = workspace.take_zero<T>(streams * system.channels);
    const std::span<T> rest =
        workspace.take_zero<T>(gradient.rest == nullptr ? 0 : streams * rest_size);
    const auto sums = workspace.take<detail::SsdHeadSums<T>>(streams);
    for (std::size_t i = 0; i < streams; ++i)
        sums[i] = {0.0, 0.0, dD.data() + i * system.channels,
                   rest.empty() ? nullptr : rest.data() + i * rest_size};
    parallel_for(
        count,
        [&](std::size_t task, std::size_t worker) {
            const std::size_t b = task / tasks.per_sequence();
            const std::size_t part = task % tasks.per_sequence();
            Task run(system, input, dy, state, gradient, context, scratch.data() + worker * size,
                     doubles.data() + worker * scalars);
            run.run(b, tasks.first(part), tasks.last(part), dB.data() + task * maps,
                    dC.data() + task * maps, &sums[b * system.heads + tasks.first(part)]);
        },
        detail::ssd_cost(system, input.length, tasks.heads, 12.0));
    detail::add_ssd_maps<T>(gradient.B, system, tasks, input.batch, input.length, dB);
    detail::add_ssd_maps<T>(gradient.C, system, tasks, input.batch, input.length, dC);
    detail::add_ssd_sums<T>(system, gradient, sums);
}

}  // namespace ssm
