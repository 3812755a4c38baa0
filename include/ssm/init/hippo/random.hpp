#pragma once

#include <cmath>
#include <cstddef>

#include <Eigen/Core>

#include <ssm/core/rng.hpp>
#include <ssm/init/hippo/measure.hpp>

namespace ssm::init::hippo {

/// No structure, for comparison: A_nk normal of standard deviation 1/N, B_n of 1. About stable at best.
struct RandomDense {
    [[nodiscard]] static Transition transition(std::size_t N, Rng& rng) {
        const auto size = static_cast<Eigen::Index>(N);
        Transition result{Eigen::MatrixXd(size, size), Eigen::VectorXd(size)};
        for (Eigen::Index n = 0; n < size; ++n)
            for (Eigen::Index k = 0; k < size; ++k)
                result.A(n, k) = rng.normal() / static_cast<double>(N);
        for (double& b : result.B)
            b = rng.normal();
        return result;
    }
};

/// Real decays: A = -diag(e^g), B = g with standard normal g.
struct RandomDiagonal {
    [[nodiscard]] static Transition transition(std::size_t N, Rng& rng) {
        const auto size = static_cast<Eigen::Index>(N);
        Transition result{Eigen::MatrixXd::Zero(size, size), Eigen::VectorXd(size)};
        for (Eigen::Index n = 0; n < size; ++n)
            result.A(n, n) = -std::exp(rng.normal());
        for (double& b : result.B)
            b = rng.normal();
        return result;
    }
};

}  // namespace ssm::init::hippo
