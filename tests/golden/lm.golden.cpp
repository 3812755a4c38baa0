// Language models as transformers saved them: logits, hidden states, loss and gradients, greedy tokens.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <ssm/io/hugging_face.hpp>
#include <ssm/io/hugging_face_writer.hpp>
#include <ssm/io/safetensors.hpp>
#include <ssm/model/generate.hpp>
#include <ssm/train/cross_entropy.hpp>

#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/prebuilt_selective.hpp"
#include "support/temporary_folder.hpp"

namespace {

using ssm_test::GoldenCase;
using ssm_test::GoldenReport;
using ssm_test::GoldenTensor;

using Token = std::int32_t;

/// Of numbers of size 20 that both compute in double. Gradients are stored in single precision.
constexpr double tolerance = 1e-10;
constexpr double gradient_tolerance = 1e-6;
/// 2e-4 absolute, relative to logits of at least size 3.
constexpr double single_tolerance = 1e-5;

ssm::Batch<Token> tokens_of(const GoldenTensor& tensor) {
    ssm::Batch<Token> tokens(tensor.extent(0), tensor.extent(1), 1);
    const auto values = tensor.as<Token>();
    std::copy(values.begin(), values.end(), tokens.data());
    return tokens;
}

/// What each layer put out, and the norm behind the last.
template <class Model>
void check_hidden_states(const Model& model, const ssm::Batch<Token>& tokens,
                         GoldenReport& report) {
    ssm::Workspace workspace;
    ssm::Batch<double> h(tokens.batch(), tokens.length(), model.width());
    ssm::Batch<double> next(h.shape());
    model.embedding().forward(tokens, h, workspace);
    const auto& layers = model.blocks().layers;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        layers[i].forward(h, next, workspace);
        std::swap(h, next);
        report.compare("hidden_states." + std::to_string(i), h.view().flat(), tolerance);
    }
    model.norm().forward(h, next, workspace);
    report.compare("hidden_states." + std::to_string(layers.size()), next.view().flat(), tolerance);
}

/// The gradient in the shape of the file: A_log and the convolution are stored the other way round.
std::vector<double> as_stored(std::string_view name, const ssm::Tensor<double>& weight) {
    const bool is_transposed =
        name.ends_with("conv1d.weight") || (name.ends_with("A_log") && weight.rank() == 2);
    const std::size_t rows = is_transposed ? weight.extent(0) : 1;
    const std::size_t columns = weight.size() / rows;
    std::vector<double> result;
    for (std::size_t c = 0; c < columns; ++c)
        for (std::size_t r = 0; r < rows; ++r)
            result.push_back(weight[r * columns + c]);
    return result;
}

/// Mean cross-entropy of each token given those before it.
template <class Model>
void check_training(const Model& model, const ssm::Batch<Token>& tokens, GoldenCase& golden,
                    GoldenReport& report) {
    ssm::Batch<Token> labels(tokens.shape());
    for (std::size_t b = 0; b < tokens.batch(); ++b)
        for (std::size_t l = 0; l < tokens.length(); ++l)
            labels(b, l, 0) = l + 1 < tokens.length() ? tokens(b, l + 1, 0) : -100;
    ssm::Workspace workspace;
    typename Model::Cache cache;
    Model gradient = ssm::zeros_like(model);
    ssm::Batch<double> logits(tokens.batch(), tokens.length(), model.out_channels());
    model.forward(tokens, logits, cache, workspace);
    report.compare("logits in training", logits.view().flat(), golden.tensor("logits").values,
                   tolerance);
    const double loss = ssm::loss::CrossEntropy<double>{}(logits, labels, logits);
    report.compare("loss", std::vector{loss}, tolerance);
    model.backward(tokens, logits, {}, cache, gradient, workspace);
    ssm::visit(
        [&](std::string_view name, const ssm::WeightTraits&, const ssm::Tensor<double>& weight) {
            if (const std::string stored = "grad." + std::string(name); golden.has(stored))
                report.compare(stored, as_stored(name, weight), gradient_tolerance);
        },
        gradient);
}

