// What models remember, and for how long: the two synthetic tasks of the Mamba paper. Models learn them in texts of
// 256 tokens and are then asked in texts of up to a million, which they read as streams in constant memory.
//
//   synthetic                          induction heads: one fact among random letters
//   synthetic --task copying           selective copying: 16 letters among blanks
//
// Quick run: --updates 250 --width 32 --length 32 --tokens 8 --longest 512 --streams 8

#include <algorithm>
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
using Tokens = ssm::Batch<std::int32_t>;
using Layer = ssm::AnyLayer<float>;
using Model = ssm::LanguageModel<Layer>;

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
          updates(options.get<std::size_t>("updates", task.copies() ? 20000 : 3000,
                                           "updates of the weights")),
          batch(options.get<std::size_t>("batch", 8, "texts of an update")),
          reminders(options.get<std::size_t>("reminders", 16, "repetitions of the fact, at most")),
          rate(options.get("rate", 4e-3, "learning rate")),
          dt(options.get("dt", task.copies() ? 0.1 : 1e-9,
                         "largest time step of Mamba at the start")),
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

/// Percentage of right answers in texts of the training length, twice that, and so on.
struct Recall {
    std::string model;
    std::vector<double> right{};
};

void train(Model& model, const Settings& settings) {
    const std::size_t rising = settings.updates / 20;
    // Gradients of Mamba are as small as its time steps at first: the usual eps would be in the way.
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
std::size_t ask(const Model& model, const RecallTask& task, const Tokens& targets,
                Model::State state) {
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

/// The beginnings of texts, up to their questions.
Tokens beginnings(const Tokens& texts, std::size_t length) {
    Tokens result(texts.batch(), length, 1);
    for (std::size_t i = 0; i < texts.batch(); ++i)
        std::ranges::copy(texts.view().sequence(i).flat().first(length),
                          result.view().sequence(i).data());
    return result;
}

/// Asks in texts of the training length, of twice that, and so on while a quarter of the answers is right. They are
/// one text: where a shorter one ends, a copy of the state answers the questions, and the text goes on with what
/// need not be remembered.
Recall test(const Model& model, const Settings& settings, Recall recall) {
    const RecallTask& task = settings.task;
    const std::size_t streams = settings.streams;
    ssm::Rng rng(~std::uint64_t{settings.seed});
    Tokens texts(streams, task.length(), 1), targets(streams, task.length(), 1);
    for (std::size_t i = 0; i < streams; ++i)
        task.write(rng, texts.view().sequence(i).flat(), targets.view().sequence(i).flat());

    Tokens block = beginnings(texts, task.length() - task.questions());
    const std::size_t longest_block = block.length();
    ssm::Batch<float> logits(streams, 1, model.out_channels());
    ssm::Workspace workspace;
    Model::State state = model.rest_state(streams);
    std::printf("   length       right     tokens/s      memory\n");
    const auto start = std::chrono::steady_clock::now();
    model.prefill(block, logits, state, workspace);
    std::size_t read = block.length();
    for (std::size_t length = task.length(); length <= settings.longest; length *= 2) {
        while (read + task.questions() < length) {
            block.resize({streams, std::min(longest_block, length - task.questions() - read), 1});
            task.fill(rng, block.view().flat());
            model.prefill(block, logits, state, workspace);
            read += block.length();
        }
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
        const auto right = static_cast<double>(ask(model, task, targets, state));
        recall.right.push_back(100.0 * right / static_cast<double>(streams * task.questions()));
        std::printf("%9zu  %8.1f %%  %11.0f  %6.1f MiB\n", length, recall.right.back(),
                    static_cast<double>(read * streams) / time.count(),
                    examples::resident_memory());
        std::fflush(stdout);
        if (recall.right.back() < 25.0)
            break;
    }
    return recall;
}

/// A layer of the model. For induction Mamba starts with time steps so small that its states do not change: it learns
/// what to write there, instead of what to leave, and is left with no leak that only longer texts would show.
Layer make_layer(const std::string& name, const Settings& settings, ssm::Rng rng) {
    const std::size_t width = settings.sizes.width;
    const ssm::SelectiveTimescale dt{0.01 * settings.dt, settings.dt, 0.01 * settings.dt};
    if (name == "mamba")
        return ssm::Mamba<float>({.channels = width, .state = settings.state, .timescale = dt},
                                 rng);
    if (name == "mamba2")
        return ssm::Mamba2<float>(
            {.channels = width, .state = settings.state, .head_channels = 8, .timescale = dt}, rng);
    if (name == "s4d") {
        const ssm::S4D<float> system({.channels = width}, rng.split());
        return ssm::SsmBlock<ssm::S4D<float>>(system, {}, rng);
    }
    throw std::runtime_error("--model " + name + ": there is no such model");
}

Recall run(const std::string& name, const Settings& settings) {
    Model model(
        settings.sizes, [&](std::size_t, ssm::Rng rng) { return make_layer(name, settings, rng); },
        ssm::Rng(settings.seed));
    std::printf("%s, %zu parameters\n", name.c_str(), ssm::parameter_count(model));
    train(model, settings);
    return test(model, settings, {name});
}

/// "256", "4 Ki", "1 Mi".
std::string short_number(std::size_t number) {
    const std::size_t kilo = number / 1024;
    return kilo == 0     ? std::to_string(number)
           : kilo < 1024 ? std::to_string(kilo) + " Ki"
                         : std::to_string(kilo / 1024) + " Mi";
}

void plot(const std::vector<Recall>& recalls, const RecallTask& task) {
    std::vector<double> doublings;
    std::vector<examples::Tick> lengths;
    for (const Recall& recall : recalls)
        while (doublings.size() < recall.right.size()) {
            lengths.push_back({static_cast<double>(doublings.size()),
                               short_number(task.length() << doublings.size())});
            doublings.push_back(lengths.back().at);
        }
    examples::Figure figure(760, 420, task.copies() ? "Selective copying" : "Induction heads",
                            "trained in texts of " + std::to_string(task.length()) + " tokens");
    auto panel = figure.panel({60, 90, 560, 270}, "right answers, %",
                              {-0.3, doublings.back() + 0.3}, {0.0, 104.0});
    panel.x_ticks(lengths);
    panel.y_ticks({{0, "0"}, {25, "25"}, {50, "50"}, {75, "75"}, {100, "100"}});
    figure.text(340, 400, "tokens of a text", "middle", 12, "#666666");
    for (std::size_t i = 0; i < recalls.size(); ++i) {
        const std::vector<double> x(doublings.begin(),
                                    doublings.begin() + std::ssize(recalls[i].right));
        panel.line(x, recalls[i].right, examples::palette[i]);
        panel.points(x, recalls[i].right, examples::palette[i]);
        figure.text(640, 110.0 + 20.0 * static_cast<double>(i), recalls[i].model, "start", 13,
                    examples::palette[i]);
    }
    const std::string path = "synthetic-" + task.name() + ".svg";
    if (figure.save(path))
        std::printf("picture: %s\n", path.c_str());
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
        plot(recalls, settings.task);
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
