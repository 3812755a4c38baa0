#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/io/detail/convert.hpp>
#include <ssm/io/detail/header.hpp>
#include <ssm/io/detail/json_tokens.hpp>
#include <ssm/io/detail/quoted.hpp>
#include <ssm/io/detail/shard_index.hpp>
#include <ssm/io/dtype.hpp>
#include <ssm/io/mapped_file.hpp>

namespace ssm {

/// A safetensors file, open for reading: one file, or the shards of a
/// `model.safetensors.index.json`.
///
/// The file is not trusted. Before the constructor returns it has seen that the header is well
/// formed, every name unique, every dtype known, every shape as large as its bytes, and that the
/// tensors cover the data section exactly, without gap and overlap. Nothing is allocated but the
/// names and shapes; numbers are read from the mapped file when they are asked for.
///
/// Errors    FileError naming file, tensor, what was found and what was expected
/// Threads   const: any number of threads
/// Source    the format of github.com/huggingface/safetensors, all its dtypes
class Safetensors {
public:
    /// One tensor: `bytes` is little-endian, row-major and as long as `shape` and `dtype` say.
    struct Entry {
        Dtype dtype = Dtype::f32;
        std::vector<std::size_t> shape;
        std::span<const std::byte> bytes;
        std::size_t shard = 0;
    };
    using Entries = std::map<std::string, Entry, std::less<>>;
    using Metadata = std::map<std::string, std::string, std::less<>>;

    /// Opens a file; one whose name ends in `.json` is an index, its shards lie next to it.
    explicit Safetensors(const std::filesystem::path& path);

    /// Reads from memory that outlives this object; `origin` stands for the file in messages.
    Safetensors(std::span<const std::byte> bytes, std::string origin) : origin_(std::move(origin)) {
        add(bytes, origin_, 0);
    }

    /// All tensors, by name.
    [[nodiscard]] const Entries& entries() const noexcept { return entries_; }
    /// The user's texts. Of shards: the union, the first shard's where they differ.
    [[nodiscard]] const Metadata& metadata() const noexcept { return metadata_; }
    /// Name of the file, for messages.
    [[nodiscard]] const std::string& origin() const noexcept { return origin_; }

    [[nodiscard]] bool contains(std::string_view name) const { return entries_.contains(name); }
    [[nodiscard]] const Entry& entry(std::string_view name) const;

    /// Sizes of the tensor as real numbers: the shape, for C64 with a last axis of 2 more.
    [[nodiscard]] std::vector<std::size_t> real_shape(std::string_view name) const;

    /// Why `read<T>(name)` would fail; empty when it would not. Floats take every number type but the
    /// packed ones of 4 and 6 bits, integers take integers and bool. No value is bent to fit: an
    /// integer must be exact in `T`, a finite number finite; only fractions are rounded.
    template <class T>
    [[nodiscard]] std::string misfit(std::string_view name) const;

    /// The numbers as `T`, in `real_shape`.
    template <class T>
    void read(std::string_view name, std::span<T> target) const;
    template <class T>
    [[nodiscard]] std::vector<T> read(std::string_view name) const;
    template <class T>
    [[nodiscard]] Tensor<T> tensor(std::string_view name) const;

    /// Whether the numbers can be used where they are: same type, aligned, same byte order.
    template <class T>
    [[nodiscard]] bool has_view(std::string_view name) const;
    /// The numbers where they are, without a copy; valid while this object lives.
    template <class T>
    [[nodiscard]] std::span<const T> view(std::string_view name) const;

private:
    void add(std::span<const std::byte> bytes, const std::string& file, std::size_t shard);
    static std::string_view header_text(std::span<const std::byte> bytes, const std::string& file);
    /// How many real numbers there are.
    [[nodiscard]] static std::size_t count(const Entry& entry) noexcept {
        return entry.bytes.size() * 8 / (entry.dtype == Dtype::c64 ? 32 : bits_of(entry.dtype));
    }
    void add_entry(const std::string& name, detail::HeaderEntry&& header,
                   std::span<const std::byte> data, const std::string& file, std::size_t shard);
    static void check_cover(const detail::Header& header, std::size_t data,
                            const std::string& file);
    template <class... Parts>
    [[noreturn]] void fail(std::string_view name, const Parts&... parts) const {
        raise<FileError>("ssm::Safetensors: ", detail::Quoted{origin_}, ": tensor ",
                         detail::Quoted{name}, ": ", parts...);
    }

