#pragma once

#include <concepts>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <ssm/core/weights.hpp>
#include <ssm/io/dtype.hpp>
#include <ssm/io/safetensors_writer.hpp>
#include <ssm/io/stored_as.hpp>

namespace ssm {

/// How weights are saved.
struct SaveOptions {
    /// Put before every name, such as "backbone.".
    std::string prefix{};
    /// Name in the file of a weight, before the prefix; none: its own. An empty name leaves it out.
    std::function<std::string(std::string_view)> name{};
    /// The same to store weights in parts or transposed; used instead of `name` if it is there.
    std::function<StoredAs(std::string_view)> stored_as{};
    /// Number type in the file of weights that are floats, such as `Dtype::bf16`; none: their own.
    std::optional<Dtype> dtype{};
    /// Texts to be kept with the weights.
    std::map<std::string, std::string, std::less<>> metadata{};
};

/// Adds all weights of a value that can be visited to a file about to be written.
///
/// Weights that are stored as they are are not copied: `layer` must live, unchanged, until the writer has saved.
template <class L>
void add_weights(SafetensorsWriter& writer, const L& layer, const SaveOptions& options = {}) {
    visit(
        [&](std::string_view name, const WeightTraits&, const auto& weight) {
            using T = typename std::remove_cvref_t<decltype(weight)>::value_type;
            const Dtype own = dtype_of<T>;
            const Dtype dtype = std::floating_point<T> ? options.dtype.value_or(own) : own;
            const StoredAs stored = options.stored_as ? options.stored_as(name)
                                    : options.name    ? StoredAs(options.name(name))
                                                      : StoredAs(std::string(name));
            if (stored.names.empty())
                return;
            const detail::StoredParts parts(stored, weight.extents());
            for (std::size_t part = 0; part < stored.names.size(); ++part) {
                const std::string full = options.prefix + stored.names[part];
                if (parts.is_plain()) {
                    writer.add(full, std::span(parts.shape()), std::span<const T>(weight.flat()),
                               dtype);
                    continue;
                }
                std::vector<T> numbers(parts.size());
                parts.for_each(part, [&](std::size_t i, std::size_t j) { numbers[j] = weight[i]; });
                writer.add(full, std::span(parts.shape()), std::move(numbers), dtype);
            }
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
