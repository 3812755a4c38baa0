#include <ssm/io/tokenizer.hpp>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <ssm/core/rng.hpp>
#include <ssm/io/tokenizer_writer.hpp>

#include "support/catch.hpp"
#include "support/safetensors_bytes.hpp"
#include "support/temporary_folder.hpp"

using nlohmann::json;
using ssm::FileError;
using ssm::Tokenizer;
using ssm::ValueError;
using ssm_test::has;
using ssm_test::message_of;
using ssm_test::write_file;
using Tokens = std::vector<std::int32_t>;

namespace {

std::string symbol(std::uint8_t byte) {
    std::string text;
    ssm::detail::append_utf8(text, ssm::detail::byte_symbols.symbol(byte));
    return text;
}

/// A small tokenizer of the kind of GPT-NeoX: 0 end of text, 1 to 256 the bytes, then merges, then runs of spaces.
json small_tokenizer() {
    json vocabulary{{"<|end|>", 0}};
    for (int byte = 0; byte < 256; ++byte)
        vocabulary[symbol(static_cast<std::uint8_t>(byte))] = byte + 1;
    json merges = json::array();
    std::int32_t next = 257;
    const auto merge = [&](const std::string& left, const std::string& right) {
        merges.push_back(left + " " + right);
        vocabulary[left + right] = next++;
    };
    const std::string space = symbol(' ');
    merge("l", "l");                    // 257
    merge("h", "e");                    // 258
    merge("he", "ll");                  // 259
    merge("hell", "o");                 // 260
    merge(space, "w");                  // 261
    merge("a", "a");                    // 262
    merge("aa", "aa");                  // 263
    merge(symbol(0xC3), symbol(0xA9));  // 264: é
    merges.push_back(json{"o", "r"});   // a newer file's way
    vocabulary["or"] = next++;          // 265
    const auto added = [](std::int32_t id, const char* content, bool special) {
        return json{{"id", id},          {"content", content}, {"single_word", false},
                    {"lstrip", false},   {"rstrip", false},    {"normalized", !special},
                    {"special", special}};
    };
    return {{"version", "1.0"},
            {"truncation", nullptr},
            {"padding", nullptr},
            {"added_tokens",
             {added(0, "<|end|>", true), added(300, "   ", false), added(301, "  ", false)}},
            {"normalizer", {{"type", "NFC"}}},
            {"pre_tokenizer",
             {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}}},
            {"post_processor", {{"type", "ByteLevel"}, {"trim_offsets", false}}},
            {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
            {"model",
             {{"type", "BPE"},
              {"dropout", nullptr},
              {"unk_token", nullptr},
              {"continuing_subword_prefix", nullptr},
              {"fuse_unk", false},
              {"vocab", vocabulary},
              {"merges", merges}}}};
}

Tokenizer read(const json& content) {
    const ssm_test::TemporaryFolder folder;
    write_file(folder / "tokenizer.json", content.dump());
    return Tokenizer(folder / "tokenizer.json");
}

std::string refusal(const json& content) {
    const std::string message = message_of([&] { static_cast<void>(read(content)); });
    CHECK((message.empty() || has(message, "tokenizer.json\"")));
    return message;
}

std::vector<std::string> pieces(std::string_view text) {
    std::vector<std::string> result;
    const std::u32string codes = ssm::detail::from_utf8(text);
    for (std::u32string_view rest = codes; !rest.empty();) {
        const std::size_t length = ssm::detail::first_piece(rest);
        result.push_back(ssm::detail::to_utf8(rest.substr(0, length)));
        rest.remove_prefix(length);
    }
    return result;
}

std::string normalized(std::u32string_view text) {
    return ssm::detail::to_utf8(ssm::detail::nfc(text));
}

}  // namespace

TEST_CASE("texts are cut into contractions, words, numbers, signs and white space as by GPT-2") {
    using Pieces = std::vector<std::string>;
    CHECK(pieces("Hello world") == Pieces{"Hello", " world"});
    CHECK(pieces("it's we'll 'tis I'D") ==
          Pieces{"it", "'s", " we", "'ll", " '", "tis", " I", "'", "D"});
    CHECK(pieces("a1b22 333") == Pieces{"a", "1", "b", "22", " 333"});
    CHECK(pieces("a  b") == Pieces{"a", " ", " b"});
    CHECK(pieces("a\n\nb") == Pieces{"a", "\n", "\n", "b"});
    CHECK(pieces("a \t ") == Pieces{"a", " \t "});
    CHECK(pieces("\tx") == Pieces{"\t", "x"});
    CHECK(pieces("x=+1, y!?") == Pieces{"x", "=+", "1", ",", " y", "!?"});
    CHECK(pieces("\u00e9t\u00e9 \u4e2d\u6587\u0663\u00a0z") ==
          Pieces{"\u00e9t\u00e9", " \u4e2d\u6587", "\u0663", "\u00a0", "z"});
    CHECK(pieces(" ") == Pieces{" "});
}

