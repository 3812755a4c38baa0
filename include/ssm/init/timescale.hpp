#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>

namespace ssm::init {

/// What gives `count` initial time steps.
template <class I>
concept TimescaleInit = requires(const I& init, std::size_t count, Rng& rng) {
    { init(count, rng) } -> std::convertible_to<std::vector<double>>;
};

namespace detail {

inline void require_timescale(double min, double max) {
    require<ValueError>(min > 0.0 && min <= max && std::isfinite(max),
                        "ssm::init: time steps from ", min, " to ", max,
                        ", expected 0 < min <= max");
}

}  // namespace detail

/// dt with log dt uniform in [log min, log max].
///
/// Units     time of the continuous system for each step of the sequence
/// Errors    ValueError unless 0 < min <= max
struct LogUniform {
    double min = 1e-3;
    double max = 1e-1;

    [[nodiscard]] std::vector<double> operator()(std::size_t count, Rng& rng) const {
        detail::require_timescale(min, max);
        std::vector<double> dt(count);
        for (double& step : dt)
            step = std::exp(rng.uniform(std::log(min), std::log(max)));
        return dt;
    }
};

/// dt on a geometric grid from min to max, both ends included; one step alone is min.
///
/// Units, Errors   as `LogUniform`
struct Geometric {
    double min = 1e-3;
    double max = 1e-1;

    [[nodiscard]] std::vector<double> operator()(std::size_t count, Rng&) const {
        detail::require_timescale(min, max);
        std::vector<double> dt(count, min);
        for (std::size_t i = 1; i < count; ++i)
            dt[i] =
                min * std::pow(max / min, static_cast<double>(i) / static_cast<double>(count - 1));
        return dt;
    }
};

}  // namespace ssm::init
