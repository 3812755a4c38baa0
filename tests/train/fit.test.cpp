#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/subnormals.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/layer/batch_norm.hpp>
#include <ssm/layer/embedding.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/model/sequential.hpp>
#include <ssm/train/adam.hpp>
#include <ssm/train/cross_entropy.hpp>
#include <ssm/train/fit.hpp>
#include <ssm/train/plateau.hpp>
#include <ssm/train/regression_loss.hpp>
#include <ssm/train/sgd.hpp>
#include <ssm/train/token_windows.hpp>

#include "support/catch.hpp"

namespace {

using Model = ssm::Linear<double>;
using CrossEntropy = ssm::loss::CrossEntropy<double>;

/// Points in four dimensions; the label is the axis on which a point lies furthest.
struct Points {
    explicit Points(std::size_t count, std::uint64_t seed = 1)
        : inputs(count, 1, 4), labels(count) {
        ssm::Rng rng(seed);
        for (std::size_t i = 0; i < count; ++i) {
            for (std::size_t h = 0; h < 4; ++h)
                inputs(i, 0, h) = rng.normal();
            labels[i] = static_cast<std::int32_t>(
                ssm::argmax(std::span<const double>(inputs.view().row(i, 0))));
        }
    }
    [[nodiscard]] ssm::Examples<double, std::int32_t> examples() const {
        return ssm::Examples(inputs, labels);
    }

    ssm::Batch<double> inputs;
    std::vector<std::int32_t> labels;
};

template <class L>
std::vector<double> weights_of(const L& layer) {
    std::vector<double> result;
    ssm::visit(
        [&](std::string_view, const ssm::WeightTraits&, const auto& tensor) {
            result.insert(result.end(), tensor.flat().begin(), tensor.flat().end());
        },
        layer);
    return result;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
    double largest = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i)
        largest = std::max(largest, std::abs(a[i] - b[i]));
    return largest;
}

}  // namespace

TEST_CASE("fit learns a classification and reports what it does") {
    const Points training(300);
    const Points validation(100, 2);
    Model model({.in = 4, .out = 4});
    ssm::TrainState state(model, ssm::AdamW<Model>(model, {.learning_rate = 0.1}),
                          ssm::schedule::Cosine{.steps = 200});
    std::size_t steps = 0;
    const ssm::Callbacks callbacks{.on_step = [&](const ssm::Progress& progress) {
        ++steps;
        CHECK(progress.step == steps);
        CHECK(progress.steps == 20 * 10);
        CHECK(progress.learning_rate ==
              Approx(0.1 * ssm::schedule::Cosine{.steps = 200}(steps - 1)));
        return true;
    }};
    const ssm::FitReport report =
        ssm::fit(model, state, training.examples(), validation.examples(), CrossEntropy{},
                 {.epochs = 20, .batch_size = 32}, callbacks);
    CHECK(report.end == ssm::FitReport::End::epochs_done);
    CHECK(report.epochs.size() == 20);
    CHECK(steps == 200);
    const ssm::Progress& last = report.epochs.back();
    CHECK(last.epoch == 20);
    CHECK(last.loss < 0.5 * report.epochs.front().loss);
    CHECK(last.validation_accuracy > 0.9);
    ssm::Workspace workspace;
    const ssm::Scores scores =
        ssm::evaluate(model, validation.examples(), CrossEntropy{}, 32, workspace);
    CHECK(scores.loss == last.validation_loss);
    CHECK(scores.accuracy == last.validation_accuracy);
}

