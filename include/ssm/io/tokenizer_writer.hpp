#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <ssm/core/error.hpp>
#include <ssm/io/detail/byte_level.hpp>
#include <ssm/io/detail/json_file.hpp>
#include <ssm/io/detail/unicode.hpp>

namespace ssm {

/// Writes tokenizer.json and tokenizer_config.json of a model of characters into a folder that exists: token i is the
/// byte `letters[i]`. `Tokenizer` and Hugging Face transformers read them.
///
///     ssm::save_byte_tokenizer("my-mamba", "\n !abcdefghijklmnopqrstuvwxyz");
///
/// Errors    ValueError for a byte that is there twice; FileError when a file cannot be written
inline void save_byte_tokenizer(const std::filesystem::path& folder, std::string_view letters) {
    nlohmann::json vocabulary = nlohmann::json::object();
    for (std::size_t i = 0; i < letters.size(); ++i) {
        std::string name;
        detail::append_utf8(name,
                            detail::byte_symbols.symbol(static_cast<std::uint8_t>(letters[i])));
        require<ValueError>(!vocabulary.contains(name), "ssm::save_byte_tokenizer: letter ", i,
                            " is there before");
        vocabulary[name] = i;
    }
    const nlohmann::json level{{"type", "ByteLevel"},
                               {"add_prefix_space", false},
                               {"trim_offsets", true},
                               {"use_regex", true}};
    const nlohmann::json model{
        {"type", "BPE"}, {"vocab", std::move(vocabulary)}, {"merges", nlohmann::json::array()}};
    detail::write_json(folder / "tokenizer.json", {{"version", "1.0"},
                                                   {"truncation", nullptr},
                                                   {"padding", nullptr},
                                                   {"added_tokens", nlohmann::json::array()},
                                                   {"normalizer", nullptr},
                                                   {"pre_tokenizer", level},
                                                   {"post_processor", nullptr},
                                                   {"decoder", level},
                                                   {"model", model}});
    detail::write_json(folder / "tokenizer_config.json",
                       {{"tokenizer_class", "PreTrainedTokenizerFast"}});
}

}  // namespace ssm
