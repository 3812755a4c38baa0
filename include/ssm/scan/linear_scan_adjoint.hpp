#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <type_traits>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/padding.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/scan/linear_scan.hpp>
#include <ssm/scan/linear_scan_form.hpp>
#include <ssm/scan/linear_scan_kernel.hpp>

namespace ssm {

namespace detail {

/// What an adjoint reads and writes beside the rows g of `Scan::x`.
template <class T>
struct ScanAdjoint {
    const T* x;        ///< states, shaped as g
    const T* initial;  ///< x[-1] (batch, width); null: rest
    T* d_initial;      ///< d loss / d x[-1]; null: not wanted
    T* slopes;         ///< of coefficients that vary, shaped as g
    double* sums;      ///< of fixed ones, (batch, width), added to
};

/// One stretch of one sequence, columns i ..; rows are visited from its last step to its first. `carry` is
/// conj(a) g of the step after it, and then of its first step.
template <class Form, bool fixed, class T, class Arch = simd::Arch>
void adjoint_stretch(const Scan<Form, T>& g, const ScanAdjoint<T>& with, std::size_t b,
                     std::size_t begin, std::size_t end, std::size_t i, std::size_t columns,
                     const T* before, T* carry, T* tile_sums) noexcept {
    Scan<Form, T> reversed = g;
    reversed.direction =
        g.direction == TimeDirection::forward ? TimeDirection::backward : TimeDirection::forward;
    const std::size_t part = g.columns();
    const std::size_t steps = end - begin;
    const ScanRows<T> rows = reversed.rows(b, begin, end, i);
    for (std::size_t t = 0; t < steps; t += scan_tile) {
        const std::size_t count = std::min(scan_tile, steps - t);
        if constexpr (fixed)
            clear_columns(tile_sums, part, Form::parts, columns);
        for_each_pack_group<T>(
            columns, [&](auto packs, const auto& last, std::size_t c) SSM_INLINE_LAMBDA {
                const ScanRows<T> at = rows.at(t, c);
                const std::ptrdiff_t here = at.x - g.x.data();
                // the state before a step is in the row that is visited next
                const T* const x = with.x + here + rows.x_step;
                const bool is_last = t + count == steps;
                const T* const x_before =
                    is_last ? before + c : x + static_cast<std::ptrdiff_t>(count - 1) * rows.x_step;
                scan_adjoint_pack_group<Form, fixed, packs()>(
                    at, x, x_before, count, carry + c, tile_sums + c,
                    fixed ? nullptr : with.slopes + here, last);
            });
        if constexpr (fixed)
            for (std::size_t p = 0; p < Form::parts; ++p)
                for (std::size_t c = 0; c < columns; ++c)
                    with.sums[b * g.width() + p * part + i + c] +=
                        static_cast<double>(tile_sums[p * part + c]);
    }
}

template <class Form, bool fixed, class T>
void run_scan_adjoint(const Scan<Form, T>& g, const ScanAdjoint<T>& with, const Context& context) {
    const std::size_t width = g.width();
    const std::size_t tasks = g.column_tasks();
    const Workspace::Frame frame = context.workspace.frame();
    const std::size_t states = g.x.batch() * width;
    const std::span<T> carries = context.workspace.template take_zero<T>(2 * states + width);
    T* const sums = carries.data() + states;
    const T* const rest = sums + states;
    if (with.d_initial != nullptr)
        std::fill_n(with.d_initial, states, T(0));
    parallel_for(
        g.x.batch() * tasks,
        [&](std::size_t task, std::size_t) {
            const std::size_t b = task / tasks;
            const std::size_t i = task % tasks * g.task_columns();
            const std::size_t columns = std::min(g.task_columns(), g.columns() - i);
            T* const carry = carries.data() + b * width + i;
            // Every stretch but the one that the state enters begins at rest: they are independent
            for_each_stretch(
                context, g.direction, b, g.x.length(),
                [&](std::size_t begin, std::size_t end, bool fresh) {
                    const bool enters = !fresh && with.initial != nullptr;
                    clear_columns(carry, g.columns(), Form::parts, columns);
                    adjoint_stretch<Form, fixed>(g, with, b, begin, end, i, columns,
                                                 (enters ? with.initial + b * width : rest) + i,
                                                 carry, sums + b * width + i);
                    if (!fresh && with.d_initial != nullptr)
                        for (std::size_t p = 0; p < Form::parts; ++p)
                            std::copy_n(carry + p * g.columns(), columns,
                                        with.d_initial + b * width + p * g.columns() + i);
                });
        },
        g.cost(2 * g.x.length()));
    clear_padding(g.x, context);
    if constexpr (!fixed)
        clear_padding(BatchView<T>(with.slopes, g.x.shape()), context);
}

}  // namespace detail

/// Adjoint of `linear_scan` with fixed coefficients. `g` holds d loss / d x[t] of the states as outputs before,
/// and d loss / d b[t] after:
///
///   g[t] = d[t] + conj(a) g[t+1]      da += sum_t conj(x[t-1]) g[t]      dx[-1] = conj(a) g[0]
///
/// Shapes    x, g (batch, L, parts P) with x what the scan left; a, da (parts P); initial and d_initial
///           (batch, parts P), x[-1]: empty means rest, and not wanted
/// Accuracy  da is summed in double over some steps at a time
/// Errors, Resets, Threads   as `linear_scan`
template <LinearScanForm Form, class T>
void linear_scan_adjoint(std::type_identity_t<std::span<const T>> a,
                         std::type_identity_t<BatchView<const T>> x, BatchView<T> g,
                         std::span<double> da, std::type_identity_t<std::span<const T>> initial,
                         std::type_identity_t<std::span<T>> d_initial, const Context& context,
                         TimeDirection direction = TimeDirection::forward) {
    require_shape("ssm::linear_scan_adjoint: states", x.shape(), g.shape());
    require<ShapeError>(a.size() == g.channels() && da.size() == g.channels(),
                        "ssm::linear_scan_adjoint: ", a.size(), " coefficients and ", da.size(),
                        " gradients, expected ", g.channels());
    detail::check_scan_state(initial, g.shape());
    detail::check_scan_state(d_initial, g.shape());
    context.check(g.shape());
    if (g.empty())
        return;
    const Workspace::Frame frame = context.workspace.frame();
    const std::span<double> sums =
        context.workspace.template take_zero<double>(g.batch() * g.channels());
    detail::run_scan_adjoint<Form, true>(
        detail::Scan<Form, T>{a.data(), 0, g, nullptr, direction},
        detail::ScanAdjoint<T>{x.data(), initial.empty() ? nullptr : initial.data(),
                               d_initial.empty() ? nullptr : d_initial.data(), nullptr,
                               sums.data()},
        context);
    for (std::size_t b = 0; b < g.batch(); ++b)
        for (std::size_t i = 0; i < g.channels(); ++i)
            da[i] += sums[b * g.channels() + i];
}

/// The same with coefficients of each step: a, da (batch, L, parts P), da[t] = conj(x[t-1]) g[t], overwritten.
template <LinearScanForm Form, class T>
void linear_scan_adjoint(std::type_identity_t<BatchView<const T>> a,
                         std::type_identity_t<BatchView<const T>> x, BatchView<T> g,
                         std::type_identity_t<BatchView<T>> da,
                         std::type_identity_t<std::span<const T>> initial,
                         std::type_identity_t<std::span<T>> d_initial, const Context& context,
                         TimeDirection direction = TimeDirection::forward) {
    require_shape("ssm::linear_scan_adjoint: states", x.shape(), g.shape());
    require_shape("ssm::linear_scan_adjoint: coefficients", a.shape(), g.shape());
    require_shape("ssm::linear_scan_adjoint: gradients of coefficients", da.shape(), g.shape());
    detail::check_scan_state(initial, g.shape());
    detail::check_scan_state(d_initial, g.shape());
    context.check(g.shape());
    if (g.empty())
        return;
    detail::run_scan_adjoint<Form, false>(
        detail::Scan<Form, T>{a.data(), g.channels(), g, nullptr, direction},
        detail::ScanAdjoint<T>{x.data(), initial.empty() ? nullptr : initial.data(),
                               d_initial.empty() ? nullptr : d_initial.data(), da.data(), nullptr},
        context);
}

}  // namespace ssm
