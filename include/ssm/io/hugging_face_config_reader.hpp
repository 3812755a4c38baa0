#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/io/detail/json_file.hpp>
#include <ssm/io/detail/quoted.hpp>
#include <ssm/io/hugging_face_config.hpp>
#include <ssm/io/mapped_file.hpp>

namespace ssm {

namespace detail {

inline void require_silu(const JsonField& config) {
    const JsonField act = config["hidden_act"];
    if (const std::string name = act.text("silu"); name != "silu" && name != "swish")
        act.fail("is ", Quoted{name}, "; supported is \"silu\"");
}

/// `key` must be this, or missing.
inline void require_flag(const JsonField& config, const char* key, bool expected) {
    if (config[key].flag(expected) != expected)
        config[key].fail("is ", expected ? "false" : "true", ", which is not supported");
}

/// A number, or infinity as Python's writers have it: bare, or as {"__float__": "Infinity"}.
[[nodiscard]] inline double real_or_infinity(const JsonField& field, double missing) {
    const JsonField value = field.is_object() ? field["__float__"] : field;
    if (value.is_text() && value.text() == "Infinity")
        return std::numeric_limits<double>::infinity();
    return value.real(missing);
}

inline void read_dt_limit(const JsonField& limit, HuggingFaceConfig& result) {
    if (!limit.is_given())
        return;
    if (limit.size() != 2)
        limit.fail("has ", limit.size(), " numbers, expected 2");
    result.dt_least = real_or_infinity(limit.at(0), 0.0);
    result.dt_most = real_or_infinity(limit.at(1), 0.0);
    if (!(result.dt_least >= 0.0 && result.dt_least <= result.dt_most))
        limit.fail("is no range of time steps");
}

/// An integer, or "auto" or nothing for that of the original.
[[nodiscard]] inline std::size_t rank_of(const JsonField& rank, std::size_t width) {
    const bool is_auto = !rank.is_given() || (rank.is_text() && rank.text() == "auto");
    return is_auto ? (width + 15) / 16 : rank.size_of();
}

[[nodiscard]] inline std::size_t inner_of(const JsonField& expand, std::size_t width) {
    const double inner = expand.real(2.0) * static_cast<double>(width);
    if (!(inner >= 1.0 && inner < 1e9))
        expand.fail("makes ", inner, " inner channels");
    return static_cast<std::size_t>(inner);
}

inline void read_heads(const JsonField& config, HuggingFaceConfig& result) {
    if (result.heads * result.head_width != result.inner)
        config.fail("num_heads = ", result.heads, " times head_dim = ", result.head_width,
                    " are not the ", result.inner, " inner channels");
    if (result.heads % result.groups != 0)
        config.fail("num_heads = ", result.heads, " is no multiple of n_groups = ", result.groups);
}

/// Reads such keys.
struct KeyReader {
    const JsonField& config;
    void operator()(const char* name, std::size_t& value, std::size_t missing) const {
        value = config[name].size_of(missing);
    }
    void operator()(const char* name, bool& value, bool missing) const {
        value = config[name].flag(missing);
    }
    void operator()(const char* name, double& value, double missing) const {
        value = config[name].real(missing);
    }
};

/// Keys of the transformers library.
[[nodiscard]] inline HuggingFaceConfig read_transformers(const JsonField& config,
                                                         ModelFamily family) {
    HuggingFaceConfig result;
    result.family = family;
    visit_transformers_keys(KeyReader{config}, result);
    result.inner = inner_of(config["expand"], result.model.width);
    require_silu(config);
    if (config["quantization_config"].is_given())
        config["quantization_config"].fail("is given, but quantised weights are not supported");
    if (family == ModelFamily::mamba2) {
        require_flag(config, "rms_norm", true);
        read_dt_limit(config["time_step_limit"], result);
        read_heads(config, result);
    } else {
        result.inner = config["intermediate_size"].size_of(result.inner);
        result.rank = rank_of(config["time_step_rank"], result.model.width);
    }
    return result;
}

/// Keys of state-spaces/mamba.
[[nodiscard]] inline HuggingFaceConfig read_original(const JsonField& config) {
    const JsonField mixer = config["ssm_cfg"];
    const std::string layer = mixer["layer"].text("Mamba1");
    if (layer != "Mamba1" && layer != "Mamba2")
        mixer["layer"].fail("is ", Quoted{layer}, "; supported are \"Mamba1\" and \"Mamba2\"");
    if (config["attn_layer_idx"].is_given() && config["attn_layer_idx"].size() > 0)
        config["attn_layer_idx"].fail("names layers of attention, which are not supported");
    if (config["d_intermediate"].is_given() && config["d_intermediate"].count() > 0)
        config["d_intermediate"].fail("asks for gated MLPs, which are not supported");
    require_flag(config, "rms_norm", true);

    const bool is_second = layer == "Mamba2";
    HuggingFaceConfig result;
    result.family = is_second ? ModelFamily::mamba2 : ModelFamily::mamba;
    const std::size_t width = config["d_model"].size_of();
    result.model = {.tokens = config["vocab_size"].size_of(50277),
                    .width = width,
                    .depth = config["n_layer"].size_of(64),
                    .pad_to = config["pad_vocab_size_multiple"].size_of(8),
                    .tied = config["tie_embeddings"].flag(true)};
    result.state = mixer["d_state"].size_of(is_second ? 128 : 16);
    result.conv_width = mixer["d_conv"].size_of(4);
    result.bias = mixer["bias"].flag(false);
    result.conv_bias = mixer["conv_bias"].flag(true);
    result.inner = inner_of(mixer["expand"], width);
    if (is_second) {
        for (const char* key : {"norm_before_gate", "D_has_hdim"})
            require_flag(mixer, key, false);
        require_flag(mixer, "rmsnorm", true);
        if (mixer["d_ssm"].size_of(result.inner) != result.inner)
            mixer["d_ssm"].fail("is not all inner channels, which is not supported");
        result.head_width = mixer["headdim"].size_of(64);
        result.heads = result.inner / result.head_width;
        result.groups = result.norm_groups = mixer["ngroups"].size_of(1);
        read_dt_limit(mixer["dt_limit"], result);
        read_heads(config, result);
    } else {
        result.rank = rank_of(mixer["dt_rank"], width);
    }
    return result;
}

[[nodiscard]] inline ModelFamily family_of(const JsonField& type) {
    const std::string name = type.text();
    for (const FamilyNames& family : family_names)
        if (family.type == name)
            return family.family;
    type.fail("is ", Quoted{name},
              "; supported are mamba, falcon_mamba and mamba2 (no hybrids with attention)");
}

/// Tokens that end a text: one, several, or none.
[[nodiscard]] inline std::vector<std::int32_t> read_stops(const JsonField& eos) {
    std::vector<std::int32_t> stops;
    const auto add = [&stops](const JsonField& token) {
        if (!std::in_range<std::int32_t>(token.count()))
            token.fail("is no token");
        stops.push_back(static_cast<std::int32_t>(token.count()));
    };
    if (eos.is_array())
        for (std::size_t i = 0; i < eos.size(); ++i)
            add(eos.at(i));
    else if (eos.is_given())
        add(eos);
    return stops;
}

}  // namespace detail

/// Reads `config.json` of a model's folder, in the words of the transformers library (`model_type`:
/// mamba, falcon_mamba, mamba2) or those of state-spaces/mamba (`d_model`), and the tokens that end a
/// text from it or from `generation_config.json`. Keys that do not matter here are not looked at.
///
/// Errors    FileError that names file and key: for a model of another type, with attention or MLPs, and
///           for values of the wrong type or size
[[nodiscard]] inline HuggingFaceConfig read_hugging_face_config(
    const std::filesystem::path& folder) {
    const detail::JsonFile file(folder / "config.json");
    const detail::JsonField config = file.root();
    const detail::JsonField type = config["model_type"];
    HuggingFaceConfig result;
    if (!type.is_given() && config["d_model"].is_given())
        result = detail::read_original(config);
    else
        result = detail::read_transformers(config, detail::family_of(type));
    result.stops = detail::read_stops(config["eos_token_id"]);
    if (const auto generation = folder / "generation_config.json"; detail::is_there(generation)) {
        const detail::JsonFile own(generation);
        if (own.root()["eos_token_id"].is_given())
            result.stops = detail::read_stops(own.root()["eos_token_id"]);
    }
    return result;
}

}  // namespace ssm
