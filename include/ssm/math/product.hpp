#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>

namespace ssm::math {

/// Rows of one task of a product: enough for Eigen to pack the other factor at little cost.
inline constexpr std::size_t product_rows = 256;

/// Time of a product of these sizes, at a rate that Eigen reaches.
[[nodiscard]] inline TaskCost product_cost(std::size_t m, Eigen::Index n, Eigen::Index k) noexcept {
    return {2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) / 50.0};
}

/// The product below, also into some columns of a wider matrix.
template <class T, class Target>
void product_transposed_to(MatrixMap<const T> a, MatrixMap<const T> b, const T* d, Target c) {
    parallel_ranges(
        static_cast<std::size_t>(a.rows()), product_rows,
        [&](std::size_t begin, std::size_t end, std::size_t) {
            const auto first = static_cast<Eigen::Index>(begin);
            const auto count = static_cast<Eigen::Index>(end - begin);
            auto target = c.middleRows(first, count);
            if (d == nullptr) {
                target.noalias() = a.middleRows(first, count) * b.transpose();
            } else {
                target.rowwise() = Eigen::Map<const Eigen::RowVectorX<T>>(d, c.cols());
                target.noalias() += a.middleRows(first, count) * b.transpose();
            }
        },
        product_cost(product_rows, b.rows(), b.cols()));
}

/// C = A B^T + 1 d^T: A (m, k), B (n, k), C (m, n), all row-major; d (n) is added to every row of C, null: nothing.
///
/// Cost      2 m n k flops in Eigen's product, cut over m; the same bits for any number of threads.
template <class T>
void product_transposed(MatrixMap<const T> a, MatrixMap<const T> b, const T* d, MatrixMap<T> c) {
    product_transposed_to<T>(a, b, d, c);
}

/// C = A B: A (m, k), B (k, n), C (m, n), all row-major. Cost as above.
template <class T>
void product(MatrixMap<const T> a, MatrixMap<const T> b, MatrixMap<T> c) {
    parallel_ranges(
        static_cast<std::size_t>(a.rows()), product_rows,
        [&](std::size_t begin, std::size_t end, std::size_t) {
            const auto first = static_cast<Eigen::Index>(begin);
            const auto count = static_cast<Eigen::Index>(end - begin);
            c.middleRows(first, count).noalias() = a.middleRows(first, count) * b;
        },
        product_cost(product_rows, b.rows(), b.cols()));
}

/// C += A B. Shapes and cost as above.
template <class T>
void add_product(MatrixMap<const T> a, MatrixMap<const T> b, MatrixMap<T> c) {
    parallel_ranges(
        static_cast<std::size_t>(a.rows()), product_rows,
        [&](std::size_t begin, std::size_t end, std::size_t) {
            const auto first = static_cast<Eigen::Index>(begin);
            const auto count = static_cast<Eigen::Index>(end - begin);
            c.middleRows(first, count).noalias() += a.middleRows(first, count) * b;
        },
        product_cost(product_rows, b.rows(), b.cols()));
}

/// C += A B^T: A (m, k), B (n, k), C (m, n), all row-major. Cost as above.
template <class T>
void add_product_transposed(MatrixMap<const T> a, MatrixMap<const T> b, MatrixMap<T> c) {
    parallel_ranges(
        static_cast<std::size_t>(a.rows()), product_rows,
        [&](std::size_t begin, std::size_t end, std::size_t) {
            const auto first = static_cast<Eigen::Index>(begin);
            const auto count = static_cast<Eigen::Index>(end - begin);
            c.middleRows(first, count).noalias() += a.middleRows(first, count) * b.transpose();
        },
        product_cost(product_rows, b.rows(), b.cols()));
}

/// C += A^T B: A (k, m), B (k, n), C (m, n), all row-major: the gradient of a matrix that many rows went through.
///
/// Cost      2 m n k flops, cut over m when that is large; else over k, and the parts are added in order. The
///           same bits for any number of threads
template <class T>
void add_product_of_transpose(MatrixMap<const T> a, MatrixMap<const T> b, MatrixMap<T> c,
                              Workspace& workspace) {
    constexpr std::size_t columns = 128;  // of one task
    constexpr std::size_t most_parts = 8;
    const auto k = static_cast<std::size_t>(a.rows());
    const auto m = static_cast<std::size_t>(a.cols());
    if (m >= 4 * columns || k < 2 * product_rows) {
        parallel_ranges(
            m, columns,
            [&](std::size_t begin, std::size_t end, std::size_t) {
                const auto first = static_cast<Eigen::Index>(begin);
                const auto count = static_cast<Eigen::Index>(end - begin);
                c.middleRows(first, count).noalias() += a.middleCols(first, count).transpose() * b;
            },
            product_cost(columns, b.cols(), b.rows()));
        return;
    }
    const std::size_t rows = std::max(product_rows, (k + most_parts - 1) / most_parts);
    const auto size = static_cast<std::size_t>(c.size());
    const Workspace::Frame frame = workspace.frame();
    const std::span<T> parts = workspace.take<T>((k + rows - 1) / rows * size);
    parallel_ranges(
        k, rows,
        [&](std::size_t begin, std::size_t end, std::size_t) {
            const auto first = static_cast<Eigen::Index>(begin);
            const auto count = static_cast<Eigen::Index>(end - begin);
            MatrixMap<T>(parts.data() + begin / rows * size, c.rows(), c.cols()).noalias() =
                a.middleRows(first, count).transpose() * b.middleRows(first, count);
        },
        product_cost(rows, a.cols(), b.cols()));
    for (std::size_t part = 0; part < parts.size(); part += size)
        c += MatrixMap<T>(parts.data() + part, c.rows(), c.cols());
}

}  // namespace ssm::math
