#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

#include <Eigen/Core>

#include <ssm/core/error.hpp>

/// HiPPO: x' = A x + B u whose state holds the coefficients of the best approximation of the history
/// of u in some basis, weighted by some measure. A measure is a value with
///
///   rank                              rank of the low-rank correction P
///   transition(N) -> Transition       the dense matrices A (N, N) and B (N)
///   low_rank(N) -> MatrixXd           P (rank, N) such that A + sum_r P_r P_r^T is normal
///
/// Source  arXiv:2008.07669 (LegS), arXiv:2206.12037 (Fourier), arXiv:2111.00396 (corrections)
namespace ssm::init::hippo {

struct Transition {
    Eigen::MatrixXd A;
    Eigen::VectorXd B;
};

/// What `nplr` can diagonalise.
template <class M>
concept Measure = requires(const M& measure, std::size_t N) {
    { measure.transition(N) } -> std::convertible_to<Transition>;
    { measure.low_rank(N) } -> std::convertible_to<Eigen::MatrixXd>;
};

/// Scaled Legendre: polynomials on the whole history.
///
///   A_nk = -sqrt(2n+1) sqrt(2k+1) for n > k, -(n+1) for n = k, 0 above     B_n = sqrt(2n+1)
///   P_n = sqrt(n + 1/2)
struct LegS {
    [[nodiscard]] static Transition transition(std::size_t N) {
        const auto size = static_cast<Eigen::Index>(N);
        const Eigen::VectorXd B =
            (2.0 * Eigen::ArrayXd::LinSpaced(size, 0.0, static_cast<double>(size - 1)) + 1.0)
                .sqrt();
        Eigen::MatrixXd A = Eigen::MatrixXd::Zero(size, size);
        for (Eigen::Index n = 0; n < size; ++n) {
            A.row(n).head(n) = -B(n) * B.head(n).transpose();
            A(n, n) = -static_cast<double>(n + 1);
        }
        return {A, B};
    }
    [[nodiscard]] static Eigen::MatrixXd low_rank(std::size_t N) {
        return transition(N).B.transpose() * std::numbers::sqrt2 / 2.0;
    }
};

/// Truncated Fourier: sines and cosines on a sliding window of length 1.
///
///   A = S - B B^T, S rotates the pair (2j, 2j+1) with frequency pi j
///   B_0 = 1, B_2j = sqrt 2, odd entries 0     P = B
///
/// Errors  ValueError for odd N
struct Fourier {
    [[nodiscard]] static Transition transition(std::size_t N) {
        require<ValueError>(N % 2 == 0, "ssm::init::hippo::Fourier: N = ", N,
                            " is odd, but sines and cosines come in pairs");
        const auto size = static_cast<Eigen::Index>(N);
        Eigen::VectorXd B = Eigen::VectorXd::Zero(size);
        Eigen::MatrixXd S = Eigen::MatrixXd::Zero(size, size);
        for (Eigen::Index n = 0; n < size; n += 2) {
            const double frequency = std::numbers::pi * static_cast<double>(n / 2);
            B(n) = n == 0 ? 1.0 : std::numbers::sqrt2;
            S(n, n + 1) = -frequency;
            S(n + 1, n) = frequency;
        }
        return {S - B * B.transpose(), B};
    }
    [[nodiscard]] static Eigen::MatrixXd low_rank(std::size_t N) {
        return transition(N).B.transpose();
    }
};

}  // namespace ssm::init::hippo
