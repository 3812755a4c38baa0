#pragma once

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/workspace.hpp>

#include "support/catch.hpp"

namespace ssm_test {

/// Checks that a layer, all of whose steps take the same time, refuses intervals between them in inference and
/// training.
template <class L>
void check_refuses_intervals(const L& layer) {
    ssm::Workspace workspace;
    const ssm::Batch<double> intervals(2, 4, 1);
    const ssm::Context context = ssm::Context(workspace).with_intervals(intervals);
    const ssm::Batch<float> u(2, 4, layer.in_channels());
    ssm::Batch<float> y(2, 4, layer.out_channels());
    typename L::Cache cache;
    CHECK_THROWS_AS(layer.forward(u, y, context), ssm::ValueError);
    CHECK_THROWS_AS(layer.forward(u, y, cache, context), ssm::ValueError);
}

}  // namespace ssm_test
