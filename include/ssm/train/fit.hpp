#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <type_traits>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/subnormals.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/train/clip.hpp>
#include <ssm/train/evaluate.hpp>
#include <ssm/train/indices.hpp>
#include <ssm/train/progress.hpp>
#include <ssm/train/source.hpp>
#include <ssm/train/train_state.hpp>

namespace ssm {

/// What is decided once an epoch: by the loss, or by the share of wrong answers. Less is better.
enum class Monitor { loss, error_rate };

/// What a schedule counts.
enum class ScheduleBy { step, epoch };

/// How `fit` runs.
struct FitOptions {
    std::size_t epochs = 1;  ///< in all: a resumed run counts those made before
    std::size_t batch_size = 32;
    std::size_t accumulation = 1;  ///< mini-batches whose gradients make one update
    bool shuffles = true;
    Order order{};  ///< empty: random, or as they come if not `shuffles`
    Rest rest = Rest::kept;
    std::optional<double> clip_norm{};
    ScheduleBy schedule_by = ScheduleBy::step;
    Monitor monitor = Monitor::loss;  ///< of the validation examples; of the training without them
    bool flush_subnormals = true;     ///< while it runs: see `FlushSubnormals`
};

/// Called with the numbers of the run, after each update and after each epoch; false stops the run
/// there, and another call of `fit` with the same state goes on. Empty functions are not called.
struct Callbacks {
    std::function<bool(const Progress&)> on_step{};
    std::function<bool(const Progress&)> on_epoch{};
};

/// How a run ended, and the numbers of each of its epochs.
struct FitReport {
    enum class End { epochs_done, stopped_early, interrupted };

    End end = End::epochs_done;
    std::vector<Progress> epochs;
};

/// "No validation examples".
struct NoExamples {};

namespace detail {

/// Means over `count` mini-batches, where sums are: of statistics each counts alike; the trained part is the sum of
/// `weight` terms.
template <class L>
void average(L& gradient, std::size_t count, double weight) {
    visit(
        [&](std::string_view, const WeightTraits& traits, auto& tensor) {
            using T = typename std::remove_reference_t<decltype(tensor)>::value_type;
            const bool is_statistic = traits.role == WeightRole::statistic;
            if (!is_statistic && weight == 1.0)
                return;
            const T divisor = static_cast<T>(is_statistic ? static_cast<double>(count) : weight);
            for (T& entry : tensor.flat())
                entry /= divisor;
        },
        gradient);
}

/// One call of `fit`: its scratch memory and its clock. Everything that outlives it is in the model
/// and the state.
template <class L, class State, class Training, class Validation, class LossFn>
class Fitting {
    using T = value_t<L>;
    using Target = typename Training::target_type;
    using Clock = std::chrono::steady_clock;

public:
    Fitting(L& model, State& state, const Training& training, const Validation& validation,
            const LossFn& loss, const FitOptions& options, const Callbacks& callbacks)
        : model_(model),
          state_(state),
          training_(training),
          validation_(validation),
          loss_(loss),
          options_(options),
          callbacks_(callbacks),
          gradient_(zeros_like(model)),
          first_step_(state.steps()) {
        check();
    }

    FitReport run() {
        std::optional<FlushSubnormals> flush;
        if (options_.flush_subnormals)
            flush.emplace();
        FitReport report;
        while (state_.epoch < options_.epochs && !state_.stopping.is_over()) {
            Rng order = state_.order;
            if (!run_updates(order) || !finish_epoch(order, report)) {
                report.end = FitReport::End::interrupted;
                return report;
            }
        }
        if (state_.stopping.is_over())
            report.end = FitReport::End::stopped_early;
        if (state_.best)
            model_ = *state_.best;
        return report;
    }

private:
    void check() const {
        require<ValueError>(options_.epochs > 0, "ssm::fit: 0 epochs");
        require<ValueError>(options_.batch_size > 0, "ssm::fit: batch size 0");
        require<ValueError>(options_.accumulation > 0, "ssm::fit: accumulation of 0 mini-batches");
        require<ValueError>(batches_in_epoch() > 0, "ssm::fit: ", training_.size(),
                            " training examples make no mini-batch of ", options_.batch_size);
        require<ValueError>(!options_.clip_norm || *options_.clip_norm > 0.0,
                            "ssm::fit: gradients clipped to norm ",
                            options_.clip_norm.value_or(0.0), ", expected a positive number");
        require<ValueError>(state_.batch <= batches_in_epoch(),
                            "ssm::fit: the state is at mini-batch ", state_.batch,
                            " of an epoch that has ", batches_in_epoch());
        if constexpr (has_validation)
            require<ValueError>(validation_.size() > 0,
                                "ssm::fit: there are no validation examples");
    }

