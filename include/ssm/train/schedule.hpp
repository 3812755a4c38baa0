#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <numbers>
#include <string_view>

#include <ssm/core/error.hpp>

namespace ssm {

/// A schedule: a value that maps the number of updates (or epochs) made so far to a factor of the
/// learning rates. A user's own lambda is one too.
template <class S>
concept Schedule = std::copyable<S> && requires(const S& schedule, std::size_t step) {
    { schedule(step) } -> std::convertible_to<double>;
};

/// A schedule that also follows a metric, told once an epoch.
template <class S>
concept MetricSchedule = Schedule<S> && requires(S& schedule, double metric) {
    schedule.observe(metric);
};

namespace detail {
struct AnyNumberVisitor {
    template <class... Numbers>
    void operator()(std::string_view, Numbers&...) const {}
};
}  // namespace detail

/// A schedule that remembers numbers and names them for saving.
template <class S>
concept RememberingSchedule = Schedule<S> && requires(S& schedule) {
    S::visit_numbers(detail::AnyNumberVisitor{}, schedule);
};

namespace schedule {

/// Always the same.
struct Constant {
    double factor = 1.0;

    double operator()(std::size_t) const noexcept { return factor; }
};

/// From 0 linearly to the first factor of another schedule, which then starts: step / steps, then
/// `then(step - steps)`. For one that starts at 1, as all here do.
template <Schedule Then = Constant>
struct Warmup {
    std::size_t steps = 0;
    Then then{};

    double operator()(std::size_t step) const {
        if (step < steps)
            return static_cast<double>(step) / static_cast<double>(steps) * then(0);
        return then(step - steps);
    }
    void observe(double metric) requires MetricSchedule<Then> { then.observe(metric); }
    /// Calls visitor(name, value) for every number remembered, for saving.
    template <class Visitor, class... Warmups>
    static void visit_numbers(Visitor&& visitor,
                              Warmups&... warmups) requires RememberingSchedule<Then> {
        Then::visit_numbers(visitor, warmups.then...);
    }
};

/// From 1 linearly to `end` at `steps`, and then `end`.
struct LinearDecay {
    std::size_t steps = 0;
    double end = 0.0;

    double operator()(std::size_t step) const noexcept {
        if (step >= steps)
            return end;
        return end + (1.0 - end) * static_cast<double>(steps - step) / static_cast<double>(steps);
    }
};

/// Half a cosine from 1 to `end` at `steps` (eta_min / base rate in torch's words). After that
/// `end`, or the cosine goes on, up again and down, when it repeats, as in torch.
struct Cosine {
    std::size_t steps = 0;
    double end = 0.0;
    bool repeats = false;

    double operator()(std::size_t step) const noexcept {
        if (steps == 0 || (step >= steps && !repeats))
            return end;
        const double angle =
            std::numbers::pi * static_cast<double>(step) / static_cast<double>(steps);
        return end + (1.0 - end) * 0.5 * (1.0 + std::cos(angle));
    }
};

/// gamma^floor(step / every).
struct Step {
    std::size_t every = 1;
    double gamma = 0.1;

    double operator()(std::size_t step) const {
        require<ValueError>(every > 0, "ssm::schedule::Step: every 0 steps");
        return std::pow(gamma, static_cast<double>(step / every));
    }
};

/// gamma^step.
struct Exponential {
    double gamma = 0.99;

    double operator()(std::size_t step) const noexcept {
        return std::pow(gamma, static_cast<double>(step));
    }
};

}  // namespace schedule

}  // namespace ssm
