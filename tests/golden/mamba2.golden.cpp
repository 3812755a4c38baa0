// The Mamba-2 block against the released modules: output, gradients, prefill and decoding.

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/mamba2.hpp>

#include "golden/trained.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"

namespace {

using namespace ssm;
using namespace ssm_test;

constexpr double tolerance = 1e-9;

/// A weight as the library has it: the filter of the convolution and the first states are transposed.
std::vector<double> arranged(std::string_view name, const GoldenTensor& tensor) {
    if (name == "conv1d.weight")
        return tensor.permuted({2, 1, 0}).values;
    if (name == "init_states")
        return tensor.permuted({0, 2, 1}).values;
    return tensor.values;
}

/// Options that this runner knows; another one is a case it does not understand.
void check_known(const nlohmann::json& config) {
    static const std::vector<std::string> known = {"d_model",
                                                   "d_state",
                                                   "headdim",
                                                   "expand",
                                                   "ngroups",
                                                   "d_conv",
                                                   "d_ssm",
                                                   "chunk_size",
                                                   "B",
                                                   "L",
                                                   "bias",
                                                   "conv_bias",
                                                   "rmsnorm",
                                                   "norm_before_gate",
                                                   "D_has_hdim",
                                                   "dt_limit",
                                                   "learnable_init_states"};
    for (const auto& [key, value] : config.items())
        if (std::find(known.begin(), known.end(), key) == known.end())
            throw std::runtime_error("the runner does not know the option \"" + key + "\"");
}

Mamba2<double> layer_of(GoldenCase& golden) {
    const auto& config = golden.config;
    check_known(config);
    Mamba2<double>::Options options;
    options.channels = config.at("d_model");
    options.state = config.at("d_state");
    options.head_channels = config.at("headdim");
    options.expand = config.at("expand");
    options.groups = config.value("ngroups", std::size_t{1});
    options.width = config.value("d_conv", std::size_t{4});
    options.ssm_channels = config.value("d_ssm", std::size_t{0});
    options.bias = config.value("bias", false);
    options.conv_bias = config.value("conv_bias", true);
    options.norm = config.value("rmsnorm", true);
    options.order =
        config.value("norm_before_gate", false) ? GateOrder::norm_first : GateOrder::gate_first;
    options.D_per_channel = config.value("D_has_hdim", false);
    options.learns_init_state = config.value("learnable_init_states", false);
    if (golden.name.starts_with("simple"))
        options.norm_groups = 1;  // the small module normalises all channels together
    if (config.contains("dt_limit")) {
        options.dt_lowest = config.at("dt_limit")[0];
        options.dt_highest = config.at("dt_limit")[1];
    }
    Mamba2<double> layer(options);
    visit(
        [&](std::string_view name, const WeightTraits&, Tensor<double>& weight) {
            const GoldenTensor& tensor = golden.tensor("param." + std::string(name));
            set(weight, {tensor.shape, arranged(name, tensor)});
        },
        layer);
    return layer;
}

void compare_state(const std::string& prefix, const Mamba2<double>::State& state,
                   GoldenCase& golden, GoldenReport& report) {
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
                   golden.tensor(prefix + ".ssm_state").permuted({0, 1, 3, 2}).values, tolerance);
}

Batch<double> run_steps(const Mamba2<double>& layer, const Batch<double>& x,
                        Mamba2<double>::State& state) {
    Batch<double> y(x.shape());
    std::vector<double> u(x.batch() * x.channels());
    std::vector<double> out(u.size());
    for (std::size_t t = 0; t < x.length(); ++t) {
        for (std::size_t b = 0; b < x.batch(); ++b)
            std::ranges::copy(x.view().row(b, t), u.data() + b * x.channels());
        layer.step(u, out, state);
        for (std::size_t b = 0; b < x.batch(); ++b)
            std::copy_n(out.data() + b * x.channels(), x.channels(), y.view().row(b, t).data());
    }
    return y;
}

void check_case(GoldenCase& golden, GoldenReport& report) {
    const Mamba2<double> layer = layer_of(golden);
    const Batch<double> x = batch_of(golden.tensor("x"));
    const Trained<Mamba2<double>> trained(layer, x, batch_of(golden.tensor("g")));
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
    Mamba2<double>::State state = layer.rest_state(x.batch());
    report.compare("y, step by step", numbers_of(run_steps(layer, x, state)),
                   golden.tensor("y").values, tolerance);
    state = layer.rest_state(x.batch());
    Batch<double> y(x.shape());
    layer.forward(x, y, state, workspace);
    report.compare("y, from a state", numbers_of(y), golden.tensor("y").values, tolerance);
    if (!golden.has("decode.x"))
        return;
    compare_state("prefill", state, golden, report);
    const Batch<double> next = batch_of(golden.tensor("decode.x"));
    report.compare("decode.y", numbers_of(run_steps(layer, next, state)), tolerance);
    compare_state("decode", state, golden, report);
}

}  // namespace

TEST_CASE("golden.mamba2") {
    run_family("mamba2", check_case);
}