TEST_CASE("fit does what one writes by hand in a dozen lines") {
    const Points points(50);
    Model fitted({.in = 4, .out = 4});
    Model model = fitted;
    ssm::TrainState state(fitted, ssm::AdamW<Model>(fitted, {.learning_rate = 0.1}), {}, {},
                          ssm::Rng(9));
    ssm::Rng order = state.order;
    ssm::fit(fitted, state, points.examples(), CrossEntropy{}, {.epochs = 3, .batch_size = 8});

    ssm::AdamW<Model> optimizer(model, {.learning_rate = 0.1});
    Model gradient = ssm::zeros_like(model);
    Model::Cache cache;
    ssm::Workspace workspace;
    ssm::MiniBatch<double, std::int32_t> batch;
    for (int epoch = 0; epoch < 3; ++epoch) {
        const std::vector<std::size_t> indices = ssm::shuffled_indices(50, order);
        const ssm::IndexBatches batches(indices, 8);
        for (std::size_t i = 0; i < batches.size(); ++i) {
            points.examples().take(batches[i], batch);
            ssm::Batch<double> y(ssm::output_shape(model, batch.inputs.shape()));
            ssm::Batch<double> dy(y.shape());
            model.forward(batch.inputs, y, cache, workspace);
            CrossEntropy{}(y, batch.targets, dy);
            ssm::set_zero(gradient);
            model.backward(batch.inputs, dy, {}, cache, gradient, workspace);
            optimizer.step(model, gradient);
        }
    }
    CHECK(weights_of(model) == weights_of(fitted));
}

TEST_CASE("fit flushes subnormal numbers while it runs, unless told otherwise") {
    const bool flushes = GENERATE(false, true);
    const Points points(8);
    Model model({.in = 4, .out = 4});
    ssm::TrainState state(model, ssm::AdamW<Model>(model));
    bool flushed = !flushes;
    ssm::fit(model, state, points.examples(), CrossEntropy{}, {.flush_subnormals = flushes},
             {.on_step = [&](const ssm::Progress&) {
                 flushed = ssm::flushes_subnormals();
                 return true;
             }});
    CHECK(flushed == flushes);
    CHECK_FALSE(ssm::flushes_subnormals());
}

TEST_CASE("accumulated mini-batches make the update of one large batch") {
    const Points points(70);
    std::vector<std::vector<double>> results;
    for (const auto reduction : {ssm::Reduction::mean, ssm::Reduction::sum}) {
        const CrossEntropy loss{.reduction = reduction};
        Model whole({.in = 4, .out = 4});
        Model parts = whole;
        ssm::TrainState one(whole, ssm::SGD<Model>(whole, {.learning_rate = 0.01}));
        ssm::TrainState many(parts, ssm::SGD<Model>(parts, {.learning_rate = 0.01}));
        ssm::fit(whole, one, points.examples(), loss, {.epochs = 4, .batch_size = 32});
        ssm::fit(parts, many, points.examples(), loss,
                 {.epochs = 4, .batch_size = 8, .accumulation = 4});
        CHECK(one.steps() == many.steps());
        // The same sums in another order.
        CHECK(largest_difference(weights_of(whole), weights_of(parts)) < 1e-12);
    }
}

TEST_CASE("accumulated mini-batches count as much as they have labels that count") {
    const Points points(24);
    ssm::Batch<double> sequences(6, 4, 4);
    std::copy_n(points.inputs.data(), points.inputs.size(), sequences.data());
    std::vector<std::int32_t> labels = points.labels;
    for (std::size_t i = 0; i < 11; ++i)
        labels[i] = -100;
    const CrossEntropy loss{.class_weights = {1.0, 0.5, 3.0, 2.0}};
    const auto trained = [&](std::size_t batch_size, std::size_t accumulation) {
        Model model({.in = 4, .out = 4});
        ssm::TrainState state(model, ssm::SGD<Model>(model, {.learning_rate = 0.1}));
        ssm::fit(model, state, ssm::Examples(sequences, labels), loss,
                 {.epochs = 2,
                  .batch_size = batch_size,
                  .accumulation = accumulation,
                  .shuffles = false});
        return weights_of(model);
    };
    // The same sums in another order. The first mini-batches have no labels that count, or few.
    const std::vector<double> whole = trained(6, 1);
    CHECK(largest_difference(whole, trained(2, 3)) < 1e-12);
    CHECK(largest_difference(whole, trained(1, 6)) < 1e-12);
}