    [[nodiscard]] std::size_t batches_in_epoch() const {
        return IndexBatches(all_, options_.batch_size, options_.rest).size();
    }
    [[nodiscard]] std::size_t updates_in_epoch() const {
        return (batches_in_epoch() + options_.accumulation - 1) / options_.accumulation;
    }

    // The order is drawn from a copy of the state's generator, which moves on only when the epoch
    // is done: an epoch that was interrupted is drawn again alike.
    bool run_updates(Rng& order) {
        const std::vector<std::size_t> indices = draw(order);
        const IndexBatches batches(indices, options_.batch_size, options_.rest);
        while (state_.batch < batches.size()) {
            const Progress progress = update(batches);
            if (callbacks_.on_step && !callbacks_.on_step(progress))
                return false;
        }
        return true;
    }

    [[nodiscard]] std::vector<std::size_t> draw(Rng& order) const {
        if (!options_.order)
            return options_.shuffles ? shuffled_indices(training_.size(), order) : all_;
        std::vector<std::size_t> indices = options_.order(order);
        require<ValueError>(indices.size() == training_.size(), "ssm::fit: the order has ",
                            indices.size(), " indices for ", training_.size(),
                            " training examples");
        return indices;
    }

    // One update from the next mini-batches. The state changes when nothing can fail any more.
    Progress update(const IndexBatches& batches) {
        const std::size_t first = state_.batch;
        const std::size_t last = std::min(first + options_.accumulation, batches.size());
        std::size_t samples = 0;
        for (std::size_t i = first; i < last; ++i)
            samples += batches[i].size();

        set_zero(gradient_);
        Rng noise = state_.noise;
        Tally tally;
        const bool is_alone = last - first == 1;  // then its gradient is what it is
        for (std::size_t i = first; i < last; ++i)
            tally += add_gradient(batches[i], !is_alone && !is_sum(loss_), noise);
        if (!is_alone)
            average(gradient_, last - first,
                    is_sum(loss_) || tally.weight == 0.0 ? 1.0 : tally.weight);
        Progress progress = progress_of(tally);
        if (options_.clip_norm)
            progress.gradient_norm = clip_norm(gradient_, *options_.clip_norm);
        require_finite("loss", tally.loss_sum);
        require_finite("gradient norm", options_.clip_norm ? progress.gradient_norm : 0.0);

        const double factor = factor_now();
        state_.optimizer.step(model_, gradient_, factor);
        state_.noise = noise;
        state_.batch = last;
        state_.tally += tally;
        samples_done_ += samples;
        progress.learning_rate = factor * state_.optimizer.options.learning_rate;
        add_times(progress);
        return progress;
    }

    // Adds the gradient of the loss of one mini-batch, or of its sum over all that counts where that is a mean.
    Tally add_gradient(std::span<const std::size_t> indices, bool of_sum, Rng& noise) {
        training_.take(indices, batch_);
        const Shape shape = output_shape(model_, batch_.inputs.shape());
        y_.resize(shape);
        dy_.resize(shape);
        const Context context = batch_.context(workspace_).with_rng(noise);
        model_.forward(batch_.inputs, y_, cache_, context);
        const Tally tally = tally_of<T, Target>(loss_, y_, batch_.targets, dy_);
        if (of_sum)
            for (T& slope : dy_.view().flat())
                slope *= static_cast<T>(tally.weight);
        model_.backward(batch_.inputs, dy_, {}, cache_, gradient_, context);
        return tally;
    }

    bool finish_epoch(const Rng& order, FitReport& report) {
        Progress progress = progress_of(state_.tally);
        progress.learning_rate = factor_now() * state_.optimizer.options.learning_rate;
        Scores decisive{progress.loss, progress.accuracy};
        if constexpr (has_validation) {
            decisive = evaluate(model_, validation_, loss_, options_.batch_size, workspace_);
            progress.validation_loss = decisive.loss;
            progress.validation_accuracy = decisive.accuracy;
        }
        const double metric =
            options_.monitor == Monitor::loss ? decisive.loss : 1.0 - decisive.accuracy;
        if constexpr (MetricSchedule<decltype(state_.schedule)>)
            state_.schedule.observe(metric);
        if (state_.stopping.observe(metric) && state_.best)
            state_.best = model_;
        state_.order = order;
        ++state_.epoch;
        state_.batch = 0;
        state_.tally = {};
        add_times(progress);
        report.epochs.push_back(progress);
        return !callbacks_.on_epoch || callbacks_.on_epoch(progress);
    }

