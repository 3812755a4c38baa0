#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/model/detail/composite.hpp>

namespace ssm {

namespace detail {

template <class L>
struct RepeatState {
    std::vector<typename L::State> parts;
    ScratchRows<value_t<L>> rows;

    friend bool operator==(const RepeatState&, const RepeatState&) = default;

    template <class Visitor, class First, class... Others>
    static void visit_numbers(Visitor&& visitor, First& first, Others&... others) {
        for (std::size_t i = 0; i < first.parts.size(); ++i)
            visitor(std::to_string(i), first.parts[i], others.parts[i]...);
    }
};

template <class L>
struct RepeatCache {
    std::vector<typename L::Cache> parts;
    std::vector<Batch<value_t<L>>> between;  ///< output of each layer but the last
};

}  // namespace detail

/// Layers of one type one after the other, as many as a run-time depth says.
///
///   Repeat<Block> blocks(6, [&](std::size_t i) { return Block(options, rng.split()); });
///
/// Streaming or trainable exactly when the layer is. Weights are named by position, as in
/// `0.weight`.
///
/// State     the layers' states and two rows of the widest joint for each stream
/// Errors    ValueError for depth 0; ShapeError at construction when neighbours differ in width, and for
///           views, states and caches that do not fit
/// Cost      the layers'; between layers two buffers of the workspace (inference) or the Cache (training)
template <class L>
class Repeat {
    static_assert(check_layer<L>());
    static_assert(std::same_as<input_t<L>, value_t<L>>,
                  "ssm::Repeat: the layer must read the numbers that it writes");
    static_assert(!ReducingLayer<L>, "ssm::Repeat: a layer that reduces time cannot be repeated");

public:
    using value_type = value_t<L>;
    using input_type = input_t<L>;
    static constexpr bool is_pointwise = PointwiseLayer<L>;

    using State = std::conditional_t<StreamingLayer<L>, detail::RepeatState<L>, detail::NoState>;
    using Cache = std::conditional_t<TrainableLayer<L>, detail::RepeatCache<L>, detail::NoCache>;

    explicit Repeat(std::vector<L> parts) : layers(std::move(parts)) {
        require<ValueError>(!layers.empty(), "ssm::Repeat: needs at least one layer");
        for (std::size_t i = 0; i + 1 < layers.size(); ++i)
            require<ShapeError>(layers[i].out_channels() == layers[i + 1].in_channels(),
                                "ssm::Repeat: layer ", i, " makes ", layers[i].out_channels(),
                                " channels, but layer ", i + 1, " expects ",
                                layers[i + 1].in_channels());
    }
    /// `make(i)` for i = 0 .. depth - 1.
    template <std::invocable<std::size_t> Make>
    Repeat(std::size_t depth, Make&& make) : Repeat(made(depth, make)) {}

    [[nodiscard]] std::size_t in_channels() const noexcept { return layers.front().in_channels(); }
    [[nodiscard]] std::size_t out_channels() const noexcept { return layers.back().out_channels(); }

    void forward(BatchView<const value_type> u, BatchView<value_type> y,
                 const Context& context) const {
        require_forward("ssm::Repeat", *this, u, y, context);
        const Workspace::Frame frame = context.workspace.frame();
        const detail::Alternating<value_type> between(context.workspace, largest(u.shape()));
        chain(u, y, between,
              [&](std::size_t i, auto in, auto out) { layers[i].forward(in, out, context); });
    }

    void forward(BatchView<const value_type> u, BatchView<value_type> y, State& state,
                 const Context& context) const {
        static_assert(check_streaming<L>());
        require_forward("ssm::Repeat", *this, u, y, context);
        require<ShapeError>(state.parts.size() == layers.size(), "ssm::Repeat: depth ",
                            layers.size(), ", but the state has ", state.parts.size());
        const Workspace::Frame frame = context.workspace.frame();
        const detail::Alternating<value_type> between(context.workspace, largest(u.shape()));
        chain(u, y, between, [&](std::size_t i, auto in, auto out) {
            layers[i].forward(in, out, state.parts[i], context);
        });
    }

