// Trains a classifier of spoken digits on raw sound at 8 kHz, then runs the same weights on sound at 4 kHz by
// telling the model that its time step is twice as long, and as a stream, sample by sample.
//
// Quick run: --data melodies --epochs 1 --width 8 --depth 1 --target 0

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <ssm/core/parallel.hpp>
#include <ssm/core/subnormals.hpp>
#include <ssm/io/load.hpp>
#include <ssm/io/save.hpp>
#include <ssm/model/any_layer.hpp>
#include <ssm/model/classifier.hpp>
#include <ssm/train/adam.hpp>
#include <ssm/train/cross_entropy.hpp>
#include <ssm/train/fit.hpp>
#include <ssm/train/metrics.hpp>
#include <ssm/train/progress.hpp>
#include <ssm/train/schedule.hpp>
#include <ssm/train/sequences.hpp>
#include <ssm/train/train_state.hpp>

#include "models/models.hpp"
#include "support/confusion.hpp"
#include "support/options.hpp"
#include "support/speech.hpp"
#include "support/svg.hpp"

using Model = ssm::Classifier<ssm::AnyLayer<float>>;
using Clock = std::chrono::steady_clock;
using examples::Speech;

struct Settings {
    explicit Settings(examples::Options options)
        : data(options.get<std::string>("data", "", "folder of WAV files, or \"melodies\"")),
          model(options.get<std::string>("model", "s4d", "s4d, s4, dss, s5, lru, mamba or mamba2")),
          width(options.get<std::size_t>("width", 32, "channels of the model")),
          depth(options.get<std::size_t>("depth", 3, "residual blocks")),
          state(options.get<std::size_t>("state", model == "s5" ? 256 : 64,
                                         "state size of each channel, of the layer for S5, LRU")),
          epochs(options.get<std::size_t>("epochs", 14, "times through the training sounds")),
          batch(options.get<std::size_t>("batch", 8, "sounds in a mini-batch")),
          threads(options.get<std::size_t>("threads", 0, "threads, 0 for all")),
          dropout(options.get("dropout", 0.05, "dropout")),
          learning_rate(options.get("rate", 0.01, "learning rate")),
          decay(options.get("decay", 0.05, "weight decay")),
          target(options.get("target", 0.97, "test accuracy below which the program fails")),
          seed(options.get("seed", 1U, "random numbers")) {
        options.done();
    }

    /// Of a model whose time step is `rate` times that of the training data.
    [[nodiscard]] Model::Options options(double rate = 1.0) const {
        return {.classes = 10,
                .width = width,
                .depth = depth,
                .dropout = dropout,
                .system = examples::system(
                    model, {.state = state,
                            .rate = rate,
                            .ring = {.r_min = 0.9, .r_max = 0.9999, .max_phase = 3.14},
                            .pole_rate = 1e-3})};
    }

    std::string data, model;
    std::size_t width, depth, state, epochs, batch, threads;
    double dropout, learning_rate, decay, target;
    unsigned seed;
};

ssm::FitReport train(Model& model, const Speech& training, const Speech& test,
                     const Settings& settings) {
    const ssm::Sequences sounds(training.sounds, training.digits);
    const ssm::Sequences tests(test.sounds, test.digits);
    const std::size_t steps =
        settings.epochs * ((sounds.size() + settings.batch - 1) / settings.batch);
    ssm::TrainState state(
        model,
        ssm::AdamW<Model>(
            model, {.learning_rate = settings.learning_rate, .weight_decay = settings.decay}),
        ssm::schedule::Warmup<ssm::schedule::Cosine>{steps / 20, {.steps = steps - steps / 20}}, {},
        ssm::Rng(settings.seed));
    const auto show = [](const ssm::Progress& progress) {
        std::printf("\r%s ", ssm::progress_line(progress).c_str());
        std::fflush(stdout);
        return true;
    };
    const auto show_epoch = [&](const ssm::Progress& progress) {
        show(progress);
        std::printf("\n");
        return true;
    };
    return ssm::fit(model, state, sounds, tests, ssm::loss::CrossEntropy<float>{},
                    {.epochs = settings.epochs,
                     .batch_size = settings.batch,
                     .order = ssm::by_length(sounds.lengths(), settings.batch),
                     .clip_norm = 1.0},
                    {.on_step = show, .on_epoch = show_epoch});
}

