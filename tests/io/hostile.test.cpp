// Files made to break a reader.

#include <ssm/io/safetensors.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ssm/core/rng.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/safetensors_bytes.hpp"
#include "support/temporary_folder.hpp"

using ssm::Safetensors;
using ssm_test::Bytes;
using ssm_test::has;
using ssm_test::message_of;
using ssm_test::safetensors_bytes;

namespace {

/// The message with which a file is refused; empty when it is read, all numbers of it.
std::string refusal(const Bytes& bytes) {
    return message_of([&bytes] {
        const Safetensors file(bytes, "hostile.bin");
        for (const auto& [name, entry] : file.entries())
            if (file.misfit<double>(name).empty())
                static_cast<void>(file.read<double>(name));
    });
}

std::string refusal(std::string_view header, std::size_t data) {
    const std::string message = refusal(safetensors_bytes(header, data));
    CHECK(has(message, "\"hostile.bin\""));
    return message;
}

/// Whether the message says all of that.
bool says(const std::string& message, std::initializer_list<std::string_view> parts) {
    UNSCOPED_INFO(message);
    return std::all_of(parts.begin(), parts.end(),
                       [&message](std::string_view part) { return has(message, part); });
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
    return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape +
           R"(,"data_offsets":)" + offsets + "}";
}

/// A small file with everything in it.
Bytes good_file() {
    return safetensors_bytes(
        "{\"__metadata__\":{\"k\":\"v\"}," + entry("a", "F32", "[1,2]", "[0,8]") + "," +
            entry("b", "BF16", "[3]", "[8,14]") + "," + entry("c", "U8", "[]", "[14,15]") + "}",
        15);
}

}  // namespace

TEST_CASE("a good file is not refused") {
    CHECK(refusal(good_file()).empty());
}

TEST_CASE("a file that ends anywhere before its end is refused") {
    const Bytes good = good_file();
    for (std::size_t size = 0; size < good.size(); ++size) {
        INFO("cut to " << size << " of " << good.size() << " bytes");
        const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
        CHECK(!refusal(cut).empty());
    }
}

TEST_CASE("bytes after the last tensor are refused") {
    Bytes longer = good_file();
    longer.push_back(std::byte{0});
    CHECK(says(refusal(longer), {"15 bytes", "16 bytes of data"}));
}

