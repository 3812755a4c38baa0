#pragma once

#include <complex>
#include <cstddef>

#include <Eigen/Core>

#include <ssm/core/error.hpp>
#include <ssm/init/hippo.hpp>
#include <ssm/init/nplr.hpp>

namespace ssm::init {
namespace detail {

/// A B by products of real matrices: the only kind of Eigen's products that everything around here compiles.
template <class A, class B>
[[nodiscard]] Eigen::MatrixXcd complex_product(const A& a, const B& b) {
    const Eigen::MatrixXd a_re = a.real(), a_im = a.imag(), b_re = b.real(), b_im = b.imag();
    Eigen::MatrixXd part = a_re * b_re;
    part.noalias() -= a_im * b_im;
    Eigen::MatrixXcd result(a.rows(), b.cols());
    result.real() = part;
    part.noalias() = a_re * b_im;
    part.noalias() += a_im * b_re;
    result.imag() = part;
    return result;
}

}  // namespace detail

/// The normal part of a HiPPO system, repeated in diagonal blocks, in a basis of its eigenvectors: what S5
/// starts from.
///
///   A = blockdiag(V diag(W) V^*, ...)
///
/// Of each conjugate pair the mode with Im W <= 0 is kept, or else all modes; ascending order of Im W.
///
/// Shapes    W (kept modes of a block), V (size of a block, kept), inverse its transpose's shape; the same for all
///           blocks
struct HippoBlocks {
    Eigen::VectorXcd W;
    Eigen::MatrixXcd V;
    std::size_t blocks = 1;
    Eigen::MatrixXcd inverse{};  ///< rows of V^-1 where V is not unitary; empty: V^*

    /// Modes of all blocks.
    [[nodiscard]] std::size_t modes() const noexcept {
        return blocks * static_cast<std::size_t>(W.size());
    }
    /// Pole of mode p of all blocks.
    [[nodiscard]] std::complex<double> pole(std::size_t p) const {
        return W(static_cast<Eigen::Index>(p) % W.size());
    }
    /// V^-1 G for G (state, H): an input matrix in the basis of eigenvectors, (modes, H).
    template <class Matrix>
    [[nodiscard]] Eigen::MatrixXcd into_basis(const Eigen::MatrixBase<Matrix>& G) const {
        const Eigen::MatrixXcd into = inverse.size() > 0 ? inverse : Eigen::MatrixXcd(V.adjoint());
        Eigen::MatrixXcd result(static_cast<Eigen::Index>(modes()), G.cols());
        for (Eigen::Index block = 0; block < static_cast<Eigen::Index>(blocks); ++block)
            result.middleRows(block * V.cols(), V.cols()) =
                detail::complex_product(into, G.middleRows(block * V.rows(), V.rows()));
        return result;
    }
    /// G V for G (H, state): an output matrix, (H, modes).
    template <class Matrix>
    [[nodiscard]] Eigen::MatrixXcd out_of_basis(const Eigen::MatrixBase<Matrix>& G) const {
        Eigen::MatrixXcd result(G.rows(), static_cast<Eigen::Index>(modes()));
        for (Eigen::Index block = 0; block < static_cast<Eigen::Index>(blocks); ++block)
            result.middleCols(block * V.cols(), V.cols()) =
                detail::complex_product(G.middleCols(block * V.rows(), V.rows()), V);
        return result;
    }
};

/// Diagonalises `blocks` blocks of state size state / blocks.
///
/// Errors    ValueError unless blocks divides state, and with `conjugate` into even sizes
/// Cost      O((state / blocks)^3)
/// Source    arXiv:2208.04933
template <hippo::Measure M>
[[nodiscard]] HippoBlocks hippo_blocks(const M& measure, std::size_t state, std::size_t blocks,
                                       bool conjugate) {
    require<ValueError>(blocks > 0 && state > 0 && state % blocks == 0,
                        "ssm::init::hippo_blocks: ", blocks,
                        " blocks do not divide a state of size ", state);
    const std::size_t size = state / blocks;
    require<ValueError>(!conjugate || size % 2 == 0, "ssm::init::hippo_blocks: blocks of size ",
                        size, ", expected an even number for conjugate pairs");
    const hippo::Transition system = measure.transition(size);
    const Eigen::MatrixXd P = measure.low_rank(size);
    const Eigen::MatrixXd normal = system.A + P.transpose().lazyProduct(P);
    detail::SkewEigen eigen = detail::eigen_of_skew(0.5 * (normal - normal.transpose()));
    detail::fix_phase(eigen.V);
    const auto kept = static_cast<Eigen::Index>(conjugate ? size / 2 : size);
    HippoBlocks result;
    result.blocks = blocks;
    result.V = eigen.V.leftCols(kept);
    result.W = Eigen::VectorXcd(kept);
    result.W.real().setConstant(normal.diagonal().mean());
    result.W.imag() = eigen.frequency.head(kept);
    return result;
}

}  // namespace ssm::init
