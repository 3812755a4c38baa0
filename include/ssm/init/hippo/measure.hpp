#pragma once

#include <concepts>
#include <cstddef>

#include <Eigen/Core>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>

/// HiPPO: x' = A x + B u whose state holds the coefficients of the best approximation of the history
/// of u in some basis, weighted by some measure. A measure is a value with
///
///   transition(N) -> Transition       the dense matrices A (N, N) and B (N)
///   low_rank(N) -> MatrixXd           P (rank, N) such that A + sum_r P_r P_r^T = c I + a skew matrix
///
/// and, where it makes sense,
///
///   initial_C(N) -> VectorXd          C that reads the far end of a sliding window
///
/// Source  arXiv:2008.07669 (LegS, LegT, LagT), arXiv:2206.12037 (Fourier, generalisations),
///         arXiv:2111.00396 (corrections)
namespace ssm::init::hippo {

/// The dense matrices of x' = A x + B u: A (N, N), B (N).
struct Transition {
    Eigen::MatrixXd A;
    Eigen::VectorXd B;
};

/// What gives a dense system of any size.
template <class M>
concept DenseMeasure = requires(const M& measure, std::size_t N) {
    { measure.transition(N) } -> std::convertible_to<Transition>;
};

/// The same from random numbers.
template <class M>
concept RandomMeasure = requires(const M& measure, std::size_t N, Rng& rng) {
    { measure.transition(N, rng) } -> std::convertible_to<Transition>;
};

/// The matrices of a measure of either kind.
///
/// Errors  ValueError for matrices that are not of size N
template <class M>
requires DenseMeasure<M> || RandomMeasure<M>
[[nodiscard]] Transition transition(const M& measure, std::size_t N, Rng& rng) {
    Transition result;
    if constexpr (RandomMeasure<M>)
        result = measure.transition(N, rng);
    else
        result = measure.transition(N);
    const auto size = static_cast<Eigen::Index>(N);
    require<ValueError>(
        result.A.rows() == size && result.A.cols() == size && result.B.size() == size,
        "ssm::init::hippo: the measure gave A of ", result.A.rows(), " x ", result.A.cols(),
        " and B of ", result.B.size(), " numbers for N = ", N);
    return result;
}

/// What `nplr` can diagonalise.
template <class M>
concept Measure = DenseMeasure<M> && requires(const M& measure, std::size_t N) {
    { measure.low_rank(N) } -> std::convertible_to<Eigen::MatrixXd>;
};

/// The low-rank correction of a measure with `rank` rows, those beyond its own zero.
///
/// Errors  ValueError if the correction needs more rows than `rank`
template <Measure M>
[[nodiscard]] Eigen::MatrixXd low_rank(const M& measure, std::size_t N, std::size_t rank) {
    const Eigen::MatrixXd own = measure.low_rank(N);
    const auto rows = static_cast<Eigen::Index>(rank);
    require<ValueError>(own.rows() <= rows, "ssm::init::hippo: rank = ", rank,
                        ", but the low-rank correction of this measure has rank ", own.rows());
    Eigen::MatrixXd P = Eigen::MatrixXd::Zero(rows, own.cols());
    P.topRows(own.rows()) = own;
    return P;
}

/// C that reads the far end of the window from the state, zero for measures that have none.
template <DenseMeasure M>
[[nodiscard]] Eigen::VectorXd initial_C(const M& measure, std::size_t N) {
    if constexpr (requires { measure.initial_C(N); })
        return measure.initial_C(N);
    else
        return Eigen::VectorXd::Zero(static_cast<Eigen::Index>(N));
}

namespace detail {

/// 0, 1, ..., N - 1.
[[nodiscard]] inline Eigen::ArrayXd numbers(std::size_t N) {
    const auto size = static_cast<Eigen::Index>(N);
    return Eigen::ArrayXd::LinSpaced(size, 0.0, static_cast<double>(size - 1));
}

/// 1, -1, 1, ...
[[nodiscard]] inline Eigen::ArrayXd signs(std::size_t N) {
    Eigen::ArrayXd result = Eigen::ArrayXd::Ones(static_cast<Eigen::Index>(N));
    for (Eigen::Index n = 1; n < result.size(); n += 2)
        result(n) = -1.0;
    return result;
}

/// `diagonal` on the diagonal, `below` under it, zero above.
[[nodiscard]] inline Eigen::MatrixXd lower_constant(std::size_t N, double diagonal, double below) {
    const auto size = static_cast<Eigen::Index>(N);
    Eigen::MatrixXd A = Eigen::MatrixXd::Zero(size, size);
    A.triangularView<Eigen::StrictlyLower>().setConstant(below);
    A.diagonal().setConstant(diagonal);
    return A;
}

/// No correction: A is normal already.
[[nodiscard]] inline Eigen::MatrixXd no_correction(std::size_t N) {
    return Eigen::MatrixXd::Zero(0, static_cast<Eigen::Index>(N));
}

}  // namespace detail

}  // namespace ssm::init::hippo