TEST_CASE("normalisation form C composes, orders marks, and knows Hangul and exclusions") {
    CHECK(normalized(U"plain \u00e9") == "plain \u00e9");
    CHECK(normalized(U"e\u0301") == "\u00e9");
    CHECK(normalized(U"a\u0323\u0302") == "\u1ead");
    CHECK(normalized(U"a\u0302\u0323") == "\u1ead");
    CHECK(normalized(U"\u212b") == "\u00c5");
    CHECK(normalized(U"\u1112\u1161\u11ab") == "\ud55c");
    CHECK(normalized(U"\ud558\u11ab") == "\ud55c");
    CHECK(normalized(U"\u0958") == "\u0915\u093c");
    CHECK(normalized(U"\u0301e") == "\u0301e");
    CHECK(normalized(U"a\u0301\u0301") == "\u00e1\u0301");
    CHECK(normalized(U"\u2126 \U0002F800") == "\u03a9 \u4e3d");
}

TEST_CASE("merges are made in the order of the list, leftmost first") {
    const Tokenizer tokenizer = read(small_tokenizer());
    CHECK(tokenizer.size() == 302);
    CHECK(tokenizer.encode("hello world") == Tokens{260, 261, 265, 'l' + 1, 'd' + 1});
    CHECK(tokenizer.encode("aaa") == Tokens{262, 'a' + 1});
    CHECK(tokenizer.encode("aaaaaaa") == Tokens{263, 262, 'a' + 1});
    CHECK(tokenizer.encode(std::string(100000, 'a')) == Tokens(25000, 263));
    CHECK(tokenizer.encode("").empty());
}

TEST_CASE(
    "added tokens are found in the text, the longest first, special ones before normalisation") {
    const Tokenizer tokenizer = read(small_tokenizer());
    CHECK(tokenizer.encode("a<|end|>a") == Tokens{'a' + 1, 0, 'a' + 1});
    CHECK(tokenizer.encode("       a") == Tokens{300, 300, ' ' + 1, 'a' + 1});
    CHECK(tokenizer.encode("     a") == Tokens{300, 301, 'a' + 1});
    CHECK(tokenizer.encode("e\u0301") == Tokens{264});
    CHECK(tokenizer.find("<|end|>") == 0);
    CHECK(!tokenizer.find("<|start|>"));
    CHECK(tokenizer.decode(Tokens{260, 0}) == "hello<|end|>");
    CHECK(tokenizer.decode(Tokens{260, 0, 301}, true) == "hello  ");
    CHECK((tokenizer.is_special(0) && !tokenizer.is_special(300)));
}

TEST_CASE("decoding undoes encoding, and bytes that are not UTF-8 become replacement characters") {
    const Tokenizer tokenizer = read(small_tokenizer());
    for (const std::string text :
         {"Hello, world!\n\tx = 1;   // done", "\u00e9\u4e2d\U0001F600\u00a0", "\x01\x7f"})
        CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
    const std::string bad = "\uFFFD";
    const auto round = [&](const std::string& text) {
        return tokenizer.decode(tokenizer.encode(text));
    };
    CHECK(round("a\xFF z") == "a" + bad + " z");
    CHECK(round("\xE4\xB8") == bad);
    CHECK(round("\xE4\xB8z\xC0\xAF") == bad + "z" + bad + bad);
    CHECK(round("\xED\xA0\x80\xF4\x90\x80\x80") == bad + bad + bad + bad + bad + bad + bad);
    ssm::Rng rng(2);
    for (int i = 0; i < 200; ++i) {
        std::string text;
        for (std::uint64_t left = rng.below(40); left > 0; --left)
            text.push_back(static_cast<char>(rng.below(256)));
        const std::string once = round(text);
        CHECK(round(once) == once);
    }
    CHECK_THROWS_AS(tokenizer.decode(Tokens{299}), ValueError);
    CHECK_THROWS_AS(tokenizer.decode(Tokens{-1}), ValueError);
}

TEST_CASE("a stream of tokens gives characters as soon as they are complete") {
    ssm::Utf8Stream stream;
    CHECK(stream.push("a\xE4").append("|") == "a|");
    CHECK(stream.push("\xB8").empty());
    CHECK(stream.push("\xAD"
                      "b\xE4") ==
          "\u4e2d"
          "b");
    CHECK(stream.push("c") ==
          "\uFFFD"
          "c");
    CHECK(stream.push("\xF0\x9F").empty());
    CHECK(stream.finish() == "\uFFFD");
    CHECK(stream.finish().empty());
    const ssm::ByteTokenizer bytes;
    CHECK(bytes.encode("\xC3z") == Tokens{0xC3, 'z'});
    CHECK((bytes.bytes('z') == "z" && bytes.bytes(256).empty()));
}

