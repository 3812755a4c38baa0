// Trains a language model of characters (bytes) on a text file, with layers of Mamba or of another --model;
// validates on the last tenth of the text, shows what the model would write, saves after each epoch and resumes
// from there. --export writes a Mamba or Mamba-2 model as a folder that `generate` and Hugging Face transformers read.
//
//   char_lm --text tinyshakespeare.txt --export shakespeare
//   generate shakespeare "ROMEO:" --temperature 0.8
//
// Quick run: --epochs 2 --width 16 --depth 1 --length 32 --export folder

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <ssm/core/parallel.hpp>
#include <ssm/io/checkpoint.hpp>
#include <ssm/io/hugging_face_writer.hpp>
#include <ssm/io/tokenizer_writer.hpp>
#include <ssm/model/any_layer.hpp>
#include <ssm/model/generate.hpp>
#include <ssm/model/language_model.hpp>
#include <ssm/model/ssm_block.hpp>
#include <ssm/train/adam.hpp>
#include <ssm/train/cross_entropy.hpp>
#include <ssm/train/fit.hpp>
#include <ssm/train/progress.hpp>
#include <ssm/train/schedule.hpp>
#include <ssm/train/token_windows.hpp>
#include <ssm/train/train_state.hpp>

#include "models/models.hpp"
#include "support/options.hpp"
#include "support/svg.hpp"
#include "support/text.hpp"

using Layer = ssm::AnyLayer<float>;
using Model = ssm::LanguageModel<Layer>;

struct Settings {
    explicit Settings(examples::Options options)
        : text(options.get<std::string>("text", "", "file to learn; none: sums are made up")),
          system(
              options.get<std::string>("model", "mamba", "mamba, mamba2, s4d, s4, dss, s5 or lru")),
          model{.width = options.get<std::size_t>("width", 128, "channels of the model"),
                .depth = options.get<std::size_t>("depth", 8, "layers"),
                .dropout = options.get("dropout", 0.0, "dropout")},
          state(options.get<std::size_t>("state", 16, "state size of each channel")),
          length(options.get<std::size_t>("length", 256, "characters of an example")),
          batch(options.get<std::size_t>("batch", 8, "examples of an update")),
          epochs(options.get<std::size_t>("epochs", 5, "times through the text")),
          rate(options.get("rate", 3e-3, "learning rate")),
          decay(options.get("decay", 0.1, "weight decay")),
          temperature(options.get("temperature", 0.8, "of the samples")),
          sample(options.get<std::size_t>("sample", 300, "characters of a sample")),
          prompt(options.get<std::string>("prompt", "\n", "how samples begin")),
          out(options.get<std::string>("out", "char_lm", "names of the files that are written")),
          folder(options.get<std::string>("export", "", "folder for the model; none: not written")),
          threads(options.get<std::size_t>("threads", 0, "threads, 0 for all")),
          seed(options.get("seed", 1U, "random numbers")) {
        options.done();
    }

    std::string text, system;
    ssm::LanguageModelOptions model;
    std::size_t state, length, batch, epochs;
    double rate, decay, temperature;
    std::size_t sample;
    std::string prompt, out, folder;
    std::size_t threads;
    unsigned seed;
};

void print_sample(const Model& model, const examples::Alphabet& alphabet, const Settings& settings,
                  std::uint64_t seed) {
    ssm::Workspace workspace;
    const std::vector<std::vector<std::int32_t>> prompts{alphabet.encode(settings.prompt)};
    ssm::generate(model, prompts,
                  {.tokens = settings.sample,
                   .sampling = {.temperature = settings.temperature},
                   .seed = seed},
                  workspace, [&alphabet](std::size_t, std::int32_t token) {
                      std::putchar(alphabet.letter(token));
                      return true;
                  });
    std::printf("\n----\n");
}

