#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/scan/linear_scan_form.hpp>
#include <ssm/scan/linear_scan_kernel.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::detail {

/// Packs of columns that one task scans.
inline constexpr std::size_t scan_task_packs = 2 * scan_packs;

/// One call: coefficients of all sequences (`a_row` numbers from step to step, 0: the same for all), and rows.
template <class Form, class T, class Arch = simd::Arch>
struct Scan {
    const T* a;
    std::size_t a_row;
    BatchView<T> x;
    T* state;  ///< (batch, width); null: from rest, not wanted
    TimeDirection direction;

    [[nodiscard]] std::size_t width() const noexcept { return x.channels(); }
    [[nodiscard]] std::size_t columns() const noexcept { return width() / Form::parts; }
    [[nodiscard]] static constexpr std::size_t task_columns() noexcept {
        return scan_task_packs * simd::width<T>;
    }
    [[nodiscard]] std::size_t column_tasks() const noexcept {
        return (columns() + task_columns() - 1) / task_columns();
    }
    /// Rows begin .. end - 1 of sequence b from column i on, in the order of the scan.
    [[nodiscard]] ScanRows<T> rows(std::size_t b, std::size_t begin, std::size_t end,
                                   std::size_t i) const noexcept {
        const bool onward = direction == TimeDirection::forward;
        const std::size_t row = b * x.length() + (onward ? begin : end - 1);
        const auto signed_step = [onward](std::size_t step) {
            return onward ? static_cast<std::ptrdiff_t>(step) : -static_cast<std::ptrdiff_t>(step);
        };
        return {a + row * a_row + i, signed_step(a_row), x.data() + row * width() + i,
                signed_step(width()), columns()};
    }
    /// The same where begin and end count in the order of the scan.
    [[nodiscard]] ScanRows<T> rows_from(std::size_t b, std::size_t begin, std::size_t end,
                                        std::size_t i) const noexcept {
        const bool onward = direction == TimeDirection::forward;
        return onward ? rows(b, begin, end, i) : rows(b, x.length() - end, x.length() - begin, i);
    }
    /// About half a nanosecond for a pack of a step.
    [[nodiscard]] TaskCost cost(std::size_t steps) const noexcept {
        return {0.5 *
                static_cast<double>(steps * Form::parts * std::min(columns(), task_columns())) /
                static_cast<double>(simd::width<T>)};
    }
};

/// Zeros in `columns` columns of a row, in all its parts.
template <class T>
void clear_columns(T* row, std::size_t part, std::size_t parts, std::size_t columns) noexcept {
    for (std::size_t p = 0; p < parts; ++p)
        std::fill_n(row + p * part, columns, T(0));
}

}  // namespace ssm::detail