TEST_CASE("a tokenizer with components that work otherwise is refused by its name") {
    const auto with = [](const char* pointer, const json& value) {
        json content = small_tokenizer();
        content[json::json_pointer(pointer)] = value;
        return refusal(content);
    };
    CHECK(with("/normalizer", nullptr).empty());
    CHECK(has(with("/normalizer/type", "NFKC"), "\"normalizer.type\" is \"NFKC\""));
    CHECK(has(with("/pre_tokenizer/type", "Whitespace"), "pre_tokenizer.type"));
    CHECK(has(with("/pre_tokenizer/add_prefix_space", true), "pre_tokenizer.add_prefix_space"));
    CHECK(has(with("/pre_tokenizer/use_regex", false), "pre_tokenizer.use_regex"));
    CHECK(has(with("/decoder", nullptr), "decoder.type"));
    CHECK(has(with("/post_processor/type", "RobertaProcessing"), "post_processor.type"));
    CHECK(with("/post_processor",
               json{{"type", "TemplateProcessing"}, {"single", {{{"Sequence", {{"id", "A"}}}}}}})
              .empty());
    CHECK(has(with("/post_processor", json{{"type", "TemplateProcessing"},
                                           {"single", {{{"SpecialToken", {{"id", "x"}}}}}}}),
              "adds a token"));
    CHECK(has(with("/model/type", "Unigram"), "model.type"));
    CHECK(has(with("/model/dropout", 0.1), "model.dropout"));
    CHECK(has(with("/model/unk_token", "?"), "model.unk_token"));
    CHECK(has(with("/model/byte_fallback", true), "model.byte_fallback"));
    CHECK(has(with("/truncation", json{{"max_length", 4}}), "truncation"));
    CHECK(has(with("/added_tokens/0/lstrip", true), "added_tokens[0].lstrip"));
}

TEST_CASE("a damaged tokenizer is refused with the place of the damage") {
    const auto with = [](const char* pointer, const json& value) {
        json content = small_tokenizer();
        content[json::json_pointer(pointer)] = value;
        return refusal(content);
    };
    CHECK(has(with("/model/vocab", 3), "\"model.vocab\" is number, expected an object"));
    CHECK(has(with("/model/vocab/x", "1"), "model.vocab.x"));
    CHECK(has(with("/model/vocab/x", -1), "expected an integer from 0"));
    CHECK(has(with("/model/vocab/x", 1U << 30U), "expected a token below"));
    CHECK(has(with("/model/vocab/zzz", 5), "another's already"));
    CHECK(has(with("/model/merges", "no"), "expected an array"));
    CHECK(has(with("/model/merges/1", "h zz"), "\"model.merges[1]\" needs \"zz\""));
    CHECK(has(with("/model/merges/1", "nothing"), "not in the vocabulary"));
    CHECK(has(with("/model/merges/1", "l l"), "\"model.merges[1]\" is there twice"));
    CHECK(has(with("/model/merges/1", json::array({"h"})), "has 1 elements"));
    CHECK(has(with("/added_tokens/1/id", 7), "another's already"));
    CHECK(has(with("/added_tokens/1/content", ""), "is empty"));
    json without = small_tokenizer();
    without["model"]["vocab"].erase("z");
    CHECK_THROWS_AS(read(without).encode("z"), ValueError);
    CHECK(!refusal(json::array()).empty());
    CHECK(!refusal(json::object()).empty());
    CHECK_THROWS_AS(Tokenizer("no such file"), FileError);
}

TEST_CASE(
    "a tokenizer file that is cut, or has any byte changed, is read or refused, nothing else") {
    const ssm_test::TemporaryFolder folder;
    const std::string good = small_tokenizer().dump();
    ssm::Rng rng(3);
    for (int i = 0; i < 300; ++i) {
        std::string text = good;
        if (i % 3 == 0)
            text.resize(rng.below(good.size()));
        else
            text[rng.below(text.size())] = static_cast<char>(rng.below(256));
        write_file(folder / "tokenizer.json", text);
        try {
            static_cast<void>(Tokenizer(folder / "tokenizer.json").encode("hello  \u00e9<|end|>"));
        } catch (const ssm::Error& error) {
            CHECK(std::string(error.what()).size() > 10);
        }
    }
}

TEST_CASE("a saved alphabet is read as a tokenizer of single bytes") {
    const ssm_test::TemporaryFolder folder;
    const std::string letters = "b a\n\"\\\xC3\xA9'I";
    ssm::save_byte_tokenizer(folder.path(), letters);
    const Tokenizer tokenizer(folder / "tokenizer.json");
    CHECK(tokenizer.size() == letters.size());
    CHECK(tokenizer.encode("  ab\n\"\xC3\xA9 I'I\\") ==
          Tokens{1, 1, 2, 0, 3, 4, 6, 7, 1, 9, 8, 9, 5});
    CHECK(tokenizer.bytes(6) == "\xC3");
    std::ifstream file(folder / "tokenizer.json");
    const json root = json::parse(file);
    for (const char* key : {"truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                            "post_processor", "decoder", "model"})
        CHECK(root.contains(key));  // transformers does not load a file without one
    CHECK(has(message_of<ValueError>([&] { ssm::save_byte_tokenizer(folder.path(), "aba"); }),
              "letter 2"));
    std::string all(256, '\0');
    for (std::size_t byte = 0; byte < all.size(); ++byte)
        all[byte] = static_cast<char>(byte);
    ssm::save_byte_tokenizer(folder.path(), all);
    const std::string text = "caf\xC3\xA9 \x01\x7F\n";
    CHECK(Tokenizer(folder / "tokenizer.json").encode(text) == ssm::ByteTokenizer().encode(text));
}