/// Whole sequences and steps.
template <class Model>
void check_logits(const Model& model, const ssm::Batch<Token>& tokens, std::string_view name,
                  double allowed, GoldenReport& report) {
    using T = typename Model::value_type;
    ssm::Workspace workspace;
    ssm::Batch<T> logits(tokens.batch(), tokens.length(), model.out_channels());
    model.forward(tokens, logits, workspace);
    report.compare(name, logits.view().flat(), allowed);
    auto state = model.rest_state(tokens.batch());
    std::vector<Token> now(tokens.batch());
    std::vector<T> row(tokens.batch() * model.out_channels());
    for (std::size_t l = 0; l < tokens.length(); ++l) {
        for (std::size_t b = 0; b < now.size(); ++b)
            now[b] = tokens(b, l, 0);
        model.step(now, row, state);
        for (std::size_t b = 0; b < now.size(); ++b)
            std::copy_n(row.begin() + static_cast<std::ptrdiff_t>(b * model.out_channels()),
                        model.out_channels(), &logits(b, l, 0));
    }
    report.compare(name, logits.view().flat(), allowed);
}

template <class Model>
void check_generation(const Model& model, GoldenCase& golden, GoldenReport& report) {
    const ssm::Batch<Token> prompt = tokens_of(golden.tensor("gen.prompt"));
    const auto expected = golden.tensor("gen.tokens").as<Token>();
    report.compare("gen.generate_tokens", expected, 0.0);
    std::vector<std::vector<Token>> prompts;
    for (std::size_t b = 0; b < prompt.batch(); ++b)
        prompts.emplace_back(prompt.view().row(b, 0).data(),
                             prompt.view().row(b, 0).data() + prompt.length());
    ssm::Workspace workspace;
    std::vector<Token> found;
    for (const auto& text :
         ssm::generate(model, prompts, {.tokens = expected.size() / prompts.size()}, workspace))
        found.insert(found.end(), text.begin(), text.end());
    report.check(found == expected, "greedy tokens are the same");
    for (const double margin : golden.tensor("gen.margin").values)
        report.check(margin > 0.0, "the likeliest token is the only one");
}

/// The same bytes under the same names, with the same dtypes and shapes.
void check_same_tensors(const std::filesystem::path& written,
                        const std::filesystem::path& published, GoldenReport& report) {
    const ssm::Safetensors ours(written / "model.safetensors");
    const ssm::Safetensors theirs(published / "model.safetensors");
    report.check(ours.entries().size() == theirs.entries().size(), "as many tensors are written");
    report.check(ours.metadata() == theirs.metadata(), "metadata is written");
    for (const auto& [name, entry] : theirs.entries()) {
        const bool is_there = ours.contains(name);
        report.check(is_there, name + " is written");
        if (is_there) {
            const auto& own = ours.entry(name);
            report.check(own.dtype == entry.dtype && own.shape == entry.shape &&
                             std::equal(own.bytes.begin(), own.bytes.end(), entry.bytes.begin(),
                                        entry.bytes.end()),
                         name + " has the published dtype, shape and numbers");
        }
    }
}

/// The same config but for what only beginnings of training, versions, or speed depend on.
void check_same_config(const std::filesystem::path& written, const std::filesystem::path& published,
                       GoldenReport& report) {
    constexpr std::array of_no_matter{"initializer_range",    "rescale_prenorm_residual",
                                      "time_step_floor",      "time_step_init_scheme",
                                      "time_step_max",        "time_step_min",
                                      "time_step_scale",      "transformers_version",
                                      "use_associative_scan", "use_mambapy",
                                      "chunk_size",           "bos_token_id",
                                      "pad_token_id"};
    using nlohmann::json;
    const json ours = json::parse(ssm_test::read_file(written / "config.json"));
    const json theirs = json::parse(ssm_test::read_file(published / "config.json"));
    const bool is_second = theirs["model_type"] == "mamba2";
    for (const auto& [key, value] : theirs.items()) {
        if (std::find(of_no_matter.begin(), of_no_matter.end(), key) != of_no_matter.end())
            continue;
        if (is_second && (key == "time_step_rank" || key == "time_step_limit"))
            continue;  // Mamba-2 has no rank; no limit is what a missing one stands for
        const std::string own = key == "dtype" ? "torch_dtype" : key;
        report.check(ours.contains(own) && ours[own] == value, own + " is " + value.dump());
    }
}

