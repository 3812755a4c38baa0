#pragma once

#include <concepts>

#include <ssm/core/concepts.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/testing/gradients.hpp>
#include <ssm/testing/independence.hpp>
#include <ssm/testing/modes.hpp>
#include <ssm/testing/options.hpp>
#include <ssm/testing/sequences.hpp>

namespace ssm::testing {

/// Checks that a layer does everything that layers promise, as far as it has the capability:
///
///   - whole sequences, any split into blocks, single steps and the training forward agree;
///   - a sequence gives the same in a batch and alone; NaN stays in its sequence;
///   - a reset is a fresh start, a padded sequence is the cut one, and its state stops there;
///   - gradients equal central differences (value_type double), are added, leave nothing unwritten;
///   - copies of layers and states are independent; empty inputs change nothing;
///   - 1, 2 and 7 threads give the same bits;
///   - `step` and warm calls do not allocate (given a counter).
///
///   Rng rng(1);
///   ssm::testing::check_layer_conformance(MyLayer<double>({.channels = 5}), {}, rng);
///
/// Errors    ConformanceError that names the first broken promise
/// Cost      some hundred forwards of options.batch sequences of options.length steps
template <Layer L>
ConformanceReport check_layer_conformance(const L& layer, const ConformanceOptions& options,
                                          Rng& rng) {
    ConformanceReport report;
    report.modes = check_modes_agree(layer, options, rng);
    report.rows = check_rows(layer, options, rng);
    report.resets = check_resets(layer, options, rng);
    report.lengths = check_lengths(layer, options, rng);
    check_empty_input(layer, options, rng);
    if constexpr (InPlaceLayer<L>)
        check_runs_in_place(layer, options, rng);
    check_nan_stays_in_its_row(layer, options, rng);
    check_copies(layer, options, rng);
    check_allocations(layer, options, rng);
    check_threads(layer, options, rng);
    if constexpr (TrainableLayer<L>) {
        report.added = check_gradients_are_added(layer, options, rng);
        if constexpr (std::same_as<value_t<L>, double>)
            report.gradients = check_gradients(layer, options, rng);
    }
    return report;
}

}  // namespace ssm::testing
