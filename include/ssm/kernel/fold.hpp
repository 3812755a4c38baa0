#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <utility>
#include <vector>

#include <Eigen/Core>
#include <Eigen/LU>

#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/discretize/dplr_system.hpp>

namespace ssm {
namespace detail {

/// One channel as a dense real system of N = 2 n states (Re x, Im x), which is where powers of A_bar are computed:
/// there conjugate symmetry cannot be lost.
template <class System>
class DenseChannel {
public:
    using Matrix = Eigen::MatrixXd;
    using Row = Eigen::RowVectorXd;

    DenseChannel(const System& system, std::size_t h)
        : system_(system), h_(h), n_(static_cast<Eigen::Index>(system.shape.modes)) {}

    /// A_bar, (N, N).
    [[nodiscard]] Matrix transition() const {
        Matrix A = Matrix::Zero(2 * n_, 2 * n_);
        for (Eigen::Index k = 0; k < n_; ++k) {
            const std::size_t i = system_.pole(h_, static_cast<std::size_t>(k));
            A(k, k) = A(n_ + k, n_ + k) = system_.z.re[i];
            A(n_ + k, k) = system_.z.im[i];
            A(k, n_ + k) = -system_.z.im[i];
        }
        for (std::size_t r = 0; r < system_.shape.rank; ++r)
            A.noalias() -= column(system_.p, system_.correction(r, h_, 0)) *
                           row(system_.q, system_.correction(r, h_, 0));
        return A;
    }
    /// c of a head as a row: y = c x.
    [[nodiscard]] Row readout(std::size_t head) const {
        return row(system_.c, system_.readout(head, h_, 0));
    }
    /// The complex numbers whose `row` that is.
    void set_readout(std::size_t head, const Row& values, ComplexNumbers& c) const {
        for (Eigen::Index k = 0; k < n_; ++k) {
            const std::size_t i = system_.readout(head, h_, static_cast<std::size_t>(k));
            c.re[i] = values(k);
            c.im[i] = -values(n_ + k);
        }
    }
    /// Adds what the gradient G of A_bar says about z, p and q.
    void add_transition(const Matrix& G, DplrSystem& gradient) const {
        for (Eigen::Index k = 0; k < n_; ++k) {
            const std::size_t i = system_.pole(h_, static_cast<std::size_t>(k));
            gradient.z.re[i] += G(k, k) + G(n_ + k, n_ + k);
            gradient.z.im[i] += G(n_ + k, k) - G(k, n_ + k);
        }
        for (std::size_t r = 0; r < system_.shape.rank; ++r) {
            const std::size_t at = system_.correction(r, h_, 0);
            const Eigen::VectorXd of_p = G * row(system_.q, at).transpose();
            const Row of_q = column(system_.p, at).transpose() * G;
            for (Eigen::Index k = 0; k < n_; ++k) {
                const std::size_t i = at + static_cast<std::size_t>(k);
                gradient.p.re[i] -= of_p(k);
                gradient.p.im[i] -= of_p(n_ + k);
                gradient.q.re[i] -= of_q(k);
                gradient.q.im[i] += of_q(n_ + k);
            }
        }
    }

private:
    [[nodiscard]] Eigen::VectorXd column(const ComplexNumbers& numbers, std::size_t at) const {
        Eigen::VectorXd result(2 * n_);
        for (Eigen::Index k = 0; k < n_; ++k) {
            result(k) = numbers.re[at + static_cast<std::size_t>(k)];
            result(n_ + k) = numbers.im[at + static_cast<std::size_t>(k)];
        }
        return result;
    }
    [[nodiscard]] Row row(const ComplexNumbers& numbers, std::size_t at) const {
        Row result(2 * n_);
        for (Eigen::Index k = 0; k < n_; ++k) {
            result(k) = numbers.re[at + static_cast<std::size_t>(k)];
            result(n_ + k) = -numbers.im[at + static_cast<std::size_t>(k)];
        }
        return result;
    }

    const System& system_;
    std::size_t h_;
    Eigen::Index n_;
};

/// A^exponent by repeated squaring, and its adjoint through the same products.
template <class Matrix>
class MatrixPower {
public:
    MatrixPower(Matrix A, std::size_t exponent) : exponent_(exponent) {
        const Eigen::Index N = A.rows();
        partial_.push_back(Matrix::Identity(N, N));
        squares_.push_back(std::move(A));
        for (std::size_t bits = exponent; bits != 0; bits >>= 1U) {
            if (bits & 1U)
                partial_.push_back(partial_.back() * squares_.back());
            if (bits >> 1U)
                squares_.push_back(squares_.back() * squares_.back());
        }
    }
    [[nodiscard]] const Matrix& value() const noexcept { return partial_.back(); }

