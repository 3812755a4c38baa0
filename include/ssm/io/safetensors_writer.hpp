#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <ssm/core/error.hpp>
#include <ssm/io/detail/atomic_file.hpp>
#include <ssm/io/detail/convert.hpp>
#include <ssm/io/detail/header.hpp>
#include <ssm/io/detail/quoted.hpp>
#include <ssm/io/dtype.hpp>

namespace ssm {

/// Collects tensors and texts and writes them as one safetensors file.
///
/// The numbers of a span are not copied: they must live, and keep their place, until `save`. The same
/// content is always the same bytes: wide numbers first, so that every tensor is aligned, then by
/// name; texts by key; the header padded to 8 bytes.
///
/// Errors    ValueError for a name used twice or not UTF-8, and for numbers that the dtype cannot
///           hold; FileError when the file cannot be written. The old file is then as it was.
class SafetensorsWriter {
public:
    /// Adds a tensor. Floats may be stored as any float dtype, rounded to nearest; integers and bool
    /// as themselves.
    template <class T>
    void add(std::string name, std::span<const std::size_t> shape, std::span<const T> numbers,
             Dtype stored = dtype_of<T>);

    /// The same with numbers that the writer keeps.
    template <class T>
    void add(std::string name, std::span<const std::size_t> shape, std::vector<T> numbers,
             Dtype stored = dtype_of<T>) {
        const auto kept = std::make_shared<const std::vector<T>>(std::move(numbers));
        add(std::move(name), shape, std::span<const T>(*kept), stored);
        kept_.push_back(kept);
    }

    /// Adds a text of the user's.
    void add_metadata(std::string key, std::string text);

    /// Writes the file: complete under its name, or not at all.
    void save(const std::filesystem::path& path) const;

    /// Writes the same to a file whose owner commits it.
    void write(detail::AtomicFile& file) const;

private:
    struct Part {
        std::string name;
        Dtype dtype;
        std::vector<std::size_t> shape;
        std::size_t bytes;
        std::function<void(detail::AtomicFile&)> write;
    };

    static std::string quoted_json(const std::string& text);
    // Wide numbers first keeps every tensor aligned.
    static bool comes_before(const Part* a, const Part* b) {
        const std::size_t bits_a = bits_of(a->dtype);
        const std::size_t bits_b = bits_of(b->dtype);
        return bits_a != bits_b ? bits_a > bits_b : a->name < b->name;
    }
    [[nodiscard]] std::string header(std::span<const Part* const> parts) const;

