#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/model/detail/composite.hpp>

namespace ssm {

namespace detail {

template <class T, class... Layers>
struct SequentialState {
    std::tuple<typename Layers::State...> parts;
    ScratchRows<T> rows;

    friend bool operator==(const SequentialState&, const SequentialState&) = default;

    template <class Visitor, class... States>
    static void visit_numbers(Visitor&& visitor, States&... states) {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            (visit_part<I>(visitor, states...), ...);
        }
        (std::index_sequence_for<Layers...>{});
    }

private:
    template <std::size_t I, class Visitor, class... States>
    static void visit_part(Visitor& visitor, States&... states) {
        visitor(std::to_string(I), std::get<I>(states.parts)...);
    }
};

template <class T, class... Layers>
struct SequentialCache {
    std::tuple<typename Layers::Cache...> parts;
    std::array<Batch<T>, sizeof...(Layers)>
        between;  ///< what layers read, by position of the writer
};

/// Checks one layer of a chain at its position, so that a compiler's message carries both.
template <std::size_t Position, class T, class L, bool time_is_gone>
consteval bool check_part() {
    static_assert(check_layer<L>());
    static_assert(std::same_as<value_t<L>, T>,
                  "ssm::Sequential: all layers need the same value_type (see the position)");
    static_assert(Position == 0 || std::same_as<input_t<L>, T>,
                  "ssm::Sequential: only the first layer may read something else than value_type");
    static_assert(!time_is_gone || PointwiseLayer<L>,
                  "ssm::Sequential: behind a pooling over time only pointwise layers may follow");
    return true;
}

}  // namespace detail

/// Layers one after the other: y = layer_n(... layer_1(layer_0(u))).
///
///   Sequential model(Linear<float>({.in = 1, .out = 64}), block, MeanPool<float>({.channels =
///   64}));
///
/// Streaming or trainable exactly when all layers are. Behind a layer that reduces time (a pooling)
/// only pointwise layers may follow; they see the context without_time(). Weights are named by
/// position, as in `0.weight`.
///
/// State     the layers' states and two rows of the widest joint for each stream
/// Errors    ShapeError at construction when neighbours differ in width; else as the layers
/// Cost      the layers'; whole sequences between layers live in two buffers of the workspace (inference)
///           or in the Cache (training), and layers that can work in place do
template <class... Layers>
class Sequential {
    static_assert(sizeof...(Layers) > 0, "ssm::Sequential: needs at least one layer");
    static constexpr std::size_t count = sizeof...(Layers);
    using Indices = std::index_sequence_for<Layers...>;
    template <std::size_t I>
    using Part = std::tuple_element_t<I, std::tuple<Layers...>>;

public:
    using value_type = value_t<Part<0>>;
    using input_type = input_t<Part<0>>;
    static constexpr bool is_pointwise = (PointwiseLayer<Layers> && ...);
    static constexpr bool reduces_time = (ReducingLayer<Layers> || ...);

    using State =
        std::conditional_t<(StreamingLayer<Layers> && ...),
                           detail::SequentialState<value_type, Layers...>, detail::NoState>;
    using Cache =
        std::conditional_t<(TrainableLayer<Layers> && ...),
                           detail::SequentialCache<value_type, Layers...>, detail::NoCache>;

    explicit Sequential(Layers... parts) : layers(std::move(parts)...) {
        static_assert(check_parts(Indices{}));
        check_widths();
    }

    [[nodiscard]] std::size_t in_channels() const noexcept {
        return std::get<0>(layers).in_channels();
    }
    [[nodiscard]] std::size_t out_channels() const noexcept {
        return std::get<count - 1>(layers).out_channels();
    }

    /// Steps that are left of a sequence of any length, where a layer reduces time.
    [[nodiscard]] std::size_t output_length() const noexcept requires reduces_time {
        return output_shapes({1, 1, in_channels()}).back().length;
    }