    /// The gradient of A from that of the power.
    [[nodiscard]] Matrix adjoint(Matrix G) const {
        const Eigen::Index N = G.rows();
        Matrix of_square = Matrix::Zero(N, N);
        std::size_t used = partial_.size() - 1;
        for (std::size_t level = squares_.size(); level-- > 0;) {
            const Matrix& square = squares_[level];
            if (level + 1 < squares_.size())
                of_square =
                    (of_square * square.transpose() + square.transpose() * of_square).eval();
            if (exponent_ >> level & 1U) {
                --used;
                of_square.noalias() += partial_[used].transpose() * G;
                G = (G * square.transpose()).eval();
            }
        }
        return of_square;
    }

private:
    std::size_t exponent_;
    std::vector<Matrix> squares_, partial_;
};

/// What powers of one channel's matrix cost.
[[nodiscard]] inline TaskCost power_cost(const DplrSystem& system) noexcept {
    const auto N = static_cast<double>(2 * system.shape.modes);
    return {N * N * N};
}

inline void require_length(std::size_t length) {
    require<ValueError>(length > 0, "ssm::fold: C cannot be folded for a length of 0");
}

}  // namespace detail

/// Folds C for sequences of `length` steps: C_tilde = C (I - A_bar^length). See `DplrSystem`.
///
/// Cost      O(H N^3 log length) in double
/// Errors    ValueError if C is folded already, or length is 0
template <std::same_as<DplrSystem> System>
void fold(System& system, std::size_t length) {
    detail::require_length(length);
    require<ValueError>(system.folded == 0, "ssm::fold: C is folded for ", system.folded,
                        " steps already");
    parallel_for(
        system.shape.channels,
        [&](std::size_t h, std::size_t) {
            const detail::DenseChannel channel(system, h);
            const detail::MatrixPower power(channel.transition(), length);
            for (std::size_t head = 0; head < system.shape.heads; ++head) {
                const Eigen::RowVectorXd C = channel.readout(head);
                channel.set_readout(head, C - C * power.value(), system.c);
            }
        },
        detail::power_cost(system));
    system.folded = length;
}

/// Gives C back: solves C (I - A_bar^folded) = C_tilde. Nothing happens to a system with plain C.
///
/// Cost      O(H N^3 log folded) in double
/// Errors    ValueError when a mode of A_bar does not decay at all, so that C_tilde does not determine C
template <std::same_as<DplrSystem> System>
void unfold(System& system) {
    if (system.folded == 0)
        return;
    ComplexNumbers plain = system.c;
    std::vector<char> is_singular(system.shape.channels, 0);
    parallel_for(
        system.shape.channels,
        [&](std::size_t h, std::size_t) {
            const detail::DenseChannel channel(system, h);
            Eigen::MatrixXd M = -detail::MatrixPower(channel.transition(), system.folded).value();
            M.diagonal().array() += 1.0;
            const Eigen::PartialPivLU<Eigen::MatrixXd> solver(M.transpose());
            for (std::size_t head = 0; head < system.shape.heads; ++head) {
                const Eigen::RowVectorXd C =
                    solver.solve(channel.readout(head).transpose()).transpose();
                if (!C.allFinite())
                    is_singular[h] = 1;
                channel.set_readout(head, C, plain);
            }
        },
        detail::power_cost(system));
    const auto singular = std::find(is_singular.begin(), is_singular.end(), 1);
    require<ValueError>(singular == is_singular.end(), "ssm::unfold: I - A_bar^", system.folded,
                        " of channel ", singular - is_singular.begin(), " is singular");
    system.c = std::move(plain);
    system.folded = 0;
}

/// Adjoint of `unfold`: of a gradient whose c is that of plain C makes one whose c is that of C_tilde; z, p and q are
/// added to. `folded` and `plain` are the system before and after.
template <std::same_as<DplrSystem> System>
void unfold_adjoint(const System& folded, const System& plain, System& gradient) {
    const auto N = static_cast<Eigen::Index>(2 * folded.shape.modes);
    parallel_for(
        folded.shape.channels,
        [&](std::size_t h, std::size_t) {
            const detail::DenseChannel channel(plain, h);
            const detail::DenseChannel upstream(gradient, h);
            const detail::MatrixPower power(channel.transition(), folded.folded);
            Eigen::MatrixXd M = -power.value();
            M.diagonal().array() += 1.0;
            const Eigen::PartialPivLU<Eigen::MatrixXd> solver(M);
            Eigen::MatrixXd of_power = Eigen::MatrixXd::Zero(N, N);
            for (std::size_t head = 0; head < folded.shape.heads; ++head) {
                const Eigen::VectorXd v = solver.solve(upstream.readout(head).transpose());
                of_power.noalias() += channel.readout(head).transpose() * v.transpose();
                upstream.set_readout(head, v.transpose(), gradient.c);
            }
            channel.add_transition(power.adjoint(std::move(of_power)), gradient);
        },
        detail::power_cost(folded));
}

}  // namespace ssm
