#include "support/golden.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <utility>

#include <ssm/io/safetensors.hpp>

#include "golden/unsupported.hpp"
#include "support/catch.hpp"

#if !defined(SSM_GOLDEN_DIR)
#define SSM_GOLDEN_DIR "tests/golden"
#endif

namespace ssm_test {

namespace fs = std::filesystem;

// --- tensors
// --------------------------------------------------------------------------------------

std::vector<std::complex<double>> GoldenTensor::complex() const {
    if (!is_complex)
        throw std::runtime_error("a real golden tensor was read as a complex one");
    std::vector<std::complex<double>> result;
    for (std::size_t i = 0; i < values.size(); i += 2)
        result.emplace_back(values[i], values[i + 1]);
    return result;
}

GoldenTensor GoldenTensor::permuted(std::initializer_list<std::size_t> order) const {
    std::vector<std::size_t> axes(order);
    const std::size_t axes_of_numbers = rank() - (is_complex ? 1 : 0);
    if (is_complex && axes.size() == axes_of_numbers)
        axes.push_back(rank() - 1);
    if (axes.size() != rank())
        throw std::runtime_error("a golden tensor has another rank than its new order of axes");

    std::vector<std::size_t> strides(rank(), 1);
    for (std::size_t axis = rank(); axis-- > 1;)
        strides[axis - 1] = strides[axis] * shape[axis];
    GoldenTensor result{{}, std::vector<double>(size()), is_complex};
    for (const std::size_t axis : axes)
        result.shape.push_back(extent(axis));
    for (std::size_t i = 0; i < size(); ++i) {
        std::size_t rest = i;
        std::size_t from = 0;
        for (std::size_t axis = rank(); axis-- > 0;) {
            from += rest % result.shape[axis] * strides[axes[axis]];
            rest /= result.shape[axis];
        }
        result.values[i] = values[from];
    }
    return result;
}

// --- cases
// ----------------------------------------------------------------------------------------

GoldenCase::GoldenCase(const fs::path& file)
    : path(file), family(file.parent_path().filename().string()), name(file.stem().string()) {
    if (name == "golden") {
        name = file.parent_path().filename().string();
        family = file.parent_path().parent_path().filename().string();
    }
    const ssm::Safetensors source(file);
    meta = nlohmann::json::parse(source.metadata().at("meta"));
    config = meta.value("config", nlohmann::json::object());
    const auto complex_names = meta.value("complex", std::vector<std::string>());
    for (const auto& [tensor_name, entry] : source.entries()) {
        const bool is_complex = std::find(complex_names.begin(), complex_names.end(),
                                          tensor_name) != complex_names.end();
        tensors_.emplace(tensor_name, GoldenTensor{source.real_shape(tensor_name),
                                                   source.read<double>(tensor_name), is_complex});
    }
}

const GoldenTensor& GoldenCase::tensor(std::string_view tensor_name) {
    const auto position = tensors_.find(tensor_name);
    if (position == tensors_.end())
        throw std::runtime_error("the case has no tensor " + std::string(tensor_name));
    read_.emplace(tensor_name);
    return position->second;
}

std::vector<std::string> GoldenCase::names(std::string_view prefix) const {
    std::vector<std::string> result;
    for (const auto& [tensor_name, tensor] : tensors_)
        if (tensor_name.starts_with(prefix))
            result.push_back(tensor_name);
    return result;
}

std::vector<std::string> GoldenCase::unread() const {
    std::vector<std::string> result = names();
    std::erase_if(result, [&](const std::string& read) { return read_.contains(read); });
    return result;
}

// --- reports
// --------------------------------------------------------------------------------------

namespace {

double difference(double found, double expected) {
    if (found == expected || (std::isnan(found) && std::isnan(expected)))
        return 0.0;
    const double result = std::abs(found - expected);
    return std::isnan(result) ? std::numeric_limits<double>::infinity() : result;
}

}  // namespace

void GoldenReport::compare_values(std::string_view label, const std::vector<double>& found,
                                  const std::vector<double>& expected, double tolerance) {
    ++comparisons_;
    std::ostringstream failure;
    if (found.size() != expected.size()) {
        failure << label << ": " << found.size() << " numbers, expected " << expected.size();
        failures_.push_back(failure.str());
        return;
    }
    double scale = 1.0;
    for (const double value : expected)
        if (std::isfinite(value))
            scale = std::max(scale, std::abs(value));
    double error = 0.0;
    std::size_t worst = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
        const double here = difference(found[i], expected[i]) / scale;
        if (here > error) {
            error = here;
            worst = i;
        }
    }
    if (error > largest_error_ || largest_name_.empty()) {
        largest_error_ = error;
        largest_name_ = label;
    }
    if (error > tolerance) {
        failure.precision(17);
        failure << label << ": error " << error << " above " << tolerance << ", number " << worst
                << " is " << found[worst] << ", expected " << expected[worst];
        failures_.push_back(failure.str());
    }
}

