// Numbers of the released S4 code for its layers that are diagonal plus low rank: the convolution layer alone, with its
// activation, and inside its block; with plain C and with C folded for a length.

#include <algorithm>
#include <complex>
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/kernel/fold.hpp>
#include <ssm/layer/activation.hpp>
#include <ssm/layer/glu.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/layer/s4.hpp>
#include <ssm/math/activation.hpp>

#include "golden/s4_family.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/prebuilt_bank.hpp"
#include "support/prebuilt_systems.hpp"

namespace {

using namespace ssm_test;
using Real = double;
using Complex = std::complex<double>;

/// For gradients of A in the presence of modes of almost no frequency and decay, where the generating function of the
/// original cancels: it is 3.5e-9 off in fourier_tied, by a dense computation in long double.
constexpr double cancelling_tolerance = 1e-7;
constexpr double cancelling_mode = 1e-3;

// ---- weights ---------------------------------------------------------------------------------

/// The original name of a weight: l_kernel is a buffer there. `set` is "param" or "param0".
std::string original_name(std::string_view parameters, const std::string& prefix,
                          std::string_view name) {
    const std::string whole = prefix + std::string(name);
    if (name != "kernel.l_kernel")
        return std::string(parameters) + "." + whole;
    return (parameters == "param" ? "buffer." : "param0.buffer.") + whole;
}

template <class L>
void load(L& layer, GoldenCase& golden, std::string_view parameters, const std::string& prefix) {
    set_weights(layer, [&](const std::string& name) -> const GoldenTensor& {
        return golden.tensor(original_name(parameters, prefix, name));
    });
}

/// Gradients of all weights that the case has one for.
template <class L>
void compare_gradient(const L& gradient, const std::string& prefix, GoldenCase& golden,
                      GoldenReport& report) {
    bool cancels = false;
    for (const Complex& lambda : golden.tensor("cont.A").complex())
        cancels = cancels || std::abs(lambda) < cancelling_mode;
    ssm::visit(
        [&](std::string_view name, const ssm::WeightTraits&, const ssm::Tensor<Real>& weight) {
            const std::string original = prefix + std::string(name);
            if (golden.has(original))
                report.compare(
                    original, weight.flat(),
                    cancels && name.starts_with("kernel.A_") ? cancelling_tolerance : tolerance);
        },
        gradient);
}

// ---- what comes behind the layer ------------------------------------------------------------------

/// One layer without weights of the S4 one's kind, its type forgotten.
struct Stage {
    std::function<Sequences(const Sequences&)> forward;
    std::function<Sequences(const Sequences&, const Sequences&)> backward;
    std::function<void(GoldenReport&)> compare = [](GoldenReport&) {};
};

template <class L>
Stage stage(const L& layer) {
    struct Values {
        L layer, gradient;
        typename L::Cache cache{};
        ssm::Workspace workspace{};
    };
    const auto values = std::make_shared<Values>(Values{layer, ssm::zeros_like(layer)});
    return {[values](const Sequences& u) {
                Sequences y(u.batch(), u.length(), values->layer.out_channels());
                values->layer.forward(u, y, values->cache, values->workspace);
                return y;
            },
            [values](const Sequences& u, const Sequences& dy) {
                Sequences du(u.shape());
                values->layer.backward(u, dy, du, values->cache, values->gradient,
                                       values->workspace);
                return du;
            }};
}

Stage linear(GoldenCase& golden, const std::string& prefix, std::size_t in, std::size_t out,
             GoldenReport& report) {
    ssm::Linear<Real> layer({.in = in, .out = out});
    load(layer, golden, "param", prefix);
    const ssm::Linear<Real> from_start = [&] {
        ssm::Linear<Real> copy = layer;
        load(copy, golden, "param0", prefix);
        return copy;
    }();
    report.check(from_start.weight == layer.weight,
                 "the first call changed nothing behind the layer");
    Stage result = stage(layer);
    const auto gradient = std::make_shared<ssm::Linear<Real>>(ssm::zeros_like(layer));
    const auto workspace = std::make_shared<ssm::Workspace>();
    result.backward = [layer, gradient, workspace](const Sequences& u, const Sequences& dy) {
        Sequences y(dy.shape());
        Sequences du(u.shape());
        ssm::Linear<Real>::Cache cache;
        layer.forward(u, y, cache, *workspace);
        ssm::set_zero(*gradient);
        layer.backward(u, dy, du, cache, *gradient, *workspace);
        return du;
    };
    result.compare = [gradient, prefix, &golden](GoldenReport& to) {
        compare_gradient(*gradient, "grad." + prefix, golden, to);
    };
    return result;
}

Stage activation(const std::string& name, std::size_t channels) {
    if (name == "gelu")
        return stage(ssm::Activation<Real, ssm::math::Gelu>({.channels = channels}));
    if (name == "silu")
        return stage(ssm::Activation<Real, ssm::math::Silu>({.channels = channels}));
    throw std::runtime_error("the runner does not know the activation " + name);
}

std::vector<Stage> stages_of(GoldenCase& golden, std::size_t channels, std::size_t width,
                             GoldenReport& report) {
    std::vector<Stage> stages;
    const nlohmann::json& config = golden.config;
    const nlohmann::json first = config.value("activation", nlohmann::json("gelu"));
    if (!first.is_null())
        stages.push_back(activation(first, channels));
    if (!config.value("block", false))
        return stages;
    const nlohmann::json last = config.value("final_act", nlohmann::json("glu"));
    if (last.is_null())
        return stages;
    const bool gated = last == "glu";
    const std::string prefix = "output_linear.0.";
    stages.push_back(linear(golden, prefix, channels, gated ? 2 * width : width, report));
    if (gated)
        stages.push_back(stage(ssm::SigmoidGlu<Real>({.channels = width})));
    else if (last != "id")
        stages.push_back(activation(last, width));
    return stages;
}

Sequences through(const std::vector<Stage>& stages, Sequences y) {
    for (const Stage& stage : stages)
        y = stage.forward(y);
    return y;
}

// ---- one case ----------------------------------------------------------------------------------------

void check_options(const nlohmann::json& config) {
    check_family_options(config, {"l_max", "rank", "swap_channels", "P_scale", "lengths", "dense"});
    if (config.at("mode") != "dplr" || config.value("disc", "bilinear") != "bilinear" ||
        config.value("swap_channels", false))
        throw std::runtime_error("the runner knows mode dplr, bilinear, heads not swapped");
}

template <class L>
typename L::Options dplr_options(const nlohmann::json& config) {
    auto options = options_of<L>(config);
    options.structure.rank = config.value("rank", std::size_t{1});
    const nlohmann::json most = config.value("l_max", nlohmann::json());
    if (!most.is_null() && most < config.at("L"))
        options.structure.max_length = most;
    return options;
}

/// Real pairs.
std::vector<double> pairs(const std::vector<Complex>& values) {
    std::vector<double> result;
    for (const Complex& value : values) {
        result.push_back(value.real());
        result.push_back(value.imag());
    }
    return result;
}

/// A_bar (H, N, N), B_bar (H, N) and C (heads, H, N) over all modes, conjugates in the second half.
struct FullSystem {
    std::vector<Complex> A, B, C;
};
FullSystem full_system(const ssm::DplrSystem& system) {
    const ssm::DplrShape& shape = system.shape;
    const std::size_t n = shape.modes;
    const auto at = [n](const ssm::ComplexNumbers& from, std::size_t row, std::size_t i) {
        const Complex value(from.re[row + i % n], from.im[row + i % n]);
        return i < n ? value : std::conj(value);
    };
    FullSystem full;
    for (std::size_t h = 0; h < shape.channels; ++h) {
        const std::size_t row = system.pole(h, 0);
        for (std::size_t i = 0; i < 2 * n; ++i) {
            full.B.push_back(at(system.b, row, i));
            for (std::size_t j = 0; j < 2 * n; ++j) {
                Complex entry = i == j ? at(system.z, row, i) : 0.0;
                for (std::size_t r = 0; r < shape.rank; ++r)
                    entry -= at(system.p, system.correction(r, h, 0), i) * 0.5 *
                             at(system.q, system.correction(r, h, 0), j);
                full.A.push_back(entry);
            }
        }
    }
    for (std::size_t head = 0; head < shape.heads; ++head)
        for (std::size_t h = 0; h < shape.channels; ++h)
            for (std::size_t i = 0; i < 2 * n; ++i)
                full.C.push_back(0.5 * at(system.c, system.readout(head, h, 0), i));
    return full;
}

template <class L>
void check_system(const L& layer, GoldenCase& golden, GoldenReport& report) {
    const auto system = layer.bank.continuous_system();
    report.compare("cont.A", pairs(system.A), tolerance);
    report.compare("cont.B", pairs(system.B), tolerance);
    report.compare("cont.C", pairs(system.C), tolerance);
    report.compare("cont.P", pairs(system.P), tolerance);
    report.compare("cont.dt", system.dt, tolerance);

    ssm::DplrSystem discrete = layer.system();
    if (golden.has("dense.dA")) {
        const FullSystem full = full_system(discrete);
        report.compare("dense.dA", pairs(full.A), tolerance);
        report.compare("dense.dB", pairs(full.B), tolerance);
    }
    if (golden.has("step.dC")) {
        ssm::unfold(discrete);
        report.compare("step.dC", pairs(full_system(discrete).C), tolerance);
    }
    compare_kernels(layer, golden, report);
}

/// The original sets inputs behind a sequence's end to zero and goes on.
void mask_inputs(Sequences& u, GoldenCase& golden) {
    if (!golden.has("in.lengths"))
        return;
    for (std::size_t b = 0; b < u.batch(); ++b)
        for (auto l = static_cast<std::size_t>(golden.tensor("in.lengths").values[b]);
             l < u.length(); ++l)
            std::ranges::fill(u.view().row(b, l), 0.0);
}

/// Forward and backward; `gradients` is "grad." or "plain.grad.".
template <class L>
void check_training(const L& layer, const std::vector<Stage>& stages, GoldenCase& golden,
                    const std::string& gradients, GoldenReport& report) {
    const bool channels_first = golden.config.value("transposed", true);
    Sequences u = batch_of(golden.tensor("u"), channels_first);
    mask_inputs(u, golden);
    const auto expected = numbers_of(batch_of(golden.tensor("y"), channels_first));
    ssm::Workspace workspace;
    Sequences y(u.batch(), u.length(), layer.out_channels());
    layer.forward(u, y, workspace);
    report.compare("y", numbers_of(through(stages, y)), expected, tolerance);

    typename L::Cache cache;
    y.fill(0.0);
    layer.forward(u, y, cache, workspace);
    std::vector<Sequences> inputs = {y};
    for (const Stage& stage : stages)
        inputs.push_back(stage.forward(inputs.back()));
    report.compare("y in training", numbers_of(inputs.back()), expected, tolerance);
    Sequences dy = batch_of(golden.tensor("g"), channels_first);
    for (std::size_t i = stages.size(); i-- > 0;)
        dy = stages[i].backward(inputs[i], dy);
    L gradient = ssm::zeros_like(layer);
    Sequences du(u.shape());
    layer.backward(u, dy, du, cache, gradient, workspace);
    mask_inputs(du, golden);
    report.compare("grad.u", numbers_of(du),
                   numbers_of(batch_of(golden.tensor("grad.u"), channels_first)), tolerance);
    for (const Stage& stage : stages)
        stage.compare(report);
    const bool in_block = gradients == "grad." && golden.config.value("block", false);
    compare_gradient(gradient, gradients + (in_block ? "layer." : ""), golden, report);
}

/// Steps, states, and going on from a state.
template <class L>
void check_states(const L& layer, const std::vector<Stage>& stages, GoldenCase& golden,
                  GoldenReport& report) {
    const bool channels_first = golden.config.value("transposed", true);
    Sequences u = batch_of(golden.tensor("u"), channels_first);
    mask_inputs(u, golden);
    ssm::Workspace workspace;
    auto state = layer.rest_state(u.batch());
    Sequences y(u.batch(), u.length(), layer.out_channels());
    layer.forward(u, y, state, workspace);
    const auto expected = numbers_of(batch_of(golden.tensor("y"), channels_first));
    report.compare("y from a state", numbers_of(through(stages, y)), expected, tolerance);

    y = compare_states(layer, u, golden, report);
    report.compare("y step by step", numbers_of(through(stages, y)), expected, tolerance);
    if (golden.has("step.y"))
        report.compare("step.y", golden.tensor("step.y").values, golden.tensor("y").values,
                       tolerance);
    const bool has_activation =
        !golden.config.value("activation", nlohmann::json("gelu")).is_null();
    compare_continued(layer, golden, report, [&](const Sequences& z) {
        return has_activation ? stages.front().forward(z) : z;
    });
}

template <class Direction>
void check_layer(GoldenCase& golden, GoldenReport& report) {
    using L = ssm::S4<Real, ssm::init::Lin, ssm::evaluation::Auto, Direction>;
    const std::string prefix = golden.config.value("block", false) ? "layer." : "";
    L layer(dplr_options<L>(golden.config));
    L plain = layer;
    load(layer, golden, "param", prefix);
    load(plain, golden, "param0", prefix);
    report.check(ssm::length(plain) == 0 && ssm::length(layer) == golden.meta.at("l_kernel"),
                 "C is plain at first and then folded");
    const auto stages = stages_of(golden, layer.out_channels(), layer.in_channels(), report);

    check_system(layer, golden, report);
    check_training(layer, stages, golden, "grad.", report);
    check_training(plain, stages, golden, "plain.grad.", report);
    if constexpr (L::streams)
        if (golden.config.value("dense", true)) {
            check_states(layer, stages, golden, report);
            check_states(plain, stages, golden, report);
        }

    L converted = plain;
    ssm::set_length(converted, ssm::length(layer));
    report.compare("C folded", converted.bank.C.flat(), layer.bank.C.flat(), tolerance);
    ssm::set_length(converted, 3 * ssm::length(layer) + 1);
    check_system(layer, golden, report);
    ssm::set_length(converted, 0);
    report.compare("C folded and unfolded", converted.bank.C.flat(), plain.bank.C.flat(),
                   tolerance);
}

}  // namespace

TEST_CASE("golden.s4") {
    run_family("s4", [](GoldenCase& golden, GoldenReport& report) {
        check_options(golden.config);
        if (golden.config.value("bidirectional", false))
            check_layer<ssm::Bidirectional>(golden, report);
        else
            check_layer<ssm::Causal>(golden, report);
    });
}
