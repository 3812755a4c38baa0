#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/train/early_stopping.hpp>
#include <ssm/train/metrics.hpp>
#include <ssm/train/optimizer.hpp>
#include <ssm/train/schedule.hpp>

namespace ssm {

/// Losses and right answers summed over examples.
struct Tally {
    double loss_sum = 0.0;
    double weight = 0.0;
    std::uint64_t samples = 0;
    Hits hits{};

    /// Mean loss; NaN when nothing counts.
    [[nodiscard]] double loss() const noexcept {
        return weight > 0.0 ? loss_sum / weight : std::numeric_limits<double>::quiet_NaN();
    }
    Tally& operator+=(const Tally& other) noexcept {
        loss_sum += other.loss_sum;
        weight += other.weight;
        samples += other.samples;
        hits += other.hits;
        return *this;
    }

    /// Calls visitor(name, value) for every number, for saving.
    template <class Visitor, class... Tallies>
    static void visit_numbers(Visitor&& visitor, Tallies&... tallies) {
        visitor("loss_sum", tallies.loss_sum...);
        visitor("weight", tallies.weight...);
        visitor("samples", tallies.samples...);
        visitor("right", tallies.hits.right...);
        visitor("counted", tallies.hits.counted...);
    }
};

/// All that a training run remembers between two updates besides the weights: together with them a
/// run goes on, or is repeated, bit for bit.
///
///     TrainState state(model, AdamW<Model>(model, {.learning_rate = 1e-2}),
///                      schedule::Cosine{.steps = 1000});
///     fit(model, state, ...);
///
/// A regular value; `visit_numbers` names everything for a checkpoint file. Options (learning rate,
/// patience, shape of the schedule) are the program's and are not part of that.
template <class L, class Rule, Schedule S = schedule::Constant>
struct TrainState {
    /// The first three describe the run; `seed` decides the order of examples and what dropout
    /// drops.
    ///
    /// Errors    ValueError for a patience of 0
    TrainState(const L& model, Optimizer<L, Rule> how, S rates = S{}, EarlyStopping stop = {},
               Rng seed = Rng())
        : optimizer(std::move(how)),
          schedule(std::move(rates)),
          stopping(stop),
          order(seed.split()),
          noise(seed.split()) {
        require<ValueError>(stop.patience > 0,
                            "ssm::TrainState: a patience of 0 stops before the first epoch");
        if (stop.restores_best)
            best = model;
    }

    Optimizer<L, Rule> optimizer;
    S schedule;
    EarlyStopping stopping;
    std::optional<L> best;    ///< weights of the best epoch, where they are to be restored
    Rng order;                ///< draws the order of the epoch's examples
    Rng noise;                ///< handed to the layers
    std::uint64_t epoch = 0;  ///< epochs done
    std::uint64_t batch = 0;  ///< mini-batches of the present epoch done
    Tally tally{};            ///< of the present epoch

    /// Updates made.
    [[nodiscard]] std::uint64_t steps() const noexcept { return optimizer.steps(); }

    /// Calls visitor(name, value) for everything remembered, for saving.
    template <class Visitor, class... States>
    static void visit_numbers(Visitor&& visitor, States&... states) {
        visitor("optimizer", states.optimizer...);
        if constexpr (RememberingSchedule<S>)
            visitor("schedule", states.schedule...);
        visitor("stopping", states.stopping...);
        if ((states.best.has_value() && ...))
            visitor("best", *states.best...);
        visitor("order", states.order...);
        visitor("noise", states.noise...);
        visitor("epoch", states.epoch...);
        visitor("batch", states.batch...);
        visitor("tally", states.tally...);
    }
};

}  // namespace ssm