TEST_CASE("accumulation averages the statistics of its mini-batches") {
    using Normed = ssm::BatchNorm<double>;
    const Points points(16);
    Normed model({.channels = 4, .momentum = 1.0});
    ssm::TrainState state(model, ssm::SGD<Normed>(model));
    ssm::fit(model, state, ssm::Examples(points.inputs, points.inputs), ssm::loss::MSE<double>{},
             {.batch_size = 8, .accumulation = 2, .shuffles = false});
    for (std::size_t h = 0; h < 4; ++h) {
        double mean = 0.0;
        for (std::size_t i = 0; i < 16; ++i)
            mean += points.inputs(i, 0, h) / 16.0;
        CHECK(model.running_mean[h] == Approx(mean).margin(1e-14));
    }
}

TEST_CASE("early stopping ends the run and gives back the best weights") {
    // Few points, a third of them labelled wrongly: the model learns, and then learns the mistakes.
    Points training(12);
    for (std::size_t i = 0; i < 12; i += 3)
        training.labels[i] = (training.labels[i] + 1) % 4;
    const Points validation(50, 2);
    Model model({.in = 4, .out = 4});
    ssm::TrainState state(model, ssm::SGD<Model>(model, {.learning_rate = 0.1}),
                          ssm::schedule::Constant{}, {.patience = 3, .restores_best = true});
    std::vector<double> best;
    double least = std::numeric_limits<double>::infinity();
    const ssm::FitReport report = ssm::fit(model, state, training.examples(), validation.examples(),
                                           CrossEntropy{}, {.epochs = 1000, .batch_size = 4},
                                           {.on_epoch = [&](const ssm::Progress& progress) {
                                               if (progress.validation_loss < least) {
                                                   least = progress.validation_loss;
                                                   best = weights_of(model);
                                               }
                                               return true;
                                           }});
    CHECK(report.end == ssm::FitReport::End::stopped_early);
    CHECK(report.epochs.size() > 4);
    CHECK(report.epochs.size() < 1000);
    CHECK(weights_of(model) == best);
    CHECK(state.stopping.metric.best == least);
    // The state remembers that the run is over.
    CHECK(ssm::fit(model, state, training.examples(), CrossEntropy{}, {.epochs = 1000})
              .epochs.empty());
}

TEST_CASE("a plateau schedule hears of the monitored metric") {
    const Points points(40);
    Model model({.in = 4, .out = 4});
    ssm::TrainState state(model, ssm::SGD<Model>(model, {.learning_rate = 0.0}),
                          ssm::schedule::Plateau{.gamma = 0.5, .patience = 0});
    ssm::fit(model, state, points.examples(), points.examples(), CrossEntropy{},
             {.epochs = 4, .monitor = ssm::Monitor::error_rate});
    CHECK(state.schedule.factor == 0.125);
    CHECK(state.schedule.metric.best <= 1.0);
}

TEST_CASE("a schedule may count epochs") {
    const Points points(40);
    Model model({.in = 4, .out = 4});
    ssm::TrainState state(model, ssm::SGD<Model>(model, {.learning_rate = 1.0}),
                          ssm::schedule::Exponential{.gamma = 0.5});
    std::vector<double> rates;
    ssm::fit(model, state, points.examples(), CrossEntropy{},
             {.epochs = 2, .batch_size = 20, .schedule_by = ssm::ScheduleBy::epoch},
             {.on_step = [&](const ssm::Progress& progress) {
                 rates.push_back(progress.learning_rate);
                 return true;
             }});
    CHECK(rates == std::vector<double>{1.0, 1.0, 0.5, 0.5});
}

