#include <ssm/io/safetensors.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/safetensors_bytes.hpp"
#include "support/temporary_folder.hpp"

using ssm::Safetensors;
using ssm_test::Bytes;
using ssm_test::has;
using ssm_test::message_of;

namespace {

/// A file of one tensor "x" with these numbers' bytes.
template <class T>
Bytes file_of(const std::string& dtype, const std::vector<T>& numbers) {
    const std::size_t size = numbers.size() * sizeof(T);
    const std::string header =
        R"({"x":{"dtype":")" + dtype + R"(","shape":[)" +
        std::to_string(dtype == "C64" ? numbers.size() / 2 : numbers.size()) +
        R"(],"data_offsets":[0,)" + std::to_string(size) + "]}}";
    return ssm_test::safetensors_bytes(header, std::as_bytes(std::span(numbers)));
}

template <class To, class T>
std::vector<To> converted(const std::string& dtype, const std::vector<T>& numbers) {
    const Bytes bytes = file_of(dtype, numbers);
    return Safetensors(bytes, "memory").read<To>("x");
}

template <class To, class T>
std::string problem(const std::string& dtype, const std::vector<T>& numbers) {
    const Bytes bytes = file_of(dtype, numbers);
    const Safetensors file(bytes, "memory");
    const std::string message = message_of([&file] { static_cast<void>(file.read<To>("x")); });
    CHECK(message.empty() == file.misfit<To>("x").empty());
    return message;
}

}  // namespace

TEST_CASE("numbers of every dtype are read into double and float") {
    using Doubles = std::vector<double>;
    CHECK(converted<double>("BOOL", std::vector<std::uint8_t>{0, 1}) == Doubles{0, 1});
    CHECK(converted<double>("U8", std::vector<std::uint8_t>{0, 255}) == Doubles{0, 255});
    CHECK(converted<double>("I8", std::vector<std::int8_t>{-128, 127}) == Doubles{-128, 127});
    CHECK(converted<double>("U16", std::vector<std::uint16_t>{65535}) == Doubles{65535});
    CHECK(converted<double>("I16", std::vector<std::int16_t>{-32768}) == Doubles{-32768});
    CHECK(converted<double>("U32", std::vector<std::uint32_t>{4294967295U}) ==
          Doubles{4294967295.0});
    CHECK(converted<double>("I32", std::vector<std::int32_t>{-7}) == Doubles{-7});
    CHECK(converted<double>("U64", std::vector<std::uint64_t>{1}) == Doubles{1});
    CHECK(converted<double>("I64", std::vector<std::int64_t>{-3}) == Doubles{-3});
    CHECK(converted<double>("F8_E5M2", std::vector<std::uint8_t>{0x3c, 0xc4}) == Doubles{1, -4});
    CHECK(converted<double>("F8_E4M3", std::vector<std::uint8_t>{0x38, 0x7e}) == Doubles{1, 448});
    CHECK(converted<double>("F8_E8M0", std::vector<std::uint8_t>{0, 127, 254}) ==
          Doubles{0x1p-127, 1, 0x1p127});
    CHECK(converted<double>("F8_E4M3FNUZ", std::vector<std::uint8_t>{0x40, 0x7f}) ==
          Doubles{1, 240});
    CHECK(converted<double>("F8_E5M2FNUZ", std::vector<std::uint8_t>{0x40, 0x7f}) ==
          Doubles{1, 57344});
    CHECK(converted<double>("F16", std::vector<std::uint16_t>{0x3c00, 0xc000}) == Doubles{1, -2});
    CHECK(converted<double>("BF16", std::vector<std::uint16_t>{0x3f80, 0xc040}) == Doubles{1, -3});
    CHECK(converted<double>("F32", std::vector<float>{0.1F}) == Doubles{static_cast<double>(0.1F)});
    CHECK(converted<double>("F64", std::vector<double>{0.1}) == Doubles{0.1});

    CHECK(converted<float>("F64", std::vector<double>{0.1}) == std::vector<float>{0.1F});
    CHECK(converted<float>("F8_E8M0", std::vector<std::uint8_t>{0, 127}) ==
          std::vector<float>{0x1p-127F, 1.0F});
    CHECK(std::isnan(converted<float>("F8_E8M0", std::vector<std::uint8_t>{255})[0]));
}

TEST_CASE("complex numbers are read as real pairs") {
    const Bytes bytes = file_of("C64", std::vector<float>{1, 2, 3, 4});
    const Safetensors file(bytes, "memory");
    CHECK(file.real_shape("x") == std::vector<std::size_t>{2, 2});
    CHECK(file.tensor<double>("x").extents() == ssm::Extents{2, 2});
    CHECK(file.read<float>("x") == std::vector<float>{1, 2, 3, 4});
}

TEST_CASE("integers are read into integers that hold them") {
    CHECK(converted<std::int32_t>("I64", std::vector<std::int64_t>{-5}) ==
          std::vector<std::int32_t>{-5});
    CHECK(converted<std::uint64_t>("I8", std::vector<std::int8_t>{5}) ==
          std::vector<std::uint64_t>{5});
    CHECK(has(problem<std::int32_t>("I64", std::vector<std::int64_t>{1, 1LL << 31}), "number 1"));
    CHECK(has(problem<std::uint64_t>("I8", std::vector<std::int8_t>{-5}), "U64"));
    CHECK(has(problem<std::int64_t>("F32", std::vector<float>{1}), "F32"));
}