void GoldenReport::check(bool claim, const std::string& sentence) {
    ++comparisons_;
    if (!claim)
        failures_.push_back("not true: " + sentence);
}

// --- families
// -------------------------------------------------------------------------------------

bool matches(std::string_view pattern, std::string_view text) {
    if (pattern.empty())
        return text.empty();
    if (pattern.front() == '*')
        return matches(pattern.substr(1), text) ||
               (!text.empty() && matches(pattern, text.substr(1)));
    return !text.empty() && pattern.front() == text.front() &&
           matches(pattern.substr(1), text.substr(1));
}

namespace {

fs::path golden_folder() {
    const char* const named = std::getenv("SSM_GOLDEN_DIR");
    return named != nullptr && *named != '\0' ? named : SSM_GOLDEN_DIR;
}

std::vector<fs::path> files_of(const fs::path& folder) {
    std::vector<fs::path> files;
    std::error_code code;
    for (const auto& item : fs::directory_iterator(folder, code)) {
        if (item.path().extension() == ".safetensors")
            files.push_back(item.path());
        else if (fs::exists(item.path() / "golden.safetensors"))
            files.push_back(item.path() / "golden.safetensors");
    }
    std::sort(files.begin(), files.end());
    return files;
}

const GoldenUnsupported* find_unsupported(std::string_view family, std::string_view what) {
    for (const GoldenUnsupported& row : golden_unsupported)
        if (matches(row.family, family) && matches(row.pattern, what) &&
            (row.pattern.find('/') == std::string_view::npos) ==
                (what.find('/') == std::string_view::npos))
            return &row;
    return nullptr;
}

struct Totals {
    std::size_t cases = 0;
    std::size_t left_out = 0;
    std::size_t comparisons = 0;
    double error = 0.0;
    std::string worst = "none";
};

void report_unread(const GoldenCase& golden, std::vector<std::string>& failures) {
    std::string list;
    for (const std::string& name : golden.unread())
        if (find_unsupported(golden.family, golden.name + "/" + name) == nullptr)
            list += " " + name;
    if (!list.empty())
        failures.push_back("never looked at:" + list);
}

void run_case(const fs::path& file, const std::function<void(GoldenCase&, GoldenReport&)>& run,
              bool is_chatty, Totals& totals) {
    std::vector<std::string> failures;
    try {
        GoldenCase golden(file);
        GoldenReport report(golden);
        try {
            run(golden, report);
            report_unread(golden, failures);
        } catch (const std::exception& error) {
            failures.push_back(std::string("threw: ") + error.what());
        }
        failures.insert(failures.end(), report.failures().begin(), report.failures().end());
        if (report.comparisons() == 0)
            failures.push_back("nothing was compared");
        totals.comparisons += report.comparisons();
        if (report.largest_error() >= totals.error && !report.largest_name().empty()) {
            totals.error = report.largest_error();
            totals.worst = golden.name + "/" + report.largest_name();
        }
        if (is_chatty)
            std::cout << "  " << golden.name << ": " << report.comparisons()
                      << " comparisons, largest error " << report.largest_error() << " in "
                      << report.largest_name() << '\n';
    } catch (const std::exception& error) {
        failures.push_back(std::string("cannot be read: ") + error.what());
    }
    for (const std::string& failure : failures)
        FAIL_CHECK(file.string() << ": " << failure);
}

}  // namespace

void run_family(std::string_view family,
                const std::function<void(GoldenCase&, GoldenReport&)>& run) {
    const fs::path folder = golden_folder() / family;
    const char* const chosen = std::getenv("SSM_GOLDEN_CASE");
    Totals totals;
    for (const fs::path& file : files_of(folder)) {
        const bool is_folder = file.filename() == "golden.safetensors";
        const std::string name = (is_folder ? file.parent_path().filename() : file.stem()).string();
        if (chosen != nullptr && !matches(chosen, name))
            continue;
        if (const GoldenUnsupported* const row = find_unsupported(family, name)) {
            ++totals.left_out;
            std::cout << "  " << name << " is left out: " << row->reason << '\n';
            continue;
        }
        ++totals.cases;
        run_case(file, run, chosen != nullptr, totals);
    }
    std::cout << "golden." << family << ": " << totals.cases << " cases, " << totals.left_out
              << " left out, " << totals.comparisons << " comparisons, largest error "
              << totals.error << " in " << totals.worst << std::endl;
    INFO("golden cases of " << folder.string());
    CHECK(totals.cases > 0);
}

}  // namespace ssm_test
