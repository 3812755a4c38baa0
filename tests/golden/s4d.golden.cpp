// Numbers of the released S4 code for its diagonal layers: the convolution layer alone, with its activation,
// inside its block, the small standalone S4D, and bare kernels.

#include <complex>
#include <cstddef>
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

#include "golden/s4_family.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/prebuilt_bank.hpp"

namespace {

using namespace ssm_test;
using Real = double;
using Complex = std::complex<double>;

// ---- the layer and what surrounds it -------------------------------------------------------------

template <class L>
typename L::Options diagonal_options(const nlohmann::json& config) {
    auto options = options_of<L>(config);
    options.structure.real = config.value("is_real", false);
    return options;
}

void check_options(const nlohmann::json& config) {
    check_family_options(config, {"is_real"});
    if (config.at("mode") != "diag" ||
        (config.contains("final_act") && config.at("final_act") != "glu"))
        throw std::runtime_error("the runner knows mode diag with final activation glu only");
}

template <class L>
void load(L& layer, GoldenCase& golden, const std::string& prefix) {
    set_weights(layer, [&](const std::string& name) -> const GoldenTensor& {
        return golden.tensor("param." + prefix + name);
    });
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
    const ssm::Batch<Real> u = batch_of(golden.tensor("u"), channels_first);
    const ssm::Batch<Real> g = batch_of(golden.tensor("g"), channels_first);
    const auto expected = numbers_of(batch_of(golden.tensor("y"), channels_first));
    ssm::Workspace workspace;
    ssm::Batch<Real> y(u.batch(), u.length(), model.out_channels());
    model.forward(u, y, workspace);
    report.compare("y", numbers_of(y), expected, tolerance);

    typename Model::Cache cache;
    Model gradient = ssm::zeros_like(model);
    ssm::Batch<Real> du(u.shape());
    y.fill(0.0);
    model.forward(u, y, cache, workspace);
    report.compare("y in training", numbers_of(y), expected, tolerance);
    model.backward(u, g, du, cache, gradient, workspace);
    report.compare("grad.u", numbers_of(du),
                   numbers_of(batch_of(golden.tensor("grad.u"), channels_first)), tolerance);
    compare_gradients(gradient);

    if constexpr (ssm::StreamingLayer<Model>) {
        auto state = model.rest_state(u.batch());
        report.compare("y step by step", numbers_of(run_steps(model, u, state)), expected,
                       tolerance);
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

    compare_kernels(layer, golden, report);
    if constexpr (L::streams) {
        compare("step.dA", layer.system().poles());
        compare("step.dB", layer.input_weights());
        compare("step.dC", system.C);
    }
}

/// The layer with its activation, and the block when the case has one.
template <class L, class Act>
void check_surroundings(const L& layer, const Act& activation, GoldenCase& golden,
                        GoldenReport& report) {
    const bool block = golden.config.value("block", false);
    const bool channels_first = golden.config.value("transposed", true);
    const std::string prefix = block ? "layer." : "";
    const ssm::Sequential stream(layer, activation);
    if constexpr (L::streams) {
        if (golden.has("step.y"))
            compare_states(layer, batch_of(golden.tensor("u"), channels_first), golden, report);
        compare_continued(layer, golden, report, [&](const Sequences& z) {
            Sequences y(z.shape());
            ssm::Workspace workspace;
            activation.forward(z, y, workspace);
            return y;
        });
    }
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
    load(output, golden, "output_linear.0.");
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
    L layer(diagonal_options<L>(golden.config));
    load(layer, golden, golden.config.value("block", false) ? "layer." : "");
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
    L layer(diagonal_options<L>(golden.config));
    load(layer, golden, "");
    const ssm::Batch<Real> u = batch_of(golden.tensor("u"), true);
    const ssm::Batch<Real> g = batch_of(golden.tensor("g"), true);
    const auto expected = numbers_of(batch_of(golden.tensor("y"), true));
    ssm::Workspace workspace;
    ssm::Batch<Real> y(g.shape());
    ssm::Batch<Real> du(u.shape());
    layer.forward(u, y, workspace);
    report.compare("y", numbers_of(y), expected, tolerance);
    auto state = layer.rest_state(u.batch());
    layer.forward(u, y, state, workspace);
    report.compare("y from a state", numbers_of(y), expected, tolerance);
    typename L::Cache cache;
    L gradient = ssm::zeros_like(layer);
    layer.forward(u, y, cache, workspace);
    report.compare("y in training", numbers_of(y), expected, tolerance);
    layer.backward(u, g, du, cache, gradient, workspace);
    report.compare("grad.u", numbers_of(du), numbers_of(batch_of(golden.tensor("grad.u"), true)),
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
    check_options(golden.config);
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
    set(layer.D, golden.tensor("param.D"));
    set(layer.bank.inv_dt, golden.tensor("param.kernel.log_dt"));
    set(layer.bank.A_real, golden.tensor("param.kernel.log_A_real"));
    set(layer.bank.A_imag, golden.tensor("param.kernel.A_imag"));
    set(layer.bank.C, {{}, conjugate(golden.tensor("param.kernel.C").values)});
    report.compare("kernel", layer.kernel(golden.config.at("L")).flat(), tolerance);

    ssm::Linear<Real> output({.in = width, .out = 2 * width});
    load(output, golden, "output_linear.0.");
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
    set(layer.bank.A_real, golden.tensor(A_real));
    set(layer.bank.A_imag, golden.tensor("param.A_imag"));
    set(layer.bank.B, golden.tensor("param.B"));
    set(layer.bank.C, golden.tensor("param.C"));
    set(layer.bank.inv_dt, golden.tensor("param.inv_dt"));
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
    run_family("s4d", [](GoldenCase& golden, GoldenReport& report) {
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
