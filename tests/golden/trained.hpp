#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>

#include "support/golden.hpp"

namespace ssm_test {

/// A golden tensor (batch, L, H), or (rows, H) as one sequence, as a batch.
inline ssm::Batch<double> batch_of(const GoldenTensor& tensor) {
    const std::size_t rank = tensor.rank();
    ssm::Batch<double> result(rank == 3 ? tensor.extent(0) : 1, tensor.extent(rank - 2),
                              tensor.extent(rank - 1));
    std::copy(tensor.values.begin(), tensor.values.end(), result.data());
    return result;
}

inline std::vector<double> numbers_of(const ssm::Batch<double>& batch) {
    return {batch.data(), batch.data() + batch.size()};
}

inline std::vector<double> numbers_of(const ssm::Tensor<double>& tensor) {
    return {tensor.data(), tensor.data() + tensor.size()};
}

inline void set(ssm::Tensor<double>& weight, const GoldenTensor& golden) {
    if (weight.size() != golden.size())
        throw std::runtime_error("a golden weight has another size than the layer's");
    std::copy(golden.values.begin(), golden.values.end(), weight.data());
}

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
