#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/io/detail/bpe.hpp>
#include <ssm/io/detail/byte_level.hpp>
#include <ssm/io/detail/json_file.hpp>
#include <ssm/io/detail/quoted.hpp>
#include <ssm/io/detail/unicode.hpp>

namespace ssm {

/// Puts the bytes of tokens, which may end inside a character, together to valid UTF-8. What cannot
/// become valid is replaced by U+FFFD, as Unicode recommends.
class Utf8Stream {
public:
    /// The characters that are complete now.
    [[nodiscard]] std::string push(std::string_view bytes) {
        waiting_.append(bytes);
        std::string text;
        std::string_view rest = waiting_;
        while (!rest.empty()) {
            const detail::Utf8Character next = detail::read_utf8(rest);
            if (next.is_cut)
                break;
            detail::append_utf8(text, next.code);
            rest.remove_prefix(next.bytes);
        }
        waiting_ = std::string(rest);
        return text;
    }
    /// What is left at the end of a text.
    [[nodiscard]] std::string finish() {
        const bool is_cut = !std::exchange(waiting_, {}).empty();
        std::string text;
        if (is_cut)
            detail::append_utf8(text, detail::replacement_character);
        return text;
    }

private:
    std::string waiting_;
};

/// Bytes as tokens 0 to 255.
struct ByteTokenizer {
    [[nodiscard]] static constexpr std::size_t size() noexcept { return 256; }
    [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text) const {
        std::vector<std::int32_t> tokens;
        for (const char c : text)
            tokens.push_back(static_cast<std::uint8_t>(c));
        return tokens;
    }
    /// The byte of a token; empty for others.
    [[nodiscard]] std::string bytes(std::int32_t token) const {
        return token >= 0 && token < 256 ? std::string(1, static_cast<char>(token)) : std::string();
    }
};

/// A byte-level BPE tokenizer as published in `tokenizer.json`: that of GPT-NeoX, which Mamba uses, and its
/// relatives.
///
///   tokens of the file that are found in the text | NFC | tokens found in the normalised text |
///   pieces: contractions, words, numbers, signs, white space | bytes | merges of neighbours
///
/// Encoding a text and decoding it gives the text, in NFC where the file asks for it. Nothing is added
/// at begin or end. Bytes that are not UTF-8 are read as U+FFFD, one for each start of a character.
///
/// Errors    FileError that names file and place: for a file that is damaged, or asks for other components
///           than these; ValueError for a text with a byte, and for an id, that the vocabulary does not have
/// Cost      n log n in the length of a piece, without regular expressions
/// Threads   const: any number of threads
/// Source    the format of github.com/huggingface/tokenizers; Unicode 14
class Tokenizer {
public:
    explicit Tokenizer(const std::filesystem::path& path);

    [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text) const;

    /// The text of tokens, as valid UTF-8; special ones can be left out.
    [[nodiscard]] std::string decode(std::span<const std::int32_t> tokens,
                                     bool skips_special = false) const {
        Utf8Stream stream;
        std::string text;
        for (const std::int32_t token : tokens)
            if (!skips_special || !is_special(token))
                text += stream.push(bytes(token));
        return text + stream.finish();
    }
    /// What a token stands for; not always valid UTF-8.
    [[nodiscard]] const std::string& bytes(std::int32_t token) const {
        const auto found = bytes_.find(token);
        require<ValueError>(found != bytes_.end(), "ssm::Tokenizer: there is no token ", token);
        return found->second;
    }
    [[nodiscard]] bool is_special(std::int32_t token) const noexcept {
        return std::any_of(added_.begin(), added_.end(), [token](const Added& added) {
            return added.token == token && added.is_special;
        });
    }
    /// The token that is written so in the file, such as "<|endoftext|>".
    [[nodiscard]] std::optional<std::int32_t> find(std::string_view name) const {
        const auto found = vocabulary_.find(std::string(name));
        return found == vocabulary_.end() ? std::nullopt : std::optional(found->second);
    }
    /// One more than the largest token.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    /// A token that is found in the text itself.
    struct Added {
        std::u32string content;
        std::int32_t token;
        bool is_normalized;
        bool is_special;
    };

    void check_components(const detail::JsonField& root);
    void read_vocabulary(const detail::JsonField& model);
    void read_merges(const detail::JsonField& model);
    void read_added(const detail::JsonField& list);
    void add_token(const detail::JsonField& place, const std::string& name, std::int32_t token);
    [[nodiscard]] static std::int32_t token_of(const detail::JsonField& field);
    static std::string bytes_of_name(const std::string& name);

