#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>

#include <Eigen/Core>

#include <ssm/core/error.hpp>
#include <ssm/init/hippo/measure.hpp>

namespace ssm::init::hippo {

namespace detail {

/// What the Fourier measures are made of: a rotation S of each pair (2j, 2j+1) with frequency j times
/// `base`, and B_0 = 1, B_2j = sqrt 2, odd entries 0.
///
/// Errors  ValueError for odd N
struct FourierBasis {
    FourierBasis(std::size_t N, double base) {
        require<ValueError>(N % 2 == 0, "ssm::init::hippo: N = ", N,
                            " is odd, but sines and cosines come in pairs");
        const auto size = static_cast<Eigen::Index>(N);
        B = Eigen::VectorXd::Zero(size);
        S = Eigen::MatrixXd::Zero(size, size);
        for (Eigen::Index n = 0; n < size; n += 2) {
            const double frequency = base * static_cast<double>(n / 2);
            B(n) = n == 0 ? 1.0 : std::numbers::sqrt2;
            S(n, n + 1) = -frequency;
            S(n + 1, n) = frequency;
        }
    }
    Eigen::MatrixXd S;
    Eigen::VectorXd B;
};

}  // namespace detail

/// Truncated Fourier (FouT): sines and cosines on a sliding window of length 2.
///
///   A = S - B B^T, S rotates the pair (2j, 2j+1) with frequency pi j
///   B_0 = 1, B_2j = sqrt 2, odd entries 0     P = B
///
/// The time scale is that of the released S4 code; `Fourier2` is the same at twice the speed.
///
/// Errors  ValueError for odd N, as all measures of this file
struct Fourier {
    [[nodiscard]] static Transition transition(std::size_t N) {
        const detail::FourierBasis basis(N, std::numbers::pi);
        return {basis.S - basis.B * basis.B.transpose(), basis.B};
    }
    [[nodiscard]] static Eigen::MatrixXd low_rank(std::size_t N) {
        return transition(N).B.transpose();
    }
    [[nodiscard]] static Eigen::VectorXd initial_C(std::size_t N) { return transition(N).B; }
};

/// FouT with half the decay: A = S - B B^T / 2, input B / 2, P = B / sqrt 2.
struct FourierDecay {
    [[nodiscard]] static Transition transition(std::size_t N) {
        const detail::FourierBasis basis(N, std::numbers::pi);
        return {basis.S - 0.5 * basis.B * basis.B.transpose(), 0.5 * basis.B};
    }
    [[nodiscard]] static Eigen::MatrixXd low_rank(std::size_t N) {
        return std::numbers::sqrt2 * transition(N).B.transpose();
    }
};

/// FouT on a window of length 1, whose basis is orthonormal: A = S - 2 B B^T with frequencies 2 pi j, input
/// 2 B, P = sqrt 2 B.
struct Fourier2 {
    [[nodiscard]] static Transition transition(std::size_t N) {
        const detail::FourierBasis basis(N, 2.0 * std::numbers::pi);
        return {basis.S - 2.0 * basis.B * basis.B.transpose(), 2.0 * basis.B};
    }
    [[nodiscard]] static Eigen::MatrixXd low_rank(std::size_t N) {
        return transition(N).B.transpose() / std::numbers::sqrt2;
    }
};

/// Decaying sines and cosines: A = S - I / 2 with frequencies 2 pi j, input B. Normal as it is.
struct FourierDiag {
    [[nodiscard]] static Transition transition(std::size_t N) {
        detail::FourierBasis basis(N, 2.0 * std::numbers::pi);
        basis.S.diagonal().setConstant(-0.5);
        return {basis.S, basis.B};
    }
    [[nodiscard]] static Eigen::MatrixXd low_rank(std::size_t N) {
        return detail::no_correction(N);
    }
};

}  // namespace ssm::init::hippo
