#include "support/golden.hpp"

#include <array>
#include <complex>
#include <cstddef>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <ssm/io/safetensors_writer.hpp>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using ssm_test::GoldenCase;
using ssm_test::GoldenReport;
using ssm_test::GoldenTensor;
using ssm_test::matches;

namespace {

/// A case with a real tensor y (2, 3) = 0 .. 5 and a complex one z (2) = 1 + 2i, 3 + 4i.
struct SmallCase {
    SmallCase() {
        const std::array<std::size_t, 2> y_shape{2, 3};
        const std::array<std::size_t, 2> z_shape{2, 2};
        ssm::SafetensorsWriter writer;
        writer.add_metadata("meta", R"({"config": {"H": 3}, "complex": ["z"]})");
        writer.add("y", y_shape, std::span<const double>(y));
        writer.add("z", z_shape, std::span<const double>(z));
        std::filesystem::create_directory(folder / "family");
        writer.save(folder / "family/small.safetensors");
    }
    [[nodiscard]] GoldenCase open() const {
        return GoldenCase(folder / "family/small.safetensors");
    }
    std::vector<double> y{0, 1, 2, 3, 4, 5};
    std::vector<double> z{1, 2, 3, 4};
    ssm_test::TemporaryFolder folder;
};

}  // namespace

TEST_CASE("a case of original numbers knows what it is and what was looked at") {
    GoldenCase golden = SmallCase().open();
    CHECK(golden.family == "family");
    CHECK(golden.name == "small");
    CHECK(golden.config.at("H") == 3);
    CHECK(golden.has("y"));
    CHECK(golden.names("z") == std::vector<std::string>{"z"});
    CHECK(golden.unread() == std::vector<std::string>{"y", "z"});
    CHECK(golden.tensor("y").shape == std::vector<std::size_t>{2, 3});
    CHECK(golden.unread() == std::vector<std::string>{"z"});
    CHECK(golden.tensor("z").complex()[1] == std::complex<double>(3, 4));
    CHECK_THROWS(golden.tensor("x"));
    CHECK_THROWS(golden.tensor("y").complex());
}

TEST_CASE("axes of original tensors are permuted, pairs staying together") {
    GoldenCase golden = SmallCase().open();
    const GoldenTensor turned = golden.tensor("y").permuted({1, 0});
    CHECK(turned.shape == std::vector<std::size_t>{3, 2});
    CHECK(turned.values == std::vector<double>{0, 3, 1, 4, 2, 5});
    CHECK(golden.tensor("z").permuted({0}).values == golden.tensor("z").values);
    CHECK_THROWS(golden.tensor("y").permuted({0}));
}

TEST_CASE("a report scales errors by the tensor and keeps the largest") {
    GoldenCase golden = SmallCase().open();
    GoldenReport report(golden);
    report.compare("y", std::vector<float>{0, 1, 2, 3, 4, 5.5F}, 0.11);
    CHECK(report.failures().empty());
    CHECK(report.largest_error() == 0.1);
    report.compare("z", std::vector<std::complex<double>>{{1, 2}, {3, 4}}, 0.0);
    CHECK(report.failures().empty());
    CHECK(report.largest_name() == "y");
    report.compare("y", std::vector<double>{0, 1, 2, 3, 4, 7}, 0.3);
    CHECK(report.failures().size() == 1);
    report.compare("y", std::vector<double>{0, 1}, 0.0);
    CHECK(report.failures().size() == 2);
    report.check(false, "it holds");
    CHECK(report.failures().size() == 3);
    CHECK(report.comparisons() == 5);
}

TEST_CASE("NaN is equal to NaN alone in a report") {
    GoldenCase golden = SmallCase().open();
    const double nan = std::numeric_limits<double>::quiet_NaN();
    GoldenReport report(golden);
    report.compare("both", std::vector{nan}, std::vector{nan}, 0.0);
    CHECK(report.failures().empty());
    report.compare("found", std::vector{nan}, std::vector{1.0}, 1e9);
    report.compare("expected", std::vector{1.0}, std::vector{nan}, 1e9);
    CHECK(report.failures().size() == 2);
}

TEST_CASE("patterns match with stars for any text") {
    CHECK(matches("*", ""));
    CHECK(matches("a*c", "abbc"));
    CHECK(matches("*/step.*", "case/step.y"));
    CHECK_FALSE(matches("a*c", "abcd"));
    CHECK_FALSE(matches("", "a"));
}
