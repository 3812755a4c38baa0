#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include <nlohmann/json.hpp>

#include <ssm/core/error.hpp>
#include <ssm/io/detail/json_file.hpp>
#include <ssm/io/dtype.hpp>
#include <ssm/io/hugging_face_config.hpp>

namespace ssm {

namespace detail {

/// Writes keys of a config.
struct KeyWriter {
    nlohmann::json& config;
    template <class V>
    void operator()(const char* name, const V& value, const V&) const {
        config[name] = value;
    }
};

/// One number is itself, several are a list, none is null.
[[nodiscard]] inline nlohmann::json json_of(const std::vector<std::int32_t>& stops) {
    if (stops.empty())
        return nullptr;
    return stops.size() == 1 ? nlohmann::json(stops[0]) : nlohmann::json(stops);
}

/// A number, or infinity as Python writes it.
[[nodiscard]] inline nlohmann::json json_of(double number) {
    return std::isinf(number) ? nlohmann::json("Infinity") : nlohmann::json(number);
}

/// Refuses inner channels that "expand", a whole multiple of the model's, cannot say.
inline void require_expansion(const char* what, const HuggingFaceConfig& config) {
    require<ValueError>(config.inner > 0 && config.inner % config.model.width == 0, what,
                        ": a config.json cannot say that ", config.inner,
                        " inner channels are no multiple of ", config.model.width);
}

/// Name of a number type in PyTorch.
[[nodiscard]] inline const char* torch_name(Dtype dtype) {
    switch (dtype) {
        case Dtype::f32:
            return "float32";
        case Dtype::bf16:
            return "bfloat16";
        case Dtype::f16:
            return "float16";
        case Dtype::f64:
            return "float64";
        default:
            raise<ValueError>("ssm::save_hugging_face: dtype ", dtype,
                              " is none that transformers reads: F32, BF16, F16, F64");
    }
}

}  // namespace detail

/// Writes config.json and generation_config.json of a model's folder in the words of the transformers library, as
/// `read_hugging_face_config` reads them; `dtype` is that of the weights.
///
/// The size of the vocabulary is that of the embedding, with padding: `tokens` rounded up to `pad_to`. Beginning and
/// padding tokens are null.
///
/// Errors    ValueError for sizes of zero, inner channels that are no multiple of the width, and a dtype that
///           transformers does not read; FileError when a file cannot be written
inline void write_hugging_face_config(const std::filesystem::path& folder,
                                      const HuggingFaceConfig& config, Dtype dtype = Dtype::f32) {
    require<ValueError>(
        config.model.tokens > 0 && config.model.pad_to > 0 && config.model.width > 0,
        "ssm::write_hugging_face_config: tokens = ", config.model.tokens,
        ", pad_to = ", config.model.pad_to, " and width = ", config.model.width,
        " must be positive");
    detail::require_expansion("ssm::write_hugging_face_config", config);
    const auto& family = detail::names_of(config.family);
    const std::size_t rows = (config.model.tokens - 1) / config.model.pad_to + 1;
    nlohmann::json json;
    detail::visit_transformers_keys(detail::KeyWriter{json}, config);
    json["architectures"] = nlohmann::json::array({family.architecture});
    json["model_type"] = family.type;
    json["vocab_size"] = rows * config.model.pad_to;
    json["expand"] = config.inner / config.model.width;
    json["hidden_act"] = "silu";
    json["residual_in_fp32"] = true;
    json["torch_dtype"] = detail::torch_name(dtype);
    json["bos_token_id"] = json["pad_token_id"] = nullptr;
    json["eos_token_id"] = detail::json_of(config.stops);
    json["use_cache"] = true;
    if (config.family == ModelFamily::mamba2) {
        const bool is_limited = config.dt_least > 0.0 || std::isfinite(config.dt_most);
        json["rms_norm"] = true;
        json["chunk_size"] = 256;
        if (is_limited)
            json["time_step_limit"] = {config.dt_least, detail::json_of(config.dt_most)};
    } else {
        json["intermediate_size"] = config.inner;
        json["time_step_rank"] = config.rank;
    }
    detail::write_json(folder / "config.json", json);
    detail::write_json(folder / "generation_config.json",
                       {{"_from_model_config", true}, {"eos_token_id", json["eos_token_id"]}});
}

}  // namespace ssm
