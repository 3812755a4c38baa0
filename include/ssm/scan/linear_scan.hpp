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
#include <ssm/scan/linear_scan_call.hpp>
#include <ssm/scan/linear_scan_chunks.hpp>
#include <ssm/scan/linear_scan_element.hpp>
#include <ssm/scan/linear_scan_form.hpp>
#include <ssm/scan/linear_scan_kernel.hpp>
#include <ssm/scan/segments.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm {

namespace detail {

/// Calls `body(begin, end, fresh)` for stretches of sequence b without resets, in the order of the scan.
/// Backward in time every stretch between resets begins at rest but the one that the state enters.
template <class Body>
void for_each_stretch(const Context& context, TimeDirection direction, std::size_t b,
                      std::size_t length, Body&& body) {
    const std::size_t valid = context.valid_length(b, length);
    if (direction == TimeDirection::forward) {
        for_each_segment(context, b, 0, valid, body);
        return;
    }
    for (std::size_t end = valid; end > 0;) {
        std::size_t begin = end - 1;
        while (begin > 0 && !context.resets_at(b, begin))
            --begin;
        body(begin, end, end < valid);
        end = begin;
    }
}

/// All sequences, each task some columns of one sequence.
template <class Form, bool fixed, class T>
void scan_whole(const Scan<Form, T>& scan, T* states, const Context& context) {
    const std::size_t tasks = scan.column_tasks();
    parallel_for(
        scan.x.batch() * tasks,
        [&](std::size_t task, std::size_t) {
            const std::size_t b = task / tasks;
            const std::size_t i = task % tasks * scan.task_columns();
            const std::size_t columns = std::min(scan.task_columns(), scan.columns() - i);
            T* const state = states + b * scan.width() + i;
            for_each_stretch(context, scan.direction, b, scan.x.length(),
                             [&](std::size_t begin, std::size_t end, bool fresh) {
                                 if (fresh)
                                     clear_columns(state, scan.columns(), Form::parts, columns);
                                 scan_columns<Form, fixed>(scan.rows(b, begin, end, i), end - begin,
                                                           columns, state);
                             });
        },
        scan.cost(scan.x.length()));
}

template <class Form, bool fixed, class T>
void run_scan(const Scan<Form, T>& scan, const Context& context) {
    const BatchView<T> x = scan.x;
    context.check(x.shape());
    require<ShapeError>(x.channels() % Form::parts == 0, "ssm::linear_scan: rows of ", x.channels(),
                        " numbers, expected real and imaginary parts");
    if (x.empty())
        return;
    const Workspace::Frame frame = context.workspace.frame();
    const bool rest = scan.state == nullptr;
    T* const states = rest
                          ? context.workspace.template take_zero<T>(x.batch() * x.channels()).data()
                          : scan.state;
    const bool plain = context.resets.data() == nullptr && context.lengths.empty();
    if (plain && is_cut(scan))
        ScanInChunks<Form, fixed, T>(scan, states, context.workspace).run();
    else
        scan_whole<Form, fixed>(scan, states, context);
    clear_padding(x, context);
}

template <class T>
void check_scan_state(std::span<T> state, const Shape& shape) {
    require<ShapeError>(state.empty() || state.size() == shape.batch * shape.channels,
                        "ssm::linear_scan: the state has ", state.size(), " numbers, expected ",
                        shape.batch * shape.channels);
}

}  // namespace detail

/// The linear recurrence x[t] = a x[t-1] + b[t] of many independent columns, with coefficients that are the same
/// at all steps. `x` holds b before and the states after.
///
/// Shapes    a (parts P), x (batch, L, parts P), state (batch, parts P); complex rows are P real, then P
///           imaginary parts
/// State     x[-1] before and the last state after; empty: from rest, and not wanted
/// Resets    at a reset, or backward in time behind one, the recurrence begins anew. A sequence's state stops at
///           its valid length; rows behind it are zero
/// Errors    ShapeError for arguments that do not fit
/// Cost      1 (real) or 4 (complex) multiply-adds for each column and step, nearly twice as many where few columns
///           take several steps at once; one pass over memory. A few very long sequences are cut over time, which
///           takes another pass to find the states at the cuts
/// Accuracy  one rounding of the state a step
/// Threads   the same bits for any number of threads
template <LinearScanForm Form, class T>
void linear_scan(std::type_identity_t<std::span<const T>> a, BatchView<T> x,
                 std::type_identity_t<std::span<T>> state, const Context& context,
                 TimeDirection direction = TimeDirection::forward) {
    require<ShapeError>(a.size() == x.channels(), "ssm::linear_scan: ", a.size(),
                        " coefficients, expected ", x.channels());
    detail::check_scan_state(state, x.shape());
    detail::run_scan<Form, true>(
        detail::Scan<Form, T>{a.data(), 0, x, state.empty() ? nullptr : state.data(), direction},
        context);
}

