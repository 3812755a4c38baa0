#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <ssm/core/concepts.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/io/detail/hugging_face_mixer.hpp>
#include <ssm/io/detail/json_file.hpp>
#include <ssm/io/detail/quoted.hpp>
#include <ssm/io/dtype.hpp>
#include <ssm/io/hugging_face_config.hpp>
#include <ssm/io/safetensors_writer.hpp>
#include <ssm/io/save.hpp>
#include <ssm/io/stored_as.hpp>
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
        if (mixer != nullptr)
            HuggingFaceMixer<Mixer>::describe(mixer->options(), config);
        require<ValueError>(mixer != nullptr && (!result || *result == config),
                            "ssm::save_hugging_face: the layers of the model differ in more than "
                            "their weights");
        result = std::move(config);
    }
    return *result;
}

/// Weights in the order in which they are visited, distributed to files.
class Shards {
public:
    explicit Shards(std::size_t most) : most_(most) {}

    void add(const std::string& tensor, std::size_t bytes) {
        if (most_ > 0 && used_ > 0 && used_ + bytes > most_) {
            ++count_;
            used_ = 0;
        }
        used_ += bytes;
        total_ += bytes;
        shards_.emplace(tensor, count_ - 1);
    }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    [[nodiscard]] bool has(std::size_t shard, const std::string& tensor) const {
        return shards_.at(tensor) == shard;
    }
    [[nodiscard]] std::string file(std::size_t shard) const {
        if (count_ == 1)
            return "model.safetensors";
        char name[80];
        std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", shard + 1, count_);
        return name;
    }
    [[nodiscard]] nlohmann::json index() const {
        nlohmann::json result{{"metadata", {{"total_size", total_}}}};
        for (const auto& [tensor, shard] : shards_)
            result["weight_map"][tensor] = file(shard);
        return result;
    }

private:
    std::size_t most_;
    std::size_t used_ = 0;
    std::size_t total_ = 0;
    std::size_t count_ = 1;
    std::map<std::string, std::size_t> shards_;
};

/// Of two descriptions of the weights in a folder, one file or an index of several, the other one goes: it is of an
/// older model.
inline void remove_stale(const std::filesystem::path& path) {
    std::error_code code;
    std::filesystem::remove(path, code);
    require<FileError>(!code, "ssm::save_hugging_face: ", Quoted{path.string()},
                       " describes an older model, but cannot be removed: ", code.message());
}

/// Writes the weights; `stored_as` tells how each is stored, in one tensor.
template <class Model, class StoredAsOf>
void save_shards(const Model& model, const std::filesystem::path& folder,
                 const SaveHuggingFaceOptions& options, StoredAsOf&& stored_as) {
    Shards shards(options.shard_bytes);
    visit(
        [&](std::string_view name, const WeightTraits&, const auto& weight) {
            using T = typename std::remove_cvref_t<decltype(weight)>::value_type;
            shards.add(stored_as(name).names[0],
                       weight.size() * bits_of(options.dtype.value_or(dtype_of<T>)) / 8);
        },
        model);
    for (std::size_t shard = 0; shard < shards.count(); ++shard) {
        SaveOptions of_shard{.dtype = options.dtype, .metadata = {{"format", "pt"}}};
        of_shard.stored_as = [&](std::string_view name) {
            const StoredAs stored = stored_as(name);
            return shards.has(shard, stored.names[0]) ? stored : StoredAs();
        };
        save(model, folder / shards.file(shard), of_shard);
    }
    const auto index = folder / "model.safetensors.index.json";
    if (shards.count() > 1)
        write_json(index, shards.index());
    remove_stale(shards.count() > 1 ? folder / "model.safetensors" : index);
}

}  // namespace detail

/// Writes config.json and generation_config.json of a model's folder in the words of the transformers library, as
/// `read_hugging_face_config` reads them; `dtype` is that of the weights.
///
/// The size of the vocabulary is that of the embedding, with padding: `tokens` rounded up to `pad_to`. Beginning and
/// padding tokens are null.
///
/// Errors    ValueError for a dtype that transformers does not read; FileError when a file cannot be written
inline void write_hugging_face_config(const std::filesystem::path& folder,
                                      const HuggingFaceConfig& config, Dtype dtype = Dtype::f32) {
    const auto& family = detail::names_of(config.family);
    const std::size_t rows = (config.model.tokens - 1) / config.model.pad_to + 1;
    nlohmann::json json;
    detail::visit_transformers_keys(detail::KeyWriter{json}, config);
    json["architectures"] = nlohmann::json::array({family.architecture});
    json["model_type"] = family.type;
    json["vocab_size"] = rows * config.model.pad_to;
    json["expand"] = std::max<std::size_t>(1, config.inner / config.model.width);
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

namespace detail {

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
    save_shards(model, folder, options,
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
/// hold. The folder is made if it is not there. Each file is complete or as it was before, config.json is last; files of
/// other names, such as tokenizer.json, stay.
///
/// Errors    ValueError, before anything is written, for layers with options that config.json has no word for and for a
///           dtype that transformers does not read; before its file is written, for a number beyond the range of the
///           dtype; FileError that names the file or folder that cannot be written
/// Memory    a copy of the weights that are stored transposed
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
