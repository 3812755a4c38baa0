#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>

#include "support/golden.hpp"

/// What runners of layers share: between golden tensors and batches, weights and steps.
namespace ssm_test {

using Sequences = ssm::Batch<double>;

/// A golden tensor (batch, L, H), or (rows, H) as one sequence, as a batch.
inline Sequences batch_of(const GoldenTensor& tensor) {
    const std::size_t rank = tensor.rank();
    Sequences result(rank == 3 ? tensor.extent(0) : 1, tensor.extent(rank - 2),
                     tensor.extent(rank - 1));
    std::copy(tensor.values.begin(), tensor.values.end(), result.data());
    return result;
}
/// The same of (batch, H, L), if `channels_first`.
inline Sequences batch_of(const GoldenTensor& tensor, bool channels_first) {
    return batch_of(channels_first ? tensor.permuted({0, 2, 1}) : tensor);
}

inline std::vector<double> numbers_of(const Sequences& batch) {
    return {batch.data(), batch.data() + batch.size()};
}
inline std::vector<double> numbers_of(const ssm::Tensor<double>& tensor) {
    return {tensor.data(), tensor.data() + tensor.size()};
}

inline ssm::Tensor<double> tensor_of(const GoldenTensor& golden) {
    ssm::Tensor<double> tensor{ssm::Extents(std::span<const std::size_t>(golden.shape))};
    std::copy(golden.values.begin(), golden.values.end(), tensor.data());
    return tensor;
}

inline void set(ssm::Tensor<double>& weight, const GoldenTensor& golden) {
    if (weight.size() != golden.size())
        throw std::runtime_error("a golden weight has another size than the layer's");
    std::copy(golden.values.begin(), golden.values.end(), weight.data());
}

/// Sets all weights; `original(name)` is the golden tensor for that weight.
template <class L, class Original>
void set_weights(L& layer, Original&& original) {
    ssm::visit([&](std::string_view name, const ssm::WeightTraits&,
                   ssm::Tensor<double>& weight) { set(weight, original(std::string(name))); },
               layer);
}

/// Throws for a case with options that the runner does not know: it would not understand it.
inline void check_known(const nlohmann::json& config, const std::vector<std::string_view>& known) {
    for (const auto& [key, value] : config.items())
        if (std::find(known.begin(), known.end(), key) == known.end())
            throw std::runtime_error("the runner does not know the option \"" + key + "\"");
}

/// Steps through all sequences together; `look(l)` is called after each step.
template <class L, class Look>
Sequences run_steps(const L& layer, const Sequences& u, typename L::State& state, Look&& look) {
    Sequences y(u.batch(), u.length(), layer.out_channels());
    std::vector<double> in(u.batch() * u.channels()), out(u.batch() * y.channels());
    for (std::size_t l = 0; l < u.length(); ++l) {
        for (std::size_t b = 0; b < u.batch(); ++b)
            std::ranges::copy(u.view().row(b, l), in.data() + b * u.channels());
        layer.step(in, out, state);
        for (std::size_t b = 0; b < u.batch(); ++b)
            std::copy_n(out.data() + b * y.channels(), y.channels(), y.view().row(b, l).data());
        look(l);
    }
    return y;
}
template <class L>
Sequences run_steps(const L& layer, const Sequences& u, typename L::State& state) {
    return run_steps(layer, u, state, [](std::size_t) {});
}

}  // namespace ssm_test