    void forward(BatchView<const input_type> u, BatchView<value_type> y,
                 const Context& context) const {
        require_forward("ssm::Sequential", *this, u, y, context);
        const Workspace::Frame frame = context.workspace.frame();
        const detail::Alternating<value_type> between(context.workspace, largest(u.shape()));
        chain<false>(u, y, context, between,
                     [&](auto, const auto& layer, auto in, auto out, const Context& inner) {
                         layer.forward(in, out, inner);
                     });
    }

    void forward(BatchView<const input_type> u, BatchView<value_type> y, State& state,
                 const Context& context) const {
        static_assert((check_streaming<Layers>() && ...));
        require_forward("ssm::Sequential", *this, u, y, context);
        const Workspace::Frame frame = context.workspace.frame();
        const detail::Alternating<value_type> between(context.workspace, largest(u.shape()));
        chain<false>(u, y, context, between,
                     [&](auto i, const auto& layer, auto in, auto out, const Context& inner) {
                         layer.forward(in, out, std::get<i>(state.parts), inner);
                     });
    }

    void forward(BatchView<const input_type> u, BatchView<value_type> y, Cache& cache,
                 const Context& context) const {
        static_assert((check_trainable<Layers>() && ...));
        require_forward("ssm::Sequential", *this, u, y, context);
        const auto between = [&](std::size_t part, const Shape& shape) {
            cache.between[part].resize(shape);
            return cache.between[part].view();
        };
        chain<true>(u, y, context, between,
                    [&](auto i, const auto& layer, auto in, auto out, const Context& inner) {
                        layer.forward(in, out, std::get<i>(cache.parts), inner);
                    });
    }

    void backward(BatchView<const input_type> u, BatchView<const value_type> dy,
                  BatchView<value_type> du, const Cache& cache, Sequential& gradient,
                  const Context& context) const {
        static_assert((check_trainable<Layers>() && ...));
        require_backward("ssm::Sequential", *this, u, dy, du, context);
        const Workspace::Frame frame = context.workspace.frame();
        const detail::Alternating<value_type> between(context.workspace, largest(u.shape()));
        const std::array<Shape, count> shapes = output_shapes(u.shape());
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            (backward_part<count - 1 - I>(u, dy, du, cache, gradient, context, between, shapes),
             ...);
        }
        (Indices{});
    }

    [[nodiscard]] State rest_state(std::size_t batch = 1) const {
        static_assert((check_streaming<Layers>() && ...));
        return [&]<std::size_t... I>(std::index_sequence<I...>)->State {
            return {{std::get<I>(layers).rest_state(batch)...},
                    detail::ScratchRows<value_type>(largest({batch, 1, in_channels()}))};
        }
        (Indices{});
    }

    void step(std::span<const input_type> u, std::span<value_type> y, State& state) const noexcept {
        static_assert((check_streaming<Layers>() && ...));
        const std::size_t batch = u.size() / in_channels();
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            (step_part<I>(batch, u, y, state), ...);
        }
        (Indices{});
    }

    template <class Visitor, class... Values>
    static void visit_weights(Visitor&& visitor, Values&... values) {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            (visit_part<I>(visitor, values...), ...);
        }
        (Indices{});
    }

    std::tuple<Layers...> layers;  ///< `std::get<1>(model.layers)` is the second one

