#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/weights.hpp>

namespace ssm {

/// Number type of weights and outputs of a layer.
template <class L>
using value_t = typename L::value_type;

namespace detail {
template <class L>
struct StoredType {
    using type = typename L::value_type;
};
template <class L>
requires requires {
    typename L::stored_type;
}
struct StoredType<L> {
    using type = typename L::stored_type;
};
}  // namespace detail

/// Number type in which a layer keeps its matrices: that of its outputs, or what its `stored_type` says.
template <class L>
using stored_t = typename detail::StoredType<L>::type;

/// Number type of a layer's input: the same, or `std::int32_t` for layers that read token ids.
template <class L>
using input_t = typename L::input_type;

namespace detail {

struct AnyVisitor {
    template <class... Tensors>
    void operator()(std::string_view, const WeightTraits&, Tensors&...) const {}
};

template <class L>
concept HasTypes = requires {
    typename L::value_type;
    typename L::input_type;
};
template <class L>
concept HasWidths = requires(const L& layer) {
    { layer.in_channels() } -> std::convertible_to<std::size_t>;
    { layer.out_channels() } -> std::convertible_to<std::size_t>;
};
template <class L>
concept HasWeights = requires(const AnyVisitor& visitor, L& layer, const L& other) {
    L::visit_weights(visitor, layer);
    L::visit_weights(visitor, layer, other);
};
template <class L>
concept HasForward = requires(const L& layer, BatchView<const input_t<L>> u,
                              BatchView<value_t<L>> y, const Context& context) {
    layer.forward(u, y, context);
};
template <class L>
concept HasState = requires(const L& layer, typename L::State& state) {
    requires std::copyable<typename L::State>;
    { layer.rest_state(std::size_t{1}) } -> std::same_as<typename L::State>;
};
template <class L>
concept HasBlocks = requires(const L& layer, BatchView<const input_t<L>> u, BatchView<value_t<L>> y,
                             typename L::State& state, const Context& context) {
    layer.forward(u, y, state, context);
};
template <class L>
concept HasStep = requires(const L& layer, std::span<const input_t<L>> u, std::span<value_t<L>> y,
                           typename L::State& state) {
    { layer.step(u, y, state) }
    noexcept;
};
template <class L>
concept HasCache = std::default_initializable<typename L::Cache> &&
    requires(const L& layer, BatchView<const input_t<L>> u, BatchView<value_t<L>> y,
             typename L::Cache& cache, const Context& context) {
    layer.forward(u, y, cache, context);
};
template <class L>
concept HasBackward = requires(const L& layer, BatchView<const input_t<L>> u,
                               BatchView<const value_t<L>> dy, BatchView<value_t<L>> du,
                               const typename L::Cache& cache, L& gradient,
                               const Context& context) {
    layer.backward(u, dy, du, cache, gradient, context);
};

}  // namespace detail

/// A layer: a regular value of weights and sizes that maps sequences to sequences.
///
///   value_type, input_type                        numbers of weights and outputs, and of inputs
///   in_channels(), out_channels()
///   forward(u, y, context)                        whole sequences from rest; const
///   static visit_weights(visitor, layers...)      names, traits and values of all weights
template <class L>
concept Layer = std::copyable<L> && detail::HasTypes<L> && detail::HasWidths<L> &&
    detail::HasForward<L> && detail::HasWeights<L>;

/// A layer that can run as a stream: its output at a step depends on the steps up to it.
///
///   State, rest_state(batch)                      what `batch` streams remember; a regular value
///   forward(u, y, state, context)                 continues; the state moves on
///   step(u_t, y_t, state) noexcept                one step, u_t (batch, in), y_t (batch, out); no allocation
template <class L>
concept StreamingLayer =
    Layer<L> && detail::HasState<L> && detail::HasBlocks<L> && detail::HasStep<L>;

/// A layer that can be trained.
///
///   Cache                                         what the training forward keeps for the backward
///   forward(u, y, cache, context)
///   backward(u, dy, du, cache, gradient, context) adds to `gradient`, a value of the layer's own type;
///                                                 overwrites `du`, which may be empty: not wanted
template <class L>
concept TrainableLayer = Layer<L> && detail::HasCache<L> && detail::HasBackward<L>;

/// A layer whose output at a step depends on the input of that step alone.
template <class L>
concept PointwiseLayer = Layer<L> && requires {
    requires L::is_pointwise;
};

/// A layer that turns a sequence into one row, such as a mean over time, or into another number of steps, which its
/// `output_length()` says, such as a forecast.
template <class L>
concept ReducingLayer = Layer<L> && requires {
    requires L::reduces_time;
};

/// A layer whose y may be u exactly, and whose du may be dy exactly.
template <class L>
concept InPlaceLayer = PointwiseLayer<L> && requires {
    requires L::runs_in_place;
};

/// A layer that also trains in place: its backward does not read the forward's input.
template <class L>
concept InputForgettingLayer = InPlaceLayer<L> && TrainableLayer<L> && requires {
    requires L::forgets_input;
};

/// Steps that a layer makes of `length` steps: 1, or what it says, for reducing layers.
template <class L>
[[nodiscard]] constexpr std::size_t output_length(const L& layer, std::size_t length) noexcept {
    if constexpr (requires { layer.output_length(); })
        return layer.output_length();
    else
        return ReducingLayer<L> ? 1 : length;
}

/// Shape that a layer makes of sequences of shape `input`.
template <class L>
[[nodiscard]] Shape output_shape(const L& layer, const Shape& input) noexcept {
    return {input.batch, output_length(layer, input.length), layer.out_channels()};
}

/// Compile-time check of a layer type that says in a sentence what is missing.
template <class L>
consteval bool check_layer() {
    static_assert(std::copyable<L>, "ssm: a layer is a copyable value");
    static_assert(detail::HasTypes<L>, "ssm: a layer names its value_type and input_type");
    static_assert(detail::HasWidths<L>, "ssm: a layer has in_channels() and out_channels()");
    static_assert(detail::HasForward<L>, "ssm: a layer has forward(u, y, context) const");
    static_assert(detail::HasWeights<L>,
                  "ssm: a layer has static visit_weights(visitor, layers...)");
    return Layer<L>;
}

/// Compile-time check that a layer streams, saying in a sentence what is missing.
template <class L>
consteval bool check_streaming() {
    static_assert(check_layer<L>());
    static_assert(
        detail::HasState<L>,
        "ssm: this layer cannot stream (it is not causal, or a part of it is not): it has no "
        "State and rest_state(batch)");
    static_assert(detail::HasBlocks<L>,
                  "ssm: a streaming layer has forward(u, y, state, context) const");
    static_assert(detail::HasStep<L>,
                  "ssm: a streaming layer has step(u, y, state) const noexcept");
    return StreamingLayer<L>;
}

/// Compile-time check that a layer can be trained, saying in a sentence what is missing.
template <class L>
consteval bool check_trainable() {
    static_assert(check_layer<L>());
    static_assert(
        detail::HasCache<L>,
        "ssm: this layer cannot be trained (it is for inference alone, as layers are that "
        "store their weights in another type than they compute in, or a part of it is): "
        "a trainable layer has a Cache and forward(u, y, cache, context) const");
    static_assert(detail::HasBackward<L>,
                  "ssm: a trainable layer has backward(u, dy, du, cache, gradient, context) const");
    return TrainableLayer<L>;
}

/// Raises ShapeError unless `u` and `y` fit the layer and the context fits `u`. An empty batch and length 0
/// are fine: nothing is computed.
template <Layer L, class In, class Out>
void require_forward(const char* what, const L& layer, BatchView<In> u, BatchView<Out> y,
                     const Context& context) {
    require<ShapeError>(u.channels() == layer.in_channels(), what, ": input has ", u.channels(),
                        " channels, expected ", layer.in_channels());
    require<ShapeError>(y.shape() == output_shape(layer, u.shape()), what, ": output has shape ",
                        y.shape(), ", expected ", output_shape(layer, u.shape()));
    context.check(u.shape());
}

/// The same for the arguments of backward; an empty `du` is not wanted.
template <Layer L, class In, class Out, class Grad>
void require_backward(const char* what, const L& layer, BatchView<In> u, BatchView<Out> dy,
                      BatchView<Grad> du, const Context& context) {
    require_forward(what, layer, u, dy, context);
    require<ShapeError>(du.data() == nullptr || du.shape() == u.shape(), what,
                        ": gradient of the input has shape ", du.shape(), ", expected ", u.shape());
}

}  // namespace ssm
