// Numbers of the released S4 code for DSS: its diagonal layer with the softmax over time (`disc = dss`, for any sign
// of Re A) and with the exponential, B and C apart. The kernels of the native names are in tests/layer/dss.test.cpp.

#include <cstddef>
#include <string>
#include <string_view>

#include <ssm/core/batch.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/dss.hpp>
#include <ssm/discretize/zoh.hpp>
#include <ssm/init/diagonal.hpp>
#include <ssm/layer/activation.hpp>
#include <ssm/layer/identity.hpp>
#include <ssm/layer/s4d.hpp>
#include <ssm/math/activation.hpp>
#include <ssm/model/sequential.hpp>

#include "golden/s4_family.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/prebuilt_bank.hpp"
#include "support/prebuilt_systems.hpp"

namespace {

using namespace ssm_test;

void compare(const std::string& label, const Sequences& found, GoldenCase& golden,
             GoldenReport& report) {
    report.compare(label, numbers_of(found), numbers_of(batch_of(golden.tensor(label), true)),
                   tolerance);
}

template <class Discretization>
using Layer = ssm::S4D<double, ssm::init::Lin, Discretization>;

template <class L>
L loaded(GoldenCase& golden) {
    L layer(options_of<L>(golden.config));
    set_weights(layer, [&](const std::string& name) -> const GoldenTensor& {
        return golden.tensor("param." + name);
    });
    return layer;
}

template <class L>
void check_system(const L& layer, GoldenCase& golden, GoldenReport& report) {
    const auto system = layer.bank.continuous_system();
    report.compare("cont.A", system.A, tolerance);
    report.compare("cont.B", system.B, tolerance);
    report.compare("cont.C", system.C, tolerance);
    report.compare("cont.dt", system.dt, tolerance);
    compare_kernels(layer, golden, report);
    if constexpr (L::streams) {
        if (!golden.has("step.dA"))
            return;
        report.compare("step.dA", layer.system().poles(), tolerance);
        report.compare("step.dB", layer.input_weights(), tolerance);
        report.compare("step.dC", system.C, tolerance);
    }
}

/// Outputs and gradients of the layer with its activation.
template <class Model>
void check_training(const Model& model, GoldenCase& golden, GoldenReport& report) {
    const Sequences u = batch_of(golden.tensor("u"), true);
    const Sequences g = batch_of(golden.tensor("g"), true);
    ssm::Workspace workspace;
    Sequences y(g.shape()), du(u.shape());
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
    const L layer = loaded<L>(golden);
    check_system(layer, golden, report);
    const auto& activation = golden.config.at("activation");
    if (activation.is_null()) {
        if constexpr (L::streams) {
            if (golden.has("step.y"))
                compare("step.y",
                        compare_states(layer, batch_of(golden.tensor("u"), true), golden, report),
                        golden, report);
            compare_continued(layer, golden, report, [](const Sequences& y) { return y; });
        }
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
    run_family("dss", [](GoldenCase& golden, GoldenReport& report) {
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