    [[nodiscard]] double factor_now() const {
        const std::uint64_t count =
            options_.schedule_by == ScheduleBy::step ? state_.steps() : state_.epoch;
        return state_.schedule(static_cast<std::size_t>(count));
    }

    [[nodiscard]] Progress progress_of(const Tally& tally) const {
        Progress progress;
        progress.epoch = state_.epoch + 1;
        progress.epochs = options_.epochs;
        progress.steps = options_.epochs * updates_in_epoch();
        progress.loss = tally.loss();
        progress.accuracy = tally.hits.accuracy();
        return progress;
    }

    void add_times(Progress& progress) const {
        progress.step = state_.steps();
        progress.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
        if (progress.seconds <= 0.0 || progress.step == first_step_)
            return;
        progress.samples_per_second = static_cast<double>(samples_done_) / progress.seconds;
        const double step_seconds =
            progress.seconds / static_cast<double>(progress.step - first_step_);
        const std::uint64_t left = progress.steps - std::min(progress.steps, progress.step);
        progress.remaining_seconds = step_seconds * static_cast<double>(left);
    }

    void require_finite(const char* what, double value) const {
        require<ValueError>(std::isfinite(value), "ssm::fit: the ", what, " is ", value,
                            " in epoch ", state_.epoch + 1, ", at update ", state_.steps() + 1,
                            "; weights and state are as before it");
    }

    static constexpr bool has_validation = !std::is_same_v<Validation, NoExamples>;

    L& model_;
    State& state_;
    const Training& training_;
    const Validation& validation_;
    const LossFn& loss_;
    const FitOptions& options_;
    const Callbacks& callbacks_;

    std::vector<std::size_t> all_ = ordered_indices(training_.size());
    L gradient_;
    typename L::Cache cache_{};
    MiniBatch<typename Training::input_type, Target> batch_{};
    Batch<T> y_{};
    Batch<T> dy_{};
    Workspace workspace_{};
    std::uint64_t first_step_;
    std::uint64_t samples_done_ = 0;
    Clock::time_point start_ = Clock::now();
};

}  // namespace detail

/// Trains a model: shuffles, cuts into mini-batches, forward, loss, backward, update; after each
/// epoch evaluates on the validation examples. What a user would write by hand in a dozen lines,
/// plus what the options name.
///
///     TrainState state(model, AdamW<Model>(model, {.learning_rate = 1e-2}));
///     fit(model, state, Examples(u, labels), Examples(v, others), loss::CrossEntropy<float>{},
///         {.epochs = 10, .batch_size = 64},
///         {.on_epoch = [](const Progress& p) { std::puts(progress_line(p).c_str()); return true;
///         }});
///
/// The run ends when `options.epochs` epochs are done, when early stopping says so, or when a
/// callback returns false. Then, in the first two cases, the weights are the best ones where the
/// state keeps them. Whatever ends it, also an error or the end of the program after the state was
/// saved in a callback: another call with the same model and state continues bit for bit.
///
/// With gradient accumulation an update follows the mean over all that counts in its examples, as if its
/// mini-batches were one (batch statistics apart, which are averaged).
///
/// Recurrences that have learned to forget compute with subnormal numbers, which made training of LRU five times
/// slower on an Intel processor: unless the options say otherwise, they are zero meanwhile.
///
/// Errors    ValueError for options out of range, no examples, and a loss or clipped gradient norm
///           that is not finite; those of the model, the loss and the source. Model and state are
///           as after the last update.
template <TrainableLayer L, class Rule, Schedule Rates, Source Training, Source Validation,
          LossFunction<value_t<L>, typename Training::target_type> LossFn>
FitReport fit(L& model, TrainState<L, Rule, Rates>& state, const Training& training,
              const Validation& validation, const LossFn& loss, const FitOptions& options,
              const Callbacks& callbacks = {}) {
    return detail::Fitting(model, state, training, validation, loss, options, callbacks).run();
}

/// The same without validation examples: what is decided by a metric is decided by the training
/// loss.
template <TrainableLayer L, class Rule, Schedule Rates, Source Training,
          LossFunction<value_t<L>, typename Training::target_type> LossFn>
FitReport fit(L& model, TrainState<L, Rule, Rates>& state, const Training& training,
              const LossFn& loss, const FitOptions& options, const Callbacks& callbacks = {}) {
    return detail::Fitting(model, state, training, NoExamples{}, loss, options, callbacks).run();
}

}  // namespace ssm
