// The Mamba-1 block against the released module: output, gradients, prefill and decoding.

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/mamba.hpp>

#include "golden/trained.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"

namespace {

using namespace ssm;
using namespace ssm_test;

constexpr double tolerance = 1e-9;

/// A weight as the library has it: A_log and the filter of the convolution are transposed.
std::vector<double> arranged(std::string_view name, const GoldenTensor& tensor) {
    if (name == "A_log")
        return tensor.permuted({1, 0}).values;
    if (name == "conv1d.weight")
        return tensor.permuted({2, 1, 0}).values;
    return tensor.values;
}

Mamba<double> layer_of(GoldenCase& golden) {
    const auto& config = golden.config;
    Mamba<double>::Options options;
    options.channels = config.at("d_model");
    options.state = config.at("d_state");
    options.width = config.at("d_conv");
    options.expand = config.at("expand");
    options.rank = config.value("dt_rank", std::size_t{0});
    options.bias = config.value("bias", false);
    options.conv_bias = config.value("conv_bias", true);
    Mamba<double> layer(options);
    visit(
        [&](std::string_view name, const WeightTraits&, Tensor<double>& weight) {
            const GoldenTensor& tensor = golden.tensor("param." + std::string(name));
            set(weight, {tensor.shape, arranged(name, tensor)});
        },
        layer);
    return layer;
}

void compare_state(const std::string& prefix, const Mamba<double>::State& state, GoldenCase& golden,
                   GoldenReport& report) {
    const GoldenTensor window = golden.tensor(prefix + ".conv_state").permuted({0, 2, 1});
    std::vector<double> newest;  // the reference keeps one input more than the filter needs
    const std::size_t row = window.extent(2);
    const std::size_t rows = window.extent(1);
    for (std::size_t b = 0; b < window.extent(0); ++b)
        newest.insert(newest.end(),
                      window.values.begin() + static_cast<std::ptrdiff_t>((b * rows + 1) * row),
                      window.values.begin() + static_cast<std::ptrdiff_t>((b + 1) * rows * row));
    report.compare(prefix + ".conv_state, newest rows", state.conv.window, newest, tolerance);
    report.compare(prefix + ".ssm_state", state.ssm,
                   golden.tensor(prefix + ".ssm_state").permuted({0, 2, 1}).values, tolerance);
}

void check_case(GoldenCase& golden, GoldenReport& report) {
    const Mamba<double> layer = layer_of(golden);
    const Batch<double> x = batch_of(golden.tensor("x"));
    const Trained<Mamba<double>> trained(layer, x, batch_of(golden.tensor("g")));
    report.compare("y", numbers_of(trained.y), tolerance);
    report.compare("grad.x", numbers_of(trained.dx), tolerance);
    visit(
        [&](std::string_view name, const WeightTraits&, const Tensor<double>& gradient) {
            const std::string full = "grad." + std::string(name);
            report.compare(full, numbers_of(gradient), arranged(name, golden.tensor(full)),
                           tolerance);
        },
        trained.gradient);

    Workspace workspace;
    Mamba<double>::State state = layer.rest_state(x.batch());
    Batch<double> y(x.shape());
    layer.forward(x, y, state, workspace);
    report.compare("y, from a state", numbers_of(y), golden.tensor("y").values, tolerance);
    compare_state("prefill", state, golden, report);

    const Batch<double> next = batch_of(golden.tensor("decode.x"));
    Batch<double> decoded(next.shape());
    std::vector<double> u(x.batch() * x.channels());
    std::vector<double> out(u.size());
    for (std::size_t t = 0; t < next.length(); ++t) {
        for (std::size_t b = 0; b < x.batch(); ++b)
            std::ranges::copy(next.view().row(b, t), u.data() + b * x.channels());
        layer.step(u, out, state);
        for (std::size_t b = 0; b < x.batch(); ++b)
            std::copy_n(out.data() + b * x.channels(), x.channels(),
                        decoded.view().row(b, t).data());
    }
    report.compare("decode.y", numbers_of(decoded), tolerance);
    compare_state("decode", state, golden, report);
}

}  // namespace

TEST_CASE("golden mamba1") {
    run_family("mamba1", check_case);
}