    std::string origin_;
    std::vector<MappedFile> files_;
    Entries entries_;
    Metadata metadata_;
};

// --- opening ------------------------------------------------------------------------------------

inline Safetensors::Safetensors(const std::filesystem::path& path) : origin_(path.string()) {
    if (path.extension() != ".json") {
        files_.emplace_back(path);
        add(files_.back().bytes(), origin_, 0);
        return;
    }
    const detail::ShardIndex index = detail::read_shard_index(path);
    for (std::size_t shard = 0; shard < index.files.size(); ++shard) {
        const std::filesystem::path file = path.parent_path() / index.files[shard];
        files_.emplace_back(file);
        add(files_.back().bytes(), file.string(), shard);
    }
    for (const auto& [name, entry] : entries_) {
        const auto position = index.tensors.find(name);
        if (position == index.tensors.end() || position->second != entry.shard)
            fail(name, "is in shard ", detail::Quoted{index.files[entry.shard]},
                 ", where the index does not say it is");
    }
    for (const auto& [name, shard] : index.tensors)
        if (!entries_.contains(name))
            fail(name, "is not in shard ", detail::Quoted{index.files[shard]},
                 ", where the index says it is");
}

inline std::string_view Safetensors::header_text(std::span<const std::byte> bytes,
                                                 const std::string& file) {
    const detail::Quoted name{file};
    require<FileError>(bytes.size() >= 8, "ssm::Safetensors: ", name, ": has ", bytes.size(),
                       " bytes, expected at least the 8 that hold the length of the header");
    const auto length = detail::load_number<std::uint64_t>(bytes.data());
    require<FileError>(length <= bytes.size() - 8, "ssm::Safetensors: ", name,
                       ": claims a header of ", length, " bytes, but ", bytes.size() - 8,
                       " follow");
    require<FileError>(length <= detail::longest_header, "ssm::Safetensors: ", name,
                       ": a header of ", length, " bytes is longer than the format allows, ",
                       detail::longest_header);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + 8,
                                static_cast<std::size_t>(length));
    // The JSON library would skip a byte order mark and take a zero byte for the end.
    require<FileError>(text.starts_with('{') && text.find('\0') == std::string_view::npos,
                       "ssm::Safetensors: ", name,
                       ": the header does not start with '{', or has a zero byte");
    return text;
}

inline void Safetensors::add(std::span<const std::byte> bytes, const std::string& file,
                             std::size_t shard) {
    const std::string_view text = header_text(bytes, file);
    detail::HeaderParser parser(file);
    detail::read_json_tokens(text, parser);
    const auto data = bytes.subspan(8 + text.size());
    check_cover(parser.result, data.size(), file);
    for (auto& [name, header] : parser.result.tensors)
        add_entry(name, std::move(header), data, file, shard);
    metadata_.merge(parser.result.metadata);
}

inline void Safetensors::check_cover(const detail::Header& header, std::size_t data,
                                     const std::string& file) {
    const detail::Quoted quoted{file};
    std::multimap<std::pair<std::size_t, std::size_t>, std::string_view> ranges;
    for (const auto& [name, entry] : header.tensors) {
        const std::size_t begin = (*entry.offsets)[0];
        const std::size_t end = (*entry.offsets)[1];
        require<FileError>(begin <= end && end <= data, "ssm::Safetensors: ", quoted, ": tensor ",
                           detail::Quoted{name}, ": data_offsets are ", begin, " and ", end, " of ",
                           data, " bytes of data");
        ranges.emplace(std::pair(begin, end), name);
    }
    std::size_t covered = 0;
    for (const auto& [range, name] : ranges) {
        require<FileError>(range.first == covered, "ssm::Safetensors: ", quoted, ": tensor ",
                           detail::Quoted{name}, ": begins at byte ", range.first,
                           " of the data, expected ", covered,
                           range.first < covered ? ": it overlaps another" : ": there is a gap");
        covered = range.second;
    }
    require<FileError>(covered == data, "ssm::Safetensors: ", quoted, ": the tensors take ",
                       covered, " bytes, but the file has ", data, " bytes of data");
}