    void forward(BatchView<const value_type> u, BatchView<value_type> y, Cache& cache,
                 const Context& context) const {
        static_assert(check_trainable<L>());
        require_forward("ssm::Repeat", *this, u, y, context);
        cache.parts.resize(layers.size());
        cache.between.resize(layers.size() - 1);
        const auto between = [&](std::size_t i, const Shape& shape) {
            cache.between[i].resize(shape);
            return cache.between[i].view();
        };
        chain(u, y, between, [&](std::size_t i, auto in, auto out) {
            layers[i].forward(in, out, cache.parts[i], context);
        });
    }

    void backward(BatchView<const value_type> u, BatchView<const value_type> dy,
                  BatchView<value_type> du, const Cache& cache, Repeat& gradient,
                  const Context& context) const {
        static_assert(check_trainable<L>());
        require_backward("ssm::Repeat", *this, u, dy, du, context);
        require<ShapeError>(
            cache.parts.size() == layers.size() && gradient.layers.size() == layers.size(),
            "ssm::Repeat: depth ", layers.size(), ", but the cache has ", cache.parts.size(),
            " and the gradient ", gradient.layers.size());
        const Workspace::Frame frame = context.workspace.frame();
        const detail::Alternating<value_type> between(context.workspace, largest(u.shape()));
        for (std::size_t i = layers.size(); i-- > 0;) {
            const BatchView<const value_type> in = i == 0 ? u : cache.between[i - 1].view();
            require_shape("ssm::Repeat: cache", in.shape(), shape_before(i, u.shape()));
            const BatchView<value_type> din = i == 0 ? du : between(i - 1, in.shape());
            layers[i].backward(in, dy, din, cache.parts[i], gradient.layers[i], context);
            dy = din;
        }
    }

    [[nodiscard]] State rest_state(std::size_t batch = 1) const {
        static_assert(check_streaming<L>());
        State state;
        state.parts.reserve(layers.size());
        for (const L& layer : layers)
            state.parts.push_back(layer.rest_state(batch));
        state.rows = detail::ScratchRows<value_type>(largest({batch, 1, in_channels()}));
        return state;
    }

    void step(std::span<const value_type> u, std::span<value_type> y, State& state) const noexcept {
        static_assert(check_streaming<L>());
        const std::size_t batch = u.size() / in_channels();
        for (std::size_t i = 0; i < layers.size(); ++i) {
            const std::span<value_type> out =
                i + 1 < layers.size() ? state.rows(i, batch * layers[i].out_channels()) : y;
            layers[i].step(u, out, state.parts[i]);
            u = out;
        }
    }

    template <class Visitor, class First, class... Others>
    static void visit_weights(Visitor&& visitor, First& first, Others&... others) {
        require<ShapeError>(((first.layers.size() == others.layers.size()) && ...),
                            "ssm::Repeat: the values visited together differ in depth");
        for (std::size_t i = 0; i < first.layers.size(); ++i)
            L::visit_weights(nested(visitor, std::to_string(i)), first.layers[i],
                             others.layers[i]...);
    }

    std::vector<L> layers;

private:
    template <class Make>
    static std::vector<L> made(std::size_t depth, Make& make) {
        std::vector<L> parts;
        parts.reserve(depth);
        for (std::size_t i = 0; i < depth; ++i)
            parts.push_back(make(i));
        return parts;
    }

    [[nodiscard]] Shape shape_before(std::size_t i, const Shape& shape) const noexcept {
        return {shape.batch, shape.length, layers[i].in_channels()};
    }

    /// Size of the largest array between two layers.
    [[nodiscard]] std::size_t largest(const Shape& shape) const noexcept {
        std::size_t size = 0;
        for (std::size_t i = 1; i < layers.size(); ++i)
            size = std::max(size, shape_before(i, shape).size());
        return size;
    }

    /// Calls `call(i, in, out)` for each layer in turn.
    template <class Between, class Call>
    void chain(BatchView<const value_type> u, BatchView<value_type> y, const Between& between,
               Call&& call) const {
        const Shape shape = u.shape();
        for (std::size_t i = 0; i < layers.size(); ++i) {
            const BatchView<value_type> out =
                i + 1 < layers.size() ? between(i, shape_before(i + 1, shape)) : y;
            call(i, u, out);
            u = out;
        }
    }
};

}  // namespace ssm