/// The same with coefficients of each step: a (batch, L, parts P).
template <LinearScanForm Form, class T>
void linear_scan(std::type_identity_t<BatchView<const T>> a, BatchView<T> x,
                 std::type_identity_t<std::span<T>> state, const Context& context,
                 TimeDirection direction = TimeDirection::forward) {
    require_shape("ssm::linear_scan: coefficients", a.shape(), x.shape());
    detail::check_scan_state(state, x.shape());
    detail::run_scan<Form, false>(
        detail::Scan<Form, T>{a.data(), x.channels(), x, state.empty() ? nullptr : state.data(),
                              direction},
        context);
}

namespace detail {

/// Calls `body(rows, steps)` for each stretch of the one sequence b; `result` is that of a reset where one is.
template <class Form, class T, class Body>
void element_of_stretches(ScanElement<Form, T>& result, const T* a, std::size_t a_row,
                          BatchView<const T> b, const Context& context, Body&& body) {
    require<ShapeError>(b.batch() == 1, "ssm::scan_element: ", b.batch(), " sequences, expected 1");
    context.check(b.shape());
    const std::size_t columns = result.columns();
    for_each_segment(context, 0, 0, context.valid_length(0, b.length()),
                     [&](std::size_t begin, std::size_t end, bool fresh) {
                         if (fresh) {
                             std::fill(result.b.begin(), result.b.end(), T(0));
                             std::fill(result.a.begin(), result.a.end(), T(0));
                             std::fill_n(result.a.begin(), columns, static_cast<T>(Form::nothing));
                         }
                         // the kernels that get these rows do not write
                         T* const row = const_cast<T*>(b.data()) + begin * b.channels();
                         body(ScanRows<T>{a + begin * a_row, static_cast<std::ptrdiff_t>(a_row),
                                          row, static_cast<std::ptrdiff_t>(b.channels()), columns},
                              end - begin, fresh);
                     });
}

}  // namespace detail

/// What all steps of a sequence together do to the state before them: for scans that are cut over machines,
/// each of which then runs its part from the composition of the parts before it.
///
/// Shapes    a (parts P); b (1, L, parts P)
/// Errors    ShapeError for arguments that do not fit
template <LinearScanForm Form, class T>
[[nodiscard]] ScanElement<Form, T> scan_element(std::type_identity_t<std::span<const T>> a,
                                                BatchView<const T> b, const Context& context) {
    require<ShapeError>(a.size() == b.channels(), "ssm::scan_element: ", a.size(),
                        " coefficients, expected ", b.channels());
    ScanElement<Form, T> result(b.channels() / Form::parts);
    detail::element_of_stretches(
        result, a.data(), 0, b, context,
        [&](const detail::ScanRows<T>& rows, std::size_t steps, bool fresh) {
            detail::scan_last_state<Form, true, T>(rows, steps, result.columns(), result.b.data(),
                                                   nullptr);
            if (!fresh)
                detail::power_row<Form>(a.data(), result.columns(), steps, result.a.data());
        });
    return result;
}

/// The same with coefficients of each step: a (1, L, parts P).
template <LinearScanForm Form, class T>
[[nodiscard]] ScanElement<Form, T> scan_element(std::type_identity_t<BatchView<const T>> a,
                                                BatchView<const T> b, const Context& context) {
    require_shape("ssm::scan_element: coefficients", a.shape(), b.shape());
    ScanElement<Form, T> result(b.channels() / Form::parts);
    detail::element_of_stretches(result, a.data(), b.channels(), b, context,
                                 [&](const detail::ScanRows<T>& rows, std::size_t steps, bool) {
                                     detail::scan_last_state<Form, false, T>(
                                         rows, steps, result.columns(), result.b.data(),
                                         result.a.data());
                                 });
    return result;
}

}  // namespace ssm
