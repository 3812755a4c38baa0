#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>

namespace ssm::math {

/// Rows of one task of a product: enough for Eigen to pack the other factor at little cost.
inline constexpr std::size_t product_rows = 256;

/// C = A B^T, or C += A B^T: A (m, k), B (n, k), C (m, n), all row-major.
///
/// Cost      2 m n k flops in Eigen's product, cut over m; the same bits for any number of threads.
template <class T>
void product_transposed(MatrixMap<const T> a, MatrixMap<const T> b, MatrixMap<T> c,
                        bool accumulate = false) {
    parallel_ranges(static_cast<std::size_t>(a.rows()), product_rows,
                    [&](std::size_t begin, std::size_t end, std::size_t) {
                        const auto first = static_cast<Eigen::Index>(begin);
                        const auto count = static_cast<Eigen::Index>(end - begin);
                        auto target = c.middleRows(first, count);
                        if (accumulate)
                            target.noalias() += a.middleRows(first, count) * b.transpose();
                        else
                            target.noalias() = a.middleRows(first, count) * b.transpose();
                    });
}

/// C = A B: A (m, k), B (k, n), C (m, n), all row-major. Cost as above.
template <class T>
void product(MatrixMap<const T> a, MatrixMap<const T> b, MatrixMap<T> c) {
    parallel_ranges(static_cast<std::size_t>(a.rows()), product_rows,
                    [&](std::size_t begin, std::size_t end, std::size_t) {
                        const auto first = static_cast<Eigen::Index>(begin);
                        const auto count = static_cast<Eigen::Index>(end - begin);
                        c.middleRows(first, count).noalias() = a.middleRows(first, count) * b;
                    });
}

/// C += A^T B: A (k, m), B (k, n), C (m, n), all row-major; the sum over k is one product in each task.
template <class T>
void add_product_of_transpose(MatrixMap<const T> a, MatrixMap<const T> b, MatrixMap<T> c) {
    parallel_ranges(static_cast<std::size_t>(a.cols()), product_rows,
                    [&](std::size_t begin, std::size_t end, std::size_t) {
                        const auto first = static_cast<Eigen::Index>(begin);
                        const auto count = static_cast<Eigen::Index>(end - begin);
                        c.middleRows(first, count).noalias() +=
                            a.middleCols(first, count).transpose() * b;
                    });
}

}  // namespace ssm::math