private:
    template <std::size_t I>
    using Index = std::integral_constant<std::size_t, I>;

    /// Whether a layer in front of layer I reduces time.
    template <std::size_t I>
    static consteval bool time_is_gone() {
        return []<std::size_t... J>(std::index_sequence<J...>) {
            return (ReducingLayer<Part<J>> || ...);
        }
        (std::make_index_sequence<I>{});
    }

    template <std::size_t I, class Visitor, class... Values>
    static void visit_part(Visitor& visitor, Values&... values) {
        Part<I>::visit_weights(nested(visitor, std::to_string(I)), std::get<I>(values.layers)...);
    }

    template <std::size_t... I>
    static consteval bool check_parts(std::index_sequence<I...>) {
        return (detail::check_part<I, value_type, Layers, time_is_gone<I>()>() && ...);
    }

    void check_widths() const {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            (require<ShapeError>(
                 std::get<I>(layers).out_channels() == std::get<I + 1>(layers).in_channels(),
                 "ssm::Sequential: layer ", I, " makes ", std::get<I>(layers).out_channels(),
                 " channels, but layer ", I + 1, " expects ",
                 std::get<I + 1>(layers).in_channels()),
             ...);
        }
        (std::make_index_sequence<count - 1>{});
    }

    [[nodiscard]] std::array<Shape, count> output_shapes(Shape shape) const noexcept {
        std::array<Shape, count> shapes;
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            ((shapes[I] = shape = output_shape(std::get<I>(layers), shape)), ...);
        }
        (Indices{});
        return shapes;
    }

    /// Size of the largest array between two layers.
    [[nodiscard]] std::size_t largest(const Shape& shape) const noexcept {
        const std::array<Shape, count> shapes = output_shapes(shape);
        std::size_t size = 0;
        for (std::size_t i = 0; i + 1 < count; ++i)
            size = std::max(size, shapes[i].size());
        return size;
    }

    /// Number of the buffer that layer I writes: that of its input when it runs in place. The input of the
    /// first layer and the output of the last are the caller's.
    template <std::size_t I, bool training = false>
    static consteval std::size_t buffer() {
        if constexpr (I == 0)
            return 0;
        else if constexpr (I + 1 < count &&
                           (training ? InputForgettingLayer<Part<I>> : InPlaceLayer<Part<I>>))
            return buffer<I - 1, training>();
        else
            return buffer<I - 1, training>() + 1;
    }

    template <std::size_t I>
    static Context context_of(const Context& context) noexcept {
        if constexpr (time_is_gone<I>())
            return context.without_time();
        else
            return context;
    }

    /// Calls `call(index, layer, in, out, context)` for each layer in turn.
    template <bool training, class Between, class Call>
    void chain(BatchView<const input_type> u, BatchView<value_type> y, const Context& context,
               const Between& between, Call&& call) const {
        const std::array<Shape, count> shapes = output_shapes(u.shape());
        BatchView<value_type> before;
        const auto run = [&]<std::size_t I>(Index<I> index) {
            const BatchView<value_type> out =
                I + 1 < count ? between(buffer<I, training>(), shapes[I]) : y;
            if constexpr (I == 0)
                call(index, std::get<I>(layers), u, out, context_of<I>(context));
            else
                call(index, std::get<I>(layers), BatchView<const value_type>(before), out,
                     context_of<I>(context));
            before = out;
        };
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            (run(Index<I>{}), ...);
        }
        (Indices{});
    }

    template <std::size_t I, class Between>
    void backward_part(BatchView<const input_type> u, BatchView<const value_type> dy,
                       BatchView<value_type> du, const Cache& cache, Sequential& gradient,
                       const Context& context, const Between& between,
                       const std::array<Shape, count>& shapes) const {
        const auto& layer = std::get<I>(layers);
        const auto& part_cache = std::get<I>(cache.parts);
        auto& part_gradient = std::get<I>(gradient.layers);
        if constexpr (I + 1 < count)
            dy = between(buffer<I>(), shapes[I]);
        if constexpr (I == 0) {
            layer.backward(u, dy, du, part_cache, part_gradient, context);
        } else {
            const Batch<value_type>& in = cache.between[buffer<I - 1, true>()];
            require_shape("ssm::Sequential: cache", in.shape(), shapes[I - 1]);
            layer.backward(in, dy, between(buffer<I - 1>(), shapes[I - 1]), part_cache,
                           part_gradient, context_of<I>(context));
        }
    }

    template <std::size_t I>
    void step_part(std::size_t batch, std::span<const input_type> u, std::span<value_type> y,
                   State& state) const noexcept {
        const auto& layer = std::get<I>(layers);
        if constexpr (I + 1 < count)
            y = state.rows(buffer<I>(), batch * layer.out_channels());
        if constexpr (I == 0)
            layer.step(u, y, std::get<I>(state.parts));
        else
            layer.step(std::span<const value_type>(
                           state.rows(buffer<I - 1>(), batch * layer.in_channels())),
                       y, std::get<I>(state.parts));
    }
};

}  // namespace ssm
