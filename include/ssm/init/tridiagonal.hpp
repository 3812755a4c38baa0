#pragma once

#include <cmath>
#include <cstddef>

#include <Eigen/Core>

#include <ssm/core/rng.hpp>

/// Where inverse tridiagonal transitions start (`InverseTridiagonal`).
///
/// Source  Gu, Johnson, Goel, Saab, Dao, Rudra, Re: "Combining Recurrent, Convolutional, and Continuous-time Models with
///         Linear State Space Layers", arXiv:2110.13985, and its code
namespace ssm::init::tridiagonal {

/// x' = -A x + B u with A = diag(left) (T^-1 + diag(shift)) diag(right), B = left input, T tridiagonal: `lower`,
/// `diagonal` and `upper`, of which lower[i] is T(i, i-1) and upper[i] is T(i, i+1).
struct Start {
    Eigen::VectorXd lower, diagonal, upper, shift, left, right, input;
};

namespace detail {

[[nodiscard]] inline Start start(std::size_t N, double lower, double diagonal, double upper) {
    const auto all = [N](double value) -> Eigen::VectorXd {
        return Eigen::VectorXd::Constant(static_cast<Eigen::Index>(N), value);
    };
    return {all(lower), all(diagonal), all(upper), all(0.0), all(1.0), all(1.0), all(1.0)};
}

[[nodiscard]] inline Eigen::ArrayXd numbers(std::size_t N) {
    const auto size = static_cast<Eigen::Index>(N);
    return Eigen::ArrayXd::LinSpaced(size, 0.0, static_cast<double>(size - 1));
}

inline void add_noise(Eigen::VectorXd& values, double size, Rng& rng) {
    for (double& value : values)
        value += size * rng.normal();
}

}  // namespace detail

/// HiPPO-LegS exactly.
struct LegS {
    [[nodiscard]] static Start start(std::size_t N, Rng&) {
        const Eigen::ArrayXd n = detail::numbers(N);
        Start result = detail::start(N, -1.0, 1.0, 0.0);
        result.shift = -n / (2.0 * n + 1.0);
        result.left = result.right = (2.0 * n + 1.0).sqrt();
        return result;
    }
};

/// HiPPO-LagT exactly.
struct LagT {
    [[nodiscard]] static Start start(std::size_t N, Rng&) {
        Start result = detail::start(N, -1.0, 1.0, 0.0);
        result.shift.setConstant(-0.5);
        return result;
    }
};

/// HiPPO-LegT at twice the speed (a window of length 1), and noise on the diagonal of T.
struct LegT {
    double noise = 1e-2;

    [[nodiscard]] Start start(std::size_t N, Rng& rng) const {
        const Eigen::ArrayXd n = detail::numbers(N);
        Start result = detail::start(N, -0.5, 0.0, 0.5);
        result.diagonal(0) += 0.5;
        result.diagonal(result.diagonal.size() - 1) += 0.5;
        detail::add_noise(result.diagonal, noise, rng);
        result.left = result.right = (2.0 * n + 1.0).sqrt();
        return result;
    }
};

/// Chebyshev polynomials of the first and of the second kind, which start alike. T is skew but for its diagonal of
/// noise, so that its inverse is large.
struct Chebyshev {
    double noise = 1e-3;

    [[nodiscard]] Start start(std::size_t N, Rng& rng) const {
        Start result = detail::start(N, -0.5, 0.0, 0.5);
        detail::add_noise(result.diagonal, noise, rng);
        return result;
    }
};

/// Jacobi polynomials.
struct Jacobi {
    [[nodiscard]] static Start start(std::size_t N, Rng&) {
        Start result = detail::start(N, -1.0, 1.0, 0.0);
        result.left = result.right = (2.0 * detail::numbers(N) + 2.0).sqrt();
        result.input.setConstant(2.0);
        return result;
    }
};

}  // namespace ssm::init::tridiagonal
