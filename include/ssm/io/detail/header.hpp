#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <ssm/core/error.hpp>
#include <ssm/io/detail/quoted.hpp>
#include <ssm/io/dtype.hpp>

namespace ssm::detail {

/// The format's own limit for the header, in bytes.
inline constexpr std::size_t longest_header = 100'000'000;

/// How many numbers a shape has; none when that many of the dtype do not fit into memory.
[[nodiscard]] inline std::optional<std::size_t> count_numbers(std::span<const std::size_t> shape,
                                                              Dtype dtype) noexcept {
    const std::size_t most = std::numeric_limits<std::size_t>::max() / 8 / bits_of(dtype);
    std::size_t count = 1;
    for (const std::size_t size : shape) {
        if (size != 0 && count > most / size)
            return std::nullopt;
        count *= size;
    }
    return count;
}

/// What the header says of one tensor. Offsets are (begin, end) from the first byte of data.
struct HeaderEntry {
    std::optional<Dtype> dtype;
    std::optional<std::vector<std::size_t>> shape;
    std::optional<std::vector<std::size_t>> offsets;
};

/// The header of a safetensors file; what it takes is proportional to the header's text.
struct Header {
    std::map<std::string, HeaderEntry, std::less<>> tensors;
    std::map<std::string, std::string, std::less<>> metadata;
};

/// Reads the header of a file as a stream of tokens, so that duplicates are seen and nothing is
/// stored that does not belong. Every token has one place where it may stand, which also bounds the
/// depth. Everything else raises FileError.
class HeaderParser final : public nlohmann::json_sax<nlohmann::json> {
public:
    explicit HeaderParser(std::string_view file) : file_(file) {}

    Header result;

    bool start_object(std::size_t) override {
        if (place_ == Place::start)
            place_ = Place::file;
        else if (place_ == Place::file)
            place_ = entry_ == nullptr ? Place::metadata : Place::tensor;
        else
            refuse("an object");
        return true;
    }
    bool key(std::string& text) override {
        key_ = text;
        if (place_ == Place::file)
            open(text);
        else if (place_ == Place::metadata && result.metadata.contains(text))
            fail("key ", Quoted{text}, " appears twice");
        else if (place_ == Place::tensor)
            open_field(text);
        return true;
    }
    bool end_object() override {
        if (place_ == Place::tensor)
            check_complete();
        place_ = place_ == Place::file ? Place::end : Place::file;
        return true;
    }
    bool string(std::string& text) override {
        if (place_ == Place::metadata) {
            result.metadata.emplace(key_, std::move(text));
        } else if (place_ == Place::tensor && key_ == "dtype") {
            entry_->dtype = parse_dtype(text);
            if (!entry_->dtype)
                fail("dtype ", Quoted{text}, " is unknown");
        } else {
            refuse("a string");
        }
        return true;
    }
    bool start_array(std::size_t) override {
        if (place_ != Place::tensor || key_ == "dtype")
            refuse("an array");
        numbers_ = &(key_ == "shape" ? entry_->shape : entry_->offsets).emplace();
        place_ = Place::numbers;
        return true;
    }
    bool end_array() override {
        place_ = Place::tensor;
        return true;
    }
    bool number_unsigned(std::uint64_t number) override {
        if (place_ != Place::numbers)
            refuse("a number");
        if (numbers_->size() == longest_list)
            fail(key_, " has more than ", longest_list, " numbers");
        if (!std::in_range<std::size_t>(number))
            fail(key_, " has ", number, ", more than this computer can address");
        numbers_->push_back(static_cast<std::size_t>(number));
        return true;
    }
    bool number_float(double, const std::string& text) override {
        fail("found number ", Quoted{text}, ", expected an integer below 2^64");
    }
    bool number_integer(std::int64_t) override { refuse("a negative number"); }
    bool null() override { refuse("null"); }
    bool boolean(bool) override { refuse("a boolean"); }
    bool binary(nlohmann::json::binary_t&) override { refuse("binary data"); }
    bool parse_error(std::size_t position, const std::string&,
                     const nlohmann::json::exception& error) override {
        raise<FileError>("ssm::Safetensors: ", Quoted{file_},
                         ": the header is not JSON at its byte ", position, ": ",
                         Quoted{error.what()});
    }

private:
    enum class Place { start, file, metadata, tensor, numbers, end };
    static constexpr std::size_t longest_list = 64;

    void open(const std::string& name) {
        name_ = name;
        entry_ = nullptr;
        bool is_new = false;
        if (name == "__metadata__") {
            is_new = !std::exchange(has_metadata_, true);
        } else {
            const auto [position, inserted] = result.tensors.try_emplace(name);
            entry_ = &position->second;
            is_new = inserted;
        }
        if (!is_new)
            fail("the name appears twice");
    }
    void open_field(const std::string& field) {
        if (field != "dtype" && field != "shape" && field != "data_offsets")
            fail("unknown field ", Quoted{field});
        if (field == "dtype"   ? entry_->dtype.has_value()
            : field == "shape" ? entry_->shape.has_value()
                               : entry_->offsets.has_value())
            fail(field, " appears twice");
    }
    void check_complete() const {
        if (!entry_->dtype || !entry_->shape || !entry_->offsets)
            fail(!entry_->dtype   ? "dtype"
                 : !entry_->shape ? "shape"
                                  : "data_offsets",
                 " is missing");
        if (entry_->offsets->size() != 2)
            fail("data_offsets has ", entry_->offsets->size(), " numbers, expected 2");
    }
    [[noreturn]] void refuse(const char* found) const {
        const char* const expected[] = {
            "an object of tensors", "an object with dtype, shape and data_offsets",
            "strings only",         "a dtype string and arrays of integers",
            "integers from 0",      "nothing more"};
        fail("found ", found, ", expected ", expected[static_cast<std::size_t>(place_)]);
    }
    template <class... Parts>
    [[noreturn]] void fail(const Parts&... parts) const {
        if (place_ == Place::start)
            raise<FileError>("ssm::Safetensors: ", Quoted{file_}, ": header: ", parts...);
        raise<FileError>("ssm::Safetensors: ", Quoted{file_}, ": tensor ", Quoted{name_}, ": ",
                         parts...);
    }

    std::string_view file_;
    std::string name_;
    std::string key_;
    HeaderEntry* entry_ = nullptr;
    std::vector<std::size_t>* numbers_ = nullptr;
    Place place_ = Place::start;
    bool has_metadata_ = false;
};

}  // namespace ssm::detail
