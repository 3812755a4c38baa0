#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <ssm/core/error.hpp>
#include <ssm/train/improvement.hpp>
#include <ssm/train/schedule.hpp>

namespace ssm::schedule {

/// Multiplies its factor by `gamma` when a metric has not become better for more than `patience`
/// observations.
///
///     Plateau plateau{.gamma = 0.5, .patience = 5};
///     plateau.observe(validation_loss);   // once an epoch
///     optimizer.step(model, gradient, plateau(step));
///
/// After a reduction `cooldown` observations are not counted against it. The factor does not fall
/// below `end`.
/// Errors    ValueError from observe for gamma outside (0, 1)
/// Source    torch.optim.lr_scheduler.ReduceLROnPlateau, with factors of the base rate in place of
///           rates
struct Plateau {
    double gamma = 0.1;
    std::uint64_t patience = 10;
    std::uint64_t cooldown = 0;
    double end = 0.0;
    Improvement metric{.relative = 1e-4};

    double factor = 1.0;        ///< at present
    std::uint64_t cooling = 0;  ///< observations of the cooldown left

    double operator()(std::size_t) const noexcept { return factor; }

    /// Takes notice of the metric of an epoch; NaN counts as not better.
    void observe(double value) {
        require<ValueError>(gamma > 0.0 && gamma < 1.0, "ssm::schedule::Plateau: gamma ", gamma,
                            " is not between 0 and 1");
        metric.observe(value);
        if (cooling > 0) {
            --cooling;
            metric.waited = 0;
        }
        if (metric.waited > patience) {
            factor = std::max(factor * gamma, std::min(end, factor));
            cooling = cooldown;
            metric.waited = 0;
        }
    }

    /// Calls visitor(name, value) for every number remembered, for saving.
    template <class Visitor, class... Plateaus>
    static void visit_numbers(Visitor&& visitor, Plateaus&... plateaus) {
        Improvement::visit_numbers(visitor, plateaus.metric...);
        visitor("factor", plateaus.factor...);
        visitor("cooling", plateaus.cooling...);
    }
};

}  // namespace ssm::schedule
