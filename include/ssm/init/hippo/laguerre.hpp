#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>

#include <Eigen/Core>

#include <ssm/core/error.hpp>
#include <ssm/init/hippo/measure.hpp>

namespace ssm::init::hippo {

/// Translated Laguerre: polynomials on the whole history, weighted by e^{-age}.
///
///   A = -1/2 on the diagonal, -1 below, 0 above     B_n = beta     P_n = sqrt(1/2)
struct LagT {
    double beta = 1.0;

    [[nodiscard]] Transition transition(std::size_t N) const {
        return {detail::lower_constant(N, -0.5, -1.0),
                Eigen::VectorXd::Constant(static_cast<Eigen::Index>(N), beta)};
    }
    [[nodiscard]] static Eigen::MatrixXd low_rank(std::size_t N) {
        return Eigen::MatrixXd::Constant(1, static_cast<Eigen::Index>(N),
                                         std::numbers::sqrt2 / 2.0);
    }
};

/// Tilted Laguerre: the approximation decays at another rate than the weight.
///
///   A = (1 - beta) / 2 - 1 on the diagonal, -1 below, 0 above     B_n = beta     P_n = sqrt(1/2)
struct TiltedLagT {
    double beta = 1.0;

    [[nodiscard]] Transition transition(std::size_t N) const {
        return {detail::lower_constant(N, 0.5 * (1.0 - beta) - 1.0, -1.0),
                Eigen::VectorXd::Constant(static_cast<Eigen::Index>(N), beta)};
    }
    [[nodiscard]] static Eigen::MatrixXd low_rank(std::size_t N) { return LagT::low_rank(N); }
};

/// Generalised Laguerre: polynomials for the weight age^alpha e^{-age}, tilted by beta.
///
///   A = D^{-1} A_0 D, A_0 = -(1 + beta) / 2 on the diagonal, -1 below, 0 above
///   B_n = binom(alpha + n, n) / d_n beta^{(1 - alpha) / 2} / sqrt(Gamma(1 - alpha))
///   d_n = sqrt(Gamma(n + alpha + 1) / Gamma(n + 1))
///
/// Errors  ValueError unless -1 < alpha < 1 and beta > 0
struct GeneralizedLaguerre {
    double alpha = 0.0;
    double beta = 0.01;

    [[nodiscard]] Transition transition(std::size_t N) const {
        require<ValueError>(-1.0 < alpha && alpha < 1.0 && beta > 0.0,
                            "ssm::init::hippo::GeneralizedLaguerre: alpha = ", alpha,
                            " and beta = ", beta, ", expected -1 < alpha < 1 and beta > 0");
        const auto size = static_cast<Eigen::Index>(N);
        Eigen::VectorXd d(size);
        Eigen::VectorXd B(size);
        const double scale =
            std::exp(-0.5 * std::lgamma(1.0 - alpha)) * std::pow(beta, 0.5 * (1.0 - alpha));
        for (Eigen::Index i = 0; i < size; ++i) {
            const auto n = static_cast<double>(i);
            const double ratio = std::lgamma(n + alpha + 1.0) - std::lgamma(n + 1.0);
            d(i) = std::exp(0.5 * ratio);
            B(i) = std::exp(ratio - std::lgamma(alpha + 1.0)) / d(i) * scale;
        }
        const Eigen::MatrixXd A = detail::lower_constant(N, -0.5 * (1.0 + beta), -1.0);
        return {d.cwiseInverse().asDiagonal() * A * d.asDiagonal(), B};
    }
};

}  // namespace ssm::init::hippo
