// Continues a prompt with a published Mamba, Mamba-2 or Falcon-Mamba model, as Hugging Face stores it: a folder
// with config.json, model.safetensors (or shards) and tokenizer.json; without a tokenizer tokens are bytes.
//
//   generate mamba-130m-hf "The capital of France is" --temperature 0.7 --top-p 0.9
//
// A token takes as long as reading all weights from memory does: `--weights bfloat16` makes that half.
//
// Without arguments it runs a tiny model of random weights.
//
// Quick run: --tokens 16

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#if defined(__linux__)
#include <sys/resource.h>
#endif

#include <ssm/ssm.hpp>

#include "support/options.hpp"

struct Settings {
    explicit Settings(examples::Options options)
        : folder(options.word("MODEL", SSM_EXAMPLES_DATA "/tiny-mamba", "folder of the model")),
          prompt(options.word("PROMPT", "Once upon a time", "text to continue")),
          tokens(options.get<std::size_t>("tokens", 100, "most new tokens")),
          sampling{
              .temperature = options.get("temperature", 0.0, "0: always the likeliest token"),
              .top_k = options.get<std::size_t>("top-k", 0, "only the likeliest k tokens; 0: all"),
              .top_p = options.get("top-p", 1.0, "only the likeliest tokens of this probability"),
              .min_p = options.get("min-p", 0.0, "only tokens of this share of the likeliest"),
              .repetition_penalty = options.get("penalty", 1.0, "for repetitions")},
          weights(options.get<std::string>("weights", "float", "float or bfloat16")),
          threads(options.get<std::size_t>("threads", 0, "threads, 0 for all")),
          seed(options.get("seed", 0U, "random numbers")) {
        options.done();
    }

    std::filesystem::path folder;
    std::string prompt;
    std::size_t tokens;
    ssm::SamplingOptions sampling;
    std::string weights;
    std::size_t threads;
    unsigned seed;
};

class Stopwatch {
public:
    [[nodiscard]] double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Most memory that the program had so far, in MB; 0 where that is not known.
double peak_memory() {
#if defined(__linux__)
    struct ::rusage usage {};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) / 1024.0;
#else
    return 0.0;
#endif
}

template <class Model>
std::size_t weight_bytes(const Model& model) {
    std::size_t bytes = 0;
    ssm::visit([&bytes](auto, const ssm::WeightTraits&,
                        const auto& weight) { bytes += weight.flat().size_bytes(); },
               model);
    return bytes;
}

template <class Model, class Tokenizer>
void generate(const Model& model, const Tokenizer& tokenizer,
              const std::vector<std::int32_t>& stops, const Settings& settings) {
    const std::vector<std::int32_t> prompt = tokenizer.encode(settings.prompt);
    ssm::Workspace workspace;
    ssm::Generator generator(model, settings.sampling, 1, ssm::Rng(settings.seed));
    const Stopwatch prefill;
    generator.read(prompt, workspace);
    const double read = prefill.seconds();

    std::printf("%s", settings.prompt.c_str());
    ssm::Utf8Stream text;
    std::size_t count = 0;
    const Stopwatch decoding;
    while (count < settings.tokens) {
        const std::int32_t token = generator.next(workspace)[0];
        ++count;
        if (std::find(stops.begin(), stops.end(), token) != stops.end())
            break;
        std::printf("%s", text.push(tokenizer.bytes(token)).c_str());
        std::fflush(stdout);
    }
    const double written = decoding.seconds();
    std::printf("%s\n\nprompt: %zu tokens, %.0f tokens/s\nnew: %zu tokens, %.1f tokens/s\n",
                text.finish().c_str(), prompt.size(), static_cast<double>(prompt.size()) / read,
                count, static_cast<double>(count) / written);
    std::printf("peak memory %.0f MB, of which weights %.0f MB\n", peak_memory(),
                static_cast<double>(weight_bytes(model)) / 1048576.0);
}

template <class Mixer>
void run_with(const ssm::HuggingFaceConfig& config, const Settings& settings) {
    const Stopwatch loading;
    const auto model = ssm::load_hugging_face<Mixer>(settings.folder);
    std::printf("%zu parameters, %zu layers, loaded in %.2f s\n\n", ssm::parameter_count(model),
                config.model.depth, loading.seconds());
    const auto file = settings.folder / "tokenizer.json";
    if (std::filesystem::exists(file))
        generate(model, ssm::Tokenizer(file), config.stops, settings);
    else
        generate(model, ssm::ByteTokenizer(), config.stops, settings);
}

/// `Stored` is the type in which large matrices are kept; all is computed in float.
template <class Stored>
void run_stored_as(const Settings& settings) {
    const ssm::HuggingFaceConfig config = ssm::read_hugging_face_config(settings.folder);
    if (config.family == ssm::ModelFamily::mamba2)
        run_with<ssm::Mamba2<float, Stored>>(config, settings);
    else
        run_with<ssm::Mamba<float, Stored>>(config, settings);
}

int run(const Settings& settings) {
    ssm::set_threads(settings.threads);
    if (settings.weights == "bfloat16") {
        run_stored_as<ssm::Bfloat16>(settings);
    } else if (settings.weights == "float") {
        run_stored_as<float>(settings);
    } else {
        std::fprintf(stderr, "--weights is float or bfloat16\n");
        return 2;
    }
    return 0;
}

int main(int count, char** arguments) {
    try {
        return run(Settings(
            examples::Options(count, arguments, "Continues a text with a language model.")));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
