// Why models of language select what they remember: the two synthetic tasks of the Mamba paper. Models learn them at
// length 256 and are then asked in texts of up to a million tokens, read as a stream whose memory does not grow.
//
//   synthetic                          induction heads: Mamba and S4D
//   synthetic --task copying           selective copying
//
// Quick run: --updates 20 --width 16 --length 32 --longest 128 --streams 4

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <ssm/ssm.hpp>

#include "support/figure.hpp"
#include "support/memory.hpp"
#include "support/options.hpp"
#include "support/recall.hpp"

using examples::RecallTask;

struct Settings {
    explicit Settings(examples::Options options)
        : task(options.get<std::string>("task", "induction", "induction or copying"),
               options.get<std::size_t>("tokens", 16, "size of the vocabulary"),
               options.get<std::size_t>("length", 256, "tokens of a text in training"),
               options.get<std::size_t>("copied", 16, "letters to copy")),
          models(options.get<std::string>("models", "mamba,s4d", "of mamba, mamba2 and s4d")),
          model{.tokens = task.tokens,
                .width = options.get<std::size_t>("width", 64, "channels of the models"),
                .depth = options.get<std::size_t>("depth", 2, "layers")},
          state(options.get<std::size_t>("state", 16, "state size of each channel")),
          updates(options.get<std::size_t>("updates", 10000, "updates of the weights")),
          batch(options.get<std::size_t>("batch", 8, "texts of an update")),
          reminders(options.get<std::size_t>("reminders", 8, "")),
          rate(options.get("rate", 2e-3, "learning rate")),
          dtmin(options.get("dtmin", 1e-3, "")),
          dtmax(options.get("dtmax", 1e-1, "")),
          longest(options.get<std::size_t>("longest", 1 << 20, "tokens of the longest test")),
          streams(options.get<std::size_t>("streams", 64, "texts of the tests")),
          threads(options.get<std::size_t>("threads", 0, "threads, 0 for all")),
          seed(options.get("seed", 1U, "random numbers")) {
        options.done();
    }

    RecallTask task;
    std::string models;
    ssm::LanguageModelOptions model;
    std::size_t state, updates, batch, reminders;
    double rate, dtmin, dtmax;
    std::size_t longest, streams, threads;
    unsigned seed;
};

/// How many of a model's answers are right after each length.
struct Recall {
    std::string model;
    std::vector<double> lengths, percent;
};

template <class Model>
void train(Model& model, const Settings& settings) {
    ssm::TrainState state(model,
                          ssm::AdamW<Model>(model, {.learning_rate = settings.rate}),
                          ssm::schedule::Warmup<ssm::schedule::Cosine>{
                              settings.updates / 20,
                              {.steps = settings.updates - settings.updates / 20, .end = 0.1}},
                          {}, ssm::Rng(settings.seed));
    double hits = 0.0;
    ssm::fit(model, state,
             examples::RecallExamples(settings.task, settings.updates * settings.batch, settings.reminders,
                                      std::uint64_t{settings.seed} << 32U),
             ssm::loss::CrossEntropy<float>{},
             {.epochs = 1, .batch_size = settings.batch, .clip_norm = 1.0},
             {.on_step = [&](const ssm::Progress& now) {
                 hits += now.accuracy;
                 if (now.step % 100 == 0) {
                     std::printf("\rupdate %zu/%zu  loss %.4f  %.1f %% right  %.0f tokens/s ",
                                 static_cast<std::size_t>(now.step), settings.updates, now.loss,
                                 hits, now.samples_per_second *
                                           static_cast<double>(settings.task.length));
                     if (now.step % 500 == 0) std::printf("\n");
                     std::fflush(stdout);
                     hits = 0.0;
                 }
                 return true;
             }});
    std::printf("\n");
}

