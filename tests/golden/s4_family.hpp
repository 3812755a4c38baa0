#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <ssm/core/tensor.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/transform.hpp>

#include "golden/layers.hpp"
#include "support/golden.hpp"

/// What the golden cases of the released S4 code share, whatever the structure of A is.
namespace ssm_test {

inline constexpr double tolerance = 1e-9;

/// `check_known` for the options of all these cases and those that one runner knows besides.
inline void check_family_options(const nlohmann::json& config,
                                 std::initializer_list<std::string_view> own) {
    std::vector<std::string_view> known = {"mode",
                                           "activation",
                                           "init",
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
                                           "imag_scale",
                                           "bandlimit",
                                           "disc"};
    known.insert(known.end(), own);
    check_known(config, known);
}

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
    options.structure.bandlimit = config.value("bandlimit", 0.0);
    return options;
}

/// All kernels of the case: of its own length, of others, and at other rates.
template <class L>
void compare_kernels(const L& layer, GoldenCase& golden, GoldenReport& report) {
    for (const std::string& name : golden.names("kernel")) {
        L at_rate = layer;
        if (name.starts_with("kernel_rate"))
            at_rate.set_rate(std::stod(name.substr(std::string("kernel_rate").size())));
        report.compare(name, at_rate.kernel(golden.tensor(name).extent(2)).flat(), tolerance);
    }
}

/// Outputs of steps from rest, after comparing the states on the way.
template <class L>
Sequences compare_states(const L& layer, const Sequences& u, GoldenCase& golden,
                         GoldenReport& report) {
    auto state = layer.rest_state(u.batch());
    Sequences y = run_steps(layer, u, state, [&](std::size_t l) {
        if (l == u.length() / 2 && golden.has("step.state_mid"))
            report.compare("step.state_mid", layer.state_values(state).flat(), tolerance);
    });
    if (golden.has("step.y"))
        report.compare("step.state_final", layer.state_values(state).flat(), tolerance);
    return y;
}

/// Blocks and steps that go on from the case's state, and the response to silence. `behind(y)` is what follows the layer.
template <class L, class Behind>
void compare_continued(const L& layer, GoldenCase& golden, GoldenReport& report, Behind&& behind) {
    if (!golden.has("state.in"))
        return;
    const Sequences x = batch_of(golden.tensor("state.x"), true);
    const std::vector<double> expected =
        numbers_of(batch_of(golden.tensor("state.y"), !golden.config.value("block", false)));
    auto state = layer.rest_state(x.batch());
    layer.set_state_values(state, tensor_of(golden.tensor("state.in")));
    auto stepped = state;
    auto silent = state;
    ssm::Workspace workspace;
    Sequences y(x.batch(), x.length(), layer.out_channels());
    layer.forward(x, y, state, workspace);
    report.compare("state.y", numbers_of(behind(y)), expected, tolerance);
    report.compare("state.out", layer.state_values(state).flat(), tolerance);

    const Sequences by_steps = run_steps(layer, x, stepped);
    report.compare("state.y step by step", numbers_of(behind(by_steps)), expected, tolerance);
    report.compare("state.out after steps", layer.state_values(stepped).flat(),
                   golden.tensor("state.out").values, tolerance);

    layer.forward(Sequences(x.shape()), y, silent, workspace);
    const GoldenTensor& response = golden.tensor("state.k_state");  // (B, heads, H, L)
    report.compare("state.k_state", numbers_of(y), response.permuted({0, 3, 1, 2}).values,
                   tolerance);
}

}  // namespace ssm_test