/// A published folder that is read and written is what it was, and computes the same.
template <class Double>
void check_saved(const ssm::LanguageModel<Double>& model, const ssm::Batch<Token>& tokens,
                 const std::filesystem::path& published, GoldenReport& report) {
    const ssm_test::TemporaryFolder folder;
    const ssm::HuggingFaceConfig config = ssm::read_hugging_face_config(published);
    const ssm::Safetensors theirs(published / "model.safetensors");
    const ssm::Dtype dtype = theirs.entry("backbone.norm_f.weight").dtype;
    ssm::save_hugging_face(model, folder.path(), {.dtype = dtype, .stops = config.stops});
    check_same_tensors(folder.path(), published, report);
    check_same_config(folder.path(), published, report);
    report.check(ssm::read_hugging_face_config(folder.path()) == config,
                 "the config is read again");

    const auto logits = [&tokens](const auto& computed) {
        ssm::Workspace workspace;
        ssm::Batch<double> result(tokens.batch(), tokens.length(), computed.out_channels());
        computed.forward(tokens, result, workspace);
        return result;
    };
    ssm::save_hugging_face(model, folder / "double");
    const auto again = ssm::load_hugging_face<Double>(folder / "double");
    report.check(logits(again) == logits(model), "saved in double it computes the same bits");
}

/// `Double` and `Single` compute in these types.
template <class Double, class Single>
void check_model(GoldenCase& golden, GoldenReport& report) {
    const auto folder = golden.path.parent_path();
    const ssm::Batch<Token> tokens = tokens_of(golden.tensor("input_ids"));
    const auto model = ssm::load_hugging_face<Double>(folder);
    check_logits(model, tokens, "logits", tolerance, report);
    check_hidden_states(model, tokens, report);
    check_training(model, tokens, golden, report);
    check_generation(model, golden, report);
    check_saved(model, tokens, folder, report);
    const auto single = ssm::load_hugging_face<Single>(folder);
    check_logits(single, tokens, "logits_f32", single_tolerance, report);
    check_generation(single, golden, report);
}

/// Weights that are bfloat16 in the file are used as they are: nothing is rounded but what is computed.
void check_stored_as_bfloat16(GoldenCase& golden, GoldenReport& report) {
    const auto folder = golden.path.parent_path();
    const ssm::Batch<Token> tokens = tokens_of(golden.tensor("input_ids"));
    const auto model = ssm::load_hugging_face<ssm::Mamba<double, ssm::Bfloat16>>(folder);
    check_logits(model, tokens, "logits", tolerance, report);
    const auto single = ssm::load_hugging_face<ssm::Mamba<float, ssm::Bfloat16>>(folder);
    check_logits(single, tokens, "logits_f32", single_tolerance, report);
    check_generation(single, golden, report);
}

}  // namespace

TEST_CASE("golden.lm") {
    ssm_test::run_family("lm", [](GoldenCase& golden, GoldenReport& report) {
        switch (ssm::read_hugging_face_config(golden.path.parent_path()).family) {
            case ssm::ModelFamily::mamba:
            case ssm::ModelFamily::falcon_mamba:
                check_model<ssm::Mamba<double>, ssm::Mamba<float>>(golden, report);
                break;
            case ssm::ModelFamily::mamba2:
                check_model<ssm::Mamba2<double>, ssm::Mamba2<float>>(golden, report);
                break;
        }
        if (golden.path.parent_path().filename() == "mamba_bf16")
            check_stored_as_bfloat16(golden, report);
    });
}
