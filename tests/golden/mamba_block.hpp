#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>

#include "golden/trained.hpp"
#include "support/golden.hpp"

/// What the golden cases of Mamba's blocks share.
namespace ssm_test {

inline constexpr double block_tolerance = 1e-9;

template <class L>
void compare_state(const std::string& prefix, const typename L::State& state, GoldenCase& golden,
                   GoldenReport& report) {
    const GoldenTensor window = golden.tensor(prefix + ".conv_state").permuted({0, 2, 1});
    std::vector<double> newest;  // the reference keeps one input more than the filter needs
    const std::size_t row = window.extent(2);
    const std::size_t rows = window.extent(1);
    for (std::size_t b = 0; b < window.extent(0); ++b)
        newest.insert(newest.end(),
                      window.values.begin() + static_cast<std::ptrdiff_t>((b * rows + 1) * row),
                      window.values.begin() + static_cast<std::ptrdiff_t>((b + 1) * rows * row));
    report.compare(prefix + ".conv_state, newest rows", state.conv.window, newest, block_tolerance);
    const GoldenTensor& ssm_state = golden.tensor(prefix + ".ssm_state");
    const GoldenTensor state_last =
        ssm_state.rank() == 3 ? ssm_state.permuted({0, 2, 1}) : ssm_state.permuted({0, 1, 3, 2});
    report.compare(prefix + ".ssm_state", state.ssm, state_last.values, block_tolerance);
}

/// Output, gradients, steps, prefill and decoding of `layer` with the case's weights; `arranged(name, tensor)` gives a
/// weight's numbers as the library has them.
template <class L, class Arranged>
void check_block(L layer, GoldenCase& golden, GoldenReport& report, Arranged&& arranged) {
    set_weights(layer, [&](const std::string& name) {
        const GoldenTensor& tensor = golden.tensor("param." + name);
        return GoldenTensor{tensor.shape, arranged(name, tensor)};
    });
    const Sequences x = batch_of(golden.tensor("x"));
    const Trained<L> trained(layer, x, batch_of(golden.tensor("g")));
    report.compare("y", numbers_of(trained.y), block_tolerance);
    report.compare("grad.x", numbers_of(trained.dx), block_tolerance);
    ssm::visit(
        [&](std::string_view name, const ssm::WeightTraits&, const ssm::Tensor<double>& gradient) {
            const std::string full = "grad." + std::string(name);
            report.compare(full, numbers_of(gradient), arranged(name, golden.tensor(full)),
                           block_tolerance);
        },
        trained.gradient);

    ssm::Workspace workspace;
    typename L::State state = layer.rest_state(x.batch());
    report.compare("y, step by step", numbers_of(run_steps(layer, x, state)),
                   golden.tensor("y").values, block_tolerance);
    state = layer.rest_state(x.batch());
    Sequences y(x.shape());
    layer.forward(x, y, state, workspace);
    report.compare("y, from a state", numbers_of(y), golden.tensor("y").values, block_tolerance);
    if (!golden.has("decode.x"))
        return;
    compare_state<L>("prefill", state, golden, report);
    const Sequences next = batch_of(golden.tensor("decode.x"));
    report.compare("decode.y", numbers_of(run_steps(layer, next, state)), block_tolerance);
    compare_state<L>("decode", state, golden, report);
}

}  // namespace ssm_test
