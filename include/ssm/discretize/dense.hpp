#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <type_traits>

#include <Eigen/Core>
#include <Eigen/LU>
#include <unsupported/Eigen/MatrixFunctions>

#include <ssm/core/error.hpp>
#include <ssm/discretize/bilinear.hpp>
#include <ssm/discretize/dirac.hpp>
#include <ssm/discretize/zoh.hpp>

namespace ssm {

/// A row-major matrix of doubles.
using DenseMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Makes of a dense system x' = A x + B u and a time step dt the one in discrete time,
///
///   x[t] = A_bar x[t-1] + B_bar u[t]
///
/// and takes gradients back. There are specialisations for the bilinear methods, `Zoh` and `Dirac`; a user's own
/// method needs one with these two functions:
///
///   forward(method, A, B, dt, A_bar, B_bar)
///   adjoint(method, A, B, dt, A_bar, B_bar, dA_bar, dB_bar, dA, dB) -> d loss / d dt
///
/// Outputs are written, not added to; nothing overlaps. It keeps its scratch memory between calls.
///
/// Shapes    A (N, N), B (N, inputs)
template <class Method>
class DenseDiscretizer;

/// Methods with (I - alpha dt A)^-1: `GeneralizedBilinear`, `Bilinear`, `ForwardEuler`, `BackwardEuler`.
template <class Method>
concept BilinearMethod = requires(const Method& method) {
    { method.alpha } -> std::convertible_to<double>;
};

/// A_bar = (I - alpha dt A)^-1 (I + (1 - alpha) dt A)      B_bar = dt (I - alpha dt A)^-1 B
///
/// Cost      one LU decomposition; each solves N + inputs columns. No allocation after the first call
template <BilinearMethod Method>
class DenseDiscretizer<Method> {
    using Const = Eigen::Ref<const DenseMatrix>;
    using Mutable = Eigen::Ref<DenseMatrix>;

public:
    void forward(const Method& method, const Const& A, const Const& B, double dt, Mutable A_bar,
                 Mutable B_bar) {
        factorise(method, A, dt);
        right_ = (1.0 - method.alpha) * dt * A;
        right_.diagonal().array() += 1.0;
        A_bar = lu_.solve(right_);
        inputs_ = dt * B;
        B_bar = lu_.solve(inputs_);
    }

    /// With X = (I - alpha dt A)^-T dA_bar and Y the same of dB_bar, the gradient of dt A is
    /// (1 - alpha) X + alpha (X A_bar^T + Y B_bar^T), and that of dt B is Y.
    [[nodiscard]] double adjoint(const Method& method, const Const& A, const Const& B, double dt,
                                 const Const& A_bar, const Const& B_bar, const Const& dA_bar,
                                 const Const& dB_bar, Mutable dA, Mutable dB) {
        factorise(method, A, dt);
        solve_transposed(dA_bar, right_, dA);
        solve_transposed(dB_bar, inputs_, dB);
        right_.noalias() = method.alpha * dA * A_bar.transpose();
        right_.noalias() += method.alpha * dB * B_bar.transpose();
        dA *= 1.0 - method.alpha;
        dA += right_;
        const double ddt = dA.cwiseProduct(A).sum() + dB.cwiseProduct(B).sum();
        dA *= dt;
        dB *= dt;
        return ddt;
    }

private:
    void factorise(const Method& method, const Const& A, double dt) {
        right_ = -method.alpha * dt * A;
        right_.diagonal().array() += 1.0;
        lu_.compute(right_);
    }
    /// Eigen's own transposed solve permutes in place, for which it allocates.
    void solve_transposed(const Const& right, DenseMatrix& x, Mutable result) const {
        x = right;
        lu_.matrixLU().transpose().template triangularView<Eigen::Lower>().solveInPlace(x);
        lu_.matrixLU().transpose().template triangularView<Eigen::UnitUpper>().solveInPlace(x);
        result.noalias() = lu_.permutationP().transpose() * x;
    }

    Eigen::PartialPivLU<DenseMatrix> lu_;
    DenseMatrix right_;   // (N, N)
    DenseMatrix inputs_;  // (N, inputs)
};

namespace detail {

/// The adjoint of the matrix exponential: the gradient of <G, e^X> with respect to X. It is the Frechet derivative at
/// X^T in the direction G, which is the upper right block of the exponential of [[X^T, G], [0, X^T]].
template <class Matrix = Eigen::MatrixXd>
[[nodiscard]] Matrix exponential_adjoint(const std::type_identity_t<Matrix>& X,
                                         const std::type_identity_t<Matrix>& G) {
    const double size = G.norm();
    if (size == 0.0)
        return Matrix::Zero(X.rows(), X.cols());
    const Eigen::Index n = X.rows();
    Matrix blocks = Matrix::Zero(2 * n, 2 * n);
    blocks.topLeftCorner(n, n) = blocks.bottomRightCorner(n, n) = X.transpose();
    blocks.topRightCorner(n, n) = G / size;  // of a size that the exponential does not notice
    const Matrix exponential = blocks.exp();
    return size * exponential.topRightCorner(n, n);
}

}  // namespace detail

/// Zero-order hold: A_bar = e^{dt A}, B_bar = dt phi1(dt A) B, for any A, singular ones too: both are blocks of
/// exp([[dt A, dt B], [0, 0]]).
///
/// Cost      a matrix exponential (scaling and squaring) of size N + inputs; in the adjoint, of twice that. Allocates
template <std::same_as<Zoh> Method>
class DenseDiscretizer<Method> {
    using Const = Eigen::Ref<const DenseMatrix>;
    using Mutable = Eigen::Ref<DenseMatrix>;

public:
    void forward(const Method&, const Const& A, const Const& B, double dt, Mutable A_bar,
                 Mutable B_bar) const {
        const Eigen::MatrixXd exponential = blocks(A, B, dt).exp();
        A_bar = exponential.topLeftCorner(A.rows(), A.cols());
        B_bar = exponential.topRightCorner(B.rows(), B.cols());
    }

