#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <type_traits>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/math/matrix_vector.hpp>
#include <ssm/math/product.hpp>

namespace ssm::math {

/// Numbers of weights that are widened at once: they stay in the level 2 cache or near it.
inline constexpr std::size_t widened_panel = std::size_t{1} << 18U;

/// C = A W^T + 1 d^T for weights W in their storage type: A (m, k), W (n, k), C (m, n), all row-major; d (n) is added
/// to every row of C, null: nothing.
///
/// Cost      few rows as in single steps (`matrix_vector`); many as `product_transposed`, for which weights of another
///           type are widened, a panel at a time, into the workspace. The same bits for any number of threads
template <class T, class Stored>
void weight_product(MatrixMap<const T> a, const Stored* W, const T* d, MatrixMap<T> c,
                    Workspace& workspace) {
    constexpr std::size_t few = 8;
    const auto m = static_cast<std::size_t>(a.rows());
    const auto k = static_cast<std::size_t>(a.cols());
    const auto n = static_cast<std::size_t>(c.cols());
    if (m <= few) {
        matrix_vector<T>(W, n, k, a.data(), m, d, c.data());
    } else if constexpr (std::is_same_v<T, Stored>) {
        product_transposed<T>(a, matrix_map(W, n, k), d, c);
    } else {
        const Workspace::Frame frame = workspace.frame();
        const std::size_t rows = std::min(n, std::max<std::size_t>(1, widened_panel / k));
        const std::span<T> panel = workspace.take<T>(rows * k);
        for (std::size_t begin = 0; begin < n; begin += rows) {
            const std::size_t count = std::min(rows, n - begin);
            parallel_ranges(count * k, 8192, [&](std::size_t first, std::size_t last, std::size_t) {
                for (std::size_t i = first; i < last; ++i)
                    panel[i] = static_cast<T>(W[begin * k + i]);
            });
            product_transposed_to<T>(
                a, matrix_map<const T>(panel.data(), count, k), d == nullptr ? nullptr : d + begin,
                c.middleCols(static_cast<Eigen::Index>(begin), static_cast<Eigen::Index>(count)));
        }
    }
}

}  // namespace ssm::math