TEST_CASE("fit works for regression with the user's own loss") {
    const Points points(60);
    ssm::Batch<double> target(60, 1, 1);
    for (std::size_t i = 0; i < 60; ++i)
        target(i, 0, 0) = 2.0 * points.inputs(i, 0, 1) - points.inputs(i, 0, 3) + 0.5;
    const auto loss = [](ssm::BatchView<const double> y, ssm::BatchView<const double> t,
                         ssm::BatchView<double> dy) {
        return ssm::loss::MSE<double>{}(y, t, dy).value;
    };
    Model model({.in = 4, .out = 1});
    ssm::TrainState state(model,
                          ssm::AdamW<Model>(model, {.learning_rate = 0.1, .weight_decay = 0.0}));
    const ssm::FitReport report =
        ssm::fit(model, state, ssm::Examples(points.inputs, target), loss,
                 {.epochs = 100, .batch_size = 10, .rest = ssm::Rest::dropped, .clip_norm = 10.0});
    CHECK(report.epochs.back().loss < 1e-4);
    CHECK(std::isnan(report.epochs.back().accuracy));
    CHECK(model.weight[1] == Approx(2.0).margin(0.02));
}

TEST_CASE("fit works for models that read tokens") {
    using Language = ssm::Sequential<ssm::Embedding<double>, Model>;
    std::vector<std::int32_t> tokens;
    for (std::int32_t i = 0; i < 200; ++i)
        tokens.push_back(i % 5);
    Language model(ssm::Embedding<double>({.tokens = 5, .channels = 6}),
                   Model({.in = 6, .out = 5}));
    ssm::TrainState state(model, ssm::AdamW<Language>(model, {.learning_rate = 0.1}));
    const ssm::FitReport report = ssm::fit(model, state, ssm::TokenWindows(tokens, 16, 4),
                                           CrossEntropy{}, {.epochs = 20, .batch_size = 8});
    CHECK(report.epochs.back().accuracy == 1.0);
}

TEST_CASE("a training run is the same bits for any number of threads") {
    const Points points(200);
    std::vector<std::vector<double>> results;
    for (const std::size_t threads : {1U, 2U, 7U}) {
        ssm::set_threads(threads);
        Model model({.in = 4, .out = 4});
        ssm::TrainState state(model, ssm::AdamW<Model>(model));
        ssm::fit(model, state, points.examples(), CrossEntropy{}, {.epochs = 2, .batch_size = 64});
        results.push_back(weights_of(model));
    }
    ssm::set_threads(0);
    CHECK(results[0] == results[1]);
    CHECK(results[0] == results[2]);
}

TEST_CASE("a loss that is not finite stops the run before the update") {
    Points points(8);
    points.inputs(5, 0, 0) = std::nan("");
    Model model({.in = 4, .out = 4});
    ssm::TrainState state(model, ssm::AdamW<Model>(model));
    std::vector<double> before;
    const auto run = [&] {
        ssm::fit(model, state, points.examples(), CrossEntropy{},
                 {.batch_size = 2, .shuffles = false}, {.on_step = [&](const ssm::Progress&) {
                     before = weights_of(model);
                     return true;
                 }});
    };
    CHECK_THROWS_AS(run(), ssm::ValueError);
    CHECK(weights_of(model) == before);
    CHECK(state.steps() == 2);
    CHECK(state.batch == 2);
}

TEST_CASE("a gradient that is not finite stops a run that clips") {
    const Points points(8);
    const auto loss = [](ssm::BatchView<const double>, ssm::BatchView<const std::int32_t>,
                         ssm::BatchView<double> dy) {
        for (double& slope : dy.flat())
            slope = std::numeric_limits<double>::infinity();
        return 1.0;
    };
    Model model({.in = 4, .out = 4});
    const std::vector<double> before = weights_of(model);
    ssm::TrainState state(model, ssm::AdamW<Model>(model));
    CHECK_THROWS_AS(ssm::fit(model, state, points.examples(), loss, {.clip_norm = 1.0}),
                    ssm::ValueError);
    CHECK(weights_of(model) == before);
}