TEST_CASE("any flipped bit of the header is refused, or read as another valid file") {
    const Bytes good = good_file();
    std::size_t refused = 0;
    for (std::size_t bit = 0; bit < (good.size() - 15) * 8; ++bit) {
        Bytes flipped = good;
        flipped[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
        refused += refusal(flipped).empty() ? 0U : 1U;
    }
    // What is still valid has another letter in a name or a text, or swaps two dtypes of one width.
    CHECK(refused > (good.size() - 15) * 8 * 4 / 5);
}

TEST_CASE("a length of the header that is not true is refused") {
    Bytes bytes = good_file();
    for (std::size_t i = 0; i < 8; ++i)
        bytes[i] = std::byte{0xff};
    CHECK(says(refusal(bytes), {"18446744073709551615", "follow"}));
    CHECK(says(refusal(Bytes(7)), {"7 bytes"}));
    CHECK(says(refusal(Bytes(8)), {"'{'"}));
}

TEST_CASE("a header that is not JSON is refused") {
    CHECK(says(refusal("{", 0), {"not JSON"}));
    CHECK(says(refusal("{\"a\"", 0), {"not JSON"}));
    CHECK(says(refusal("{}}", 0), {"not JSON"}));
    CHECK(says(refusal("{}{}", 0), {"not JSON"}));
    CHECK(says(refusal("{'a':1}", 0), {"not JSON"}));
    CHECK(says(refusal("{/**/}", 0), {"not JSON"}));
    CHECK(says(refusal("[]", 0), {"'{'"}));
    CHECK(says(refusal(" {}", 0), {"'{'"}));
    CHECK(says(refusal("\xef\xbb\xbf{}", 0), {"'{'"}));
    CHECK(says(refusal(std::string_view("{}\0", 3), 0), {"zero byte"}));
}

TEST_CASE("names that are not UTF-8 are refused") {
    CHECK(says(refusal("{" + entry("\xff", "U8", "[0]", "[0,0]") + "}", 0), {"not JSON"}));
    CHECK(says(refusal("{" + entry("\xc0\xaf", "U8", "[0]", "[0,0]") + "}", 0), {"not JSON"}));
    CHECK(says(refusal("{" + entry("\\ud800", "U8", "[0]", "[0,0]") + "}", 0), {"not JSON"}));
    CHECK(refusal(safetensors_bytes("{" + entry("\\u00e9\\u0000", "U8", "[0]", "[0,0]") + "}",
                                    std::size_t{0}))
              .empty());
}

TEST_CASE("names in messages are cut and without control characters") {
    const std::string name = std::string(10'000, 'n') + "\\n";
    const std::string message = refusal("{" + entry(name, "X", "[0]", "[0,0]") + "}", 0);
    CHECK(message.size() < 500);
    CHECK(says(refusal("{" + entry("a\\u001b[2J", "X", "[0]", "[0,0]") + "}", 0), {"\"a?[2J\""}));
}

TEST_CASE("two tensors of one name are refused") {
    const std::string a = entry("a", "U8", "[1]", "[0,1]");
    const std::string b = entry("a", "U8", "[1]", "[1,2]");
    CHECK(says(refusal("{" + a + "," + b + "}", 2), {"\"a\"", "twice"}));
    CHECK(says(refusal("{" + a + "," + a + "}", 1), {"\"a\"", "twice"}));
    CHECK(
        says(refusal("{" + a + "," + entry("\\u0061", "U8", "[0]", "[1,1]") + "}", 1), {"twice"}));
}

TEST_CASE("fields that are double, missing, unknown or of another type are refused") {
    const auto one = [](const std::string& fields) { return refusal("{\"a\":" + fields + "}", 1); };
    CHECK(says(one(R"({"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]})"),
               {"\"a\"", "dtype appears twice"}));
    CHECK(says(one(R"({"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]})"),
               {"shape appears twice"}));
    CHECK(says(one(R"({"dtype":"U8","shape":[1],"data_offsets":[0,1],"data_offsets":[0,1]})"),
               {"data_offsets appears twice"}));
    CHECK(says(one(R"({"shape":[1],"data_offsets":[0,1]})"), {"dtype is missing"}));
    CHECK(says(one(R"({"dtype":"U8","data_offsets":[0,1]})"), {"shape is missing"}));
    CHECK(says(one(R"({"dtype":"U8","shape":[1]})"), {"data_offsets is missing"}));
    CHECK(says(one(R"({"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1})"), {"unknown field"}));
    CHECK(says(one(R"({"dtype":8,"shape":[1],"data_offsets":[0,1]})"), {"found a number"}));
    CHECK(says(one(R"({"dtype":["U8"],"shape":[1],"data_offsets":[0,1]})"), {"found an array"}));
    CHECK(says(one(R"({"dtype":"U8","shape":1,"data_offsets":[0,1]})"), {"found a number"}));
    CHECK(says(one(R"({"dtype":"U8","shape":{},"data_offsets":[0,1]})"), {"found an object"}));
    CHECK(says(one(R"({"dtype":"U8","shape":[[1]],"data_offsets":[0,1]})"), {"found an array"}));
    CHECK(says(one(R"({"dtype":"U8","shape":["1"],"data_offsets":[0,1]})"), {"found a string"}));
    CHECK(says(one(R"({"dtype":"U8","shape":[true],"data_offsets":[0,1]})"), {"found a boolean"}));
    CHECK(says(one(R"({"dtype":null,"shape":[1],"data_offsets":[0,1]})"), {"found null"}));
    CHECK(says(one("[]"), {"found an array"}));
    CHECK(says(one("1"), {"found a number"}));
    CHECK(says(one("\"x\""), {"found a string"}));
}

TEST_CASE("an unknown dtype is refused by name") {
    CHECK(says(refusal("{" + entry("a", "F128", "[1]", "[0,16]") + "}", 16),
               {"\"a\"", "\"F128\"", "unknown"}));
    CHECK(says(refusal("{" + entry("a", "f32", "[1]", "[0,4]") + "}", 4), {"\"f32\""}));
}

