#pragma once

#include <concepts>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>

#include "golden/layers.hpp"

namespace ssm_test {

/// Training forward and backward of a layer, with what they gave.
template <ssm::TrainableLayer L>
struct Trained {
    Trained(const L& layer, const ssm::Batch<ssm::input_t<L>>& u, const ssm::Batch<double>& g)
        : y(output_shape(layer, u.shape())), gradient(zeros_like(layer)) {
        ssm::Workspace workspace;
        typename L::Cache cache;
        layer.forward(u, y, cache, workspace);
        if constexpr (std::same_as<ssm::input_t<L>, double>)
            dx = ssm::Batch<double>(u.shape());
        layer.backward(u, g, dx.size() > 0 ? dx.view() : ssm::BatchView<double>(), cache, gradient,
                       workspace);
    }

    ssm::Batch<double> y;
    ssm::Batch<double> dx;
    L gradient;
};

}  // namespace ssm_test
