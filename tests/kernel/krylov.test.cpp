#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/dense_system.hpp>
#include <ssm/kernel/krylov.hpp>
#include <ssm/kernel/power.hpp>

#include "reference/dense.hpp"
#include "support/catch.hpp"

using namespace ssm;

namespace {

DenseSystem random_system(const DenseShape& shape) {
    Rng rng(3);
    DenseSystem system(shape);
    for (double& a : system.A)
        a = 0.8 * rng.normal() / std::sqrt(static_cast<double>(shape.state));
    for (double& b : system.B)
        b = rng.normal();
    for (double& c : system.C)
        c = rng.normal();
    return system;
}

std::vector<double> noise(std::size_t count) {
    Rng rng(4);
    std::vector<double> result(count);
    for (double& x : result)
        x = rng.normal();
    return result;
}

template <class T>
double kernel_error(const DenseShape& shape, std::size_t length) {
    const DenseSystem system = random_system(shape);
    std::vector<T> kernel(shape.heads * shape.channels * length, T(NAN));
    Workspace workspace;
    convolution_kernel<T>(system, length, kernel, workspace);
    const std::vector<double> expected = ssm_test::dense_kernel(system, length);
    return ssm_test::relative_error(kernel, expected);
}

/// Largest error of a gradient against central differences of <g, K>.
double gradient_error(const DenseShape& shape, std::size_t length) {
    DenseSystem system = random_system(shape);
    const std::vector<double> g = noise(shape.heads * shape.channels * length);
    DenseSystem gradient(shape);
    Workspace workspace;
    convolution_kernel_adjoint<double>(system, length, g, gradient, workspace);
    const auto loss = [&] {
        const std::vector<double> K = ssm_test::dense_kernel(system, length);
        double sum = 0.0;
        for (std::size_t i = 0; i < K.size(); ++i)
            sum += g[i] * K[i];
        return sum;
    };
    double error = 0.0;
    const auto compare = [&](AlignedVector<double>& values, const AlignedVector<double>& found) {
        std::vector<double> differences;
        for (double& value : values) {
            const double before = value;
            value = before + 1e-5;
            const double above = loss();
            value = before - 1e-5;
            differences.push_back((above - loss()) / 2e-5);
            value = before;
        }
        error = std::max(error, ssm_test::relative_error(found, differences));
    };
    compare(system.A, gradient.A);
    compare(system.B, gradient.B);
    compare(system.C, gradient.C);
    return error;
}

}  // namespace

TEST_CASE("Krylov kernels are C A^l B for any length") {
    for (const std::size_t length : {1U, 2U, 3U, 4U, 5U, 15U, 16U, 17U, 64U, 100U, 257U}) {
        CAPTURE(length);
        CHECK(kernel_error<double>({2, 5, 2}, length) < 1e-13);
    }
    CHECK(kernel_error<double>({1, 1, 1}, 33) < 1e-13);
    CHECK(kernel_error<double>({3, 16, 1}, 50) < 1e-13);
    CHECK(kernel_error<float>({3, 16, 1}, 50) < 1e-7);  // rounded once
}

TEST_CASE("gradients of Krylov kernels equal central differences") {
    for (const std::size_t length : {1U, 2U, 7U, 16U, 21U}) {
        CAPTURE(length);
        CHECK(gradient_error({2, 4, 2}, length) < 1e-7);
    }
}

TEST_CASE("a kernel of no steps is nothing, one of another size an error") {
    const DenseSystem system = random_system({2, 3, 1});
    DenseSystem gradient(system.shape);
    Workspace workspace;
    std::vector<double> kernel(5);
    CHECK_NOTHROW(convolution_kernel<double>(system, 0, {}, workspace));
    CHECK_THROWS_AS(convolution_kernel<double>(system, 3, kernel, workspace), ShapeError);
    CHECK_THROWS_AS(convolution_kernel_adjoint<double>(system, 3, kernel, gradient, workspace),
                    ShapeError);
}

TEST_CASE("powers of a matrix, and the state after a sequence of inputs") {
    const DenseSystem system = random_system({1, 4, 1});
    const DenseMatrix A = system.transition(0);
    for (const std::size_t length : {0U, 1U, 2U, 3U, 4U, 7U, 8U, 13U}) {
        CAPTURE(length);
        DenseMatrix expected = DenseMatrix::Identity(4, 4);
        Eigen::VectorXd sum = Eigen::VectorXd::Zero(4);
        const DenseMatrix v = DenseMatrix::Random(4, static_cast<Eigen::Index>(length));
        for (std::size_t i = 0; i < length; ++i) {
            sum += expected * v.col(static_cast<Eigen::Index>(i));
            expected = DenseMatrix(expected * A);
        }
        CHECK((power(A, length) - expected).norm() < 1e-14);
        CHECK((power(A, v).power - expected).norm() < 1e-14);
        CHECK((power(A, v).sum - sum).norm() < 1e-13);
    }
    CHECK_THROWS_AS(power(DenseMatrix::Zero(2, 3), std::size_t(2)), ShapeError);
    CHECK_THROWS_AS(power(A, DenseMatrix::Zero(3, 2)), ShapeError);
}