    [[nodiscard]] double adjoint(const Method&, const Const& A, const Const& B, double dt,
                                 const Const&, const Const&, const Const& dA_bar,
                                 const Const& dB_bar, Mutable dA, Mutable dB) const {
        const Eigen::Index size = A.cols() + B.cols();
        Eigen::MatrixXd G = Eigen::MatrixXd::Zero(size, size);
        G.topLeftCorner(A.rows(), A.cols()) = dA_bar;
        G.topRightCorner(B.rows(), B.cols()) = dB_bar;
        const Eigen::MatrixXd F = detail::exponential_adjoint(blocks(A, B, dt), G);
        dA = F.topLeftCorner(A.rows(), A.cols());
        dB = F.topRightCorner(B.rows(), B.cols());
        const double ddt = dA.cwiseProduct(A).sum() + dB.cwiseProduct(B).sum();
        dA *= dt;
        dB *= dt;
        return ddt;
    }

private:
    [[nodiscard]] static Eigen::MatrixXd blocks(const Const& A, const Const& B, double dt) {
        const Eigen::Index size = A.cols() + B.cols();
        Eigen::MatrixXd result = Eigen::MatrixXd::Zero(size, size);
        result.topLeftCorner(A.rows(), A.cols()) = dt * A;
        result.topRightCorner(B.rows(), B.cols()) = dt * B;
        return result;
    }
};

/// Every input is an impulse: A_bar = e^{dt A}, B_bar = B. Allocates.
template <std::same_as<Dirac> Method>
class DenseDiscretizer<Method> {
    using Const = Eigen::Ref<const DenseMatrix>;
    using Mutable = Eigen::Ref<DenseMatrix>;

public:
    void forward(const Method&, const Const& A, const Const& B, double dt, Mutable A_bar,
                 Mutable B_bar) const {
        A_bar = Eigen::MatrixXd(dt * A).exp();
        B_bar = B;
    }

    [[nodiscard]] double adjoint(const Method&, const Const& A, const Const&, double dt,
                                 const Const&, const Const&, const Const& dA_bar,
                                 const Const& dB_bar, Mutable dA, Mutable dB) const {
        dA = detail::exponential_adjoint(dt * A, dA_bar);
        dB = dB_bar;
        const double ddt = dA.cwiseProduct(A).sum();
        dA *= dt;
        return ddt;
    }
};

/// A discretisation that works on dense systems.
template <class Method>
concept DenseDiscretization = std::default_initializable<DenseDiscretizer<Method>>;

/// A system in discrete time, x[t] = A x[t-1] + B u[t].
struct DenseTransition {
    DenseMatrix A;
    DenseMatrix B;
};

/// One dense system in discrete time.
///
/// Errors  ShapeError unless A is square and B has its rows
template <DenseDiscretization Method>
[[nodiscard]] DenseTransition discretize(const Method& method, const DenseMatrix& A,
                                         const DenseMatrix& B, double dt) {
    require<ShapeError>(A.rows() == A.cols() && B.rows() == A.rows(), "ssm::discretize: A is ",
                        A.rows(), " x ", A.cols(), " and B ", B.rows(), " x ", B.cols());
    DenseTransition result{DenseMatrix(A.rows(), A.cols()), DenseMatrix(B.rows(), B.cols())};
    DenseDiscretizer<Method>().forward(method, A, B, dt, result.A, result.B);
    return result;
}

/// A system driven by an input that is linear between samples:
/// x[t] = A x[t-1] + B_previous u[t-1] + B u[t].
struct FirstOrderHold {
    DenseMatrix A;
    DenseMatrix B_previous;
    DenseMatrix B;
};

/// The first-order hold of x' = A x + B u, exact for piecewise linear inputs: B = dt phi2(dt A) B and B_previous what
/// is missing of the zero-order hold, blocks of exp([[dt A, dt B, 0], [0, 0, I], [0, 0, 0]]).
///
/// Errors  ShapeError unless A is square and B has its rows
template <class Matrix = DenseMatrix>
[[nodiscard]] FirstOrderHold first_order_hold(const std::type_identity_t<Matrix>& A,
                                              const std::type_identity_t<Matrix>& B, double dt) {
    require<ShapeError>(A.rows() == A.cols() && B.rows() == A.rows(),
                        "ssm::first_order_hold: A is ", A.rows(), " x ", A.cols(), " and B ",
                        B.rows(), " x ", B.cols());
    const Eigen::Index N = A.cols();
    const Eigen::Index inputs = B.cols();
    Matrix blocks = Matrix::Zero(N + 2 * inputs, N + 2 * inputs);
    blocks.topLeftCorner(N, N) = dt * A;
    blocks.block(0, N, N, inputs) = dt * B;
    blocks.block(N, N + inputs, inputs, inputs).setIdentity();
    const Matrix exponential = blocks.exp();
    const Matrix now = exponential.topRightCorner(N, inputs);
    return {exponential.topLeftCorner(N, N), exponential.block(0, N, N, inputs) - now, now};
}

}  // namespace ssm