    /// Calls `piece(text between)` and `token(id)` in the order of the text.
    template <class Piece, class Token>
    void split(std::u32string_view text, bool is_normalized, Piece&& piece, Token&& token) const;
    void encode_words(std::u32string_view text, std::vector<std::int32_t>& tokens) const;

    bool has_nfc_ = false;
    std::size_t size_ = 0;
    std::unordered_map<std::string, std::int32_t> vocabulary_;
    std::unordered_map<std::int32_t, std::string> bytes_;
    std::array<std::int32_t, 256> byte_tokens_{};  ///< -1: none
    detail::PairMerges merges_;
    std::vector<Added> added_;  ///< longest first
};

// --- reading ------------------------------------------------------------------------------------

inline Tokenizer::Tokenizer(const std::filesystem::path& path) {
    const detail::JsonFile file(path);
    const detail::JsonField root = file.root();
    check_components(root);
    read_vocabulary(root["model"]);
    read_merges(root["model"]);
    if (root["added_tokens"].is_given())
        read_added(root["added_tokens"]);
}

namespace detail {

/// Refuses components of a tokenizer that would do something else.
inline void require_type(const JsonField& component, std::string_view expected) {
    if (const std::string type = component["type"].text(); type != expected)
        component["type"].fail("is ", Quoted{type}, "; supported is ", Quoted{expected});
}

inline void require_absent(const JsonField& field) {
    if (field.is_given() && !(field.is_text() && field.text().empty()))
        field.fail("is given, which is not supported");
}

inline void require_false(const JsonField& field) {
    if (field.flag(false))
        field.fail("is true, which is not supported");
}

/// A template is fine when it adds no token.
inline void check_post_processor(const JsonField& processor) {
    if (!processor.is_given())
        return;
    if (processor["type"].text() != "TemplateProcessing") {
        require_type(processor, "ByteLevel");
        return;
    }
    const JsonField parts = processor["single"];
    for (std::size_t i = 0; i < parts.size(); ++i)
        if (!parts.at(i)["Sequence"].is_given())
            parts.at(i).fail("adds a token, which is not supported");
}

}  // namespace detail

inline void Tokenizer::check_components(const detail::JsonField& root) {
    for (const char* key : {"truncation", "padding"})
        detail::require_absent(root[key]);
    has_nfc_ = root["normalizer"].is_given();
    if (has_nfc_)
        detail::require_type(root["normalizer"], "NFC");
    const detail::JsonField cutter = root["pre_tokenizer"];
    detail::require_type(cutter, "ByteLevel");
    detail::require_false(cutter["add_prefix_space"]);
    if (!cutter["use_regex"].flag(true))
        cutter["use_regex"].fail("is false, which is not supported");
    detail::require_type(root["decoder"], "ByteLevel");
    detail::check_post_processor(root["post_processor"]);

    const detail::JsonField model = root["model"];
    if (model["type"].is_given())
        detail::require_type(model, "BPE");
    for (const char* key :
         {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"})
        detail::require_absent(model[key]);
    for (const char* key : {"byte_fallback", "ignore_merges"})
        detail::require_false(model[key]);
}

inline std::int32_t Tokenizer::token_of(const detail::JsonField& field) {
    constexpr std::size_t most = 1U << 24U;
    if (field.count() >= most)
        field.fail("is ", field.count(), ", expected a token below ", most);
    return static_cast<std::int32_t>(field.count());
}

/// The bytes of an ordinary token's name, whose characters stand for bytes.
inline std::string Tokenizer::bytes_of_name(const std::string& name) {
    std::string bytes;
    for (const char32_t symbol : detail::from_utf8(name)) {
        const auto byte = detail::byte_symbols.byte(symbol);
        if (!byte)
            return name;
        bytes.push_back(static_cast<char>(*byte));
    }
    return bytes;
}

inline void Tokenizer::add_token(const detail::JsonField& place, const std::string& name,
                                 std::int32_t token) {
    const auto [position, is_new] = vocabulary_.try_emplace(name, token);
    if (!is_new && position->second != token)
        place.fail("gives ", detail::Quoted{name}, " the token ", token, ", but it is ",
                   position->second, " already");
    if (is_new && !bytes_.try_emplace(token, bytes_of_name(name)).second)
        place.fail("gives ", detail::Quoted{name}, " the token ", token,
                   ", which is another's already");
    size_ = std::max(size_, static_cast<std::size_t>(token) + 1);
}

inline void Tokenizer::read_vocabulary(const detail::JsonField& model) {
    model["vocab"].for_each_member([this](const std::string& name, const detail::JsonField& field) {
        add_token(field, name, token_of(field));
    });
    for (std::size_t byte = 0; byte < 256; ++byte) {
        std::string name;
        detail::append_utf8(name, detail::byte_symbols.symbol(static_cast<std::uint8_t>(byte)));
        byte_tokens_[byte] = find(name).value_or(-1);
    }
}

inline void Tokenizer::read_merges(const detail::JsonField& model) {
    const detail::JsonField list = model["merges"];
    for (std::size_t i = 0; i < list.size(); ++i) {
        const detail::JsonField merge = list.at(i);
        std::string left, right;
        if (merge.is_array()) {
            left = merge.at(0).text();
            right = merge.at(1).text();
        } else {
            const std::string both = merge.text();
            const std::size_t space = std::min(both.find(' '), both.size());
            left = both.substr(0, space);
            right = both.substr(std::min(space + 1, both.size()));
        }
        const auto token = [&](const std::string& name) {
            const auto found = find(name);
            if (!found)
                merge.fail("needs ", detail::Quoted{name}, ", which is not in the vocabulary");
            return *found;
        };
        const std::int32_t first = token(left);
        const std::int32_t second = token(right);
        if (!merges_.add(first, second, token(left + right)))
            merge.fail("is there twice");
    }
}

inline void Tokenizer::read_added(const detail::JsonField& list) {
    for (std::size_t i = 0; i < list.size(); ++i) {
        const detail::JsonField entry = list.at(i);
        for (const char* key : {"lstrip", "rstrip", "single_word"})
            detail::require_false(entry[key]);
        const std::string name = entry["content"].text();
        if (name.empty())
            entry["content"].fail("is empty");
        const bool is_special = entry["special"].flag(false);
        const bool is_normalized = entry["normalized"].flag(!is_special);
        const std::int32_t token = token_of(entry["id"]);
        add_token(entry, name, token);
        bytes_[token] = name;
        std::u32string content = detail::from_utf8(name);
        if (is_normalized && has_nfc_)
            content = detail::nfc(content);
        added_.push_back({std::move(content), token, is_normalized, is_special});
    }
    std::stable_sort(added_.begin(), added_.end(), [](const Added& a, const Added& b) {
        return a.content.size() > b.content.size();
    });
}

// --- encoding -----------------------------------------------------------------------------------

template <class Piece, class Token>
void Tokenizer::split(std::u32string_view text, bool is_normalized, Piece&& piece,
                      Token&& token) const {
    std::unordered_map<char32_t, std::vector<const Added*>> by_start;
    for (const Added& added : added_)
        if (added.is_normalized == is_normalized)
            by_start[added.content[0]].push_back(&added);
    std::size_t begin = 0;
    for (std::size_t i = 0; i < text.size();) {
        const auto starts = by_start.find(text[i]);
        const Added* found = nullptr;
        if (starts != by_start.end())
            for (const Added* added : starts->second)
                if (found == nullptr && text.substr(i).starts_with(added->content))
                    found = added;
        if (found == nullptr) {
            ++i;
            continue;
        }
        if (i > begin)
            piece(text.substr(begin, i - begin));
        token(found->token);
        i += found->content.size();
        begin = i;
    }
    if (begin < text.size())
        piece(text.substr(begin));
}

inline std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
    std::vector<std::int32_t> tokens;
    const auto add = [&tokens](std::int32_t token) { tokens.push_back(token); };
    const auto encode_normalized = [&](std::u32string_view piece) {
        const std::u32string normalized = has_nfc_ ? detail::nfc(piece) : std::u32string(piece);
        split(
            normalized, true, [&](std::u32string_view words) { encode_words(words, tokens); }, add);
    };
    split(detail::from_utf8(text), false, encode_normalized, add);
    return tokens;
}

inline void Tokenizer::encode_words(std::u32string_view text,
                                    std::vector<std::int32_t>& tokens) const {
    std::vector<std::int32_t> symbols;
    while (!text.empty()) {
        const std::size_t length = detail::first_piece(text);
        symbols.clear();
        for (const char c : detail::to_utf8(text.substr(0, length))) {
            const auto byte = static_cast<std::uint8_t>(c);
            require<ValueError>(byte_tokens_[byte] >= 0, "ssm::Tokenizer: the vocabulary has no ",
                                "token for byte ", static_cast<unsigned>(byte));
            symbols.push_back(byte_tokens_[byte]);
        }
        merges_.apply(symbols);
        tokens.insert(tokens.end(), symbols.begin(), symbols.end());
        text.remove_prefix(length);
    }
}

}  // namespace ssm
