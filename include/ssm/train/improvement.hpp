#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace ssm {

/// Which way a metric is better.
enum class Goal { minimum, maximum };

/// Best value of a metric so far, and how long ago it was.
///
/// A value is better than the best by more than `relative * |best| + absolute`; NaN never is.
struct Improvement {
    Goal goal = Goal::minimum;
    double relative = 0.0;
    double absolute = 0.0;

    double best = std::numeric_limits<double>::quiet_NaN();  ///< NaN: nothing seen yet
    std::uint64_t waited = 0;                                ///< observations since the best

    /// Takes notice of a value; whether it is the best so far.
    bool observe(double value) noexcept {
        if (is_better(value)) {
            best = value;
            waited = 0;
            return true;
        }
        ++waited;
        return false;
    }
    [[nodiscard]] bool is_better(double value) const noexcept {
        if (std::isnan(best))
            return !std::isnan(value);
        const double margin = relative * std::abs(best) + absolute;
        return goal == Goal::minimum ? value < best - margin : value > best + margin;
    }

    /// Calls visitor(name, value) for every number remembered, for saving.
    template <class Visitor, class... Values>
    static void visit_numbers(Visitor&& visitor, Values&... values) {
        visitor("best", values.best...);
        visitor("waited", values.waited...);
    }
};

}  // namespace ssm
