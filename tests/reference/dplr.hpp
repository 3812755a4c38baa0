#pragma once

#include <complex>
#include <cstddef>
#include <span>
#include <vector>

#include <Eigen/Core>
#include <Eigen/LU>

namespace ssm_test {

/// The kernel of one channel with A = diag(lambda) - sum_r P_r P_r^* over all conjugate pairs, discretised by the
/// bilinear transform, all of it with dense matrices. P is [rank][n], C plain.
inline std::vector<double> dense_s4_kernel(const std::vector<std::complex<double>>& lambda,
                                           const std::vector<std::vector<std::complex<double>>>& P,
                                           const std::vector<std::complex<double>>& B,
                                           const std::vector<std::complex<double>>& C, double dt,
                                           std::size_t length) {
    const auto n = static_cast<Eigen::Index>(lambda.size());
    const auto full = [n](std::span<const std::complex<double>> half) {
        Eigen::VectorXcd result(2 * n);
        for (Eigen::Index i = 0; i < n; ++i) {
            result(i) = half[static_cast<std::size_t>(i)];
            result(n + i) = std::conj(result(i));
        }
        return result;
    };
    Eigen::MatrixXcd A = full(lambda).asDiagonal();
    for (const auto& row : P)
        A -= full(row) * full(row).adjoint();
    const Eigen::MatrixXcd one = Eigen::MatrixXcd::Identity(2 * n, 2 * n);
    const Eigen::PartialPivLU<Eigen::MatrixXcd> solver(one - 0.5 * dt * A);
    const Eigen::MatrixXcd A_bar = solver.solve(one + 0.5 * dt * A);
    Eigen::VectorXcd x = solver.solve(dt * full(B));
    std::vector<double> kernel;
    for (std::size_t l = 0; l < length; ++l) {
        kernel.push_back((full(C).transpose() * x)(0).real());
        x = (A_bar * x).eval();
    }
    return kernel;
}

}  // namespace ssm_test