TEST_CASE("fit rejects options and data that make no sense") {
    const Points points(8);
    const Points none(0);
    Model model({.in = 4, .out = 4});
    const std::vector<double> before = weights_of(model);
    ssm::TrainState state(model, ssm::AdamW<Model>(model));
    const auto run = [&](const ssm::FitOptions& options) {
        ssm::fit(model, state, points.examples(), CrossEntropy{}, options);
    };
    CHECK_THROWS_AS(run({.epochs = 0}), ssm::ValueError);
    CHECK_THROWS_AS(run({.batch_size = 0}), ssm::ValueError);
    CHECK_THROWS_AS(run({.accumulation = 0}), ssm::ValueError);
    CHECK_THROWS_AS(run({.clip_norm = 0.0}), ssm::ValueError);
    CHECK_THROWS_AS(run({.batch_size = 9, .rest = ssm::Rest::dropped}), ssm::ValueError);
    CHECK_THROWS_AS(ssm::fit(model, state, none.examples(), CrossEntropy{}, {}), ssm::ValueError);
    CHECK_THROWS_AS(ssm::fit(model, state, points.examples(), none.examples(), CrossEntropy{}, {}),
                    ssm::ValueError);
    CHECK_THROWS_AS(ssm::TrainState(model, ssm::AdamW<Model>(model), ssm::schedule::Constant{},
                                    {.patience = 0}),
                    ssm::ValueError);
    ssm::Workspace workspace;
    CHECK_THROWS_AS(ssm::evaluate(model, none.examples(), CrossEntropy{}, 4, workspace),
                    ssm::ValueError);
    const ssm::Batch<double> wide(8, 1, 5);
    CHECK_THROWS_AS(ssm::fit(model, state, ssm::Examples(wide, points.labels), CrossEntropy{}, {}),
                    ssm::ShapeError);
    std::vector<std::int32_t> labels = points.labels;
    labels[3] = 4;
    CHECK_THROWS_AS(
        ssm::fit(model, state, ssm::Examples(points.inputs, labels), CrossEntropy{}, {}),
        ssm::ValueError);
    CHECK(weights_of(model) == before);
    CHECK(state.steps() == 0);
}

TEST_CASE("the mean of an evaluation does not depend on how it is cut into batches") {
    const Points points(50);
    std::vector<std::int32_t> labels = points.labels;
    labels[7] = -100;
    const ssm::Examples examples(points.inputs, labels);
    const Model model({.in = 4, .out = 4});
    ssm::Workspace workspace;
    const ssm::Scores whole = ssm::evaluate(model, examples, CrossEntropy{}, 50, workspace);
    const ssm::Scores parts = ssm::evaluate(model, examples, CrossEntropy{}, 7, workspace);
    CHECK(parts.loss == Approx(whole.loss).epsilon(1e-14));
    CHECK(parts.accuracy == whole.accuracy);
}

TEST_CASE("an epoch takes its examples in the order that the options give") {
    const Points points(6);
    const auto fit_in = [&](const ssm::FitOptions& options) {
        Model model({.in = 4, .out = 4}, ssm::Rng(3));
        ssm::TrainState state(model, ssm::SGD<Model>(model, {.learning_rate = 0.5}));
        ssm::fit(model, state, points.examples(), CrossEntropy{}, options);
        return weights_of(model);
    };
    const auto as_they_come = fit_in({.batch_size = 2, .shuffles = false});
    const auto same =
        fit_in({.batch_size = 2, .order = [](ssm::Rng&) { return ssm::ordered_indices(6); }});
    const auto reversed = fit_in({.batch_size = 2, .order = [](ssm::Rng&) {
                                      return std::vector<std::size_t>{5, 4, 3, 2, 1, 0};
                                  }});
    CHECK(same == as_they_come);
    CHECK(reversed != as_they_come);
    CHECK_THROWS_AS(fit_in({.order = [](ssm::Rng&) { return std::vector<std::size_t>{1}; }}),
                    ssm::ValueError);
}
