#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <optional>
#include <vector>

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <Eigen/LU>
#include <Eigen/SVD>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/init/hippo/legendre.hpp>
#include <ssm/init/hippo/measure.hpp>
#include <ssm/init/hippo_blocks.hpp>
#include <ssm/init/nplr.hpp>
#include <ssm/init/system.hpp>

namespace ssm::init {

/// A perturbed system A + E, B in a basis of its eigenvectors V, one of each conjugate pair (Im W < 0) and all real
/// ones, in ascending order of Im W:
///
///   W     eigenvalues (n)          V (N, n)          inverse: rows of V^-1 (n, N)          B = inverse B_0 (n)
///   x_0 = Re sum_j weight_j V_j x_j with weight 2 for a pair and 1 for a real mode; so C = C_0 V
struct PerturbedModes {
    Eigen::VectorXcd W;
    Eigen::MatrixXcd V;
    Eigen::MatrixXcd inverse;
    Eigen::VectorXcd B;
    Eigen::VectorXd weight;
};

namespace detail {

/// Fills in W, V, its inverse and the weights of the eigenvalues `kept` of `all`. Eigen gives a pair of conjugates as
/// w, conj w with the columns Re v, Im v of a real matrix P; if a, b are those rows of its inverse, (a + i b) / 2 is the
/// row of V^-1 that belongs to conj v. In real numbers, because decompositions of complex ones take the compiler long.
template <class Matrix>
[[nodiscard]] PerturbedModes eigenvectors_of_real(const Matrix& P, const Eigen::VectorXcd& all,
                                                  const std::vector<Eigen::Index>& kept) {
    const auto n = static_cast<Eigen::Index>(kept.size());
    const Matrix rows = P.partialPivLu().inverse();
    PerturbedModes modes{Eigen::VectorXcd(n),
                         Eigen::MatrixXcd::Zero(P.rows(), n),
                         Eigen::MatrixXcd::Zero(n, P.rows()),
                         {},
                         Eigen::VectorXd(n)};
    for (Eigen::Index k = 0; k < n; ++k) {
        const Eigen::Index j = kept[static_cast<std::size_t>(k)];
        const bool is_real = all(j).imag() == 0.0;
        modes.W(k) = all(j);
        modes.weight(k) = is_real ? 1.0 : 2.0;
        modes.V.col(k).real() = P.col(is_real ? j : j - 1);
        modes.inverse.row(k).real() = rows.row(is_real ? j : j - 1);
        if (!is_real) {
            modes.V.col(k).imag() = -P.col(j);
            modes.inverse.row(k).imag() = rows.row(j);
        }
        modes.V.col(k).normalize();
    }
    fix_phase(modes.V);
    for (Eigen::Index k = 0; k < n; ++k)
        modes.inverse.row(k) /= modes.inverse.row(k).transpose().cwiseProduct(modes.V.col(k)).sum();
    return modes;
}

}  // namespace detail

/// Diagonalises A + E instead of A, whose eigenvectors may be useless (LegS: condition 1e19 at N = 32).
///
/// `largest_real_part`, if given, is what real parts above it are cut to: that changes the system. Without, a mode that
/// is not stable is an error.
///
/// A template, so that only those who call it compile the decompositions.
///
/// Cost    O(N^3), once
/// Errors  ShapeError for sizes that differ; ValueError for a mode with Re W >= 0
/// Source  Yu, Nigmetov, Morozov, Mahoney, Erichson: "Robustifying State-space Models for Long Sequences via Approximate
///         Diagonalization", arXiv:2310.01698
template <class Decomposition = Eigen::EigenSolver<Eigen::MatrixXd>>
[[nodiscard]] PerturbedModes perturb_then_diagonalize(
    const hippo::Transition& system, const Eigen::MatrixXd& E,
    std::optional<double> largest_real_part = {}) {
    const Eigen::Index N = system.A.rows();
    require<ShapeError>(
        system.A.cols() == N && system.B.size() == N && E.rows() == N && E.cols() == N && N > 0,
        "ssm::init::perturb_then_diagonalize: A is ", N, " x ", system.A.cols(), ", B has ",
        system.B.size(), " numbers, E is ", E.rows(), " x ", E.cols());
    const Decomposition solver(Eigen::MatrixXd(system.A + E));
    require<ValueError>(solver.info() == Eigen::Success,
                        "ssm::init::perturb_then_diagonalize: the eigenvalue iteration did not "
                        "converge");
    const Eigen::VectorXcd& all = solver.eigenvalues();

    // Real matrices have eigenvalues that are real exactly, or exact conjugates.
    std::vector<Eigen::Index> kept;
    for (Eigen::Index j = 0; j < N; ++j)
        if (all(j).imag() <= 0.0)
            kept.push_back(j);
    std::sort(kept.begin(), kept.end(), [&](Eigen::Index a, Eigen::Index b) {
        return all(a).imag() != all(b).imag() ? all(a).imag() < all(b).imag()
                                              : all(a).real() < all(b).real();
    });
    PerturbedModes modes = detail::eigenvectors_of_real(solver.pseudoEigenvectors(), all, kept);
    for (std::complex<double>& w : modes.W) {
        if (largest_real_part)
            w.real(std::min(w.real(), *largest_real_part));
        require<ValueError>(w.real() < 0.0,
                            "ssm::init::perturb_then_diagonalize: the perturbed system is not "
                            "stable: it has an eigenvalue with real part ",
                            w.real(), "; use a smaller perturbation, or cut real parts");
    }
    modes.B = modes.inverse.lazyProduct(system.B.cast<std::complex<double>>());
    return modes;
}

/// Condition of the matrix of all eigenvectors: what rounding errors are multiplied with.
template <class Decomposition = Eigen::JacobiSVD<Eigen::MatrixXd>>
[[nodiscard]] double condition(const PerturbedModes& modes) {
    // A unitary matrix makes sqrt(2) (Re v, Im v) of v and its conjugate.
    const Eigen::Index N = modes.V.rows();
    Eigen::MatrixXd real(N, N);
    for (Eigen::Index k = 0, column = 0; k < modes.V.cols(); ++k) {
        real.col(column++) = std::sqrt(modes.weight(k)) * modes.V.col(k).real();
        if (modes.weight(k) > 1.0)
            real.col(column++) = std::sqrt(modes.weight(k)) * modes.V.col(k).imag();
    }
    const Eigen::VectorXd singular = Decomposition(real).singularValues();
    return singular(0) / singular(N - 1);
}

/// A perturbation without structure: normal numbers, `size` times as large as A in the Frobenius norm. Beyond about 1e-3
/// it makes LegS unstable.
[[nodiscard]] inline Eigen::MatrixXd gaussian_perturbation(const Eigen::MatrixXd& A, double size,
                                                           Rng& rng) {
    Eigen::MatrixXd E(A.rows(), A.cols());
    for (Eigen::Index k = 0; k < E.cols(); ++k)
        for (double& e : E.col(k))
            e = rng.normal();
    return size * A.norm() / E.norm() * E;
}

/// S4-PTD: the diagonal system of a HiPPO matrix moved a little towards its normal part,
///
///   E = share * P^T P
///
/// Share 1 is the normal part, S4D-LegS, which is far from HiPPO; share 0 HiPPO itself, whose eigenvectors are useless.
/// In between, the transfer function is wrong by about `share`, and the symmetric part of A + E is that of A or less
/// negative, but never positive: it is stable without any optimisation. For LegS of N = 64:
///
///   share                            1e-4    1e-3    1e-2    0.05    0.1    0.2    0.5    1 (S4D-LegS)
///   condition of V                   1.7e4   2.0e3   180     37      18     8.7    2.9    1
///   largest error / largest |G|      7e-5    7e-4    0.007   0.035   0.073  0.16   0.50   4.9
///
/// (share below 0.01 leaves two real eigenvalues, which a bank of conjugate pairs cannot store.)
///
///   S4D<float, init::Ptd<>> layer({.channels = 64, .state = 64});
///   S5<float, Zoh, Causal, init::Ptd<>> other({.channels = 64, .state = 64});
///
/// Errors  ValueError for a share outside (0, 1] and for real eigenvalues
/// Source  arXiv:2310.01698 for the idea; the direction of E is ours. C starts at random in the basis of the modes
template <hippo::Measure M = hippo::LegS>
struct Ptd {
    double share = 0.05;
    M measure{};