    std::map<std::string, Part, std::less<>> parts_;
    std::vector<std::shared_ptr<const void>> kept_;
    std::map<std::string, std::string, std::less<>> metadata_;
};

namespace detail {

/// Calls `function(std::type_identity<S>{})` for the type `S` in which numbers of type `T` are stored
/// as `dtype`; false when they cannot be.
template <class T, class Function>
bool with_target_type(Dtype dtype, Function&& function) {
    if (dtype == dtype_of<T>) {
        function(std::type_identity<T>{});
        return true;
    }
    bool is_known = false;
    if constexpr (std::floating_point<T>)
        with_stored_type(dtype, [&]<class S>(std::type_identity<S> type) {
            if constexpr (!is_stored_integer<S> && !std::same_as<S, StoredPowerOfTwo>) {
                is_known = dtype != Dtype::c64;
                if (is_known)
                    function(type);
            }
        });
    return is_known;
}

/// Writes the numbers in blocks, converted.
template <class S, class T>
void write_numbers(std::span<const T> numbers, AtomicFile& file) {
    std::array<std::byte, 4096> block;
    constexpr std::size_t most = block.size() / sizeof(S);
    while (!numbers.empty()) {
        const std::size_t count = std::min(most, numbers.size());
        store_numbers<S>(numbers.first(count), block.data());
        file.write(std::span<const std::byte>(block).first(count * sizeof(S)));
        numbers = numbers.subspan(count);
    }
}

}  // namespace detail

template <class T>
void SafetensorsWriter::add(std::string name, std::span<const std::size_t> shape,
                            std::span<const T> numbers, Dtype stored) {
    const auto require_part = [&name](bool claim, const auto&... parts) {
        require<ValueError>(claim, "ssm::SafetensorsWriter: tensor ", detail::Quoted{name}, ": ",
                            parts...);
    };
    require_part(detail::count_numbers(shape, stored) == numbers.size(), "shape ",
                 detail::ShapeText{shape}, " but ", numbers.size(), " numbers");
    require_part(name != "__metadata__" && !parts_.contains(name), "the name is taken");
    static_cast<void>(quoted_json(name));

    Part part{name, stored, {shape.begin(), shape.end()}, numbers.size() * bits_of(stored) / 8, {}};
    const bool is_storable =
        detail::with_target_type<T>(stored, [&]<class S>(std::type_identity<S>) {
            if constexpr (!std::same_as<S, T>) {
                const auto misfit =
                    std::find_if_not(numbers.begin(), numbers.end(), detail::fits_stored<S, T>);
                require_part(misfit == numbers.end(), "number ", misfit - numbers.begin(),
                             " is beyond the range of ", stored);
            }
            part.write = [numbers](detail::AtomicFile& file) {
                detail::write_numbers<S>(numbers, file);
            };
        });
    require_part(is_storable, dtype_of<T>, " cannot be stored as ", stored);
    parts_.emplace(std::move(name), std::move(part));
}

inline void SafetensorsWriter::add_metadata(std::string key, std::string text) {
    static_cast<void>(quoted_json(key));
    static_cast<void>(quoted_json(text));
    const bool is_new = metadata_.emplace(key, std::move(text)).second;
    require<ValueError>(is_new, "ssm::SafetensorsWriter: text ", detail::Quoted{key},
                        ": the name is taken");
}

inline void SafetensorsWriter::save(const std::filesystem::path& path) const {
    detail::AtomicFile file(path);
    write(file);
    file.commit();
}

inline void SafetensorsWriter::write(detail::AtomicFile& file) const {
    std::vector<const Part*> parts;
    for (const auto& [name, part] : parts_)
        parts.push_back(&part);
    std::sort(parts.begin(), parts.end(), comes_before);
    const std::string text = header(parts);
    std::array<std::byte, 8> length;
    detail::store_number<std::uint64_t>(text.size(), length.data());

    file.write(length);
    file.write(std::as_bytes(std::span(text)));
    for (const Part* part : parts)
        part->write(file);
}

inline std::string SafetensorsWriter::header(std::span<const Part* const> parts) const {
    std::string text = "{";
    const auto open_member = [&text](const std::string& name) {
        text += (text.back() == '{' ? "" : ",") + quoted_json(name) + ":";
    };
    if (!metadata_.empty()) {
        open_member("__metadata__");
        text += "{";
        for (const auto& [key, value] : metadata_) {
            open_member(key);
            text += quoted_json(value);
        }
        text += "}";
    }
    std::size_t begin = 0;
    for (const Part* part : parts) {
        open_member(part->name);
        text += "{\"dtype\":\"" + std::string(name_of(part->dtype)) + "\",\"shape\":[";
        for (std::size_t axis = 0; axis < part->shape.size(); ++axis)
            text += (axis == 0 ? "" : ",") + std::to_string(part->shape[axis]);
        text += "],\"data_offsets\":[" + std::to_string(begin) + "," +
                std::to_string(begin + part->bytes) + "]}";
        begin += part->bytes;
    }
    text += "}";
    text.append((8 - text.size() % 8) % 8, ' ');
    require<ValueError>(text.size() <= detail::longest_header,
                        "ssm::SafetensorsWriter: names and "
                        "texts take ",
                        text.size(), " bytes, the format allows ", detail::longest_header);
    return text;
}

inline std::string SafetensorsWriter::quoted_json(const std::string& text) {
    // Bytes that are no UTF-8 are left out by one handler and replaced by the other; neither throws.
    using Handler = nlohmann::json::error_handler_t;
    const nlohmann::json json(text);
    std::string result = json.dump(-1, ' ', false, Handler::ignore);
    require<ValueError>(result == json.dump(-1, ' ', false, Handler::replace),
                        "ssm::SafetensorsWriter: ", detail::Quoted{text}, " is not UTF-8");
    return result;
}

}  // namespace ssm