/// The share of right answers in texts of 1, 2, 4... times the training length. All lengths share one text: where
/// one would end, a copy of the state answers the questions and the text goes on.
template <class Model>
Recall test(const Model& model, const std::string& name, const Settings& settings) {
    const RecallTask& task = settings.task;
    const std::size_t streams = settings.streams;
    ssm::Rng rng(~std::uint64_t{settings.seed});
    ssm::Batch<std::int32_t> text(streams, task.length, 1), targets(streams, task.length, 1);
    for (std::size_t i = 0; i < streams; ++i)
        task.write(rng, text.view().sequence(i).flat(), targets.view().sequence(i).flat());
    const auto fact = [&](std::size_t i, std::size_t n) { return targets(i, task.before_questions() + n, 0); };
    ssm::Workspace workspace;
    ssm::Batch<float> logits(streams, 1, model.out_channels());
    const std::vector<std::int32_t> question(streams, task.question());

    Recall recall{name, {}, {}};
    auto state = model.rest_state(streams);
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t read = 0, length = task.length; length <= settings.longest; length *= 2) {
        while (read + task.answers < length) {
            const std::size_t block = std::min(task.length, length - task.answers - read);
            if (read == 0) {
                for (std::size_t i = 0; i < streams; ++i) for (std::size_t l = 0; l < block; ++l) text.data()[i*block+l] = text.data()[i*task.length+l];
                text.resize({streams, block, 1});
            } else {
            text.resize({streams, block, 1});
            task.fill(rng, text.view().flat()); }
            model.prefill(text, logits, state, workspace);
            read += block;
        }
        auto fork = state;
        double right = 0.0;
        for (std::size_t n = 0; n < task.answers; ++n) {
            model.step(question, logits.view().flat(), fork);
            for (std::size_t i = 0; i < streams; ++i)
                right += static_cast<std::int32_t>(ssm::argmax<float>(logits.view().row(i, 0))) == fact(i, n);
        }
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
        recall.lengths.push_back(static_cast<double>(length));
        recall.percent.push_back(100.0 * right / static_cast<double>(streams * task.answers));
        std::printf("%9zu %8.1f %% %12.0f %10.1f MiB\n", length, recall.percent.back(),
                    static_cast<double>(read * streams) / time.count(), examples::resident_memory());
        std::fflush(stdout);
    }
    return recall;
}

template <class Model>
Recall run(Model model, const std::string& name, const Settings& settings) {
    std::printf("%s: %zu parameters\n", name.c_str(), ssm::parameter_count(model));
    train(model, settings);
    std::printf("   length      right     tokens/s     memory\n");
    return test(model, name, settings);
}

Recall run(const std::string& name, const Settings& settings) {
    const ssm::Rng rng(settings.seed);
    if (name == "mamba")
        return run(
            ssm::LanguageModel<ssm::Mamba<float>>(settings.model, {.state = settings.state, .timescale = {settings.dtmin, settings.dtmax, 1e-9}}, rng),
            name, settings);
#ifndef ONLY
    if (name == "mamba2")
        return run(ssm::LanguageModel<ssm::Mamba2<float>>(
                       settings.model, {.state = settings.state, .head_channels = 16}, rng),
                   name, settings);
    if (name == "s4d") {
        using Block = ssm::SsmBlock<ssm::S4D<float>>;
        const auto block = [&](std::size_t, ssm::Rng own) {
            const ssm::S4D<float> system({.channels = settings.model.width}, own.split());
            return Block(system, {}, own);
        };
        return run(ssm::LanguageModel<Block>(settings.model, block, rng), name, settings);
    }
#endif
    throw std::runtime_error("--models " + name + ": there is no such model");
}

int main(int count, char** arguments) {
    try {
        const Settings settings(examples::Options(
            count, arguments, "Trains models to remember what matters, and tests for how long."));
        ssm::set_threads(settings.threads);
        std::vector<Recall> recalls;
        std::istringstream names(settings.models);
        for (std::string name; std::getline(names, name, ',');)
            recalls.push_back(run(name, settings));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
