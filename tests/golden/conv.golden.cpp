// Causal depthwise convolution against the causal-conv1d code.

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <ssm/convolution/depthwise.hpp>
#include <ssm/layer/conv1d.hpp>

#include "golden/trained.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/prebuilt_selective.hpp"

namespace {

using namespace ssm;
using namespace ssm_test;

constexpr double tolerance = 1e-12;  // sums of a few products of numbers of size 1

/// The reference is channels first, time last; the weight is (channels, width).
std::vector<double> time_major(GoldenCase& golden, const std::string& name) {
    const GoldenTensor& tensor = golden.tensor(name);
    return (tensor.rank() == 2 ? tensor.permuted({1, 0}) : tensor.permuted({0, 2, 1})).values;
}

void check_variant(const std::string& name, bool silu, bool bias, bool initial, GoldenCase& golden,
                   GoldenReport& report) {
    const Batch<double> u = batch_of(golden.tensor("in.x").permuted({0, 2, 1}));
    const Batch<double> dy = batch_of(golden.tensor("g").permuted({0, 2, 1}));
    const std::vector<double> weight = time_major(golden, "in.weight");
    const std::vector<double>& biases = golden.tensor("in.bias").values;
    const std::size_t width = golden.config.at("W");
    const Depthwise<double> filter{u.channels(), width, weight.data(),
                                   bias ? biases.data() : nullptr, silu};
    std::vector<double> window = time_major(golden, "in.initial_states");
    if (!initial)
        std::ranges::fill(window, 0.0);

    Workspace workspace;
    Batch<double> y(u.shape());
    depthwise_forward<double>(filter, u, y, window.data(), workspace);
    Batch<double> du(u.shape());
    std::vector<double> dweight(weight.size());
    std::vector<double> dbias(biases.size());
    std::vector<double> dwindow(window.size());
    depthwise_backward<double>(filter, u, dy, du, window.data(), dweight.data(), dbias.data(),
                               dwindow.data(), workspace);
    depthwise_advance<double>(filter, u, window.data(), workspace);

    const auto compare = [&](const std::string& tensor, const auto& found) {
        report.compare(name + "." + tensor, found, time_major(golden, name + "." + tensor),
                       tolerance);
    };
    compare("y", numbers_of(y));
    compare("final_states", window);
    compare("grad.x", numbers_of(du));
    compare("grad.weight", dweight);
    if (bias)
        report.compare(name + ".grad.bias", dbias, tolerance);
    if (initial)
        compare("grad.initial_states", dwindow);
}

/// Three single steps of the layer; the reference's state is longer than the window.
void check_update(bool silu, GoldenCase& golden, GoldenReport& report) {
    const std::size_t batch = golden.config.at("B");
    const std::size_t channels = golden.config.at("D");
    const std::size_t width = golden.config.at("W");
    const std::size_t behind = width - 1;
    Conv1d<double> conv({.channels = channels, .width = width, .silu = silu});
    std::ranges::copy(time_major(golden, "in.weight"), conv.weight.data());
    set(conv.bias, golden.tensor("in.bias"));

    const GoldenTensor state_in = golden.tensor("update.conv_state_in").permuted({0, 2, 1});
    const GoldenTensor state_out = golden.tensor("update.conv_state_out").permuted({0, 2, 1});
    const GoldenTensor& x = golden.tensor("update.x");
    const std::size_t rows = state_in.extent(1);
    const auto newest = [&](const GoldenTensor& state) {
        std::vector<double> window;
        for (std::size_t b = 0; b < batch; ++b) {
            const auto end =
                state.values.begin() + static_cast<std::ptrdiff_t>((b + 1) * rows * channels);
            window.insert(window.end(), end - static_cast<std::ptrdiff_t>(behind * channels), end);
        }
        return window;
    };
    auto state = conv.rest_state(batch);
    std::ranges::copy(newest(state_in), state.window.begin());
    std::vector<double> y(x.size());
    const std::size_t row = batch * channels;
    for (std::size_t t = 0; t < x.extent(0); ++t)
        conv.step(std::span(x.values).subspan(t * row, row), std::span(y).subspan(t * row, row),
                  state);
    report.compare(silu ? "update.silu.y" : "update.none.y", y, tolerance);
    report.compare("update.conv_state_out, newest rows", state.window, newest(state_out),
                   tolerance);
}

void check_case(GoldenCase& golden, GoldenReport& report) {
    for (const bool silu : {false, true}) {
        for (const bool bias : {false, true})
            for (const bool initial : {false, true})
                check_variant(std::string(silu ? "silu" : "none") + "_bias" + (bias ? "1" : "0") +
                                  "_init" + (initial ? "1" : "0"),
                              silu, bias, initial, golden, report);
        check_update(silu, golden, report);
    }
}

}  // namespace

TEST_CASE("golden conv") {
    run_family("conv", check_case);
}
