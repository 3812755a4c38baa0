// Norms with gates, groups and residuals against the Mamba code.

#include <cstddef>
#include <string>
#include <vector>

#include <ssm/layer/gated_norm.hpp>
#include <ssm/layer/norm.hpp>

#include "golden/trained.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"

namespace {

using namespace ssm;
using namespace ssm_test;

constexpr double tolerance = 1e-12;  // some tens of operations on numbers of size 1

/// Sets the weights that the layer has, and compares their gradients.
template <class L>
void set_weights(L& layer, GoldenCase& golden) {
    if (!layer.weight.empty())
        set(layer.weight, golden.tensor("in.weight"));
    if (!layer.bias.empty())
        set(layer.bias, golden.tensor("in.bias"));
}

template <class L>
void compare_weights(const L& gradient, const std::string& name, GoldenReport& report) {
    if (!gradient.weight.empty())
        report.compare(name + ".grad.weight", numbers_of(gradient.weight), tolerance);
    if (!gradient.bias.empty())
        report.compare(name + ".grad.bias", numbers_of(gradient.bias), tolerance);
}

template <class L>
void check_norm(L layer, const std::string& name, GoldenCase& golden, GoldenReport& report) {
    set_weights(layer, golden);
    const Trained<L> run(layer, batch_of(golden.tensor("in.x")), batch_of(golden.tensor("g")));
    report.compare(name + ".y", numbers_of(run.y), tolerance);
    report.compare(name + ".grad.x", numbers_of(run.dx), tolerance);
    compare_weights(run.gradient, name, report);
}

/// norm(x + residual): the sum is the residual that goes on.
template <class L>
void check_residual(L layer, const std::string& name, GoldenCase& golden, GoldenReport& report) {
    set_weights(layer, golden);
    Batch<double> sum = batch_of(golden.tensor("in.x"));
    const Batch<double> residual = batch_of(golden.tensor("in.residual"));
    for (std::size_t i = 0; i < sum.size(); ++i)
        sum.data()[i] += residual.data()[i];
    const Trained<L> run(layer, sum, batch_of(golden.tensor("g")));
    report.compare(name + ".residual_out", numbers_of(sum), tolerance);
    report.compare(name + ".y", numbers_of(run.y), tolerance);
    report.compare(name + ".grad.x", numbers_of(run.dx), tolerance);
    report.compare(name + ".grad.residual", numbers_of(run.dx), tolerance);
    compare_weights(run.gradient, name, report);
}

template <class L>
void check_gated(L layer, const std::string& name, GoldenCase& golden, GoldenReport& report) {
    set_weights(layer, golden);
    const Batch<double> x = batch_of(golden.tensor("in.x"));
    const Batch<double> z = batch_of(golden.tensor("in.z"));
    const std::size_t channels = x.channels();
    Batch<double> u(1, x.length(), 2 * channels);
    for (std::size_t l = 0; l < x.length(); ++l)
        for (std::size_t h = 0; h < channels; ++h) {
            u(0, l, h) = x(0, l, h);
            u(0, l, channels + h) = z(0, l, h);
        }
    const Trained<L> run(layer, u, batch_of(golden.tensor("g")));
    std::vector<double> dx;
    std::vector<double> dz;
    for (std::size_t l = 0; l < x.length(); ++l)
        for (std::size_t h = 0; h < channels; ++h) {
            dx.push_back(run.dx(0, l, h));
            dz.push_back(run.dx(0, l, channels + h));
        }
    report.compare(name + ".y", numbers_of(run.y), tolerance);
    report.compare(name + ".grad.x", dx, tolerance);
    report.compare(name + ".grad.z", dz, tolerance);
    compare_weights(run.gradient, name, report);
}

void check_case(GoldenCase& golden, GoldenReport& report) {
    const std::size_t channels = golden.config.at("D");
    const std::size_t groups = channels / golden.config.at("group_size").get<std::size_t>();
    const double epsilon = golden.config.at("eps");
    using Rms = RMSNorm<double>;
    using Layer = LayerNorm<double>;
    using GatedRms = GatedRMSNorm<double>;
    using GatedLayer = GatedLayerNorm<double>;
    const Rms::Options rms{.channels = channels, .epsilon = epsilon};

    check_norm(Rms(rms), "rms", golden, report);
    check_norm(Rms({.channels = channels, .epsilon = epsilon, .bias = true}), "rms_bias", golden,
               report);
    check_norm(Rms({.channels = channels, .groups = groups, .epsilon = epsilon}), "group", golden,
               report);
    check_residual(Rms(rms), "rms_prenorm_residual", golden, report);
    check_residual(Layer({.channels = channels, .epsilon = epsilon}), "layer_prenorm_residual",
                   golden, report);
    for (const GateOrder order : {GateOrder::norm_first, GateOrder::gate_first}) {
        const std::string when = order == GateOrder::norm_first ? "before" : "after";
        check_gated(GatedRms({.channels = channels, .epsilon = epsilon, .order = order}),
                    "gated_norm_" + when + "_gate", golden, report);
        check_gated(GatedRms({.channels = channels,
                              .groups = groups,
                              .epsilon = epsilon,
                              .order = order,
                              .bias = true}),
                    "gated_group_norm_" + when + "_gate", golden, report);
        check_gated(GatedLayer({.channels = channels, .epsilon = epsilon, .order = order}),
                    "layer_gated_" + when, golden, report);
    }
}

}  // namespace

TEST_CASE("golden norm") {
    run_family("norm", check_case);
}
