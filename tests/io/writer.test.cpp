// Writing files: content, and what happens when it fails.

#include <ssm/io/safetensors_writer.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <ssm/io/safetensors.hpp>

#include "support/catch.hpp"
#include "support/safetensors_bytes.hpp"
#include "support/temporary_folder.hpp"

#if SSM_POSIX_FILES
#include <csignal>

#include <sys/resource.h>
#include <sys/stat.h>
#endif

namespace fs = std::filesystem;

using ssm::Safetensors;
using ssm::SafetensorsWriter;
using ssm_test::has;
using ssm_test::message_of;

namespace {

template <class T>
void add_view(SafetensorsWriter& writer, const Safetensors& file, const std::string& name) {
    if (file.has_view<T>(name))
        writer.add(name, file.entry(name).shape, file.view<T>(name));
}

void write_again(const fs::path& from, const fs::path& to) {
    const Safetensors file(from);
    SafetensorsWriter writer;
    for (const auto& [key, text] : file.metadata())
        writer.add_metadata(key, text);
    for (const auto& [name, entry] : file.entries()) {
        add_view<double>(writer, file, name);
        add_view<float>(writer, file, name);
        add_view<std::int64_t>(writer, file, name);
        add_view<ssm::Bfloat16>(writer, file, name);
    }
    writer.save(to);
}

/// A writer of `count` doubles.
struct Doubles {
    explicit Doubles(std::size_t count) : numbers(count, 1.0) {
        writer.add("x", std::span(&count, 1), std::span<const double>(numbers));
    }
    std::vector<double> numbers;
    SafetensorsWriter writer;
};

}  // namespace

TEST_CASE("files written by Python are written again byte for byte") {
    const ssm_test::TemporaryFolder folder;
    std::size_t files = 0;
    for (const auto& item : fs::recursive_directory_iterator(SSM_GOLDEN_DIR)) {
        if (item.path().extension() != ".safetensors")
            continue;
        write_again(item.path(), folder / "again");
        INFO(item.path());
        CHECK(ssm_test::read_file(item.path()) == ssm_test::read_file(folder / "again"));
        ++files;
    }
    CHECK(files > 0);
}

TEMPLATE_TEST_CASE("every number type is written as itself and read back", "", std::int8_t,
                   std::uint8_t, std::int16_t, std::uint16_t, std::int32_t, std::uint32_t,
                   std::int64_t, std::uint64_t, long long, unsigned long, float, double) {
    const ssm_test::TemporaryFolder folder;
    const std::vector<TestType> numbers{std::numeric_limits<TestType>::lowest(), TestType(0),
                                        TestType(1), std::numeric_limits<TestType>::max()};
    const std::array<std::size_t, 2> shape{2, 2};
    SafetensorsWriter writer;
    writer.add("x", shape, std::span<const TestType>(numbers));
    writer.save(folder / "x");
    const Safetensors file(folder / "x");
    CHECK(file.entry("x").dtype == ssm::dtype_of<TestType>);
    CHECK(file.entry("x").shape == std::vector<std::size_t>{2, 2});
    CHECK(file.read<TestType>("x") == numbers);
}

TEMPLATE_TEST_CASE("floats are stored as any float type, rounded to nearest", "", float, double) {
    const ssm_test::TemporaryFolder folder;
    const std::vector<TestType> numbers{TestType(0.1), TestType(-1.5), TestType(3)};
    const std::size_t size = numbers.size();
    const std::array dtypes{ssm::Dtype::f64,         ssm::Dtype::f32,        ssm::Dtype::bf16,
                            ssm::Dtype::f16,         ssm::Dtype::f8_e4m3,    ssm::Dtype::f8_e5m2,
                            ssm::Dtype::f8_e4m3fnuz, ssm::Dtype::f8_e5m2fnuz};
    SafetensorsWriter writer;
    for (const ssm::Dtype dtype : dtypes)
        writer.add(std::string(name_of(dtype)), std::span(&size, 1),
                   std::span<const TestType>(numbers), dtype);
    writer.save(folder / "x");
    const Safetensors file(folder / "x");
    CHECK(file.read<TestType>("F64") == numbers);
    CHECK(file.read<double>("BF16")[0] == 0.10009765625);
    CHECK(file.read<double>("F16")[0] == 0.0999755859375);
    CHECK(file.read<double>("F8_E4M3")[0] == 0.1015625);
    CHECK(file.read<double>("F8_E5M2")[0] == 0.09375);
    for (const ssm::Dtype dtype : dtypes)
        CHECK(file.read<double>(name_of(dtype))[1] == -1.5);
}

