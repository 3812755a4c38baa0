#pragma once

#include <cmath>
#include <cstddef>
#include <span>

namespace ssm {

/// By which norm the rows of a companion system are divided.
enum class RowNorm {
    none,
    l1,  ///< sum of absolute values: keeps the poles inside the unit circle
    l2,
};

namespace detail {

/// Rows below this mean norm stay as they are.
inline constexpr double smallest_mean_norm = 1e-4;

[[nodiscard]] inline double row_norm(RowNorm norm, std::span<const double> row) noexcept {
    double sum = 0.0;
    for (const double x : row)
        sum += norm == RowNorm::l1 ? std::abs(x) : x * x;
    return norm == RowNorm::l1 ? sum : std::sqrt(sum);
}

/// Whether rows of `size` numbers are divided at all: not if their norms are below 1e-4 on average.
[[nodiscard]] inline bool is_normalized(RowNorm norm, std::span<const double> rows,
                                        std::size_t size) noexcept {
    if (norm == RowNorm::none)
        return false;
    double sum = 0.0;
    for (std::size_t first = 0; first < rows.size(); first += size)
        sum += row_norm(norm, rows.subspan(first, size));
    return sum * static_cast<double>(size) > smallest_mean_norm * static_cast<double>(rows.size());
}

}  // namespace detail

/// Divides each row of `size` numbers by its norm, unless the norms are below 1e-4 on average, as in SpaceTime. A row
/// of zeros among others becomes NaN.
inline void normalize_rows(RowNorm norm, std::span<double> rows, std::size_t size) noexcept {
    if (!detail::is_normalized(norm, rows, size))
        return;
    for (std::size_t first = 0; first < rows.size(); first += size) {
        const std::span<double> row = rows.subspan(first, size);
        const double scale = 1.0 / detail::row_norm(norm, row);
        for (double& x : row)
            x *= scale;
    }
}

/// Adjoint of `normalize_rows` for the rows before it: turns the gradient of the normalised rows into that of `rows`.
///
///   dx = (g - s (x_hat . g)) / |x|      s = sign(x) for l1, x_hat for l2
inline void normalize_rows_adjoint(RowNorm norm, std::span<const double> rows, std::size_t size,
                                   std::span<double> gradient) noexcept {
    if (!detail::is_normalized(norm, rows, size))
        return;
    for (std::size_t first = 0; first < rows.size(); first += size) {
        const std::span<const double> x = rows.subspan(first, size);
        const std::span<double> g = gradient.subspan(first, size);
        const double scale = 1.0 / detail::row_norm(norm, x);
        double along = 0.0;
        for (std::size_t i = 0; i < size; ++i)
            along += scale * x[i] * g[i];
        for (std::size_t i = 0; i < size; ++i) {
            const double sign = x[i] > 0.0 ? 1.0 : (x[i] < 0.0 ? -1.0 : 0.0);
            const double slope = norm == RowNorm::l1 ? sign : scale * x[i];
            g[i] = scale * (g[i] - slope * along);
        }
    }
}

}  // namespace ssm
