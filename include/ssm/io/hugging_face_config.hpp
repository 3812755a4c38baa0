#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include <ssm/model/language_model.hpp>

namespace ssm {

/// Published kinds of language models that can be read and written.
enum class ModelFamily { mamba, falcon_mamba, mamba2 };

/// What the config.json of a model's folder says.
struct HuggingFaceConfig {
    ModelFamily family = ModelFamily::mamba;
    LanguageModelOptions model{};
    std::size_t state = 16;       ///< N
    std::size_t conv_width = 4;   ///< taps of the convolution
    std::size_t inner = 0;        ///< E
    std::size_t rank = 0;         ///< Mamba: R
    std::size_t heads = 0;        ///< Mamba-2: H
    std::size_t head_width = 0;   ///< Mamba-2: P
    std::size_t groups = 1;       ///< Mamba-2: of B and C
    std::size_t norm_groups = 1;  ///< Mamba-2: of the gated norm
    bool bias = false;
    bool conv_bias = true;
    double mixer_epsilon = 1e-6;  ///< Falcon-Mamba: of the norms inside the mixer
    double dt_least = 0.0;        ///< Mamba-2: limits of the time step
    double dt_most = std::numeric_limits<double>::infinity();
    std::vector<std::int32_t> stops{};  ///< tokens that end a text

    friend bool operator==(const HuggingFaceConfig&, const HuggingFaceConfig&) = default;
};

namespace detail {

/// The `model_type` of a family and the class that reads it, in the order of the families.
struct FamilyNames {
    ModelFamily family;
    std::string_view type;
    std::string_view architecture;
};
inline constexpr std::array family_names{
    FamilyNames{ModelFamily::mamba, "mamba", "MambaForCausalLM"},
    FamilyNames{ModelFamily::falcon_mamba, "falcon_mamba", "FalconMambaForCausalLM"},
    FamilyNames{ModelFamily::mamba2, "mamba2", "Mamba2ForCausalLM"}};

[[nodiscard]] constexpr const FamilyNames& names_of(ModelFamily family) noexcept {
    return family_names[static_cast<std::size_t>(family)];
}

/// Calls `key(name, value, missing)` for all keys of the transformers library that are just a value of the config, be
/// they read or written; `missing` is what one stands for that is not there.
template <class Key, class Config>
void visit_transformers_keys(Key&& key, Config& config) {
    const bool is_second = config.family == ModelFamily::mamba2;
    const auto either = [is_second](std::size_t first, std::size_t second) {
        return is_second ? second : first;
    };
    key("vocab_size", config.model.tokens, either(50280, 32768));
    key("hidden_size", config.model.width, either(768, 4096));
    key("num_hidden_layers", config.model.depth, either(32, 64));
    key("tie_word_embeddings", config.model.tied, !is_second);
    key("layer_norm_epsilon", config.model.epsilon, 1e-5);
    key("state_size", config.state, either(16, 128));
    key("conv_kernel", config.conv_width, std::size_t{4});
    key("use_bias", config.bias, config.family == ModelFamily::mamba);
    key("use_conv_bias", config.conv_bias, true);
    if (is_second) {
        key("num_heads", config.heads, std::size_t{128});
        key("head_dim", config.head_width, std::size_t{64});
        key("n_groups", config.groups, std::size_t{8});
    }
    if (config.family == ModelFamily::falcon_mamba)
        key("mixer_rms_eps", config.mixer_epsilon, 1e-6);
}

}  // namespace detail

}  // namespace ssm