int train(Model model, const std::string& text, const Settings& settings) {
    const examples::Alphabet alphabet(text);
    static_cast<void>(alphabet.encode(settings.prompt));  // says now what it has no letters for
    const std::vector<std::int32_t> tokens = alphabet.encode(text);
    const std::span<const std::int32_t> training =
        std::span<const std::int32_t>(tokens).first(tokens.size() / 10 * 9);
    const ssm::TokenWindows validation(
        std::span<const std::int32_t>(tokens).subspan(training.size()), settings.length,
        settings.length);
    const std::size_t updates =
        ssm::TokenWindows(training.subspan(settings.length), settings.length, settings.length)
            .size() /
        settings.batch;
    if (updates == 0)
        throw std::runtime_error("the text is too short for an update of --batch examples");
    const std::size_t steps = updates * settings.epochs;
    std::printf("%zu characters of training text, %zu parameters, %zu updates\n", training.size(),
                ssm::parameter_count(model), steps);

    ssm::TrainState state(
        model,
        ssm::AdamW<Model>(
            model, {.learning_rate = settings.rate, .beta2 = 0.98, .weight_decay = settings.decay}),
        ssm::schedule::Warmup<ssm::schedule::Cosine>{steps / 20,
                                                     {.steps = steps - steps / 20, .end = 0.02}},
        {}, ssm::Rng(settings.seed));
    std::vector<double> losses, validation_losses;
    double seconds = 0.0;
    std::vector<std::uint8_t> letters(alphabet.letters().begin(), alphabet.letters().end());
    ssm::Checkpoint run;
    run.add("model", model);
    run.add("state", state);
    run.add("losses", losses);
    run.add("validation_losses", validation_losses);
    run.add("seconds", seconds);
    run.add("letters", letters);
    const std::string path = settings.out + ".safetensors";
    if (std::filesystem::exists(path)) {
        run.load(path);
        if (std::string(letters.begin(), letters.end()) != alphabet.letters())
            throw std::runtime_error(path + " is of a text with other letters");
        std::printf("resumed from %s after epoch %zu\n", path.c_str(), losses.size());
    }

    while (state.epoch < settings.epochs) {
        // Each epoch cuts the text elsewhere.
        const std::size_t offset = state.epoch * settings.length / settings.epochs;
        const auto report = ssm::fit(
            model, state,
            ssm::TokenWindows(training.subspan(offset), settings.length, settings.length),
            validation, ssm::loss::CrossEntropy<float>{},
            {.epochs = state.epoch + 1,
             .batch_size = settings.batch,
             .rest = ssm::Rest::dropped,
             .clip_norm = 1.0},
            {.on_step = [&](const ssm::Progress& now) {
                if (now.step % 10 == 0) {
                    std::printf("\repoch %zu/%zu  update %zu/%zu  loss %.3f  %.0f characters/s ",
                                losses.size() + 1, settings.epochs,
                                static_cast<std::size_t>(now.step), steps, now.loss,
                                now.samples_per_second * static_cast<double>(settings.length));
                    std::fflush(stdout);
                }
                return true;
            }});
        const ssm::Progress& epoch = report.epochs.back();
        seconds += epoch.seconds;
        losses.push_back(epoch.loss);
        validation_losses.push_back(epoch.validation_loss);
        std::printf(
            "\rafter epoch %zu: loss %.4f, validation loss %.4f nats a character, %.0f s, %.0f "
            "bytes/s\n",
            losses.size(), epoch.loss, epoch.validation_loss, seconds,
            epoch.samples_per_second * static_cast<double>(settings.length));
        run.save(path);
        print_sample(model, alphabet, settings, state.epoch);
    }
    if (examples::Plot("Language model of characters", "epoch", "nats a character")
            .add({"training", losses})
            .add({"validation", validation_losses})
            .save(settings.out + ".svg"))
        std::printf("curve: %s.svg, model and optimiser: %s\n", settings.out.c_str(), path.c_str());
    if (!settings.folder.empty()) {
        ssm::save_hugging_face(model, settings.folder);
        ssm::save_byte_tokenizer(settings.folder, alphabet.letters());
        std::printf("folder: %s\n", settings.folder.c_str());
    }
    return 0;
}

/// Makes what stands between two norms: a selective layer as it is, another with nonlinearity and gate around it.
std::function<Layer(std::size_t, ssm::Rng)> mixers(const Settings& settings) {
    const Layer::Options options = examples::system(settings.system, {.state = settings.state});
    const std::size_t width = settings.model.width;
    if (examples::is_selective(settings.system))
        return [=](std::size_t, ssm::Rng rng) { return options.make(width, rng); };
    return [=](std::size_t, ssm::Rng rng) {
        const Layer system = options.make(width, rng.split());
        return Layer(ssm::SsmBlock<Layer>(system, {}, rng));
    };
}

int run(Settings settings) {
    ssm::set_threads(settings.threads);
    const std::string text =
        settings.text.empty() ? examples::sums(4000) : examples::read_text(settings.text);
    if (!settings.folder.empty() && !examples::is_selective(settings.system))
        throw std::runtime_error("--export is for mamba and mamba2");
    settings.model.tokens = examples::Alphabet(text).size();
    return train(Model(settings.model, mixers(settings), ssm::Rng(settings.seed)), text, settings);
}

int main(int count, char** arguments) {
    try {
        return run(Settings(examples::Options(count, arguments,
                                              "Trains a language model of characters on a text.")));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
