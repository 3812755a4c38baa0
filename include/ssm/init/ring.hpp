#pragma once

#include <cmath>
#include <complex>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>

namespace ssm::init {

/// Poles lambda = exp(-exp(nu) + i exp(theta)) uniform by area on a ring of the unit disk.
///
/// Errors    ValueError unless 0 <= r_min < r_max <= 1 and max_phase is positive
/// Source    arXiv:2303.06349
struct Ring {
    double r_min = 0.0;
    double r_max = 1.0;
    double max_phase = 6.28;  ///< radians

    void check() const {
        require<ValueError>(r_min >= 0.0 && r_min < r_max && r_max <= 1.0,
                            "ssm::init::Ring: r from ", r_min, " to ", r_max,
                            ", expected 0 <= r_min < r_max <= 1");
        require<ValueError>(max_phase > 0.0 && std::isfinite(max_phase),
                            "ssm::init::Ring: max_phase = ", max_phase, " must be positive");
    }
    /// nu of a number that is uniform in [0, 1): |lambda|^2 is uniform in [r_min^2, r_max^2].
    [[nodiscard]] double nu_log(double uniform) const noexcept {
        const double square = uniform * (r_max * r_max - r_min * r_min) + r_min * r_min;
        return std::log(-0.5 * std::log(square));
    }
    /// theta of a number that is uniform in [0, 1).
    [[nodiscard]] double theta_log(double uniform) const noexcept {
        return std::log(max_phase * uniform);
    }
    /// ln sqrt(1 - |lambda|^2), which keeps the variance of the state that of its input; accurate for slow modes.
    [[nodiscard]] static double gamma_log(double nu_log) noexcept {
        return 0.5 * std::log(-std::expm1(-2.0 * std::exp(nu_log)));
    }
};

}  // namespace ssm::init
