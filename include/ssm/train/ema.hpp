#pragma once

#include <cstddef>
#include <string_view>
#include <type_traits>

#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/weights.hpp>

namespace ssm {

/// Exponential moving average of weights: average = decay average + (1 - decay) weights.
///
///     L average = model;
///     ... optimizer.step(model, gradient);
///     update_average(average, model, 0.999);
///
/// The average is a value of the layer's type that computes like any other. Statistics and frozen
/// weights are copied.
/// Errors    ValueError unless 0 <= decay <= 1
template <class L>
void update_average(L& average, const L& model, double decay) {
    require<ValueError>(decay >= 0.0 && decay <= 1.0, "ssm::update_average: decay ", decay,
                        " is not in [0, 1]");
    visit(
        [decay](std::string_view, const WeightTraits& traits, auto& mean, const auto& weight) {
            using T = typename std::remove_reference_t<decltype(mean)>::value_type;
            if (traits.role != WeightRole::trained) {
                mean = weight;
                return;
            }
            const T share = static_cast<T>(1.0 - decay);
            parallel_ranges(mean.size(), std::size_t{16384},
                            [&](std::size_t begin, std::size_t end, std::size_t) {
                                for (std::size_t i = begin; i < end; ++i)
                                    mean[i] += share * (weight[i] - mean[i]);
                            });
        },
        average, model);
}

}  // namespace ssm