/// Digits that the model hears in whole sounds.
std::vector<std::size_t> classify(const Model& model, const Speech& speech) {
    const ssm::Sequences source(speech.sounds, speech.digits);
    ssm::MiniBatch<float, std::int32_t> sound;
    ssm::Workspace workspace;
    ssm::Batch<float> logits(1, 1, 10);
    std::vector<std::size_t> digits;
    for (std::size_t i = 0; i < speech.sounds.size(); ++i) {
        source.take(std::vector<std::size_t>{i}, sound);
        model.forward(sound.inputs, logits, sound.context(workspace));
        digits.push_back(ssm::argmax<float>(logits.view().row(0, 0)));
    }
    return digits;
}

/// The same, sample by sample; `seconds` takes the time of each step.
std::vector<std::size_t> stream(const Model& model, const Speech& speech,
                                std::vector<double>& seconds) {
    const Model::State rest = model.rest_state();
    std::vector<float> logits(10);
    std::vector<std::size_t> digits;
    for (const std::vector<float>& sound : speech.sounds) {
        Model::State state = rest;
        for (const float& sample : sound) {
            const Clock::time_point start = Clock::now();
            model.step(std::span(&sample, 1), logits, state);
            seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
        }
        digits.push_back(ssm::argmax<float>(logits));
    }
    return digits;
}

double accuracy(const std::vector<std::size_t>& digits, const Speech& speech) {
    double right = 0.0;
    for (std::size_t i = 0; i < digits.size(); ++i)
        right += static_cast<std::int32_t>(digits[i]) == speech.digits[i] ? 1.0 : 0.0;
    return right / static_cast<double>(digits.size());
}

void plot(const ssm::FitReport& report, const std::string& name) {
    examples::Curve training{"training", {}}, test{"test", {}};
    for (const ssm::Progress& epoch : report.epochs) {
        training.y.push_back(100.0 * epoch.accuracy);
        test.y.push_back(100.0 * epoch.validation_accuracy);
    }
    const std::string path = "speech-" + name + ".svg";
    if (examples::Plot(name + " on raw speech", "epoch", "accuracy, %")
            .add(training)
            .add(test)
            .save(path))
        std::printf("training curve: %s\n", path.c_str());
}

/// The saved weights on sound at half the rate.
void at_4_kHz(const Model& unaware, const Settings& settings, Speech speech,
              const std::string& file) {
    for (std::vector<float>& sound : speech.sounds)
        sound = examples::at_half_rate(sound);
    Model aware(settings.options(2.0));
    ssm::load(aware, file);
    std::printf("4 kHz, same weights: %.2f %% with rate 2 (%.2f %% when the model is not told)\n",
                100.0 * accuracy(classify(aware, speech), speech),
                100.0 * accuracy(classify(unaware, speech), speech));
}

int run(const Settings& settings) {
    const examples::SpeechData data = settings.data == "melodies"
                                          ? examples::make_melodies(300, 1)
                                          : examples::read_speech(settings.data);
    Model model(settings.options(), ssm::Rng(settings.seed));
    std::printf("%s, %zu parameters; %zu training and %zu test sounds\n", settings.model.c_str(),
                ssm::parameter_count(model), data.training.sounds.size(), data.test.sounds.size());
    const ssm::FitReport report = train(model, data.training, data.test, settings);
    plot(report, settings.model);
    const std::vector<std::size_t> heard = classify(model, data.test);
    const double reached = accuracy(heard, data.test);
    std::printf("8 kHz: test accuracy %.2f %% after %.1f minutes of training\n", 100.0 * reached,
                report.epochs.back().seconds / 60.0);

    const std::string file = "speech-" + settings.model + ".safetensors";
    ssm::save(model, file);
    if (examples::has_rate(settings.model))
        at_4_kHz(model, settings, data.test, file);
    else
        std::printf("4 kHz: no, this model has no time step to double\n");

    std::vector<double> seconds;
    const std::vector<std::size_t> streamed = stream(model, data.test, seconds);
    const auto same = std::inner_product(heard.begin(), heard.end(), streamed.begin(),
                                         std::size_t(0), std::plus<>(), std::equal_to<>());
    std::sort(seconds.begin(), seconds.end());
    const auto quantile = [&](double q) {
        return 1e6 * seconds[static_cast<std::size_t>(q * static_cast<double>(seconds.size() - 1))];
    };
    std::printf(
        "stream: %zu of %zu answers as before; a sample takes %.1f us (median), %.1f us "
        "(99.9 %%), and lasts 125 us\n",
        same, heard.size(), quantile(0.5), quantile(0.999));
    return reached >= settings.target ? 0 : 1;
}

int main(int count, char** arguments) {
    try {
        const Settings settings(
            examples::Options(count, arguments, "Trains a classifier of spoken digits."));
        ssm::set_threads(settings.threads);
        const ssm::FlushSubnormals flush;
        return run(settings);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