TEST_CASE("what cannot be stored is refused when it is added") {
    const std::vector<double> numbers{1, 70000};
    const std::vector<std::int32_t> integers{1, 2};
    const std::size_t two = 2;
    const std::size_t three = 3;
    const std::array<std::size_t, 2> absurd{std::size_t{1} << 63U, 4};
    SafetensorsWriter writer;
    const auto refusal = [&](const std::string& name, std::span<const std::size_t> shape,
                             ssm::Dtype dtype) {
        return message_of<ssm::ValueError>(
            [&] { writer.add(name, shape, std::span<const double>(numbers), dtype); });
    };
    CHECK(has(refusal("x", std::span(&two, 1), ssm::Dtype::f16),
              "number 1 is beyond the range of F16"));
    CHECK(has(refusal("x", std::span(&two, 1), ssm::Dtype::i64), "cannot be stored as I64"));
    CHECK(has(refusal("x", std::span(&two, 1), ssm::Dtype::f8_e8m0), "cannot be stored"));
    CHECK(has(refusal("x", std::span(&two, 1), ssm::Dtype::c64), "cannot be stored"));
    CHECK(has(refusal("x", std::span(&three, 1), ssm::Dtype::f64), "shape (3) but 2 numbers"));
    CHECK(has(refusal("x", absurd, ssm::Dtype::f64), "but 2 numbers"));
    CHECK(has(refusal("\xff", std::span(&two, 1), ssm::Dtype::f64), "not UTF-8"));
    CHECK(has(refusal("__metadata__", std::span(&two, 1), ssm::Dtype::f64), "taken"));
    CHECK(refusal("x", std::span(&two, 1), ssm::Dtype::f64).empty());
    CHECK(has(refusal("x", std::span(&two, 1), ssm::Dtype::f64), "taken"));
    CHECK(has(message_of<ssm::ValueError>([&] {
                  writer.add("i", std::span(&two, 1), std::span<const std::int32_t>(integers),
                             ssm::Dtype::f32);
              }),
              "I32 cannot be stored as F32"));
    writer.add_metadata("k", "v");
    CHECK(has(message_of<ssm::ValueError>([&] { writer.add_metadata("k", "w"); }), "taken"));
    CHECK(has(message_of<ssm::ValueError>([&] { writer.add_metadata("l", "\xc3"); }), "not UTF-8"));
}

TEST_CASE("names and texts of all characters come back") {
    const ssm_test::TemporaryFolder folder;
    std::string text = "\xc3\xa9 \xf0\x9f\x8d\x80 \"\\/";
    for (char c = 0; c < 0x20; ++c)
        text += c;
    const double number = 1;
    SafetensorsWriter writer;
    writer.add(text, {}, std::span<const double>(&number, 1));
    writer.add("", {}, std::span<const double>(&number, 1));
    writer.add_metadata(text, text);
    writer.save(folder / "x");
    const Safetensors file(folder / "x");
    CHECK(file.read<double>(text) == std::vector<double>{1});
    CHECK(file.contains(""));
    CHECK(file.metadata().at(text) == text);
}

TEST_CASE("a file is replaced under its name, without traces") {
    const ssm_test::TemporaryFolder folder;
    ssm_test::write_file(folder / "x", std::string("old"));
    Doubles(100'000).writer.save(folder / "x");
    CHECK(Safetensors(folder / "x").entry("x").shape[0] == 100'000);
    CHECK(folder.size() == 1);
}

TEST_CASE("an open file keeps its content when its name is written again") {
    const ssm_test::TemporaryFolder folder;
    Doubles(3).writer.save(folder / "x");
    const Safetensors old(folder / "x");
    Doubles(5).writer.save(folder / "x");
    CHECK(old.read<double>("x").size() == 3);
    CHECK(Safetensors(folder / "x").read<double>("x").size() == 5);
}

TEST_CASE("a file in a folder that does not exist cannot be written") {
    const ssm_test::TemporaryFolder folder;
    CHECK(has(message_of([&] { Doubles(1).writer.save(folder / "none/x"); }), "none"));
    ssm_test::write_file(folder / "file", std::string("text"));
    CHECK(has(message_of([&] { Doubles(1).writer.save(folder / "file/x"); }), "file"));
    CHECK(has(message_of([&] { Doubles(1).writer.save(folder.path()); }), "not a regular file"));
    CHECK(folder.size() == 1);
}

#if SSM_POSIX_FILES

TEST_CASE("devices and pipes are not replaced") {
    CHECK(has(message_of([] { Doubles(1).writer.save("/dev/null"); }), "not a regular file"));
    CHECK(fs::is_character_file("/dev/null"));
}

TEST_CASE("a disk that is full leaves the old file as it was") {
    const ssm_test::TemporaryFolder folder;
    ssm_test::write_file(folder / "x", std::string("old"));

    // A limit on the size of files fails writes as a full disk does, once its signal is ignored.
    ::rlimit old_limit{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &old_limit) == 0);
    auto* const old_handler = std::signal(SIGXFSZ, SIG_IGN);
    std::vector<std::string> messages;
    std::vector<std::size_t> files;
    for (const ::rlim_t limit : {::rlim_t{0}, ::rlim_t{100}, ::rlim_t{70'000}, ::rlim_t{799'999}}) {
        ::rlimit small = old_limit;
        small.rlim_cur = limit;
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
        messages.push_back(message_of([&] { Doubles(100'000).writer.save(folder / "x"); }));
        files.push_back(folder.size());
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &old_limit) == 0);
    }
    std::signal(SIGXFSZ, old_handler);

    for (const std::string& message : messages)
        CHECK(has(message, "cannot write"));
    CHECK(files == std::vector<std::size_t>{1, 1, 1, 1});
    CHECK(ssm_test::read_file(folder / "x") == "old");
}

TEST_CASE("a link is followed, and permissions are kept") {
    const ssm_test::TemporaryFolder folder;
    fs::create_directory(folder / "real");
    ssm_test::write_file(folder / "real/x", std::string("old"));
    fs::permissions(folder / "real/x", fs::perms::owner_read | fs::perms::owner_write);
    fs::create_symlink("real/x", folder / "link");
    Doubles(1).writer.save(folder / "link");
    CHECK(fs::is_symlink(folder / "link"));
    CHECK(Safetensors(folder / "real/x").contains("x"));
    CHECK(fs::status(folder / "real/x").permissions() ==
          (fs::perms::owner_read | fs::perms::owner_write));
}

TEST_CASE("temporary files that others left are not touched") {
    const ssm_test::TemporaryFolder folder;
    ssm_test::write_file(folder / ".ssm-0.tmp", std::string("other"));
    Doubles(1).writer.save(folder / "x");
    CHECK(ssm_test::read_file(folder / ".ssm-0.tmp") == "other");
    CHECK(folder.size() == 2);
}

#endif
