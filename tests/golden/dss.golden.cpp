// Numbers of the released S4 code for DSS: its diagonal layer with the softmax over time (`disc = dss`, for any sign
// of Re A) and with the exponential, B and C apart. The kernels of the native names are in tests/layer/dss.test.cpp.

#include <algorithm>
#include <complex>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/dss.hpp>
#include <ssm/discretize/transform.hpp>
#include <ssm/discretize/zoh.hpp>
#include <ssm/init/diagonal.hpp>
#include <ssm/layer/activation.hpp>
#include <ssm/layer/identity.hpp>
#include <ssm/layer/s4d.hpp>
#include <ssm/math/activation.hpp>
#include <ssm/model/sequential.hpp>

#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/prebuilt_systems.hpp"

namespace {

using ssm_test::GoldenCase;
using ssm_test::GoldenReport;
using ssm_test::GoldenTensor;
using Batch = ssm::Batch<double>;

constexpr double tolerance = 1e-9;

/// A case's (B, H, L) sequences, channels last.
Batch sequences(const GoldenTensor& tensor) {
    const GoldenTensor last = tensor.permuted({0, 2, 1});
    Batch batch(last.extent(0), last.extent(1), last.extent(2));
    std::copy(last.values.begin(), last.values.end(), batch.data());
    return batch;
}

std::span<const double> numbers(const Batch& batch) {
    return batch.view().flat();
}

void compare(const std::string& label, const Batch& found, GoldenCase& golden,
             GoldenReport& report) {
    report.compare(label, numbers(found), numbers(sequences(golden.tensor(label))), tolerance);
}

template <class Discretization>
using Layer = ssm::S4D<double, ssm::init::Lin, Discretization>;

template <class L>
L loaded(GoldenCase& golden, GoldenReport& report) {
    const auto& config = golden.config;
    typename L::Options options;
    options.channels = config.at("H");
    options.state = config.at("d_state");
    options.heads = config.value("channels", std::size_t{1});
    options.copies = config.value("n_ssm", std::size_t{0});
    options.timescale.tied = config.value("dt_tie", true);
    options.timescale.transform = ssm::transform_named(config.value("dt_transform", "exp"));
    options.structure.real_transform = ssm::transform_named(config.value("real_transform", "exp"));
    options.structure.imag_transform = ssm::transform_named(config.value("imag_transform", "none"));
    L layer(options);
    ssm::visit(
        [&](std::string_view name, const ssm::WeightTraits&, ssm::Tensor<double>& weight) {
            const auto& values = golden.tensor("param." + std::string(name)).values;
            report.check(weight.size() == values.size(), "sizes of the original parameters");
            if (weight.size() == values.size())
                std::copy(values.begin(), values.end(), weight.data());
        },
        layer);
    return layer;
}

template <class L>
void check_system(const L& layer, GoldenCase& golden, GoldenReport& report) {
    const auto system = layer.bank.continuous_system();
    report.compare("cont.A", system.A, tolerance);
    report.compare("cont.B", system.B, tolerance);
    report.compare("cont.C", system.C, tolerance);
    report.compare("cont.dt", system.dt, tolerance);
    report.compare("kernel", layer.kernel(golden.config.at("L")).flat(), tolerance);
    if constexpr (L::streams) {
        if (!golden.has("step.dA"))
            return;
        report.compare("step.dA", layer.system().poles(), tolerance);
        report.compare("step.dB", layer.input_weights(), tolerance);
        report.compare("step.dC", system.C, tolerance);
    }
}

/// Steps through all sequences; `look(l, state)` sees each state.
template <class L, class Look>
Batch steps(const L& layer, const Batch& u, typename L::State& state, Look&& look) {
    Batch y(u.batch(), u.length(), layer.out_channels());
    std::vector<double> in(u.batch() * u.channels()), out(u.batch() * y.channels());
    for (std::size_t l = 0; l < u.length(); ++l) {
        for (std::size_t b = 0; b < u.batch(); ++b)
            std::ranges::copy(u.view().row(b, l), in.data() + b * u.channels());
        layer.step(in, out, state);
        for (std::size_t b = 0; b < u.batch(); ++b)
            std::copy_n(out.data() + b * y.channels(), y.channels(), y.view().row(b, l).data());
        look(l);
    }
    return y;
}

template <class L>
void check_states(const L& layer, GoldenCase& golden, GoldenReport& report) {
    const Batch u = sequences(golden.tensor("u"));
    const auto compare_state = [&](const std::string& name, const auto& state) {
        if (golden.has(name))
            report.compare(name, layer.state_values(state).flat(), tolerance);
    };
    if (golden.has("step.y")) {
        auto state = layer.rest_state(u.batch());
        const Batch y = steps(layer, u, state, [&](std::size_t l) {
            if (l == u.length() / 2)
                compare_state("step.state_mid", state);
        });
        compare("step.y", y, golden, report);
        compare_state("step.state_final", state);
    }
    if (!golden.has("state.in"))
        return;
    const Batch x = sequences(golden.tensor("state.x"));
    const GoldenTensor& values = golden.tensor("state.in");
    ssm::Tensor<double> tensor{ssm::Extents(std::span<const std::size_t>(values.shape))};
    std::copy(values.values.begin(), values.values.end(), tensor.data());
    auto state = layer.rest_state(x.batch());
    layer.set_state_values(state, tensor);
    auto stepped = state;
    auto silent = state;
    ssm::Workspace workspace;
    Batch y(x.batch(), x.length(), layer.out_channels());
    layer.forward(x, y, state, workspace);
    compare("state.y", y, golden, report);
    compare_state("state.out", state);
    compare("state.y", steps(layer, x, stepped, [](std::size_t) {}), golden, report);
    compare_state("state.out", stepped);
    layer.forward(Batch(x.shape()), y, silent, workspace);
    report.compare("state.k_state", numbers(y),
                   golden.tensor("state.k_state").permuted({0, 3, 1, 2}).values, tolerance);
}

/// Outputs and gradients of the layer with its activation.
template <class Model>
void check_training(const Model& model, GoldenCase& golden, GoldenReport& report) {
    const Batch u = sequences(golden.tensor("u"));
    const Batch g = sequences(golden.tensor("g"));
    ssm::Workspace workspace;
    Batch y(g.shape()), du(u.shape());
    model.forward(u, y, workspace);
    compare("y", y, golden, report);
    typename Model::Cache cache;
    Model gradient = ssm::zeros_like(model);
    model.forward(u, y, cache, workspace);
    compare("y", y, golden, report);
    model.backward(u, g, du, cache, gradient, workspace);
    compare("grad.u", du, golden, report);
    ssm::visit(
        [&](std::string_view name, const ssm::WeightTraits&, const ssm::Tensor<double>& weight) {
            report.compare("grad." + std::string(name), weight.flat(), tolerance);
        },
        std::get<0>(gradient.layers));
}

template <class L>
void check_layer(GoldenCase& golden, GoldenReport& report) {
    const L layer = loaded<L>(golden, report);
    check_system(layer, golden, report);
    const auto& activation = golden.config.at("activation");
    if (activation.is_null()) {
        if constexpr (L::streams)
            check_states(layer, golden, report);
        check_training(
            ssm::Sequential(layer, ssm::Identity<double>({.channels = layer.out_channels()})),
            golden, report);
    } else if (activation == "gelu") {
        using Gelu = ssm::Activation<double, ssm::math::Gelu>;
        check_training(ssm::Sequential(layer, Gelu({.channels = layer.out_channels()})), golden,
                       report);
    } else {
        throw std::runtime_error("the runner does not know this activation");
    }
}

}  // namespace

TEST_CASE("golden.dss") {
    ssm_test::run_family("dss", [](GoldenCase& golden, GoldenReport& report) {
        const auto& config = golden.config;
        if (config.at("mode") != "diag" || config.value("bidirectional", false) ||
            config.value("block", false) || config.value("is_real", false))
            throw std::runtime_error("the runner knows causal layers of complex modes only");
        if (config.at("disc") == "dss")
            check_layer<Layer<ssm::Dss>>(golden, report);
        else if (config.at("disc") == "zoh")
            check_layer<Layer<ssm::Zoh>>(golden, report);
        else
            throw std::runtime_error("the runner does not know this discretisation");
    });
}
