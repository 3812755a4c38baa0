#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <ssm/core/error.hpp>
#include <ssm/core/tensor.hpp>

namespace ssm {

/// What an optimiser does with a weight.
enum class WeightRole {
    trained,  ///< follows its gradient
    frozen,   ///< stays as it is
    statistic,  ///< running statistic: its "gradient" is batch value minus running value, and it moves
                ///< by `momentum` times that
};

/// What an optimiser must know of a weight besides its value.
struct WeightTraits {
    WeightRole role = WeightRole::trained;
    std::optional<double>
        learning_rate{};  ///< instead of the optimiser's base rate; schedules still scale it
    std::optional<double> weight_decay{};  ///< instead of the optimiser's
    double momentum = 0.0;                 ///< of a statistic
};

/// Visits all weights of one layer, or of several values of the same layer type side by side.
///
/// Calls `visitor(std::string_view name, const WeightTraits&, Tensor<T>&...)` once for each weight, in a
/// fixed order, with one tensor from each value (const where the value is). Names are paths like
/// `1.weight`; the name is valid during the call only. Complex weights are tensors of real pairs.
///
/// Errors    ShapeError when the values differ in the shape of a weight, before the visitor sees it.
template <class Visitor, class First, class... Others>
void visit(Visitor&& visitor, First& first, Others&... others) {
    auto checked = [&visitor](std::string_view name, const WeightTraits& traits, auto& tensor,
                              auto&... tensors) {
        require<ShapeError>(((tensor.extents() == tensors.extents()) && ...),
                            "ssm::visit: weight \"", name,
                            "\" has different shapes in the values visited together");
        visitor(name, traits, tensor, tensors...);
    };
    std::remove_const_t<First>::visit_weights(checked, first, others...);
}

/// A visitor that puts `prefix.` before every name; for layers made of layers.
template <class Visitor>
[[nodiscard]] auto nested(Visitor& visitor, std::string prefix) {
    return [&visitor, prefix = std::move(prefix) + "."](
               std::string_view name, const WeightTraits& traits, auto&... tensors) {
        visitor(prefix + std::string(name), traits, tensors...);
    };
}

/// The first of the values visited together, which a layer asks for options that all of them share.
template <class Value, class... Values>
[[nodiscard]] const Value& first_of(const Value& first, const Values&...) noexcept {
    return first;
}

/// A value of the same layer type and sizes with all weights zero: a gradient, or a moment.
template <class L>
[[nodiscard]] L zeros_like(const L& layer) {
    L result = layer;
    visit([](std::string_view, const WeightTraits&, auto& weight) { weight.fill({}); }, result);
    return result;
}

/// Sets all weights (of a gradient) to zero.
template <class L>
void set_zero(L& layer) {
    visit([](std::string_view, const WeightTraits&, auto& weight) { weight.fill({}); }, layer);
}

/// Copies all weights to a value of the same sizes that may keep them in another number type, such as Bfloat16:
/// rounded to nearest.
///
/// Errors    ShapeError when a weight differs in shape; those before it are copied then
template <class From, class To>
void copy_weights(const From& from, To& to) {
    visit(
        [](std::string_view, const WeightTraits&, const auto& source, auto& target) {
            using Target = typename std::remove_reference_t<decltype(target)>::value_type;
            for (std::size_t i = 0; i < source.size(); ++i)
                target[i] = static_cast<Target>(static_cast<double>(source[i]));
        },
        from, to);
}

/// Number of trained numbers; a complex weight counts twice.
template <class L>
[[nodiscard]] std::size_t parameter_count(const L& layer) {
    std::size_t count = 0;
    visit(
        [&count](std::string_view, const WeightTraits& traits, const auto& weight) {
            if (traits.role == WeightRole::trained)
                count += weight.size();
        },
        layer);
    return count;
}

}  // namespace ssm