    [[nodiscard]] PerturbedModes modes(std::size_t N) const {
        require<ValueError>(share > 0.0 && share <= 1.0, "ssm::init::Ptd: share = ", share,
                            ", expected above 0 and at most 1");
        const Eigen::MatrixXd P = measure.low_rank(N);
        return perturb_then_diagonalize(measure.transition(N), share * P.transpose() * P);
    }

    [[nodiscard]] Diagonal operator()(std::size_t modes_stored, Rng&) const {
        const PerturbedModes system = modes(2 * modes_stored);
        require<ValueError>(static_cast<std::size_t>(system.W.size()) == modes_stored,
                            "ssm::init::Ptd: the perturbed system has real eigenvalues; a "
                            "larger share than ",
                            share, " makes conjugate pairs of them");
        return {{system.W.begin(), system.W.end()}, {system.B.begin(), system.B.end()}};
    }
    /// The same for each copy, computed once.
    [[nodiscard]] std::vector<Diagonal> operator()(std::size_t copies, std::size_t modes_stored,
                                                   Rng& rng) const {
        return std::vector<Diagonal>(copies, (*this)(modes_stored, rng));
    }
};

/// The same in `blocks` diagonal blocks of size state / blocks, in conjugate pairs: what S5-PTD starts from.
///
/// Errors  ValueError unless `conjugate` and blocks divides state into even sizes; as `Ptd`
template <hippo::Measure M>
[[nodiscard]] HippoBlocks hippo_blocks(const Ptd<M>& init, std::size_t state, std::size_t blocks,
                                       bool conjugate = true) {
    require<ValueError>(conjugate,
                        "ssm::init::hippo_blocks: Ptd makes modes in conjugate pairs alone");
    require<ValueError>(blocks > 0 && state > 0 && state % (2 * blocks) == 0,
                        "ssm::init::hippo_blocks: ", blocks,
                        " blocks do not divide a state of size ", state, " into conjugate pairs");
    const std::size_t size = state / blocks;
    const PerturbedModes modes = init.modes(size);
    require<ValueError>(static_cast<std::size_t>(modes.W.size()) == size / 2,
                        "ssm::init::hippo_blocks: the perturbed system has real eigenvalues; a "
                        "larger share than ",
                        init.share, " makes conjugate pairs of them");
    return {modes.W, modes.V, blocks, modes.inverse};
}

}  // namespace ssm::init