TEST_CASE("a number that would change its value is refused, not bent") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const double infinity = std::numeric_limits<double>::infinity();
    CHECK(has(problem<float>("F64", std::vector<double>{0, 1e39}), "number 1 of dtype F64"));
    CHECK(problem<float>("F64", std::vector<double>{infinity, nan, 1e-300}).empty());
    CHECK(has(problem<double>("I64", std::vector<std::int64_t>{(1LL << 53) + 1}), "number 0"));
    CHECK(problem<double>("I64", std::vector<std::int64_t>{1LL << 60, INT64_MIN}).empty());
    CHECK(has(problem<float>("U32", std::vector<std::uint32_t>{(1U << 24) + 1}), "number 0"));
    CHECK(
        has(problem<double>("BOOL", std::vector<std::uint8_t>{1, 0, 2}), "number 2 of dtype BOOL"));
}

TEST_CASE("packed numbers of 4 and 6 bits are known, and given as bytes only") {
    const Bytes bytes = ssm_test::safetensors_bytes(
        R"({"four":{"dtype":"F4","shape":[2,3],"data_offsets":[0,3]},)"
        R"("six":{"dtype":"F6_E3M2","shape":[4],"data_offsets":[3,6]}})",
        6);
    const Safetensors file(bytes, "memory");
    CHECK(file.entry("four").bytes.size() == 3);
    CHECK(has(message_of([&] { static_cast<void>(file.read<float>("six")); }), "F6_E3M2"));
}

TEST_CASE("tensors are used in place when type and alignment fit") {
    // The header's length, 8 + 64, decides where the data begins.
    std::string header = R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
    header.resize(64, ' ');
    const std::vector<float> numbers{1.5F, -2.0F};
    Bytes bytes = ssm_test::safetensors_bytes(header, std::as_bytes(std::span(numbers)));
    const Safetensors file(bytes, "memory");
    REQUIRE(file.has_view<float>("x"));
    CHECK(file.view<float>("x").data() == static_cast<const void*>(bytes.data() + 72));
    CHECK(file.view<float>("x")[1] == -2.0F);
    CHECK_FALSE(file.has_view<double>("x"));
    CHECK(has(message_of([&] { static_cast<void>(file.view<double>("x")); }), "F64"));

    header.resize(65, ' ');
    bytes = ssm_test::safetensors_bytes(header, std::as_bytes(std::span(numbers)));
    const Safetensors odd(bytes, "memory");
    CHECK_FALSE(odd.has_view<float>("x"));
    CHECK(odd.read<float>("x") == numbers);
}

TEST_CASE("the content of a file can be listed") {
    const Bytes bytes =
        ssm_test::safetensors_bytes(R"({"b":{"data_offsets":[4,4],"dtype":"F64","shape":[0,7]},)"
                                    R"("__metadata__":{"format":"pt","note":"\u00e9"},)"
                                    R"("a":{"dtype":"I32","shape":[],"data_offsets":[0,4]}})",
                                    4);
    const Safetensors file(bytes, "memory");
    CHECK(file.entries().size() == 2);
    CHECK(file.contains("a"));
    CHECK(file.entry("a").shape.empty());
    CHECK(file.read<std::int32_t>("a") == std::vector<std::int32_t>{0x03020100});
    CHECK(file.entry("b").shape == std::vector<std::size_t>{0, 7});
    CHECK(file.read<double>("b").empty());
    CHECK(file.metadata().at("format") == "pt");
    CHECK(file.metadata().at("note") == "\xc3\xa9");
    CHECK(
        has(message_of([&] { static_cast<void>(file.entry("c")); }), "\"c\": is not in the file"));
}

TEST_CASE("a target of another size and a tensor of too many axes are refused") {
    const Bytes bytes = ssm_test::safetensors_bytes(
        R"({"x":{"dtype":"U8","shape":[1,1,1,1,1,2],"data_offsets":[0,2]}})", 2);
    const Safetensors file(bytes, "memory");
    std::array<double, 3> target{9, 9, 9};
    CHECK(has(message_of([&] { file.read("x", std::span<double>(target)); }), "2 numbers"));
    CHECK(target[0] == 9);
    CHECK(has(message_of([&] { static_cast<void>(file.tensor<double>("x")); }), "6 axes"));
}

TEST_CASE("a file stays open while the reader is moved") {
    const ssm_test::TemporaryFolder folder;
    ssm_test::write_file(folder / "x", file_of("F64", std::vector<double>{1, 2}));
    Safetensors file(folder / "x");
    const Safetensors moved = std::move(file);
    CHECK(moved.read<double>("x") == std::vector<double>{1, 2});
    CHECK(moved.has_view<double>("x") ==
          (moved.entry("x").bytes.data() != nullptr &&
           reinterpret_cast<std::uintptr_t>(moved.entry("x").bytes.data()) % alignof(double) == 0));
}

TEST_CASE("what is not a regular file is refused") {
    const ssm_test::TemporaryFolder folder;
    CHECK(has(message_of([&] { Safetensors file(folder / "none"); }), "none"));
    CHECK(has(message_of([&] { Safetensors file(folder.path()); }), "not a regular file"));
#if SSM_POSIX_FILES
    CHECK(has(message_of([] { Safetensors file(std::filesystem::path("/dev/zero")); }),
              "not a regular file"));
#endif
}
