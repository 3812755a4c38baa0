#include <algorithm>
#include <cmath>
#include <cstddef>

#include <Eigen/Core>

#include <ssm/core/error.hpp>
#include <ssm/discretize/bilinear.hpp>
#include <ssm/discretize/dense.hpp>
#include <ssm/discretize/dirac.hpp>
#include <ssm/discretize/zoh.hpp>
#include <ssm/init/hippo.hpp>

#include "support/catch.hpp"

using namespace ssm;

namespace {

/// The exponential of a matrix by its series, which is exact enough for small ones.
DenseMatrix exponential(const DenseMatrix& A) {
    DenseMatrix sum = DenseMatrix::Identity(A.rows(), A.cols());
    DenseMatrix term = sum;
    for (int k = 1; k < 60; ++k) {
        term = DenseMatrix(term * A / k);
        sum += term;
    }
    return sum;
}

/// Largest difference of a gradient of <G, A_bar> + <g, B_bar> from central differences.
template <class Method>
double gradient_error(const Method& method) {
    DenseMatrix A = DenseMatrix::Random(3, 3);
    DenseMatrix B = DenseMatrix::Random(3, 2);
    double dt = 0.3;
    const DenseMatrix G = DenseMatrix::Random(3, 3);
    const DenseMatrix g = DenseMatrix::Random(3, 2);
    const DenseTransition step = discretize(method, A, B, dt);
    DenseMatrix dA(3, 3), dB(3, 2);
    const double ddt =
        DenseDiscretizer<Method>().adjoint(method, A, B, dt, step.A, step.B, G, g, dA, dB);
    double error = 0.0;
    const auto compare = [&](double& x, double found) {
        const auto loss = [&](double change) {
            const double before = x;
            x += change;
            const DenseTransition moved = discretize(method, A, B, dt);
            x = before;
            return moved.A.cwiseProduct(G).sum() + moved.B.cwiseProduct(g).sum();
        };
        error = std::max(error, std::abs((loss(1e-5) - loss(-1e-5)) / 2e-5 - found));
    };
    for (Eigen::Index i = 0; i < 9; ++i)
        compare(A.data()[i], dA.data()[i]);
    for (Eigen::Index i = 0; i < 6; ++i)
        compare(B.data()[i], dB.data()[i]);
    compare(dt, ddt);
    return error;
}

}  // namespace

TEST_CASE("zero-order hold of a dense system, a singular one too") {
    const DenseMatrix A = init::hippo::LegT::transition(5).A;
    const DenseMatrix B = init::hippo::LegT::transition(5).B;
    const DenseTransition step = discretize(Zoh{}, A, B, 0.1);
    CHECK((step.A - exponential(0.1 * A)).norm() < 1e-14);
    CHECK((A * step.B - (step.A - DenseMatrix::Identity(5, 5)) * B).norm() < 1e-14);
    const DenseTransition integrator =
        discretize(Zoh{}, DenseMatrix::Zero(2, 2), DenseMatrix::Ones(2, 1), 0.25);
    CHECK(integrator.A == DenseMatrix::Identity(2, 2));
    CHECK((integrator.B - DenseMatrix::Constant(2, 1, 0.25)).norm() < 1e-16);
}

TEST_CASE("a diagonal system is discretised alike in both forms") {
    const DenseMatrix A = Eigen::Vector2d(-0.5, -3.0).asDiagonal();
    const DenseMatrix B = DenseMatrix::Ones(2, 1);
    const auto check = [&](const auto& method) {
        const DenseTransition dense = discretize(method, A, B, 0.2);
        const double re[] = {-0.5, -3.0}, im[] = {0.0, 0.0}, dt[] = {0.2, 0.2};
        double z_re[2], z_im[2], b_re[2], b_im[2];
        method.forward(re, im, dt, z_re, z_im, b_re, b_im);
        for (Eigen::Index n = 0; n < 2; ++n) {
            CHECK(dense.A(n, n) == Approx(z_re[n]).epsilon(1e-14));
            CHECK(dense.B(n, 0) == Approx(b_re[n]).epsilon(1e-14));
        }
    };
    check(Zoh{});
    check(Bilinear{});
    check(BackwardEuler{});
    check(ForwardEuler{});
    check(GeneralizedBilinear{0.3});
    check(Dirac{});
}

TEST_CASE("gradients through dense discretisations equal central differences") {
    CHECK(gradient_error(GeneralizedBilinear{0.3}) < 1e-8);
    CHECK(gradient_error(Zoh{}) < 1e-8);
    CHECK(gradient_error(Dirac{}) < 1e-8);
    CHECK(detail::exponential_adjoint(Eigen::MatrixXd::Ones(2, 2), Eigen::MatrixXd::Zero(2, 2))
              .isZero(0.0));
}

TEST_CASE("first-order hold is exact for a ramp") {
    // x' = -x + t from 0 has x(1) = e^-1.
    const FirstOrderHold hold =
        first_order_hold(-DenseMatrix::Ones(1, 1), DenseMatrix::Ones(1, 1), 0.5);
    const double first = hold.B(0, 0) * 0.5;
    const double second = hold.A(0, 0) * first + hold.B_previous(0, 0) * 0.5 + hold.B(0, 0);
    CHECK(second == Approx(std::exp(-1.0)).epsilon(1e-14));
}

TEST_CASE("matrices that do not fit") {
    CHECK_THROWS_AS(discretize(Zoh{}, DenseMatrix::Zero(2, 3), DenseMatrix::Zero(2, 1), 0.1),
                    ShapeError);
    CHECK_THROWS_AS(discretize(Bilinear{}, DenseMatrix::Zero(2, 2), DenseMatrix::Zero(3, 1), 0.1),
                    ShapeError);
    CHECK_THROWS_AS(first_order_hold(DenseMatrix::Zero(2, 2), DenseMatrix::Zero(1, 1), 0.1),
                    ShapeError);
}
