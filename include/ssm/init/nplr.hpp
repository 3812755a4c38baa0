#pragma once

#include <cmath>
#include <complex>
#include <cstddef>
#include <numbers>
#include <type_traits>

#include <Eigen/Core>
#include <Eigen/Eigenvalues>

#include <ssm/core/error.hpp>
#include <ssm/init/hippo.hpp>

namespace ssm::init {

/// A HiPPO system A0, B0 of size N in a basis of eigenvectors V of its normal part, in which it is
/// diagonal plus low rank. Of each conjugate pair the mode with Im W <= 0 is stored, n = N/2 of them in
/// ascending order of Im W.
///
///   A0 + P0^T P0 = 2 Re(V diag(W) V^*)      B0 = 2 Re(V B)      P0_r = 2 Re(V P_r), P_r a row of P
///
/// Shapes    W (n), P (rank, n), B (n), V (N, n)
/// Phase     columns of V are fixed so that their first entry that is not zero is positive
struct Nplr {
    Eigen::VectorXcd W;
    Eigen::MatrixXcd P;
    Eigen::VectorXcd B;
    Eigen::MatrixXcd V;
};

namespace detail {

/// Eigenvectors of -i K for a real skew-symmetric K, in ascending order of the real eigenvalues.
struct SkewEigen {
    Eigen::VectorXd frequency;
    Eigen::MatrixXcd V;
};

/// A Householder reduction makes K = Q T Q^T tridiagonal without leaving the real numbers. With
/// d_k = (-i)^k, D^* (-i T) D is real symmetric: zero diagonal, the subdiagonal of T beside it. So
/// if y is one of its eigenvectors, Q D y is one of -i K; d_k is real or imaginary by turns. The
/// eigenvectors of A itself must never be computed: their condition number grows exponentially.
template <class Matrix = Eigen::MatrixXd>
[[nodiscard]] SkewEigen eigen_of_skew(const std::type_identity_t<Matrix>& K) {
    const Eigen::Index N = K.rows();
    if (N == 1)
        return {Eigen::VectorXd::Zero(1), Eigen::MatrixXcd::Ones(1, 1)};
    const Eigen::HessenbergDecomposition<Matrix> reduced(K);
    Matrix packed = reduced.packedMatrix();  // T, and reflections below it whose product is Q
    Eigen::SelfAdjointEigenSolver<Matrix> solver;
    solver.computeFromTridiagonal(Eigen::VectorXd(Eigen::VectorXd::Zero(N)),
                                  Eigen::VectorXd(packed.diagonal(-1)));
    require<ValueError>(solver.info() == Eigen::Success,
                        "ssm::init::nplr: the eigenvalue iteration did not converge");

    Matrix real = solver.eigenvectors();
    Matrix imag = real;
    std::complex<double> power = 1.0;
    for (Eigen::Index k = 0; k < N; ++k, power = {power.imag(), -power.real()}) {
        real.row(k) *= power.real();
        imag.row(k) *= power.imag();
    }
    // One reflection after the other: Q as a matrix, and products of it, take the compiler much longer.
    Eigen::VectorXd workspace(N);
    for (Eigen::Index k = N - 1; k-- > 0;)
        for (Matrix* part : {&real, &imag})
            part->bottomRightCorner(N - 1 - k, N)
                .applyHouseholderOnTheLeft(packed.col(k).tail(N - 2 - k),
                                           reduced.householderCoefficients()(k), workspace.data());
    SkewEigen result{solver.eigenvalues(), Eigen::MatrixXcd(N, N)};
    result.V.real() = real;
    result.V.imag() = imag;
    return result;
}

/// Makes the first entry of each column that is not zero positive.
template <class Matrix>
void fix_phase(Matrix& V) {
    for (Eigen::Index j = 0; j < V.cols(); ++j)
        for (Eigen::Index k = 0; k < V.rows(); ++k) {
            const double size = std::abs(V(k, j));
            if (size > 1e-10) {
                V.col(j) *= std::conj(V(k, j)) / size;
                break;
            }
        }
}

/// A real orthonormal basis of the space that the orthonormal columns of V span, if it is closed under
/// conjugation: projections of unit vectors, one after the other.
template <class Vectors>
[[nodiscard]] Eigen::MatrixXd real_basis(const Vectors& V) {
    const Eigen::MatrixXd projection = V.lazyProduct(V.adjoint()).real();
    Eigen::MatrixXd basis(V.rows(), 0);
    for (Eigen::Index k = 0; k < V.rows() && basis.cols() < V.cols(); ++k) {
        Eigen::VectorXd q = projection.col(k);
        q -= basis.lazyProduct(basis.transpose().lazyProduct(q).eval());
        if (q.norm() < 1e-4)
            continue;
        basis.conservativeResize(Eigen::NoChange, basis.cols() + 1);
        basis.rightCols(1) = q.normalized();
    }
    return basis;
}

/// Frequencies that are zero come in pairs, one of them among the first half. Their eigenvectors span a real
/// space of which the solver gives any basis; here one that is closed under conjugation, (q_1 + i q_2) / sqrt 2.
template <class Vectors>
void repair_zero_frequencies(Eigen::VectorXd& frequency, Vectors& V) {
    const Eigen::Index n = frequency.size() / 2;
    const double zero = 1e-10 * (1.0 + frequency.cwiseAbs().maxCoeff());
    Eigen::Index count = 0;
    while (count < n && std::abs(frequency(n - 1 - count)) < zero)
        ++count;
    if (count == 0)
        return;
    const Eigen::MatrixXd basis = real_basis(V.middleCols(n - count, 2 * count));
    for (Eigen::Index j = 0; j < count; ++j) {
        frequency(n - 1 - j) = 0.0;
        V.col(n - 1 - j).real() = basis.col(2 * j) / std::numbers::sqrt2;
        V.col(n - 1 - j).imag() = basis.col(2 * j + 1) / std::numbers::sqrt2;
    }
}

}  // namespace detail

/// Diagonalises the normal part A + sum_r P_r P_r^T = c I + K of a HiPPO system of state size N = 2
/// `modes`, K skew: W_j = c + i w_j. `rank` is that of the correction: 0 is the measure's own, and
/// rows beyond that are zero.
///
/// Cost      O(N^3), once
/// Errors    ValueError if A + P^T P is not normal, modes is 0, or the measure has a larger rank
/// Source    arXiv:2111.00396; in real arithmetic throughout, unlike the original
template <hippo::Measure M>
[[nodiscard]] Nplr nplr(const M& measure, std::size_t modes, std::size_t rank = 0) {
    require<ValueError>(modes > 0, "ssm::init::nplr: no modes");
    const auto n = static_cast<Eigen::Index>(modes);
    const hippo::Transition system = measure.transition(2 * modes);
    const Eigen::MatrixXd P =
        rank == 0 ? measure.low_rank(2 * modes) : hippo::low_rank(measure, 2 * modes, rank);
    const Eigen::MatrixXd normal = system.A + P.transpose().lazyProduct(P);
    const double c = normal.diagonal().mean();
    Eigen::MatrixXd symmetric = 0.5 * (normal + normal.transpose());
    symmetric.diagonal().array() -= c;
    require<ValueError>(
        symmetric.norm() <= 1e-8 * (1.0 + normal.norm()),
        "ssm::init::nplr: A plus its low-rank correction is not a multiple of the identity "
        "plus a skew-symmetric matrix");

    detail::SkewEigen eigen = detail::eigen_of_skew(0.5 * (normal - normal.transpose()));
    detail::repair_zero_frequencies(eigen.frequency, eigen.V);
    Nplr result;
    result.W = Eigen::VectorXcd(n);
    result.W.real().setConstant(c);
    result.W.imag() = eigen.frequency.head(n).cwiseMin(0.0);
    result.V = eigen.V.leftCols(n);
    detail::fix_phase(result.V);
    using Complex = std::complex<double>;
    result.P = P.template cast<Complex>().lazyProduct(result.V.conjugate());
    result.B = result.V.adjoint().lazyProduct(system.B.template cast<Complex>());
    return result;
}

/// B with its imaginary parts cut to [-bound, bound], as S4 trains it: those of LegS grow with N.
[[nodiscard]] inline Eigen::VectorXcd clip_input(Eigen::VectorXcd B, double bound) {
    B.imag() = B.imag().cwiseMax(-bound).cwiseMin(bound).eval();
    return B;
}

}  // namespace ssm::init
