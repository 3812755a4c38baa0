#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/init/timescale.hpp>

namespace ssm {

/// First time steps of the Mamba family: log-uniform in [min, max], but at least `floor`.
struct SelectiveTimescale {
    double min = 1e-3;
    double max = 1e-1;
    double floor = 1e-4;
};

namespace detail {

/// Fills `bias` with the numbers whose softplus are such time steps. The form dt + log(1 - e^-dt) of the inverse of
/// softplus keeps its digits for small dt.
template <class T>
void init_dt_bias(const SelectiveTimescale& timescale, Rng& rng, std::span<T> bias) {
    require<ValueError>(timescale.floor > 0.0, "ssm: the least time step ", timescale.floor,
                        " must be positive");
    const std::vector<double> steps =
        init::LogUniform{timescale.min, timescale.max}(bias.size(), rng);
    for (std::size_t i = 0; i < bias.size(); ++i) {
        const double dt = std::max(steps[i], timescale.floor);
        bias[i] = static_cast<T>(dt + std::log(-std::expm1(-dt)));
    }
}

}  // namespace detail

}  // namespace ssm