inline void Safetensors::add_entry(const std::string& name, detail::HeaderEntry&& header,
                                   std::span<const std::byte> data, const std::string& file,
                                   std::size_t shard) {
    const std::size_t bits = bits_of(*header.dtype);
    const std::size_t bytes = (*header.offsets)[1] - (*header.offsets)[0];
    const detail::ShapeText shape{*header.shape};
    const auto require_entry = [&](bool claim, const auto&... parts) {
        require<FileError>(claim, "ssm::Safetensors: ", detail::Quoted{file}, ": tensor ",
                           detail::Quoted{name}, ": ", parts...);
    };
    const auto count = detail::count_numbers(*header.shape, *header.dtype);
    require_entry(count.has_value(), "shape ", shape, " of ", *header.dtype,
                  " does not fit into memory");
    require_entry(*count * bits % 8 == 0 && *count * bits / 8 == bytes, "shape ", shape, " of ",
                  *header.dtype, " takes ", *count * bits, " bits, but data_offsets span ", bytes,
                  " bytes");
    const bool is_new =
        entries_
            .try_emplace(name, Entry{*header.dtype, std::move(*header.shape),
                                     data.subspan((*header.offsets)[0], bytes), shard})
            .second;
    require_entry(is_new, "is in another shard too");
}

// --- reading ------------------------------------------------------------------------------------

inline const Safetensors::Entry& Safetensors::entry(std::string_view name) const {
    const auto position = entries_.find(name);
    if (position == entries_.end())
        fail(name, "is not in the file");
    return position->second;
}

inline std::vector<std::size_t> Safetensors::real_shape(std::string_view name) const {
    const Entry& found = entry(name);
    std::vector<std::size_t> shape = found.shape;
    if (found.dtype == Dtype::c64)
        shape.push_back(2);
    return shape;
}

template <class T>
std::string Safetensors::misfit(std::string_view name) const {
    const Entry& found = entry(name);
    std::ostringstream text;
    bool is_convertible = false;
    detail::with_stored_type(found.dtype, [&]<class S>(std::type_identity<S>) {
        if constexpr (detail::is_convertible<T, S>) {
            is_convertible = true;
            if (const auto misfit = detail::first_misfit<T, S>(found.bytes))
                text << "number " << *misfit << " of dtype " << found.dtype
                     << " is none that fits into " << dtype_of<T>;
        }
    });
    if (!is_convertible)
        text << "has dtype " << found.dtype << ", which is not read as " << dtype_of<T>;
    return text.str();
}

template <class T>
void Safetensors::read(std::string_view name, std::span<T> target) const {
    if (const std::string problem = misfit<T>(name); !problem.empty())
        fail(name, problem);
    const Entry& found = entry(name);
    if (target.size() != count(found))
        fail(name, "has ", count(found), " numbers, the target ", target.size());
    detail::with_stored_type(found.dtype, [&]<class S>(std::type_identity<S>) {
        if constexpr (detail::is_convertible<T, S>)
            detail::load_numbers<T, S>(found.bytes, target);
    });
}

template <class T>
std::vector<T> Safetensors::read(std::string_view name) const {
    if (const std::string problem = misfit<T>(name); !problem.empty())
        fail(name, problem);
    std::vector<T> numbers(count(entry(name)));
    read(name, std::span<T>(numbers));
    return numbers;
}

template <class T>
Tensor<T> Safetensors::tensor(std::string_view name) const {
    const std::vector<std::size_t> shape = real_shape(name);
    if (shape.size() > Extents::max_rank)
        fail(name, "has ", shape.size(), " axes, a Tensor at most ", Extents::max_rank);
    if (const std::string problem = misfit<T>(name); !problem.empty())
        fail(name, problem);
    Tensor<T> result{Extents(shape)};
    read(name, result.flat());
    return result;
}

template <class T>
bool Safetensors::has_view(std::string_view name) const {
    const Entry& found = entry(name);
    return std::endian::native == std::endian::little && found.dtype == dtype_of<T> &&
           std::bit_cast<std::uintptr_t>(found.bytes.data()) % alignof(T) == 0;
}

template <class T>
std::span<const T> Safetensors::view(std::string_view name) const {
    static_assert(!std::is_same_v<T, bool>,
                  "ssm: a byte of a file may be no valid bool; view it as bytes");
    if (!has_view<T>(name))
        fail(name, "dtype ", entry(name).dtype, " in the file is not ", dtype_of<T>,
             " or not aligned for it; read a copy instead");
    const Entry& found = entry(name);
    return {reinterpret_cast<const T*>(found.bytes.data()), found.bytes.size() / sizeof(T)};
}

}  // namespace ssm
