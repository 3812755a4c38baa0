#include <cstddef>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/layer/closed_loop.hpp>
#include <ssm/layer/spacetime.hpp>

#include "support/conformance.hpp"
#include "support/prebuilt_bank.hpp"

using namespace ssm;
using ssm_test::check_conformance;

static_assert(check_streaming<CompanionSsm<float>>() && check_trainable<CompanionSsm<float>>());
static_assert(check_streaming<ShiftSsm<float>>() && check_trainable<ShiftSsm<float>>());

TEST_CASE("companion and shift layers keep every promise of a layer") {
    check_conformance(CompanionSsm<double>({.channels = 3, .state = 5}));
    check_conformance(CompanionSsm<double>({.channels = 12,
                                            .state = 4,
                                            .heads = 2,
                                            .copies = 3,
                                            .skip = false,
                                            .structure = {.norm = RowNorm::l2, .group = 2}}));
    check_conformance(ShiftSsm<double>({.channels = 3, .state = 6}));
    check_conformance(Detrend<double>({.channels = 6,
                                       .state = 5,
                                       .skip = false,
                                       .structure = {.order = 2, .averages = 1, .min_window = 2}}));
    check_conformance(CompanionSsm<float>({.channels = 5, .state = 17}));
}

TEST_CASE("closed loops keep every promise of a layer that reduces time") {
    check_conformance(ClosedLoop<double>({.channels = 3, .state = 5, .horizon = 4}));
    check_conformance(ClosedLoop<double, init::ShiftRegister>(
        {.channels = 2, .state = 4, .horizon = 6, .predict_inputs = true}));
}

TEST_CASE("closed loops have no intervals") {
    const ClosedLoop<double> loop({.channels = 2, .state = 3, .horizon = 4});
    Workspace workspace;
    const Batch<double> intervals(1, 5, 1);
    const Batch<double> u(1, 5, 2);
    Batch<double> y(1, 4, 2);
    CHECK_THROWS_AS(loop.forward(u, y, Context(workspace).with_intervals(intervals)), ValueError);
}
