#pragma once

#include <cstddef>
#include <span>

#include <ssm/core/error.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>

namespace ssm::detail {

/// What every norm ends with: a weight, initially 1, and a bias, initially 0, for each channel. Both may be absent.
template <class T>
class AffineWeights {
public:
    AffineWeights(std::size_t channels, bool with_weight, bool with_bias)
        : weight({with_weight ? channels : 0}, T(1)), bias({with_bias ? channels : 0}) {}

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&& visitor, Layers&... layers) {
        if ((!layers.weight.empty() && ...))
            visitor("weight", WeightTraits{.weight_decay = 0.0}, layers.weight...);
        if ((!layers.bias.empty() && ...))
            visitor("bias", WeightTraits{.weight_decay = 0.0}, layers.bias...);
    }

    Tensor<T> weight;  ///< (channels), may be empty
    Tensor<T> bias;    ///< (channels), may be empty

protected:
    /// The weights from this channel on; null for none.
    [[nodiscard]] const T* weight_at(std::size_t channel = 0) const noexcept {
        return weight.empty() ? nullptr : weight.data() + channel;
    }
    [[nodiscard]] const T* bias_at(std::size_t channel = 0) const noexcept {
        return bias.empty() ? nullptr : bias.data() + channel;
    }

    /// Adds the gradients of weight and bias (channels each) where there are such weights.
    void add_gradients(const T* of_weight, const T* of_bias) noexcept {
        for (std::size_t h = 0; h < weight.size(); ++h)
            weight[h] += of_weight[h];
        for (std::size_t h = 0; h < bias.size(); ++h)
            bias[h] += of_bias[h];
    }
};

/// Options that norms over groups of channels share.
template <class Options>
void require_groups(const char* name, const Options& options) {
    require<ValueError>(options.channels > 0, name, ": channels must be positive");
    require<ValueError>(options.groups > 0 && options.channels % options.groups == 0, name, ": ",
                        options.groups, " groups do not divide ", options.channels, " channels");
    require<ValueError>(options.epsilon >= 0.0, name, ": epsilon = ", options.epsilon,
                        " is negative");
}

}  // namespace ssm::detail
