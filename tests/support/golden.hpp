#pragma once

#include <complex>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <nlohmann/json.hpp>

namespace ssm_test {

/// Numbers of a golden case, row-major. A complex tensor has real pairs as its last axis of 2.
struct GoldenTensor {
    std::vector<std::size_t> shape;
    std::vector<double> values;
    bool is_complex = false;

    [[nodiscard]] std::size_t rank() const noexcept { return shape.size(); }
    [[nodiscard]] std::size_t extent(std::size_t axis) const { return shape.at(axis); }
    [[nodiscard]] std::size_t size() const noexcept { return values.size(); }

    /// The values as another number type, rounded.
    template <class T>
    [[nodiscard]] std::vector<T> as() const {
        std::vector<T> result;
        result.reserve(values.size());
        for (const double value : values)
            result.push_back(static_cast<T>(value));
        return result;
    }
    /// The pairs of a complex tensor.
    [[nodiscard]] std::vector<std::complex<double>> complex() const;
    /// Axes in another order: axis i of the result is axis `order[i]` of this tensor. For example
    /// {0, 2, 1} makes (batch, L, H) of (batch, H, L).
    [[nodiscard]] GoldenTensor permuted(std::initializer_list<std::size_t> order) const;
};

/// One file of golden numbers. Remembers which tensors were looked at.
class GoldenCase {
public:
    explicit GoldenCase(const std::filesystem::path& path);

    std::filesystem::path path;
    std::string family;
    std::string name;
    nlohmann::json meta;    ///< everything the file says about itself
    nlohmann::json config;  ///< meta["config"]

    /// The tensor; looking at it counts as read. An unknown name throws.
    [[nodiscard]] const GoldenTensor& tensor(std::string_view tensor_name);
    [[nodiscard]] bool has(std::string_view tensor_name) const {
        return tensors_.contains(tensor_name);
    }
    /// Names that start with `prefix`, sorted.
    [[nodiscard]] std::vector<std::string> names(std::string_view prefix = "") const;
    /// Names nobody looked at.
    [[nodiscard]] std::vector<std::string> unread() const;

private:
    std::map<std::string, GoldenTensor, std::less<>> tensors_;
    std::set<std::string, std::less<>> read_;
};

/// Compares results with golden numbers and keeps the largest error. The error of a tensor is
///
///   max |found - expected| / max(1, max |expected|)
///
/// and infinite where one of the two is NaN.
class GoldenReport {
public:
    explicit GoldenReport(GoldenCase& golden) : golden_(&golden) {}

    /// Compares with the case's tensor of that name; `found` may be complex or real pairs.
    template <class Range>
    void compare(std::string_view name, const Range& found, double tolerance) {
        compare_values(name, to_doubles(found), golden_->tensor(name).values, tolerance);
    }
    /// Compares with numbers derived from the case, such as a permuted tensor's `values`.
    template <class Range, class Expected>
    void compare(std::string_view label, const Range& found, const Expected& expected,
                 double tolerance) {
        compare_values(label, to_doubles(found), to_doubles(expected), tolerance);
    }
    /// A claim that is no comparison of numbers (a token chosen, a shape).
    void check(bool claim, const std::string& sentence);

    [[nodiscard]] std::size_t comparisons() const noexcept { return comparisons_; }
    [[nodiscard]] double largest_error() const noexcept { return largest_error_; }
    [[nodiscard]] const std::string& largest_name() const noexcept { return largest_name_; }
    [[nodiscard]] const std::vector<std::string>& failures() const noexcept { return failures_; }

private:
    template <class Range>
    static std::vector<double> to_doubles(const Range& range) {
        std::vector<double> result;
        for (const auto& value : range) {
            if constexpr (std::is_arithmetic_v<std::remove_cvref_t<decltype(value)>>) {
                result.push_back(static_cast<double>(value));
            } else {
                result.push_back(static_cast<double>(value.real()));
                result.push_back(static_cast<double>(value.imag()));
            }
        }
        return result;
    }
    void compare_values(std::string_view label, const std::vector<double>& found,
                        const std::vector<double>& expected, double tolerance);

    GoldenCase* golden_;
    std::size_t comparisons_ = 0;
    double largest_error_ = 0.0;
    std::string largest_name_;
    std::vector<std::string> failures_;
};

/// Runs `run` on every case of `<golden folder>/<family>`: `*.safetensors`, or
/// `*/golden.safetensors` for cases that are folders. The golden folder is tests/golden, or what
/// the environment variable SSM_GOLDEN_DIR names. To be called inside a TEST_CASE.
///
/// Fails when there is no case; when a case throws, compares nothing, or is beyond a tolerance; and
/// when a case has a tensor that was never looked at, unless golden/unsupported.hpp says why.
/// Prints how many cases ran and the largest error. SSM_GOLDEN_CASE, a pattern with `*`, runs only
/// some cases and prints each one's largest error.
void run_family(std::string_view family,
                const std::function<void(GoldenCase&, GoldenReport&)>& run);

/// Whether `text` matches `pattern`, in which `*` stands for any text.
[[nodiscard]] bool matches(std::string_view pattern, std::string_view text);

}  // namespace ssm_test
