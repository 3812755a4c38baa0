// LSSL and its transitions against the original code.

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <ssm/core/rng.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/discretize/bilinear.hpp>
#include <ssm/discretize/dense.hpp>
#include <ssm/init/hippo.hpp>
#include <ssm/layer/structure/dense.hpp>
#include <ssm/model/lssl.hpp>

#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/prebuilt_bank.hpp"

namespace {

using namespace ssm;
using ssm_test::GoldenCase;
using ssm_test::GoldenReport;
using ssm_test::GoldenTensor;

constexpr double tolerance = 1e-11;

std::vector<double> flat(const DenseMatrix& m) {
    return {m.data(), m.data() + m.size()};
}

/// Discretised transitions of all features, and steps (forward, backward, bilinear) from states x with inputs v.
void compare_transition(GoldenCase& golden, GoldenReport& report, const std::string& name,
                        const init::hippo::Transition& system) {
    const std::size_t N = golden.config.at("N");
    report.compare(name + ".A", flat(system.A), tolerance);
    report.compare(name + ".B", system.B, tolerance);
    const std::vector<double>& dt = golden.tensor("dt").values;
    const auto discrete = [&](double alpha) {
        std::vector<DenseTransition> steps;
        for (const double step : dt)
            steps.push_back(discretize(GeneralizedBilinear{alpha}, system.A, system.B, step));
        return steps;
    };
    const auto flat_all = [&](const std::vector<DenseTransition>& steps, auto part) {
        std::vector<double> all;
        for (const DenseTransition& step : steps) {
            const std::vector<double> one = flat(step.*part);
            all.insert(all.end(), one.begin(), one.end());
        }
        return all;
    };
    for (const double alpha : golden.config.at("alphas").get<std::vector<double>>()) {
        const std::string label = "_alpha" + std::to_string(alpha).substr(0, 3);
        const auto steps = discrete(alpha);
        report.compare(name + ".gbt_A" + label, flat_all(steps, &DenseTransition::A), tolerance);
        report.compare(name + ".gbt_B" + label, flat_all(steps, &DenseTransition::B), tolerance);
    }
    const std::vector<double>& x = golden.tensor(name + ".x").values;
    const std::vector<double>& v = golden.tensor(name + ".v").values;
    const auto advanced = [&](double alpha) {
        std::vector<double> all;
        const auto steps = discrete(alpha);
        for (std::size_t h = 0; h < steps.size(); ++h) {
            const Eigen::Map<const Eigen::VectorXd> before(x.data() + h * N,
                                                           static_cast<Eigen::Index>(N));
            const Eigen::VectorXd after = steps[h].A * before + steps[h].B * v[h];
            all.insert(all.end(), after.begin(), after.end());
        }
        return all;
    };
    report.compare(name + ".forward_diff", advanced(0.0), tolerance);
    report.compare(name + ".backward_diff", advanced(1.0), tolerance);
    report.compare(name + ".bilinear", advanced(0.5), tolerance);
}

void compare_transitions(GoldenCase& golden, GoldenReport& report) {
    const std::size_t N = golden.config.at("N");
    compare_transition(golden, report, "legs", init::hippo::LegS::transition(N));
    compare_transition(golden, report, "legt", init::hippo::LegT::transition(N));
    compare_transition(golden, report, "lagt", init::hippo::LagT{}.transition(N));
    compare_transition(golden, report, "glagt", init::hippo::GeneralizedLaguerre{}.transition(N));
}

/// Our name of a weight of the reference.
std::string reference_name(std::string_view name) {
    static const std::vector<std::pair<std::string_view, std::string>> names = {
        {"0.D", "D"},
        {"0.kernel.inv_dt", "log_dt"},
        {"0.kernel.C", "C"},
        {"0.kernel.A", "transition.a"},
        {"0.kernel.B", "transition.b"},
        {"1.E", "E"},
        {"4.weight", "output_linear.weight"},
        {"4.bias", "output_linear.bias"}};
    for (const auto& [ours, theirs] : names)
        if (ours == name)
            return theirs;
    return "?";
}

/// The numbers of a weight in our order: theirs has C (H, M, N) and D (H, M), ours (M, H, N) and (M, H).
std::vector<double> in_our_order(std::string_view name, const GoldenTensor& tensor) {
    if (name == "0.D")
        return tensor.permuted({1, 0}).values;
    if (name == "0.kernel.C")
        return tensor.permuted({1, 0, 2}).values;
    return tensor.values;
}

/// Runs a layer in all modes and compares its gradients.
template <class L>
void compare_modes(L& layer, GoldenCase& golden, GoldenReport& report) {
    visit(
        [&](std::string_view name, const WeightTraits&, Tensor<double>& weight) {
            const auto values = in_our_order(name, golden.tensor("param." + reference_name(name)));
            report.check(values.size() == weight.size(), "size of " + std::string(name));
            std::copy(values.begin(), values.end(), weight.data());
        },
        layer);
    const GoldenTensor& input = golden.tensor("u");
    Batch<double> u(input.extent(0), input.extent(1), input.extent(2));
    std::copy(input.values.begin(), input.values.end(), u.data());
    Batch<double> y(u.batch(), u.length(), layer.out_channels());
    Batch<double> dy = y;
    Batch<double> du = u;
    const GoldenTensor& g = golden.tensor("g");
    std::copy(g.values.begin(), g.values.end(), dy.data());

    Workspace workspace;
    layer.forward(u, y, workspace);
    report.compare("y", y.view().flat(), tolerance);
    auto state = layer.rest_state(u.batch());
    layer.forward(u, y, state, workspace);
    report.compare("y", y.view().flat(), tolerance);
    auto stepped = layer.rest_state(u.batch());
    std::vector<double> u_t(u.batch() * u.channels()), y_t(u.batch() * y.channels());
    for (std::size_t l = 0; l < u.length(); ++l) {
        for (std::size_t b = 0; b < u.batch(); ++b)
            std::copy_n(&u(b, l, 0), u.channels(), u_t.data() + b * u.channels());
        layer.step(u_t, y_t, stepped);
        for (std::size_t b = 0; b < u.batch(); ++b)
            std::copy_n(y_t.data() + b * y.channels(), y.channels(), &y(b, l, 0));
    }
    report.compare("y", y.view().flat(), tolerance);

    typename L::Cache cache;
    L gradient = zeros_like(layer);
    layer.forward(u, y, cache, workspace);
    layer.backward(u, dy, du, cache, gradient, workspace);
    report.compare("grad.u", du.view().flat(), tolerance);
    visit(
        [&](std::string_view name, const WeightTraits&, const Tensor<double>& weight) {
            const std::string label = "grad." + reference_name(name);
            report.compare(label, weight.flat(), in_our_order(name, golden.tensor(label)),
                           tolerance);
        },
        gradient);
}

void compare_layer(GoldenCase& golden, GoldenReport& report) {
    using Full = Dense<init::hippo::LegS>;
    using Layer = LSSL<double, Full>;
    const std::size_t H = golden.config.at("H");
    const std::size_t N = golden.config.at("N");
    const std::size_t L = golden.config.at("L");
    for (const auto& [key, value] : golden.config.items())
        report.check(
            std::string("H N M L B measure bias activation ff").find(key) != std::string::npos,
            "the runner knows " + key);
    for (const std::string name : {"I", "arange", "ones"})  // constants of the reference
        if (golden.has("buffer.transition." + name))
            report.check(golden.tensor("buffer.transition." + name).size() >= N, name);
    Layer layer({.channels = H,
                 .state = N,
                 .heads = golden.config.at("M"),
                 .bias = golden.config.at("bias")});
    auto& system = std::get<0>(layer.layers);
    auto& order = std::get<1>(layer.layers);
    const bool mixes = golden.config.at("ff");
    report.check(mixes == (golden.config.at("activation") == "gelu"),
                 "GELU and mixing, or neither");
    if (mixes) {
        compare_modes(layer, golden, report);
    } else {
        Sequential<Layer::System, HeadOrder<double>> bare(system, order);
        compare_modes(bare, golden, report);
        system = std::get<0>(bare.layers);
    }
    // The Krylov sequence B, A B, A^2 B, ... is the kernel of a system that reads every state.
    std::vector<double> krylov(H * N * L);
    const DenseSystem discrete = system.system();
    for (std::size_t h = 0; h < H; ++h) {
        Eigen::VectorXd x = discrete.input(h).col(0);
        for (std::size_t l = 0; l < L; ++l, x = (discrete.transition(h) * x).eval())
            for (std::size_t n = 0; n < N; ++n)
                krylov[(h * N + n) * L + l] = x(static_cast<Eigen::Index>(n));
    }
    report.compare("krylov", krylov, tolerance);
}

}  // namespace

TEST_CASE("lssl agrees with the original implementation") {
    ssm_test::run_family("lssl", [](GoldenCase& golden, GoldenReport& report) {
        if (ssm_test::matches("gbt_*", golden.name))
            compare_transitions(golden, report);
        else if (ssm_test::matches("layer_*", golden.name))
            compare_layer(golden, report);
        else
            report.check(false, "unknown kind of case");
    });
}
