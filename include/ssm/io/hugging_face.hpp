#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/io/detail/hugging_face_mixer.hpp>
#include <ssm/io/detail/quoted.hpp>
#include <ssm/io/hugging_face_config.hpp>
#include <ssm/io/hugging_face_config_reader.hpp>
#include <ssm/io/load.hpp>
#include <ssm/io/mapped_file.hpp>
#include <ssm/io/names/mamba.hpp>
#include <ssm/io/safetensors.hpp>
#include <ssm/model/language_model.hpp>

namespace ssm {

namespace detail {

/// Refuses a file before memory for a model that it does not hold is taken.
template <class Mixer>
void check_hugging_face_sizes(const Safetensors& file, const std::string& embedding,
                              const HuggingFaceConfig& config) {
    const auto require_shape = [&file](const std::string& name,
                                       std::initializer_list<std::size_t> expected) {
        const std::span<const std::size_t> found = file.entry(name).shape;
        require<FileError>(std::equal(found.begin(), found.end(), expected.begin(), expected.end()),
                           "ssm::load_hugging_face: ", Quoted{file.origin()}, ": tensor ",
                           Quoted{name}, ": has shape ", ShapeText{found},
                           ", but by config.json it is ",
                           ShapeText{{expected.begin(), expected.size()}});
    };
    const std::size_t rows = (config.model.tokens - 1) / config.model.pad_to + 1;
    require_shape(embedding, {rows * config.model.pad_to, config.model.width});
    for (std::size_t i = 0; i < config.model.depth; ++i)
        HuggingFaceMixer<Mixer>::require_shapes(
            config, [&](const char* name, std::initializer_list<std::size_t> shape) {
                require_shape("backbone.layers." + std::to_string(i) + ".mixer." + name, shape);
            });
}

/// A tied head may be stored once more, but must be the embedding then.
inline void check_tied_head(const Safetensors& file, const std::string& embedding) {
    const Safetensors::Entry& head = file.entry("lm_head.weight");
    const Safetensors::Entry& other = file.entry(embedding);
    require<FileError>(head.dtype == other.dtype && head.shape == other.shape &&
                           std::equal(head.bytes.begin(), head.bytes.end(), other.bytes.begin()),
                       "ssm::load_hugging_face: ", Quoted{file.origin()},
                       ": tensor \"lm_head.weight\": differs from ", Quoted{embedding},
                       ", but config.json says that they are tied");
}

}  // namespace detail

/// Loads a published language model: a folder with config.json and model.safetensors, or its shards
/// with model.safetensors.index.json, of F32, F16 or BF16.
///
///     const auto model = ssm::load_hugging_face<ssm::Mamba<float>>("mamba-130m-hf");
///
/// `Mamba<T>` reads models of type mamba and falcon_mamba, `Mamba2<T>` those of type mamba2; `Mamba<float, Bfloat16>`
/// keeps BF16 weights as they are and rounds others.
///
/// Errors    FileError that names file and tensor, or file and key: for a config that is not supported,
///           for tensors that are missing, not expected, of another shape than config.json says, and for
///           files that are cut or damaged
/// Memory    the model's; the files are mapped
template <class Mixer>
[[nodiscard]] LanguageModel<Mixer> load_hugging_face(const std::filesystem::path& folder) {
    using Layer = detail::HuggingFaceMixer<Mixer>;
    const HuggingFaceConfig config = read_hugging_face_config(folder);
    require<FileError>(Layer::reads(config.family), "ssm::load_hugging_face: ",
                       detail::Quoted{(folder / "config.json").string()},
                       " is of a model with another layer than the one asked for");
    const std::filesystem::path index = folder / "model.safetensors.index.json";
    const Safetensors file(detail::is_there(index) ? index : folder / "model.safetensors");

    const std::string original = "backbone.embedding.weight";
    const bool is_original = file.contains(original);
    const std::string embedding = is_original ? original : names::mamba_embedding;
    detail::check_hugging_face_sizes<Mixer>(file, embedding, config);
    const bool has_copy = config.model.tied && file.contains("lm_head.weight");
    if (has_copy)
        detail::check_tied_head(file, embedding);

    LanguageModel<Mixer> model(config.model, Layer::options(config), Undrawn{});
    LoadOptions options{.allow_unexpected = true};
    options.stored_as = [&embedding](std::string_view weight) {
        return Layer::stored_as(weight, embedding);
    };
    for (const std::string& name : load(model, file, options).unexpected)
        require<FileError>(has_copy && name == "lm_head.weight",
                           "ssm::load_hugging_face: ", detail::Quoted{file.origin()}, ": tensor ",
                           detail::Quoted{name}, ": is not expected in such a model");
    return model;
}

}  // namespace ssm
