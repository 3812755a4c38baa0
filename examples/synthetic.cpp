// Why models of language choose what they remember: the two synthetic tasks of the Mamba paper. Models learn them in
// texts of 256 tokens and are then asked in texts of up to a million, which they read as streams in constant memory.
//
//   synthetic                          induction heads: one fact among random letters
//   synthetic --task copying           selective copying: 16 letters among blanks
//
// Quick run: --updates 10 --width 16 --length 64 --longest 256 --streams 2

#include <algorithm>
#include <chrono>
#include <cmath>
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
using Tokens = ssm::Batch<std::int32_t>;

struct Settings {
    explicit Settings(examples::Options options)
        : task(options.get<std::string>("task", "induction", "induction or copying"),
               options.get<std::size_t>("tokens", 16, "size of the vocabulary"),
               options.get<std::size_t>("length", 256, "tokens of a text in training"),
               options.get<std::size_t>("letters", 16, "letters to copy")),
          models(options.get<std::string>("model", "mamba,s4d", "some of mamba, mamba2, s4d")),
          sizes{.tokens = task.tokens(),
                .width = options.get<std::size_t>("width", 64, "channels of the models"),
                .depth = options.get<std::size_t>("depth", 2, "layers")},
          state(options.get<std::size_t>("state", 16, "state size of a channel of Mamba")),
          updates(options.get<std::size_t>("updates", 3000, "updates of the weights")),
          batch(options.get<std::size_t>("batch", 8, "texts of an update")),
          reminders(options.get<std::size_t>("reminders", 16, "repetitions of the fact, at most")),
          rate(options.get("rate", 4e-3, "learning rate")),
          dt(options.get("dt", 1e-7, "largest time step of Mamba at the start")),
          longest(options.get<std::size_t>("longest", 1 << 20, "tokens of the longest texts")),
          streams(options.get<std::size_t>("streams", 16, "texts of the tests")),
          threads(options.get<std::size_t>("threads", 0, "threads, 0 for all")),
          seed(options.get("seed", 1U, "random numbers")) {
        options.done();
    }

    RecallTask task;
    std::string models;
    ssm::LanguageModelOptions sizes;
    std::size_t state, updates, batch, reminders;
    double rate, dt;
    std::size_t longest, streams, threads;
    unsigned seed;
};

/// Percentage of right answers in texts of each length.
struct Recall {
    std::string model;
    std::vector<double> doublings{}, right{};  ///< the training length, doubled so often
};

template <class Model>
void train(Model& model, const Settings& settings) {
    const std::size_t rising = settings.updates / 20;
    // Gradients of Mamba are as small as its time steps, so that the usual eps would be in the way.
    ssm::TrainState state(
        model,
        ssm::AdamW<Model>(model, {.learning_rate = settings.rate, .beta2 = 0.98, .eps = 1e-15}),
        ssm::schedule::Warmup<ssm::schedule::Cosine>{
            rising, {.steps = settings.updates - rising, .end = 0.1}},
        {}, ssm::Rng(settings.seed));
    const examples::RecallTexts texts(settings.task, settings.updates * settings.batch,
                                      settings.reminders, std::uint64_t{settings.seed} << 32U);
    double accuracy = 0.0;
    const auto show = [&](const ssm::Progress& now) {
        accuracy += 0.05 * (now.accuracy - accuracy);
        if (now.step % 20 == 0 || now.step == settings.updates) {
            std::printf("\rupdate %zu/%zu  loss %.4f  %.1f %% right  %.0f s ",
                        static_cast<std::size_t>(now.step), settings.updates, now.loss,
                        100.0 * accuracy, now.seconds);
            std::fflush(stdout);
        }
        return true;
    };
    ssm::fit(model, state, texts, ssm::loss::CrossEntropy<float>{},
             {.batch_size = settings.batch, .clip_norm = 1.0}, {.on_step = show});
    std::printf("\n");
}

/// Right answers of `state` to the questions at the end of texts.
template <class Model>
std::size_t ask(const Model& model, const RecallTask& task, const Tokens& targets,
                typename Model::State state) {
    const std::size_t streams = targets.batch();
    const std::vector<std::int32_t> question(streams, task.question());
    ssm::Batch<float> logits(streams, 1, model.out_channels());
    std::size_t right = 0;
    for (std::size_t l = task.length() - task.questions(); l < task.length(); ++l) {
        model.step(question, logits.view().flat(), state);
        for (std::size_t i = 0; i < streams; ++i)
            right += std::cmp_equal(ssm::argmax<float>(logits.view().row(i, 0)), targets(i, l, 0));
    }
    return right;
}

/// Asks in texts of the training length, of twice that, and so on. They are one text: where a shorter one ends, a
/// copy of the state answers the questions, and the text goes on with what need not be remembered.
template <class Model>
Recall test(const Model& model, const Settings& settings, Recall recall) {
    constexpr std::size_t block = 64;
    const RecallTask& task = settings.task;
    const std::size_t streams = settings.streams;
    ssm::Rng rng(~std::uint64_t{settings.seed});
    Tokens texts(streams, task.length(), 1), targets(streams, task.length(), 1), tokens;
    for (std::size_t i = 0; i < streams; ++i)
        task.write(rng, texts.view().sequence(i).flat(), targets.view().sequence(i).flat());

    ssm::Workspace workspace;
    ssm::Batch<float> logits(streams, 1, model.out_channels());
    typename Model::State state = model.rest_state(streams);
    std::printf("   length       right     tokens/s      memory\n");
    const auto start = std::chrono::steady_clock::now();
    std::size_t read = 0;
    for (std::size_t length = task.length(); length <= settings.longest; length *= 2) {
        const std::size_t end = length - task.questions();
        while (read < end) {
            tokens.resize({streams, std::min(block, end - read), 1});
            task.fill(rng, tokens.view().flat());
            for (std::size_t l = read; l < std::min(read + tokens.length(), task.length()); ++l)
                for (std::size_t i = 0; i < streams && length == task.length(); ++i)
                    tokens(i, l - read, 0) = texts(i, l, 0);
            model.prefill(tokens, logits, state, workspace);
            read += tokens.length();
        }
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
        recall.doublings.push_back(std::log2(length / task.length()));
        recall.right.push_back(100.0 * static_cast<double>(ask(model, task, targets, state)) /
                               static_cast<double>(streams * task.questions()));
        std::printf("%9zu  %8.1f %%  %11.0f  %6.1f MiB\n", length, recall.right.back(),
                    static_cast<double>(read * streams) / time.count(),
                    examples::resident_memory());
        std::fflush(stdout);
    }
    return recall;
}
