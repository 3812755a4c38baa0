#pragma once

#include <cstdint>
#include <limits>

#include <ssm/train/improvement.hpp>

namespace ssm {

/// Stops a run when a metric has not become better for `patience` observations in a row.
///
/// By default it never stops, and only remembers the best metric.
struct EarlyStopping {
    static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

    std::uint64_t patience = never;  ///< at least 1
    bool restores_best = false;      ///< the best weights are kept, and are the result of the run
    Improvement metric{};

    /// Takes notice of the metric of an epoch; whether it is the best so far. NaN is not.
    bool observe(double value) noexcept { return metric.observe(value); }
    [[nodiscard]] bool is_over() const noexcept { return metric.waited >= patience; }

    /// Calls visitor(name, value) for every number remembered, for saving.
    template <class Visitor, class... Values>
    static void visit_numbers(Visitor&& visitor, Values&... values) {
        Improvement::visit_numbers(visitor, values.metric...);
    }
};

}  // namespace ssm
