// Trains an S4D classifier (or that of another --model) on handwritten digits that it reads pixel by pixel, saves
// it, loads it again, and lets the loaded one classify the same pictures as a stream, one pixel after the other.
//
// Quick run: --epochs 2 --width 16 --depth 1 --target 0

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <string>

// Just what is used: #include <ssm/ssm.hpp> works too, but takes the compiler longer.
#include <ssm/core/parallel.hpp>
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
#include <ssm/train/source.hpp>
#include <ssm/train/train_state.hpp>

#include "models/models.hpp"
#include "support/confusion.hpp"
#include "support/digits.hpp"
#include "support/options.hpp"
#include "support/svg.hpp"

// AnyLayer: its type is chosen by an option. For one model alone this is ssm::Classifier<ssm::S4D<float>>.
using Model = ssm::Classifier<ssm::AnyLayer<float>>;
using Images = ssm::Subset<ssm::Examples<float, std::int32_t>>;

struct Settings {
    explicit Settings(examples::Options options)
        : data(options.get<std::string>("data", SSM_EXAMPLES_DATA "/digits.csv",
                                        "pictures of digits")),
          system(
              options.get<std::string>("model", "s4d", "s4d, s4, dss, s5, lru, mamba or mamba2")),
          state(options.get<std::size_t>("state", examples::is_selective(system) ? 16 : 32,
                                         "state size of each channel")),
          model{.classes = 10,
                .width = options.get<std::size_t>("width", 64, "channels of the model"),
                .depth = options.get<std::size_t>("depth", 3, "residual blocks"),
                .dropout = options.get("dropout", 0.1, "dropout"),
                .system = examples::system(system, {.state = state})},
          epochs(options.get<std::size_t>("epochs", 40, "times through the training pictures")),
          threads(options.get<std::size_t>("threads", 0, "threads, 0 for all")),
          learning_rate(
              options.get("rate", examples::is_selective(system) ? 0.005 : 0.01, "learning rate")),
          target(options.get("target", examples::is_selective(system) ? 0.9 : 0.97,
                             "test accuracy below which the program fails")),
          seed(options.get("seed", 1U, "random numbers")) {
        options.done();
    }

    std::string data, system;
    std::size_t state;
    Model::Options model;
    std::size_t epochs, threads;
    double learning_rate, target;
    unsigned seed;
};

ssm::FitReport train(Model& model, const Images& training, const Images& test,
                     const Settings& settings) {
    const std::size_t batch = 64;
    const std::size_t steps = settings.epochs * ((training.size() + batch - 1) / batch);
    ssm::TrainState state(
        model, ssm::AdamW<Model>(model, {.learning_rate = settings.learning_rate}),
        ssm::schedule::Warmup<ssm::schedule::Cosine>{steps / 20, {.steps = steps - steps / 20}}, {},
        ssm::Rng(settings.seed));
    return ssm::fit(model, state, training, test, ssm::loss::CrossEntropy<float>{},
                    {.epochs = settings.epochs, .batch_size = batch},
                    {.on_epoch = [](const ssm::Progress& progress) {
                        std::printf("\r%s ", ssm::progress_line(progress).c_str());
                        std::fflush(stdout);
                        return true;
                    }});
}

/// Logits of all pictures at once.
ssm::Batch<float> classify(const Model& model, const ssm::Batch<float>& images) {
    ssm::Workspace workspace;
    ssm::Batch<float> logits(images.batch(), 1, model.out_channels());
    model.forward(images, logits, workspace);
    return logits;
}

/// Logits after the last pixel of each picture, fed one by one.
ssm::Batch<float> stream(const Model& model, const ssm::Batch<float>& images) {
    ssm::Batch<float> logits(images.batch(), 1, model.out_channels());
    const Model::State rest = model.rest_state();
    for (std::size_t i = 0; i < images.batch(); ++i) {
        Model::State state = rest;
        for (std::size_t pixel = 0; pixel < images.length(); ++pixel)
            model.step(images.view().row(i, pixel), logits.view().row(i, 0), state);
    }
    return logits;
}

void plot(const ssm::FitReport& report, const std::string& system) {
    const std::string path = "quickstart.svg";
    examples::Curve training{"training", {}}, test{"test", {}};
    for (const ssm::Progress& epoch : report.epochs) {
        training.y.push_back(epoch.loss);
        test.y.push_back(epoch.validation_loss);
    }
    if (examples::Plot(examples::title(system) + " on handwritten digits", "epoch", "cross-entropy")
            .add(training)
            .add(test)
            .save(path))
        std::printf("training curve: %s\n", path.c_str());
}

int run(const Settings& settings) {
    ssm::set_threads(settings.threads);
    const examples::Digits digits = examples::read_digits(settings.data);
    const ssm::Split split = ssm::stratified_split(digits.labels, 0.2, ssm::Rng(0));
    const ssm::Examples all(digits.images, digits.labels);
    const Images training(all, split.training);
    const Images test(all, split.validation);
    Model model(settings.model, ssm::Rng(settings.seed));
    std::printf("%zu training and %zu test pictures of 64 pixels; %zu parameters\n",
                training.size(), test.size(), ssm::parameter_count(model));
    const ssm::FitReport report = train(model, training, test, settings);

    ssm::MiniBatch<float, std::int32_t> tests;
    test.take(ssm::ordered_indices(test.size()), tests);
    ssm::ConfusionMatrix confusion(10);
    confusion.add<float>(classify(model, tests.inputs), tests.targets.view().flat());
    std::printf("\n%s\n", examples::table(confusion).c_str());
    std::printf("test accuracy %.2f %% after %.1f s of training\n", 100.0 * confusion.accuracy(),
                report.epochs.back().seconds);
    plot(report, settings.system);

    ssm::save(model, "quickstart.safetensors");
    Model loaded(settings.model);
    ssm::load(loaded, "quickstart.safetensors");
    const ssm::Batch<float> whole = classify(loaded, tests.inputs);
    const ssm::Batch<float> streamed = stream(loaded, tests.inputs);
    double difference = 0.0;
    std::size_t same = 0;
    for (std::size_t i = 0; i < test.size(); ++i) {
        const auto a = whole.view().row(i, 0);
        const auto b = streamed.view().row(i, 0);
        for (std::size_t k = 0; k < a.size(); ++k)
            difference = std::max(difference,
                                  std::abs(static_cast<double>(a[k]) - static_cast<double>(b[k])));
        same += ssm::argmax(a) == ssm::argmax(b) ? 1U : 0U;
    }
    std::printf(
        "saved, loaded, streamed pixel by pixel: %zu of %zu answers agree, logits differ by at "
        "most %.1e\n",
        same, test.size(), difference);
    return same == test.size() && confusion.accuracy() >= settings.target ? 0 : 1;
}

int main(int count, char** arguments) {
    try {
        return run(Settings(
            examples::Options(count, arguments, "Trains a classifier of handwritten digits.")));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
