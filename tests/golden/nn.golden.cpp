// Common layers and functions against PyTorch.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <ssm/layer/activation.hpp>
#include <ssm/layer/batch_norm.hpp>
#include <ssm/layer/conv1d.hpp>
#include <ssm/layer/embedding.hpp>
#include <ssm/layer/glu.hpp>
#include <ssm/layer/group_norm.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/layer/norm.hpp>
#include <ssm/layer/pool.hpp>

#include "golden/nn_fft.hpp"
#include "golden/nn_losses.hpp"
#include "golden/trained.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/prebuilt_bank.hpp"
#include "support/prebuilt_selective.hpp"

namespace {

using namespace ssm;
using namespace ssm_test;

constexpr double tolerance = 1e-12;  // sums of at most some hundred products of numbers of size 1

// --- activations ---------------------------------------------------------------------------------

template <class Function>
void check_activation(const std::string& name, GoldenCase& golden, GoldenReport& report) {
    const GoldenTensor& x = golden.tensor("x");
    const Shape shape{1, x.size(), 1};
    Batch<double> u(shape);
    Batch<double> g(shape);
    std::ranges::copy(x.values, u.data());
    std::ranges::copy(golden.tensor("g").values, g.data());
    const Trained run(Activation<double, Function>({.channels = 1}), u, g);
    report.compare(name + ".y", numbers_of(run.y), tolerance);
    report.compare(name + ".dx", numbers_of(run.dx), tolerance);
}

void check_activations(GoldenCase& golden, GoldenReport& report) {
    check_activation<math::Elu>("elu", golden, report);
    check_activation<math::Gelu>("gelu_erf", golden, report);
    check_activation<math::GeluTanh>("gelu_tanh", golden, report);
    check_activation<math::HardSigmoid>("hardsigmoid", golden, report);
    check_activation<math::HardSwish>("hardswish", golden, report);
    check_activation<math::LeakyRelu>("leaky_relu", golden, report);
    check_activation<math::LogSigmoid>("logsigmoid", golden, report);
    check_activation<math::Mish>("mish", golden, report);
    check_activation<math::QuickGelu>("quick_gelu", golden, report);
    check_activation<math::Relu>("relu", golden, report);
    check_activation<math::Relu2>("relu2", golden, report);
    check_activation<math::Sigmoid>("sigmoid", golden, report);
    check_activation<math::Silu>("silu", golden, report);
    check_activation<math::Softplus>("softplus", golden, report);
    check_activation<math::Softsign>("softsign", golden, report);
    check_activation<math::Tanh>("tanh", golden, report);
}

// --- gated linear units --------------------------------------------------------------------------

template <class Function>
void check_gate(const std::string& name, GateHalf gate, GoldenCase& golden, GoldenReport& report) {
    const std::size_t channels = golden.config.at("D");
    const Trained run(Glu<double, Function>({.channels = channels, .gate = gate}),
                      batch_of(golden.tensor("x")), batch_of(golden.tensor("g")));
    report.compare(name + ".y", numbers_of(run.y), tolerance);
    report.compare(name + ".dx", numbers_of(run.dx), tolerance);
}

void check_gates(GoldenCase& golden, GoldenReport& report) {
    check_gate<math::Sigmoid>("glu", GateHalf::second, golden, report);
    check_gate<math::Gelu>("geglu_first", GateHalf::first, golden, report);
    check_gate<math::Gelu>("geglu_second", GateHalf::second, golden, report);
    check_gate<math::Relu>("reglu_second", GateHalf::second, golden, report);
    check_gate<math::Silu>("swiglu_first", GateHalf::first, golden, report);
}

// --- norms ---------------------------------------------------------------------------------------

/// Sets the weights under `name` that the case has.
template <class L>
void set_weights(L& layer, const std::string& name, GoldenCase& golden) {
    if (!layer.weight.empty())
        set(layer.weight, golden.tensor(name + ".weight"));
    if (!layer.bias.empty())
        set(layer.bias, golden.tensor(name + ".bias"));
}

template <class L>
void compare_run(const Trained<L>& run, const std::string& name, GoldenReport& report) {
    report.compare(name + ".y", numbers_of(run.y), tolerance);
    report.compare(name + ".dx", numbers_of(run.dx), tolerance);
    if (!run.gradient.weight.empty())
        report.compare(name + ".grad.weight", numbers_of(run.gradient.weight), tolerance);
    if (!run.gradient.bias.empty())
        report.compare(name + ".grad.bias", numbers_of(run.gradient.bias), tolerance);
}

template <class L>
void check_norm(L layer, const std::string& name, GoldenCase& golden, GoldenReport& report) {
    if (golden.names(name + ".").empty())
        return;  // instance normalisation needs more than one step
    set_weights(layer, name, golden);
    compare_run(Trained<L>(layer, batch_of(golden.tensor("x")), batch_of(golden.tensor("g"))), name,
                report);
}

/// Batch normalisation with the statistics before and after, as an optimiser would move them.
void check_batch_norm(const std::string& name, bool training, GoldenCase& golden,
                      GoldenReport& report) {
    const Batch<double> x = batch_of(golden.tensor("x"));
    const Batch<double> g = batch_of(golden.tensor("g"));
    BatchNorm<double> norm({.channels = x.channels()});
    set_weights(norm, name, golden);
    set(norm.running_mean, golden.tensor(name + ".buffer_before.running_mean"));
    set(norm.running_variance, golden.tensor(name + ".buffer_before.running_var"));
    const double batches = golden.tensor(name + ".buffer_before.num_batches_tracked").values[0];
    report.compare(name + ".buffer_after.num_batches_tracked",
                   std::vector<double>{batches + (training ? 1.0 : 0.0)}, tolerance);
    if (training) {
        const Trained run(norm, x, g);
        compare_run(run, name, report);
        visit(
            [](std::string_view, const WeightTraits& traits, auto& weight, const auto& gradient) {
                if (traits.role == WeightRole::statistic)
                    for (std::size_t i = 0; i < weight.size(); ++i)
                        weight[i] += traits.momentum * gradient[i];
            },
            norm, run.gradient);
    } else {
        // Inference is an affine function: its adjoint follows from the formula.
        Workspace workspace;
        Batch<double> y(x.shape());
        norm.forward(x, y, workspace);
        report.compare(name + ".y", numbers_of(y), tolerance);
        std::vector<double> dx;
        std::vector<double> dweight(x.channels());
        std::vector<double> dbias(x.channels());
        for (std::size_t i = 0; i < x.size(); ++i) {
            const std::size_t h = i % x.channels();
            const double scale = 1.0 / std::sqrt(norm.running_variance[h] + norm.options().epsilon);
            dx.push_back(g.data()[i] * norm.weight[h] * scale);
            dweight[h] += g.data()[i] * (x.data()[i] - norm.running_mean[h]) * scale;
            dbias[h] += g.data()[i];
        }
        report.compare(name + ".dx", dx, tolerance);
        report.compare(name + ".grad.weight", dweight, tolerance);
        report.compare(name + ".grad.bias", dbias, tolerance);
    }
    report.compare(name + ".buffer_after.running_mean", numbers_of(norm.running_mean), tolerance);
    report.compare(name + ".buffer_after.running_var", numbers_of(norm.running_variance),
                   tolerance);
}

void check_norms(GoldenCase& golden, GoldenReport& report) {
    const std::size_t channels = golden.config.at("D");
    const std::size_t groups = golden.config.at("groups");
    const double epsilon = golden.config.at("eps");
    check_norm(LayerNorm<double>({.channels = channels, .epsilon = epsilon}), "layernorm", golden,
               report);
    // This one was made with PyTorch's default epsilon, ours too, whatever the config says.
    check_norm(LayerNorm<double>({.channels = channels, .weight = false, .bias = false}),
               "layernorm_nobias", golden, report);
    check_norm(RMSNorm<double>({.channels = channels, .epsilon = epsilon}), "rmsnorm", golden,
               report);
    check_norm(GroupNorm<double>({.channels = channels, .groups = groups}), "groupnorm", golden,
               report);
    check_norm(GroupNorm<double>({.channels = channels, .groups = channels}), "instancenorm",
               golden, report);
    check_batch_norm("batchnorm_train", true, golden, report);
    check_batch_norm("batchnorm_eval", false, golden, report);
}

// --- linear, embedding, convolution, pooling -----------------------------------------------------

void check_linear(const std::string& name, GoldenCase& golden, GoldenReport& report) {
    const GoldenTensor& weight = golden.tensor(name + ".weight");
    Linear<double> layer(
        {.in = weight.extent(1), .out = weight.extent(0), .bias = golden.has(name + ".bias")});
    set_weights(layer, name, golden);
    compare_run(
        Trained(layer, batch_of(golden.tensor(name + ".x")), batch_of(golden.tensor(name + ".g"))),
        name, report);
}

/// A convolution of width 1 over channels-first sequences is Linear.
void check_pointwise(const std::string& name, GoldenCase& golden, GoldenReport& report) {
    const GoldenTensor& weight = golden.tensor(name + ".weight");
    Linear<double> layer({.in = weight.extent(1), .out = weight.extent(0)});
    set_weights(layer, name, golden);
    const Trained run(layer, batch_of(golden.tensor(name + ".x").permuted({0, 2, 1})),
                      batch_of(golden.tensor(name + ".g").permuted({0, 2, 1})));
    const auto compare = [&](const std::string& tensor, const Batch<double>& found) {
        report.compare(name + tensor, numbers_of(found),
                       golden.tensor(name + tensor).permuted({0, 2, 1}).values, tolerance);
    };
    compare(".y", run.y);
    compare(".dx", run.dx);
    report.compare(name + ".grad.weight", numbers_of(run.gradient.weight), tolerance);
    report.compare(name + ".grad.bias", numbers_of(run.gradient.bias), tolerance);
}

/// PyTorch pads both ends with width - 1 zeros and keeps all outputs: ours of the input with zeros behind it.
void check_depthwise(const std::string& name, GoldenCase& golden, GoldenReport& report) {
    const GoldenTensor x = golden.tensor(name + ".x").permuted({0, 2, 1});
    const Batch<double> g = batch_of(golden.tensor(name + ".g").permuted({0, 2, 1}));
    const std::size_t length = x.extent(1);
    const std::size_t width = golden.config.at("K");
    Batch<double> u(g.shape());
    for (std::size_t b = 0; b < u.batch(); ++b)
        std::copy_n(x.values.begin() + static_cast<std::ptrdiff_t>(b * length * u.channels()),
                    length * u.channels(), &u(b, 0, 0));
    Conv1d<double> layer({.channels = u.channels(), .width = width});
    const GoldenTensor& weight = golden.tensor(name + ".weight");
    std::ranges::copy(weight.permuted({2, 1, 0}).values, layer.weight.data());
    set(layer.bias, golden.tensor(name + ".bias"));

    const Trained run(layer, u, g);
    std::vector<double> dx;
    for (std::size_t b = 0; b < u.batch(); ++b)
        dx.insert(dx.end(), &run.dx(b, 0, 0), &run.dx(b, 0, 0) + length * u.channels());
    report.compare(name + ".y", numbers_of(run.y),
                   golden.tensor(name + ".y").permuted({0, 2, 1}).values, tolerance);
    report.compare(name + ".dx", dx, golden.tensor(name + ".dx").permuted({0, 2, 1}).values,
                   tolerance);
    report.compare(name + ".grad.weight", numbers_of(run.gradient.weight),
                   golden.tensor(name + ".grad.weight").permuted({2, 1, 0}).values, tolerance);
    report.compare(name + ".grad.bias", numbers_of(run.gradient.bias), tolerance);
}

void check_embedding(const std::string& name, GoldenCase& golden, GoldenReport& report) {
    const GoldenTensor& weight = golden.tensor(name + ".weight");
    const GoldenTensor& x = golden.tensor(name + ".x");
    Embedding<double> layer({.tokens = weight.extent(0), .channels = weight.extent(1)});
    set(layer.weight, weight);
    Batch<std::int32_t> u(x.extent(0), x.extent(1), 1);
    std::ranges::copy(x.as<std::int32_t>(), u.data());
    const Trained run(layer, u, batch_of(golden.tensor(name + ".g")));
    report.compare(name + ".y", numbers_of(run.y), tolerance);
    report.compare(name + ".grad.weight", numbers_of(run.gradient.weight), tolerance);
}

void check_mean_pool(const std::string& name, GoldenCase& golden, GoldenReport& report) {
    const Batch<double> u = batch_of(golden.tensor(name + ".x"));
    const GoldenTensor& g = golden.tensor(name + ".g");
    Batch<double> dy(g.extent(0), 1, g.extent(1));
    std::ranges::copy(g.values, dy.data());
    const Trained run(MeanPool<double>({.channels = u.channels()}), u, dy);
    report.compare(name + ".y", numbers_of(run.y), tolerance);
    report.compare(name + ".dx", numbers_of(run.dx), tolerance);
}

void check_layers(GoldenCase& golden, GoldenReport& report) {
    check_linear("linear", golden, report);
    check_linear("linear_nobias", golden, report);
    check_pointwise("conv1d_pointwise", golden, report);
    check_depthwise("conv1d_depthwise_causal", golden, report);
    check_embedding("embedding", golden, report);
    check_mean_pool("meanpool", golden, report);
}

void check_case(GoldenCase& golden, GoldenReport& report) {
    if (golden.name.starts_with("activations"))
        check_activations(golden, report);
    else if (golden.name.starts_with("glu"))
        check_gates(golden, report);
    else if (golden.name.starts_with("norms"))
        check_norms(golden, report);
    else if (golden.name.starts_with("layers"))
        check_layers(golden, report);
    else if (golden.name.starts_with("fft"))
        check_fft(golden, report);
    else if (golden.name.starts_with("losses"))
        check_losses(golden, report);
    else
        throw std::runtime_error("no check for this case");
}

}  // namespace

TEST_CASE("golden nn") {
    run_family("nn", check_case);
}
