// Forecasts sunspots with SpaceTime: reads a window of years and runs on alone, on the inputs that it predicts itself,
// for one solar cycle. Compares the forecasts of years that it never saw with what needs no model: the last value
// (persistence), and the value eleven years, one mean cycle, earlier. Sizes were chosen on years before those.
//
// Quick run: --epochs 3 --width 16 --target 0

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include <ssm/ssm.hpp>

#include "support/options.hpp"
#include "support/series.hpp"
#include "support/svg.hpp"

struct Settings {
    explicit Settings(examples::Options options)
        : data(options.get<std::string>("data", SSM_EXAMPLES_DATA "/sunspots.csv", "a series")),
          lag(options.get<std::size_t>("lag", 44, "years of the past in a window")),
          horizon(options.get<std::size_t>("horizon", 11, "years to forecast")),
          test_years(options.get<std::size_t>("test", 50, "last years, kept from training")),
          width(options.get<std::size_t>("width", 32, "channels of the model")),
          state(options.get<std::size_t>("state", 16, "state size of each channel")),
          epochs(options.get<std::size_t>("epochs", 200, "times through the training windows")),
          target(options.get("target", 1.0, "largest error over that of a baseline; 0: any")),
          seed(options.get("seed", 1U, "random numbers")) {
        options.done();
    }

    std::string data;
    std::size_t lag, horizon, test_years, width, state, epochs;
    double target;
    unsigned seed;
};

/// Windows of the square roots of a series, whose swings are more alike, and what followed; each without the mean of
/// the window and divided by `scale`.
struct Windows {
    static constexpr double scale = 3.0;

    Windows(const std::vector<double>& series, std::size_t first, std::size_t last,
            const Settings& settings)
        : past(last - first, settings.lag, 1), future(last - first, settings.horizon, 1) {
        for (std::size_t i = 0; i < past.batch(); ++i) {
            const double* const start = series.data() + first + i - settings.lag;
            double sum = 0.0;
            for (std::size_t l = 0; l < settings.lag; ++l)
                sum += std::sqrt(start[l]);
            mean.push_back(sum / static_cast<double>(settings.lag));
            for (std::size_t l = 0; l < settings.lag; ++l)
                past(i, l, 0) = static_cast<float>((std::sqrt(start[l]) - mean[i]) / scale);
            for (std::size_t l = 0; l < settings.horizon; ++l)
                future(i, l, 0) =
                    static_cast<float>((std::sqrt(start[settings.lag + l]) - mean[i]) / scale);
        }
    }

    ssm::Batch<float> past, future;
    std::vector<double> mean;
};

/// Root mean square error of forecasts that begin at years first .. last - 1; `forecast(origin, step)`.
template <class Forecast>
double error(const std::vector<double>& series, std::size_t first, std::size_t last,
             std::size_t horizon, Forecast&& forecast) {
    double sum = 0.0;
    for (std::size_t origin = first; origin < last; ++origin)
        for (std::size_t j = 0; j < horizon; ++j)
            sum += std::pow(forecast(origin, j) - series[origin + j], 2.0);
    return std::sqrt(sum / static_cast<double>((last - first) * horizon));
}

int run(const Settings& settings) {
    using Model = ssm::SpaceTime<float>;
    const examples::Series sunspots = examples::read_series(settings.data);
    const std::vector<double>& years = sunspots.value;
    // A forecast from year `origin` reads the years before it; training looks at none of the last ones.
    const std::size_t split = years.size() - settings.test_years;
    const Windows training(years, settings.lag, split - settings.horizon + 1, settings);
    const std::size_t end = years.size() - settings.horizon + 1;
    const Windows test(years, split, end, settings);

    Model model({.horizon = settings.horizon,
                 .width = settings.width,
                 .state = settings.state,
                 .kernels = 8,
                 .window = 32},
                ssm::Rng(settings.seed));
    std::printf("%zu training windows, %zu forecasts to test; %zu parameters\n",
                training.past.batch(), test.past.batch(), ssm::parameter_count(model));
    const std::size_t steps = settings.epochs * ((training.past.batch() + 31) / 32);
    ssm::TrainState state(
        model, ssm::AdamW<Model>(model, {.learning_rate = 3e-3}),
        ssm::schedule::Warmup<ssm::schedule::Cosine>{steps / 20, {.steps = steps - steps / 20}}, {},
        ssm::Rng(settings.seed));
    const auto report =
        ssm::fit(model, state, ssm::Examples(training.past, training.future),
                 ssm::loss::MAE<float>{}, {.epochs = settings.epochs, .batch_size = 32},
                 {.on_epoch = [](const ssm::Progress& progress) {
                     std::printf("\r%s ", ssm::progress_line(progress).c_str());
                     std::fflush(stdout);
                     return true;
                 }});

    ssm::Workspace workspace;
    ssm::Batch<float> outputs(test.future.shape());
    model.forward(test.past, outputs, workspace);
    // What each says, before year `origin`, about year origin + j.
    const auto model_says = [&](std::size_t origin, std::size_t j) {
        const std::size_t i = origin - split;
        const double root = test.mean[i] + Windows::scale * static_cast<double>(outputs(i, j, 0));
        return root > 0.0 ? root * root : 0.0;
    };
    const auto last_value = [&](std::size_t origin, std::size_t) { return years[origin - 1]; };
    const auto last_cycle = [&](std::size_t origin, std::size_t j) {
        return years[origin + j - 11 * (j / 11 + 1)];
    };
    const auto rmse = [&](const auto& forecast) {
        return error(years, split, end, settings.horizon, forecast);
    };
    const double found = rmse(model_says);
    const double best = std::min(rmse(last_value), rmse(last_cycle));
    std::printf(
        "\nroot mean square error %zu years ahead, in years not seen in training:\n"
        "  SpaceTime %.1f   last value %.1f   11 years earlier %.1f\n",
        settings.horizon, found, rmse(last_value), rmse(last_cycle));

    examples::Curve truth{"sunspots", {}}, forecast{"SpaceTime", {}};
    for (std::size_t t = split; t < years.size(); ++t) {
        // Forecasts follow each other; the last one ends with the data.
        const std::size_t ahead =
            (t + settings.horizon - (end - 1) % settings.horizon) % settings.horizon;
        truth.y.push_back(years[t]);
        forecast.y.push_back(t >= split + ahead ? model_says(t - ahead, ahead) : std::nan(""));
    }
    if (examples::Plot("Sunspots, 1959 to 2008: each forecast sees the years before it",
                       "years after the end of training", "sunspots")
            .add(truth)
            .add(forecast)
            .save("forecast.svg"))
        std::printf("trained in %.1f s; picture: forecast.svg\n", report.epochs.back().seconds);
    return settings.target == 0.0 || found <= settings.target * best ? 0 : 1;
}

int main(int count, char** arguments) {
    try {
        return run(
            Settings(examples::Options(count, arguments, "Forecasts yearly sunspot numbers.")));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
