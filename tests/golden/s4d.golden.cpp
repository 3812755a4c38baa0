// Numbers of the released S4 code for its diagonal layers: the convolution layer alone, with its activation,
// inside its block, the small standalone S4D, and bare kernels.

#include <algorithm>
#include <complex>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/discretize/bilinear.hpp>
#include <ssm/discretize/dss.hpp>
#include <ssm/discretize/zoh.hpp>
#include <ssm/init/diagonal.hpp>
#include <ssm/layer/activation.hpp>
#include <ssm/layer/glu.hpp>
#include <ssm/layer/identity.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/layer/s4d.hpp>
#include <ssm/math/activation.hpp>
#include <ssm/model/sequential.hpp>

#include "support/catch.hpp"
#include "support/golden.hpp"

namespace {

using ssm_test::GoldenCase;
using ssm_test::GoldenReport;
using ssm_test::GoldenTensor;
using Real = double;
using Complex = std::complex<double>;

constexpr double tolerance = 1e-9;

// ---- layouts ---------------------------------------------------------------------------------

/// A case's (B, H, L) or (B, L, H) sequences, channels last.
ssm::Batch<Real> sequences(const GoldenTensor& tensor, bool channels_first) {
    const GoldenTensor last = channels_first ? tensor.permuted({0, 2, 1}) : tensor;
    ssm::Batch<Real> batch(last.extent(0), last.extent(1), last.extent(2));
    std::copy(last.values.begin(), last.values.end(), batch.data());
    return batch;
}

std::vector<double> numbers(const ssm::Batch<Real>& batch) {
    return {batch.view().flat().begin(), batch.view().flat().end()};
}

void set(ssm::Tensor<Real>& weight, std::span<const double> values, GoldenReport& report) {
    report.check(weight.size() == values.size(), "a weight has the size of the original parameter");
    if (weight.size() == values.size())
        std::copy(values.begin(), values.end(), weight.data());
}

/// Steps through all sequences together; `look` sees the state after each step.
template <class L, class Look>
ssm::Batch<Real> run_steps(const L& layer, const ssm::Batch<Real>& u, typename L::State& state,
                           Look&& look) {
    ssm::Batch<Real> y(u.batch(), u.length(), layer.out_channels());
    std::vector<Real> in(u.batch() * u.channels());
    std::vector<Real> out(u.batch() * y.channels());
    for (std::size_t l = 0; l < u.length(); ++l) {
        for (std::size_t b = 0; b < u.batch(); ++b)
            std::copy_n(u.view().row(b, l).data(), u.channels(), in.data() + b * u.channels());
        layer.step(in, out, state);
        for (std::size_t b = 0; b < u.batch(); ++b)
            std::copy_n(out.data() + b * y.channels(), y.channels(), y.view().row(b, l).data());
        look(l, state);
    }
    return y;
}

// ---- the layer and what surrounds it -------------------------------------------------------------

template <class L>
typename L::Options options_of(const nlohmann::json& config) {
    typename L::Options options;
    options.channels = config.at("H");
    options.state = config.at("d_state");
    options.heads = config.value("channels", std::size_t{1});
    options.copies = config.value("n_ssm", std::size_t{0});
    options.timescale.tied = config.value("dt_tie", true);
    options.timescale.fast = config.value("dt_fast", false);
    options.timescale.transform = ssm::transform_named(config.value("dt_transform", "exp"));
    options.structure.real_transform = ssm::transform_named(config.value("real_transform", "exp"));
    options.structure.imag_transform = ssm::transform_named(config.value("imag_transform", "none"));
    options.structure.real = config.value("is_real", false);
    options.structure.bandlimit = config.value("bandlimit", 0.0);
    return options;
}

/// Options of a case that this runner knows; another one is a case it does not understand.
void check_known(const nlohmann::json& config) {
    static const std::vector<std::string> known = {"mode",
                                                   "activation",
                                                   "init",
                                                   "disc",
                                                   "H",
                                                   "d_state",
                                                   "B",
                                                   "L",
                                                   "state",
                                                   "n_ssm",
                                                   "channels",
                                                   "dt_tie",
                                                   "dt_fast",
                                                   "dt_transform",
                                                   "rates",
                                                   "more_L",
                                                   "is_real",
                                                   "bandlimit",
                                                   "real_transform",
                                                   "imag_transform",
                                                   "dt_min",
                                                   "dt_max",
                                                   "block",
                                                   "noise",
                                                   "B_init",
                                                   "transposed",
                                                   "bidirectional",
                                                   "final_act",
                                                   "deterministic",
                                                   "real_scale",
                                                   "imag_scale"};
    for (const auto& [key, value] : config.items())
        if (std::find(known.begin(), known.end(), key) == known.end())
            throw std::runtime_error("the runner does not know the option \"" + key + "\"");
    if (config.at("mode") != "diag" ||
        (config.contains("final_act") && config.at("final_act") != "glu"))
        throw std::runtime_error("the runner knows mode diag with final activation glu only");
}

template <class L>
void load(L& layer, GoldenCase& golden, const std::string& prefix, GoldenReport& report) {
    ssm::visit(
        [&](std::string_view name, const ssm::WeightTraits&, ssm::Tensor<Real>& weight) {
            set(weight, golden.tensor("param." + prefix + std::string(name)).values, report);
        },
        layer);
}

template <class L>
void compare_gradient(const L& gradient, const std::string& prefix, GoldenReport& report) {
    ssm::visit(
        [&](std::string_view name, const ssm::WeightTraits&, const ssm::Tensor<Real>& weight) {
            report.compare("grad." + prefix + std::string(name), weight.flat(), tolerance);
        },
        gradient);
}

/// Forward, gradients, and blocks against the case's y and grad.*; `names(i)` is the original name of the
/// weights of part i of `model`.
template <class Model, class CompareGradients>
void check_training(const Model& model, GoldenCase& golden, bool channels_first,
                    GoldenReport& report, CompareGradients&& compare_gradients) {
    const ssm::Batch<Real> u = sequences(golden.tensor("u"), channels_first);
    const ssm::Batch<Real> g = sequences(golden.tensor("g"), channels_first);
    const auto expected = numbers(sequences(golden.tensor("y"), channels_first));
    ssm::Workspace workspace;
    ssm::Batch<Real> y(u.batch(), u.length(), model.out_channels());
    model.forward(u, y, workspace);
    report.compare("y", numbers(y), expected, tolerance);

    typename Model::Cache cache;
    Model gradient = ssm::zeros_like(model);
    ssm::Batch<Real> du(u.shape());
    y.fill(0.0);
    model.forward(u, y, cache, workspace);
    report.compare("y in training", numbers(y), expected, tolerance);
    model.backward(u, g, du, cache, gradient, workspace);
    report.compare("grad.u", numbers(du),
                   numbers(sequences(golden.tensor("grad.u"), channels_first)), tolerance);
    compare_gradients(gradient);

    if constexpr (ssm::StreamingLayer<Model>) {
        auto state = model.rest_state(u.batch());
        report.compare("y step by step",
                       numbers(run_steps(model, u, state, [](std::size_t, const auto&) {})),
                       expected, tolerance);
    }
}

template <class L>
void check_system(const L& layer, GoldenCase& golden, GoldenReport& report) {
    const auto system = layer.bank.continuous_system();
    const bool real = golden.config.value("is_real", false);
    const auto compare = [&](const char* name, const std::vector<Complex>& values) {
        if (!golden.has(name))
            return;
        std::vector<double> parts;
        for (const Complex& value : values) {
            parts.push_back(value.real());
            if (!real)
                parts.push_back(value.imag());
        }
        report.compare(name, parts, tolerance);
    };
    compare("cont.A", system.A);
    compare("cont.B", system.B);
    compare("cont.C", system.C);
    report.compare("cont.dt", system.dt, tolerance);

    const std::size_t length = golden.config.at("L");
    report.compare("kernel", layer.kernel(length).flat(), tolerance);
    for (const std::string& name : golden.names("kernel_L"))
        report.compare(name, layer.kernel(golden.tensor(name).extent(2)).flat(), tolerance);
    for (const std::string& name : golden.names("kernel_rate")) {
        L other = layer;
        other.set_rate(std::stod(name.substr(std::string("kernel_rate").size())));
        report.compare(name, other.kernel(golden.tensor(name).extent(2)).flat(), tolerance);
    }
    if constexpr (L::streams) {
        compare("step.dA", layer.system().poles());
        compare("step.dB", layer.input_weights());
        compare("step.dC", system.C);
    }
}

/// States: `stream` is the layer with its activation.
template <class L, class Stream>
void check_states(const L& layer, const Stream& stream, GoldenCase& golden, bool channels_first,
                  GoldenReport& report) {
    ssm::Workspace workspace;
    const auto inner = [](auto& state) -> auto& {
        return std::get<0>(state.parts);
    };
    const auto state_numbers = [&](auto& state) {
        const ssm::Tensor<Real> x = layer.state_values(inner(state));
        return std::vector<double>(x.flat().begin(), x.flat().end());
    };
    if (golden.has("step.state_final")) {
        const ssm::Batch<Real> u = sequences(golden.tensor("u"), channels_first);
        auto state = stream.rest_state(u.batch());
        run_steps(stream, u, state, [&](std::size_t l, auto& now) {
            if (l == u.length() / 2)
                report.compare("step.state_mid", state_numbers(now), tolerance);
        });
        report.compare("step.state_final", state_numbers(state), tolerance);
    }
    if (!golden.has("state.in"))
        return;
    const ssm::Batch<Real> x = sequences(golden.tensor("state.x"), true);
    const auto start = [&] {
        auto state = stream.rest_state(x.batch());
        const GoldenTensor& values = golden.tensor("state.in");
        ssm::Tensor<Real> tensor(ssm::Extents(std::span<const std::size_t>(values.shape)));
        std::copy(values.values.begin(), values.values.end(), tensor.data());
        layer.set_state_values(inner(state), tensor);
        return state;
    };
    const bool first = !golden.config.value("block", false);
    const auto expected = numbers(sequences(golden.tensor("state.y"), first));
    auto state = start();
    ssm::Batch<Real> y(x.batch(), x.length(), layer.out_channels());
    stream.forward(x, y, state, workspace);
    report.compare("state.y", numbers(y), expected, tolerance);
    report.compare("state.out", state_numbers(state), tolerance);

    auto stepped = start();
    report.compare("state.y step by step",
                   numbers(run_steps(stream, x, stepped, [](std::size_t, const auto&) {})),
                   expected, tolerance);
    report.compare("state.out after steps", state_numbers(stepped),
                   golden.tensor("state.out").values, tolerance);

    auto free_state = start();
    const ssm::Batch<Real> silence(x.shape());
    layer.forward(silence, y, inner(free_state), workspace);
    const GoldenTensor& response = golden.tensor("state.k_state");  // (B, heads, H, L)
    report.compare("state.k_state", numbers(y), response.permuted({0, 3, 1, 2}).values, tolerance);
}

/// The layer with its activation, and the block when the case has one.
template <class L, class Act>
void check_surroundings(const L& layer, const Act& activation, GoldenCase& golden,
                        GoldenReport& report) {
    const bool block = golden.config.value("block", false);
    const bool channels_first = golden.config.value("transposed", true);
    const std::string prefix = block ? "layer." : "";
    const ssm::Sequential stream(layer, activation);
    if constexpr (L::streams)
        check_states(layer, stream, golden, channels_first, report);
    if (golden.has("step.y"))
        report.compare("step.y", golden.tensor("step.y").values, golden.tensor("y").values,
                       tolerance);
    if (!block) {
        check_training(stream, golden, channels_first, report, [&](const auto& gradient) {
            compare_gradient(std::get<0>(gradient.layers), prefix, report);
        });
        return;
    }
    const std::size_t width = layer.in_channels();
    ssm::Linear<Real> output({.in = layer.out_channels(), .out = 2 * width});
    load(output, golden, "output_linear.0.", report);
    const ssm::Sequential model(layer, activation, output,
                                ssm::SigmoidGlu<Real>({.channels = width}));
    check_training(model, golden, channels_first, report, [&](const auto& gradient) {
        compare_gradient(std::get<0>(gradient.layers), prefix, report);
        compare_gradient(std::get<2>(gradient.layers), "output_linear.0.", report);
    });
}

template <class Discretization, class Evaluation, class Direction>
void check_layer(GoldenCase& golden, GoldenReport& report) {
    using L = ssm::S4D<Real, ssm::init::Lin, Discretization, Evaluation, Direction>;
    L layer(options_of<L>(golden.config));
    load(layer, golden, golden.config.value("block", false) ? "layer." : "", report);
    check_system(layer, golden, report);
    const auto& activation = golden.config.at("activation");
    if (activation.is_null())
        check_surroundings(layer, ssm::Identity<Real>({.channels = layer.out_channels()}), golden,
                           report);
    else if (activation == "gelu")
        check_surroundings(
            layer, ssm::Activation<Real, ssm::math::Gelu>({.channels = layer.out_channels()}),
            golden, report);
    else
        throw std::runtime_error("the runner does not know this activation");
}

/// Another evaluation of the same layer: outputs, gradients, and going on from a state.
template <class Discretization, class Evaluation>
void check_evaluation(GoldenCase& golden, GoldenReport& report) {
    using L = ssm::S4D<Real, ssm::init::Lin, Discretization, Evaluation>;
    L layer(options_of<L>(golden.config));
    load(layer, golden, "", report);
    const ssm::Batch<Real> u = sequences(golden.tensor("u"), true);
    const ssm::Batch<Real> g = sequences(golden.tensor("g"), true);
    const auto expected = numbers(sequences(golden.tensor("y"), true));
    ssm::Workspace workspace;
    ssm::Batch<Real> y(g.shape());
    ssm::Batch<Real> du(u.shape());
    layer.forward(u, y, workspace);
    report.compare("y", numbers(y), expected, tolerance);
    auto state = layer.rest_state(u.batch());
    layer.forward(u, y, state, workspace);
    report.compare("y from a state", numbers(y), expected, tolerance);
    typename L::Cache cache;
    L gradient = ssm::zeros_like(layer);
    layer.forward(u, y, cache, workspace);
    report.compare("y in training", numbers(y), expected, tolerance);
    layer.backward(u, g, du, cache, gradient, workspace);
    report.compare("grad.u", numbers(du), numbers(sequences(golden.tensor("grad.u"), true)),
                   tolerance);
    compare_gradient(gradient, "", report);
}

template <class Discretization>
void check_directions(GoldenCase& golden, GoldenReport& report) {
    namespace evaluation = ssm::evaluation;
    if (golden.config.value("bidirectional", false)) {
        check_layer<Discretization, evaluation::Auto, ssm::Bidirectional>(golden, report);
        return;
    }
    check_layer<Discretization, evaluation::Auto, ssm::Causal>(golden, report);
    if (golden.config.at("activation").is_null()) {
        check_evaluation<Discretization, evaluation::Fft>(golden, report);
        check_evaluation<Discretization, evaluation::Chunked>(golden, report);
        check_evaluation<Discretization, evaluation::Recurrence>(golden, report);
    }
}

void check_original(GoldenCase& golden, GoldenReport& report) {
    check_known(golden.config);
    if (golden.config.at("disc") == "zoh")
        check_directions<ssm::Zoh>(golden, report);
    else if (golden.config.at("disc") == "bilinear")
        check_directions<ssm::Bilinear>(golden, report);
    else
        throw std::runtime_error("the runner does not know this discretisation");
}

// ---- the small standalone S4D ----------------------------------------------------------------------

/// It has no B, one stored mode of the upper half plane, and other names: conjugate C and the same numbers.
void check_minimal(GoldenCase& golden, GoldenReport& report) {
    using L = ssm::S4D<Real>;
    const std::size_t width = golden.config.at("H");
    L layer({.channels = width, .state = golden.config.at("N"), .training = {.B = false}});
    const auto conjugate = [](std::vector<double> pairs) {
        for (std::size_t i = 1; i < pairs.size(); i += 2)
            pairs[i] = -pairs[i];
        return pairs;
    };
    set(layer.D, golden.tensor("param.D").values, report);
    set(layer.bank.inv_dt, golden.tensor("param.kernel.log_dt").values, report);
    set(layer.bank.A_real, golden.tensor("param.kernel.log_A_real").values, report);
    set(layer.bank.A_imag, golden.tensor("param.kernel.A_imag").values, report);
    set(layer.bank.C, conjugate(golden.tensor("param.kernel.C").values), report);
    report.compare("kernel", layer.kernel(golden.config.at("L")).flat(), tolerance);

    ssm::Linear<Real> output({.in = width, .out = 2 * width});
    load(output, golden, "output_linear.0.", report);
    const ssm::Sequential model(layer, ssm::Activation<Real, ssm::math::Gelu>({.channels = width}),
                                output, ssm::SigmoidGlu<Real>({.channels = width}));
    check_training(model, golden, golden.config.at("transposed"), report,
                   [&](const auto& gradient) {
                       const L& g = std::get<0>(gradient.layers);
                       report.compare("grad.D", g.D.flat(), tolerance);
                       report.compare("grad.kernel.log_dt", g.bank.inv_dt.flat(), tolerance);
                       report.compare("grad.kernel.log_A_real", g.bank.A_real.flat(), tolerance);
                       report.compare("grad.kernel.A_imag", g.bank.A_imag.flat(), tolerance);
                       report.compare("grad.kernel.C", g.bank.C.flat(),
                                      conjugate(golden.tensor("grad.kernel.C").values), tolerance);
                       compare_gradient(std::get<2>(gradient.layers), "output_linear.0.", report);
                   });
}

// ---- bare kernels ------------------------------------------------------------------------------------

template <class Discretization>
void check_kernels(GoldenCase& golden, GoldenReport& report, const std::string& method,
                   const std::string& A_real = "param.A_real") {
    using L = ssm::S4D<Real, ssm::init::Lin, Discretization>;
    typename L::Options options;
    options.channels = golden.config.at("H");
    options.state = golden.config.at("N");
    options.heads = golden.config.at("C");
    options.structure.real_transform = ssm::Transform::none;
    options.structure.imag_transform = ssm::Transform::none;
    L layer(options);
    set(layer.bank.A_real, golden.tensor(A_real).values, report);
    set(layer.bank.A_imag, golden.tensor("param.A_imag").values, report);
    set(layer.bank.B, golden.tensor("param.B").values, report);
    set(layer.bank.C, golden.tensor("param.C").values, report);
    set(layer.bank.inv_dt, golden.tensor("param.inv_dt").values, report);
    if (A_real == "param.A_real") {
        const auto system = layer.bank.continuous_system();
        report.compare("A", system.A, tolerance);
        report.compare("B", system.B, tolerance);
        report.compare("C", system.C, tolerance);
        report.compare("dt", system.dt, tolerance);
    }
    for (const std::string& name : golden.names(method + ".kernel_L"))
        report.compare(name, layer.kernel(golden.tensor(name).extent(2)).flat(), tolerance);
    if constexpr (L::streams) {
        report.compare(method + ".dA", layer.system().poles(), tolerance);
        report.compare(method + ".dB", layer.input_weights(), tolerance);
    }
}

}  // namespace

TEST_CASE("golden.s4d") {
    ssm_test::run_family("s4d", [](GoldenCase& golden, GoldenReport& report) {
        if (golden.name.starts_with("kernels")) {
            check_kernels<ssm::Zoh>(golden, report, "zoh");
            check_kernels<ssm::Bilinear>(golden, report, "bilinear");
            check_kernels<ssm::Dss>(golden, report, "dss");
            check_kernels<ssm::Dss>(golden, report, "dss_positive", "dss_positive.A_real");
        } else if (golden.name.starts_with("minimal")) {
            check_minimal(golden, report);
        } else {
            check_original(golden, report);
        }
    });
}
