#pragma once

#include <concepts>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <ssm/core/weights.hpp>
#include <ssm/io/dtype.hpp>
#include <ssm/io/safetensors_writer.hpp>

namespace ssm {

/// How weights are saved.
struct SaveOptions {
    /// Put before every name, such as "backbone.".
    std::string prefix{};
    /// Name in the file of a weight, before the prefix; none: its own.
    std::function<std::string(std::string_view)> name{};
    /// Number type in the file of weights that are floats, such as `Dtype::bf16`; none: their own.
    std::optional<Dtype> dtype{};
    /// Texts to be kept with the weights.
    std::map<std::string, std::string, std::less<>> metadata{};
};

/// Adds all weights of a value that can be visited to a file about to be written.
///
/// The weights are not copied: `layer` must live, unchanged, until the writer has saved.
template <class L>
void add_weights(SafetensorsWriter& writer, const L& layer, const SaveOptions& options = {}) {
    visit(
        [&](std::string_view name, const WeightTraits&, const auto& weight) {
            using T = typename std::remove_cvref_t<decltype(weight)>::value_type;
            const Dtype own = dtype_of<T>;
            std::string stored = options.name ? options.name(name) : std::string(name);
            writer.add(
                options.prefix + stored,
                std::span<const std::size_t>(weight.extents().begin(), weight.extents().rank()),
                std::span<const T>(weight.flat()),
                std::floating_point<T> ? options.dtype.value_or(own) : own);
        },
        layer);
}

/// Saves all weights of a layer as a safetensors file, complete or not at all: on an error an older
/// file of that name is as it was.
///
///     ssm::save(model, "model.safetensors", {.metadata = {{"epoch", "12"}}});
///
/// Errors    FileError when the file cannot be written; ValueError for two weights of one name, and
///           numbers beyond the range of the chosen dtype
template <class L>
void save(const L& layer, const std::filesystem::path& path, const SaveOptions& options = {}) {
    SafetensorsWriter writer;
    for (const auto& [key, text] : options.metadata)
        writer.add_metadata(key, text);
    add_weights(writer, layer, options);
    writer.save(path);
}

}  // namespace ssm
