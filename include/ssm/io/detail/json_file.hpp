#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <ssm/core/error.hpp>
#include <ssm/io/detail/atomic_file.hpp>
#include <ssm/io/detail/quoted.hpp>
#include <ssm/io/mapped_file.hpp>

namespace ssm::detail {

/// A value somewhere in a JSON file that is not trusted. Knows its place, for messages; a value that is
/// asked for and has another type is an error, one that is missing takes the default.
class JsonField {
public:
    JsonField(const nlohmann::json* value, std::string file, std::string path)
        : value_(value), file_(std::move(file)), path_(std::move(path)) {}

    /// Raises FileError with the place of this value.
    template <class... Parts>
    [[noreturn]] void fail(const Parts&... parts) const {
        if (path_.empty())
            raise<FileError>("ssm: ", Quoted{file_}, ": ", parts...);
        raise<FileError>("ssm: ", Quoted{file_}, ": ", Quoted{path_}, " ", parts...);
    }

    /// Neither missing nor null.
    [[nodiscard]] bool is_given() const noexcept { return value_ != nullptr && !value_->is_null(); }
    [[nodiscard]] bool is_object() const noexcept { return is_given() && value_->is_object(); }
    [[nodiscard]] bool is_array() const noexcept { return is_given() && value_->is_array(); }
    [[nodiscard]] bool is_text() const noexcept { return is_given() && value_->is_string(); }
    [[nodiscard]] const std::string& file() const noexcept { return file_; }

    /// The member of that name, perhaps missing.
    [[nodiscard]] JsonField operator[](const std::string& key) const {
        if (is_given() && !is_object())
            fail_type("an object");
        const std::string path = path_.empty() ? key : path_ + "." + key;
        if (!is_given() || !value_->contains(key))
            return {nullptr, file_, path};
        return {&value_->at(key), file_, path};
    }
    /// Calls `function(name, member)` for all members of an object.
    template <class Function>
    void for_each_member(Function&& function) const {
        if (!is_object())
            fail_type("an object");
        for (const auto& [key, member] : value_->items())
            function(key, JsonField(&member, file_, path_ + "." + key));
    }
    [[nodiscard]] std::size_t size() const {
        if (!is_array())
            fail_type("an array");
        return value_->size();
    }
    [[nodiscard]] JsonField at(std::size_t i) const {
        if (i >= size())
            fail("has ", size(), " elements, expected more");
        return {&(*value_)[i], file_, path_ + "[" + std::to_string(i) + "]"};
    }

    [[nodiscard]] std::string text() const {
        if (!is_text())
            fail_type("a string");
        return value_->get<std::string>();
    }
    [[nodiscard]] std::string text(std::string_view missing) const {
        return is_given() ? text() : std::string(missing);
    }
    [[nodiscard]] bool flag(bool missing) const {
        if (!is_given())
            return missing;
        if (!value_->is_boolean())
            fail_type("true or false");
        return value_->get<bool>();
    }
    [[nodiscard]] double real(double missing) const {
        if (!is_given())
            return missing;
        if (!value_->is_number())
            fail_type("a number");
        return value_->get<double>();
    }
    /// An integer from 0.
    [[nodiscard]] std::size_t count() const {
        if (!is_given() || !value_->is_number_unsigned())
            fail_type("an integer from 0");
        const auto number = value_->get<std::uint64_t>();
        if (!std::in_range<std::size_t>(number))
            fail("is ", number, ", more than this computer can address");
        return static_cast<std::size_t>(number);
    }
    /// An integer from 1.
    [[nodiscard]] std::size_t size_of() const {
        if (count() == 0)
            fail("is 0, expected an integer from 1");
        return count();
    }
    [[nodiscard]] std::size_t size_of(std::size_t missing) const {
        return is_given() ? size_of() : missing;
    }

    [[noreturn]] void fail_type(const char* expected) const {
        if (!is_given())
            fail("is missing, expected ", expected);
        fail("is ", value_->type_name(), ", expected ", expected);
    }

private:
    const nlohmann::json* value_;  ///< null: missing
    std::string file_;
    std::string path_;  ///< of names from the root, with dots
};

/// Puts the bare Infinity that Python writes, which is not JSON, into quotes.
[[nodiscard]] inline std::string with_quoted_infinity(std::string_view text) {
    constexpr std::string_view word = "Infinity";
    std::string result;
    bool is_inside = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (is_inside && text[i] == '\\' && i + 1 < text.size()) {
            result.append(text.substr(i++, 2));
        } else if (!is_inside && text.substr(i).starts_with(word)) {
            result.append("\"Infinity\"");
            i += word.size() - 1;
        } else {
            is_inside = is_inside != (text[i] == '"');
            result.push_back(text[i]);
        }
    }
    return result;
}

/// Writes JSON to a file. A text "Infinity" becomes the bare word that Python reads as a number.
///
/// Errors    FileError when it cannot be written
inline void write_json(AtomicFile& file, const nlohmann::json& root) {
    constexpr std::string_view quoted = "\"Infinity\"";
    std::string text = root.dump(2) + "\n";
    for (std::size_t at = 0; (at = text.find(quoted, at)) != text.npos;)
        text.replace(at, quoted.size(), "Infinity");
    file.write(std::as_bytes(std::span(text)));
}

/// Writes a JSON file, complete or not at all.
///
/// Errors    FileError when it cannot be written; the old file is then as it was
inline void write_json(const std::filesystem::path& path, const nlohmann::json& root) {
    AtomicFile file(path);
    write_json(file, root);
    file.commit();
}

/// A JSON file in memory.
///
/// Errors    FileError when it cannot be read, is longer than 256 MB, or is not JSON
class JsonFile {
public:
    explicit JsonFile(const std::filesystem::path& path) : file_(path.string()) {
        const MappedFile mapped(path);
        const std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()),
                                    mapped.bytes().size());
        require<FileError>(text.size() <= (std::size_t{1} << 28U), "ssm: ", Quoted{file_}, ": has ",
                           text.size(), " bytes, more than is read as JSON");
        // The JSON library would take a zero byte for the end.
        require<FileError>(text.find('\0') == std::string_view::npos, "ssm: ", Quoted{file_},
                           ": has a zero byte");
        root_ = nlohmann::json::parse(with_quoted_infinity(text), nullptr, false);
        require<FileError>(!root_.is_discarded(), "ssm: ", Quoted{file_},
                           ": is not valid JSON, or ", "not to its end");
    }

    [[nodiscard]] JsonField root() const { return {&root_, file_, ""}; }

private:
    std::string file_;
    nlohmann::json root_;
};

}  // namespace ssm::detail