TEST_CASE("numbers that are no sizes are refused") {
    const auto shaped = [](const std::string& shape) {
        return refusal("{" + entry("a", "U8", shape, "[0,1]") + "}", 1);
    };
    CHECK(says(shaped("[-1]"), {"negative"}));
    CHECK(says(shaped("[-0]"), {"negative"}));
    CHECK(says(shaped("[1.0]"), {"1.0"}));
    CHECK(says(shaped("[1e0]"), {"1e0"}));
    CHECK(says(shaped("[18446744073709551616]"), {"18446744073709551616"}));
    CHECK(says(shaped("[1e999]"), {"not JSON"}));
}

TEST_CASE("shapes whose size overflows are refused") {
    const auto shaped = [](const std::string& shape) {
        return refusal("{" + entry("a", "F32", shape, "[0,4]") + "}", 4);
    };
    CHECK(says(shaped("[4294967296,4294967296]"), {"does not fit into memory"}));
    CHECK(says(shaped("[4294967296,4294967296,1]"), {"does not fit into memory"}));
    // The product of these is 1 modulo 2^64.
    CHECK(
        says(shaped("[274177,67280421310721,18446744073709551615]"), {"does not fit into memory"}));
    CHECK(says(shaped("[2305843009213693952]"), {"does not fit into memory"}));
    CHECK(says(shaped("[18446744073709551615]"), {"does not fit into memory"}));
    // A later zero makes the product small, not the shape sound.
    CHECK(says(shaped("[18446744073709551615,2,0]"), {"does not fit into memory"}));
}

TEST_CASE("a shape that claims more than the file has is refused without allocating it") {
    const Bytes bytes =
        safetensors_bytes("{" + entry("a", "F32", "[2500000000]", "[0,10000000000]") + "}", 4);
    const ssm_test::AllocationCounter allocations;
    const std::string message = refusal(bytes);
    const std::size_t used = allocations.bytes();
    CHECK(says(message, {"\"a\"", "10000000000", "4 bytes of data"}));
    CHECK(used < 64 * 1024);
    CHECK(says(refusal("{" + entry("a", "F32", "[2500000000]", "[0,4]") + "}", 4),
               {"(2500000000)", "80000000000 bits", "4 bytes"}));
}

TEST_CASE("offsets that do not cover the data exactly are refused") {
    const auto two = [](const std::string& first, const std::string& second) {
        return refusal(
            "{" + entry("a", "U8", "[2]", first) + "," + entry("b", "U8", "[2]", second) + "}", 4);
    };
    CHECK(says(two("[0,2]", "[1,3]"), {"\"b\"", "overlaps"}));
    CHECK(says(two("[0,2]", "[0,2]"), {"overlaps"}));
    CHECK(says(two("[0,1]", "[2,4]"), {"gap"}));
    CHECK(says(two("[1,3]", "[3,4]"), {"\"a\"", "gap"}));
    CHECK(says(two("[2,0]", "[2,4]"), {"\"a\"", "2 and 0"}));
    CHECK(says(two("[0,2]", "[2,5]"), {"\"b\"", "2 and 5", "4 bytes"}));
    CHECK(says(two("[0,2]", "[2,18446744073709551615]"), {"18446744073709551615"}));
    CHECK(says(two("[0,2]", "[2,3]"), {"3 bytes"}));
    CHECK(says(two("[0]", "[2,4]"), {"\"a\"", "1 numbers"}));
    CHECK(says(two("[0,2,4]", "[2,4]"), {"3 numbers"}));
    CHECK(says(refusal("{" + entry("a", "U8", "[2]", "[0,3]") + "," +
                           entry("b", "U8", "[2]", "[3,4]") + "}",
                       4),
               {"\"a\"", "16 bits", "3 bytes"}));
    CHECK(says(refusal("{" + entry("a", "F4", "[3]", "[0,1]") + "}", 1), {"12 bits"}));
    CHECK(says(refusal("{}", 1), {"0 bytes", "1 bytes of data"}));
    // In the order of the file or not, tensors may be listed as they like.
    CHECK(refusal(safetensors_bytes("{" + entry("a", "U8", "[2]", "[2,4]") + "," +
                                        entry("b", "U8", "[2]", "[0,2]") + "}",
                                    std::size_t{4}))
              .empty());
}

