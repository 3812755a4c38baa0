#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <ssm/core/concepts.hpp>
#include <ssm/core/error.hpp>
#include <ssm/io/detail/hugging_face_mixer.hpp>
#include <ssm/io/detail/quoted.hpp>
#include <ssm/io/detail/save_shards.hpp>
#include <ssm/io/dtype.hpp>
#include <ssm/io/hugging_face_config.hpp>
#include <ssm/io/hugging_face_config_writer.hpp>
#include <ssm/layer/mamba.hpp>
#include <ssm/layer/mamba2.hpp>
#include <ssm/model/language_model.hpp>

namespace ssm {

/// How a language model is saved for Hugging Face transformers.
struct SaveHuggingFaceOptions {
    /// Number type in the files of all weights: f32, bf16, f16 or f64; none: their own.
    std::optional<Dtype> dtype{};
    /// Tokens that end a text.
    std::vector<std::int32_t> stops{};
    /// Weights go to files of at most so many bytes, but for a weight that is larger alone; 0: to one file.
    std::size_t shard_bytes = 0;
};

namespace detail {

/// The layer itself, or what an AnyLayer holds; null when it is another.
template <class Mixer, class L>
[[nodiscard]] const Mixer* held(const L& layer) noexcept {
    if constexpr (std::is_same_v<Mixer, L>)
        return &layer;
    else
        return layer.template target<Mixer>();
}

/// What a config.json says of a model whose layers are, or hold, a `Mixer`.
template <class Mixer, class L>
[[nodiscard]] HuggingFaceConfig describe(const LanguageModel<L>& model) {
    std::optional<HuggingFaceConfig> result;
    for (const auto& block : model.blocks().layers) {
        const Mixer* const mixer = held<Mixer>(block.inner);
        HuggingFaceConfig config;
        config.model = {.tokens = model.out_channels(),
                        .width = model.width(),
                        .depth = model.blocks().layers.size(),
                        .tied = model.is_tied(),
                        .epsilon = model.options().epsilon};
        if (mixer != nullptr) {
            HuggingFaceMixer<Mixer>::describe(mixer->options(), config);
            require_expansion("ssm::save_hugging_face", config);
        }
        require<ValueError>(mixer != nullptr && (!result || *result == config),
                            "ssm::save_hugging_face: the layers of the model differ in more than "
                            "their weights");
        result = std::move(config);
    }
    return *result;
}

/// Saves a model whose layers are, or hold, a `Mixer`.
template <class Mixer, class L>
void save_language_model(const LanguageModel<L>& model, const std::filesystem::path& folder,
                         const SaveHuggingFaceOptions& options) {
    const Dtype dtype = options.dtype.value_or(dtype_of<stored_t<Mixer>>);
    static_cast<void>(torch_name(dtype));
    HuggingFaceConfig config = describe<Mixer>(model);
    config.stops = options.stops;

    std::error_code code;
    std::filesystem::create_directories(folder, code);
    require<FileError>(!code, "ssm::save_hugging_face: folder ", Quoted{folder.string()},
                       " cannot be made: ", code.message());
    save_shards(model, folder, options.dtype, options.shard_bytes,
                [](std::string_view weight) { return HuggingFaceMixer<Mixer>::stored_as(weight); });
    write_hugging_face_config(folder, config, dtype);
}

template <class L>
concept PublishedMixer = requires {
    HuggingFaceMixer<L>::reads(ModelFamily::mamba);
};
template <class L>
concept HoldsMixer = requires(const L& layer) {
    layer.template target<Mamba<value_t<L>>>();
    layer.type_name();
};

}  // namespace detail

/// Saves a language model as a folder that Hugging Face transformers loads, and `load_hugging_face`: config.json,
/// generation_config.json and model.safetensors, or its shards with model.safetensors.index.json.
///
///     ssm::save_hugging_face(model, "my-mamba");          // Python: AutoModelForCausalLM.from_pretrained("my-mamba")
///
/// `Mamba` becomes model type mamba, with plain norms falcon_mamba, `Mamba2` mamba2; layers of `AnyLayer` become what they
/// hold. The folder is made if it is not there; files of other names, such as tokenizer.json, stay. All weights are on the
/// disk before the first file of an older model is replaced: a number out of range, or no space for them, leaves it as it
/// was. Then files are replaced one by one, each whole, config.json last; a crash between two leaves some old, some new.
///
/// Errors    ValueError, before anything is written, for layers with options that config.json has no word for and for a
///           dtype that transformers does not read; before a file is replaced, for a number beyond the range of the
///           dtype; FileError that names the file or folder that cannot be written
/// Memory    a copy of the weights of a file that are stored transposed; on the disk, all weights beside the older ones
template <class Layer>
void save_hugging_face(const LanguageModel<Layer>& model, const std::filesystem::path& folder,
                       const SaveHuggingFaceOptions& options = {}) {
    static_assert(detail::PublishedMixer<Layer> || detail::HoldsMixer<Layer>,
                  "ssm::save_hugging_face: the layers must be Mamba, Mamba2 or AnyLayer");
    if constexpr (detail::PublishedMixer<Layer>) {
        detail::save_language_model<Layer>(model, folder, options);
    } else {
        using First = Mamba<value_t<Layer>>;
        using Second = Mamba2<value_t<Layer>>;
        const Layer& layer = model.blocks().layers.front().inner;
        if (detail::held<First>(layer) != nullptr)
            return detail::save_language_model<First>(model, folder, options);
        require<ValueError>(detail::held<Second>(layer) != nullptr,
                            "ssm::save_hugging_face: layers are ", layer.type_name(),
                            ", which transformers does not have");
        detail::save_language_model<Second>(model, folder, options);
    }
}

}  // namespace ssm
