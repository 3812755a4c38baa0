#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <ssm/core/error.hpp>
#include <ssm/io/detail/json_tokens.hpp>
#include <ssm/io/detail/quoted.hpp>
#include <ssm/io/mapped_file.hpp>

namespace ssm::detail {

/// What a `model.safetensors.index.json` says: the shards' file names, and which tensor is in
/// which.
struct ShardIndex {
    std::vector<std::string> files;
    std::map<std::string, std::size_t, std::less<>> tensors;
};

/// Whether a text is the name of a file in the same folder, on any system: no separators, no drive,
/// not a folder.
[[nodiscard]] inline bool is_plain_file_name(std::string_view name) noexcept {
    const auto is_bad = [](char c) {
        return c == '/' || c == '\\' || c == ':' || static_cast<unsigned char>(c) < 0x20;
    };
    return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
           std::none_of(name.begin(), name.end(), is_bad);
}

/// Reads `weight_map`, an object of strings, out of the index; other members may be anything.
class ShardIndexParser final : public nlohmann::json_sax<nlohmann::json> {
public:
    explicit ShardIndexParser(std::string_view file) : file_(file) {}

    ShardIndex result;
    bool has_weight_map = false;

    bool start_object(std::size_t) override { return enter(true); }
    bool end_object() override { return leave(); }
    bool start_array(std::size_t) override { return enter(false); }
    bool end_array() override { return leave(); }
    bool key(std::string& text) override {
        if (depth_ == 1) {
            in_weight_map_ = text == "weight_map";
            if (in_weight_map_ && std::exchange(has_weight_map, true))
                fail("weight_map appears twice");
        } else if (in_weight_map_) {
            name_ = text;
            if (result.tensors.contains(text))
                fail("tensor ", Quoted{text}, " appears twice in weight_map");
        }
        return true;
    }
    bool string(std::string& text) override {
        if (!in_weight_map_ || depth_ != 2)
            return scalar();
        if (!is_plain_file_name(text))
            fail("tensor ", Quoted{name_}, ": shard ", Quoted{text},
                 " is not the name of a file in the folder of the index");
        const auto [position, is_new] = numbers_.try_emplace(text, result.files.size());
        if (is_new)
            result.files.push_back(text);
        result.tensors.emplace(name_, position->second);
        return true;
    }
    bool null() override { return scalar(); }
    bool boolean(bool) override { return scalar(); }
    bool number_integer(std::int64_t) override { return scalar(); }
    bool number_unsigned(std::uint64_t) override { return scalar(); }
    bool number_float(double, const std::string&) override { return scalar(); }
    bool binary(nlohmann::json::binary_t&) override { return scalar(); }
    bool parse_error(std::size_t position, const std::string&,
                     const nlohmann::json::exception& error) override {
        fail("is not JSON at byte ", position, ": ", Quoted{error.what()});
    }

private:
    static constexpr std::size_t deepest = 32;

    bool enter(bool is_object) {
        if (!is_object)
            scalar();
        if (is_object && in_weight_map_ && depth_ != 1)
            fail("weight_map has an object, expected names of files");
        if (++depth_ > deepest)
            fail("is nested more than ", deepest, " deep");
        return true;
    }
    bool leave() {
        --depth_;
        return true;
    }
    bool scalar() const {
        if (depth_ == 0 || in_weight_map_)
            fail("weight_map has something other than names of files");
        return true;
    }
    template <class... Parts>
    [[noreturn]] void fail(const Parts&... parts) const {
        raise<FileError>("ssm::Safetensors: index ", Quoted{file_}, ": ", parts...);
    }

    std::string_view file_;
    std::map<std::string, std::size_t, std::less<>> numbers_;
    std::string name_;
    std::size_t depth_ = 0;
    bool in_weight_map_ = false;
};

[[nodiscard]] inline ShardIndex read_shard_index(const std::filesystem::path& path) {
    const std::string file = path.string();
    const MappedFile mapped(path);
    const std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()),
                                mapped.bytes().size());
    require<FileError>(text.size() <= 100'000'000 && text.find('\0') == std::string_view::npos,
                       "ssm::Safetensors: index ", Quoted{file},
                       ": is longer than 100 MB or has a zero byte");
    ShardIndexParser parser(file);
    read_json_tokens(text, parser);
    require<FileError>(parser.has_weight_map && !parser.result.tensors.empty(),
                       "ssm::Safetensors: index ", Quoted{file}, ": has no weight_map");
    return std::move(parser.result);
}

}  // namespace ssm::detail
