#pragma once

#include <bit>
#include <cstddef>
#include <type_traits>
#include <vector>

#include <Eigen/Core>

#include <ssm/core/error.hpp>
#include <ssm/discretize/dense.hpp>

namespace ssm {

namespace detail {

/// A, A^2, A^4, ... up to the largest power of two that is not above `length`.
template <class Matrix>
[[nodiscard]] std::vector<Matrix> squares(const Matrix& A, std::size_t length) {
    std::vector<Matrix> result;
    for (std::size_t power = 1; power <= length; power *= 2)
        result.push_back(power == 1 ? A : Matrix(result.back() * result.back()));
    return result;
}

template <class Matrix>
[[nodiscard]] Matrix power_from(const std::vector<Matrix>& squares, Eigen::Index size,
                                std::size_t length) {
    Matrix result = Matrix::Identity(size, size);
    for (std::size_t i = 0; i < squares.size(); ++i)
        if ((length >> i & 1U) != 0)
            result *= squares[i];
    return result;
}

}  // namespace detail

/// A^L by repeated squaring. A^0 is the identity.
///
/// Cost      at most 2 log2 L products of N x N matrices
/// Errors    ShapeError unless A is square
template <class Matrix = DenseMatrix>
[[nodiscard]] Matrix power(const std::type_identity_t<Matrix>& A, std::size_t length) {
    require<ShapeError>(A.rows() == A.cols(), "ssm::power: A is ", A.rows(), " x ", A.cols());
    return detail::power_from(detail::squares(A, length), A.rows(), length);
}

/// A^L and sum_i A^i v_i.
struct PowerAndSum {
    DenseMatrix power;
    Eigen::VectorXd sum;
};

/// A^L, and sum_i A^i v_i over the L columns v_i of v (N, L): the state after inputs v_{L-1}, ..., v_0. What is beyond
/// the largest power of two below L is folded onto the beginning, and then one half onto the other, until one
/// column is left.
///
/// Cost      about N^2 L + N^3 log2 L multiply-adds
/// Errors    ShapeError unless A is square and v has its rows
/// Source    the released S4 code, which so computes the state behind a convolution
template <class Matrix = DenseMatrix>
[[nodiscard]] PowerAndSum power(const std::type_identity_t<Matrix>& A,
                                const std::type_identity_t<Matrix>& v) {
    require<ShapeError>(A.rows() == A.cols() && v.rows() == A.rows(), "ssm::power: A is ", A.rows(),
                        " x ", A.cols(), " and v ", v.rows(), " x ", v.cols());
    const auto length = static_cast<std::size_t>(v.cols());
    const std::vector<Matrix> squares = detail::squares(A, length);
    Matrix parts = v;
    for (std::size_t count = length; count > 1; count = std::bit_floor(count - 1)) {
        const std::size_t half = std::bit_floor(count - 1);
        const auto first = static_cast<Eigen::Index>(half);
        const auto rest = static_cast<Eigen::Index>(count) - first;
        parts.leftCols(rest) += squares[static_cast<std::size_t>(std::countr_zero(half))] *
                                parts.middleCols(first, rest);
    }
    return {detail::power_from(squares, A.rows(), length),
            length == 0 ? Eigen::VectorXd::Zero(A.rows()) : Eigen::VectorXd(parts.col(0))};
}

}  // namespace ssm