TEST_CASE("metadata that is not texts is refused") {
    CHECK(says(refusal(R"({"__metadata__":{"a":1}})", 0), {"\"__metadata__\"", "a number"}));
    CHECK(says(refusal(R"({"__metadata__":{"a":{}}})", 0), {"an object"}));
    CHECK(says(refusal(R"({"__metadata__":{"a":["b"]}})", 0), {"an array"}));
    CHECK(says(refusal(R"({"__metadata__":{"a":null}})", 0), {"null"}));
    CHECK(says(refusal(R"({"__metadata__":[]})", 0), {"an array"}));
    CHECK(says(refusal(R"({"__metadata__":{"a":"b","a":"c"}})", 0), {"\"a\"", "twice"}));
    CHECK(says(refusal(R"({"__metadata__":{},"__metadata__":{}})", 0), {"twice"}));
}

TEST_CASE("deep nesting is refused at its first level that does not belong") {
    const std::string deep(1'000'000, '[');
    const Bytes bytes = safetensors_bytes("{\"a\":{\"shape\":" + deep, std::size_t{0});
    const ssm_test::AllocationCounter allocations;
    CHECK(has(refusal(bytes), "found an array"));
    CHECK(allocations.bytes() < 64 * 1024);
    std::string objects;
    for (int i = 0; i < 100'000; ++i)
        objects += "{\"a\":";
    CHECK(says(refusal(objects, 0), {"unknown field \"a\""}));
}

TEST_CASE("lists longer than any shape are refused") {
    std::string shape = "[1";
    for (int i = 0; i < 1000; ++i)
        shape += ",1";
    CHECK(says(refusal("{" + entry("a", "U8", shape + "]", "[0,1]") + "}", 1),
               {"shape has more than 64 numbers"}));
}

TEST_CASE("random damage never does more than throw FileError") {
    // What a header makes the reader allocate is proportional to the file: a map node, three lists
    // and their growth for each tensor of some 50 bytes, the tokens of the JSON parser, a message.
    constexpr std::size_t times = 16;
    constexpr std::size_t constant = 16 * 1024;
    const std::string pieces[] = {"{",  "}",     "[",         "]",       ",",     ":",    "\"",
                                  "\\", "dtype", "\"shape\"", "9999999", "-1",    "1e9",  "null",
                                  "0",  "\xff",  "\"F64\"",   "[0,0]",   "\"a\"", "true", " "};
    const Bytes good = good_file();
    ssm::Rng rng(20240917);
    std::size_t refused = 0;
    std::size_t worst = 0;
    for (int round = 0; round < 20'000; ++round) {
        Bytes bytes = good;
        for (std::uint64_t damage = 1 + rng.below(4); damage > 0; --damage) {
            const auto at = static_cast<std::ptrdiff_t>(rng.below(bytes.size() + 1));
            const std::string& piece = pieces[rng.below(std::size(pieces))];
            const auto text = std::as_bytes(std::span(piece));
            switch (rng.below(5)) {
                case 0:
                    bytes.insert(bytes.begin() + at, text.begin(), text.end());
                    break;
                case 1:
                    bytes.resize(static_cast<std::size_t>(at));
                    break;
                case 2:
                    bytes.erase(bytes.begin() + at / 2, bytes.begin() + at);
                    break;
                default:
                    if (static_cast<std::size_t>(at) < bytes.size())
                        bytes[static_cast<std::size_t>(at)] = static_cast<std::byte>(rng());
            }
            if (bytes.empty())
                bytes.push_back(std::byte{0});
        }
        // Most damage shifts the end of the header; repair its length half of the time.
        if (bytes.size() > 8 + 15 && rng.below(2) == 0) {
            const std::size_t length = bytes.size() - 8 - 15;
            for (std::size_t i = 0; i < 8; ++i)
                bytes[i] = static_cast<std::byte>(std::uint64_t{length} >> 8 * i);
        }
        const ssm_test::AllocationCounter allocations;
        refused += refusal(bytes).empty() ? 0U : 1U;
        worst = std::max(worst, allocations.bytes() / (bytes.size() + constant / times));
    }
    CHECK(refused > 10'000);
    CAPTURE(worst);
    CHECK(worst < times);
}
