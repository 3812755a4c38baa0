// Forecasts sunspots with SpaceTime: reads a window of years and runs on alone, on the inputs that it predicts itself,
// for two solar cycles. Compares the forecasts of years that it never saw with what needs no model: the last value
// (persistence), and the value eleven years, one mean cycle, earlier.
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
        : data(options.get<std::string>("data", SSM_EXAMPLES_DATA "/sunspots.csv",
                                        "yearly sunspot numbers")),
          lag(options.get<std::size_t>("lag", 88, "years of the past in a window")),
          horizon(options.get<std::size_t>("horizon", 22, "years to forecast")),
          test_years(options.get<std::size_t>("test", 50, "last years, kept from training")),
          width(options.get<std::size_t>("width", 32, "channels of the model")),
          state(options.get<std::size_t>("state", 32, "state size of each channel")),
          epochs(options.get<std::size_t>("epochs", 60, "times through the training windows")),
          learning_rate(options.get("rate", 3e-3, "learning rate")),
          dropout(options.get("dropout", 0.2, "dropout")),
          target(
              options.get("target", 1.0,
                          "fails if its error over that of the best baseline is above; 0: never")),
          seed(options.get("seed", 1U, "random numbers")) {
        options.done();
    }

    std::string data;
    std::size_t lag, horizon, test_years, width, state, epochs;
    double learning_rate, dropout, target;
    unsigned seed;
};

/// Windows of a series and what followed, each without the mean of the window and divided by `scale`.
struct Windows {
    static constexpr double scale = 50.0;

    Windows(const std::vector<double>& series, std::size_t first, std::size_t last,
            const Settings& settings)
        : past(last - first, settings.lag, 1), future(last - first, settings.horizon, 1) {
        for (std::size_t i = 0; i < past.batch(); ++i) {
            const double* const start = series.data() + first + i - settings.lag;
            double sum = 0.0;
            for (std::size_t l = 0; l < settings.lag; ++l)
                sum += start[l];
            mean.push_back(sum / static_cast<double>(settings.lag));
            for (std::size_t l = 0; l < settings.lag; ++l)
                past(i, l, 0) = static_cast<float>((start[l] - mean[i]) / scale);
            for (std::size_t l = 0; l < settings.horizon; ++l)
                future(i, l, 0) = static_cast<float>((start[settings.lag + l] - mean[i]) / scale);
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
                 .window = 32,
                 .dropout = settings.dropout},
                ssm::Rng(settings.seed));
    std::printf("%zu training windows, %zu forecasts to test; %zu parameters\n",
                training.past.batch(), test.past.batch(), ssm::parameter_count(model));
    const std::size_t steps = settings.epochs * ((training.past.batch() + 31) / 32);
    ssm::TrainState state(
        model, ssm::AdamW<Model>(model, {.learning_rate = settings.learning_rate}),
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
    ssm::Batch<float> forecasts(test.future.shape());
    model.forward(test.past, forecasts, workspace);
    const auto of_model = [&](std::size_t origin, std::size_t j) {
        const std::size_t i = origin - split;
        return test.mean[i] + Windows::scale * static_cast<double>(forecasts(i, j, 0));
    };
    const std::size_t cycle = 11;
    const auto rmse = [&](auto&& forecast) {
        return error(years, split, end, settings.horizon, forecast);
    };
    const double found = rmse(of_model);
    const double persistence =
        rmse([&](std::size_t origin, std::size_t) { return years[origin - 1]; });
    const double seasonal = rmse([&](std::size_t origin, std::size_t j) {
        return years[origin + j - cycle * (j / cycle + 1)];
    });
    const double mean =
        rmse([&](std::size_t origin, std::size_t) { return test.mean[origin - split]; });
    std::printf(
        "\nerror (root mean square) of forecasts of %zu years, none of them seen in training:\n"
        "  SpaceTime %.1f   last value %.1f   11 years earlier %.1f   mean of the window %.1f\n",
        settings.horizon, found, persistence, seasonal, mean);
    std::printf("trained in %.1f s\n", report.epochs.back().seconds);

    const std::size_t shown = 66;
    const std::size_t origin = end - 1;
    examples::Curve truth{"sunspots", {}}, forecast{"SpaceTime", {}}, naive{"11 years earlier", {}};
    for (std::size_t t = years.size() - shown; t < years.size(); ++t) {
        const bool ahead = t >= origin;
        truth.y.push_back(years[t]);
        forecast.y.push_back(ahead ? of_model(origin, t - origin) : std::nan(""));
        naive.y.push_back(ahead ? years[t - cycle * ((t - origin) / cycle + 1)] : std::nan(""));
    }
    if (examples::Plot("Sunspots: a forecast of 22 years", "year of the last 66", "sunspots")
            .add(truth)
            .add(forecast)
            .add(naive)
            .save("forecast.svg"))
        std::printf("picture: forecast.svg\n");
    const double best = std::min({persistence, seasonal, mean});
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
