#pragma once

#include <cmath>
#include <cstddef>
#include <span>

#include <ssm/convolution/depthwise.hpp>
#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>

namespace ssm {

/// Causal depthwise convolution of width W, with an optional fused SiLU:
///
///   y_t = f(bias + sum_k weight_k u_{t - W + 1 + k}),   f(x) = x or silu(x)
///
/// Shapes    u (batch, L, channels) -> y the same; weight (W, channels), the transpose of PyTorch's
///           (channels, 1, W): vectors run across channels; bias (channels)
/// Initial   weight and bias uniform in +-1/sqrt(W), as torch.nn.Conv1d
/// State     the last W - 1 inputs of each stream; a reset makes them zero
/// Errors    ValueError for zero channels or width, and for intervals of the context; ShapeError for views and states that do not fit
/// Cost      2 W flops a number, one pass over memory; backward computes the forward again
/// Source    causal_conv1d of Mamba
template <class T>
class Conv1d {
public:
    using value_type = T;
    using input_type = T;
    struct Options {
        std::size_t channels = 0;
        std::size_t width = 4;
        bool bias = true;
        bool silu = false;
    };
    struct State {
        AlignedVector<T> window;  ///< (batch, W - 1, channels), oldest first

        friend bool operator==(const State&, const State&) = default;

        template <class Visitor, class... States>
        static void visit_numbers(Visitor&& visitor, States&... states) {
            visitor("window", states.window...);
        }
    };
    struct Cache {};

    Conv1d(Options options, Undrawn)
        : weight({options.width, options.channels}),
          bias({options.bias ? options.channels : 0}),
          options_(options) {
        require<ValueError>(options.channels > 0 && options.width > 0,
                            "ssm::Conv1d: channels = ", options.channels,
                            " and width = ", options.width, " must be positive");
    }
    explicit Conv1d(Options options, Rng rng = Rng()) : Conv1d(options, Undrawn{}) {
        const double bound = 1.0 / std::sqrt(static_cast<double>(options.width));
        for (T& w : weight.flat())
            w = static_cast<T>(rng.uniform(-bound, bound));
        for (T& b : bias.flat())
            b = static_cast<T>(rng.uniform(-bound, bound));
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return options_.channels; }
    [[nodiscard]] std::size_t out_channels() const noexcept { return options_.channels; }
    [[nodiscard]] const Options& options() const noexcept { return options_; }

    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        check(u, y, context);
        depthwise_forward<T>(filter(), u, y, nullptr, context);
    }
    void forward(BatchView<const T> u, BatchView<T> y, State& state, const Context& context) const {
        check(u, y, context);
        require<ShapeError>(fits(state, u.batch()), "ssm::Conv1d: the state has ",
                            state.window.size(), " numbers, expected ", u.batch(), " times ",
                            options_.width - 1, " times ", options_.channels);
        depthwise_forward<T>(filter(), u, y, state.window.data(), context);
        depthwise_advance<T>(filter(), u, state.window.data(), context);
    }
    void forward(BatchView<const T> u, BatchView<T> y, Cache&, const Context& context) const {
        forward(u, y, context);
    }
    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache&,
                  Conv1d& gradient, const Context& context) const {
        require_backward("ssm::Conv1d", *this, u, dy, du, context);
        context.require_regular("ssm::Conv1d");
        depthwise_backward<T>(filter(), u, dy, du, nullptr, gradient.weight.data(),
                              bias.empty() ? nullptr : gradient.bias.data(), nullptr, context);
    }

    [[nodiscard]] State rest_state(std::size_t batch = 1) const {
        State state;
        state.window.resize(window_size(batch));
        return state;
    }
    /// Whether this state is one of `batch` streams through such a layer.
    [[nodiscard]] bool fits(const State& state, std::size_t batch) const noexcept {
        return state.window.size() == window_size(batch);
    }
    void step(std::span<const T> u, std::span<T> y, State& state) const noexcept {
        depthwise_step<T>(filter(), u, y, state.window.data());
    }

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&& visitor, Layers&... layers) {
        visitor("weight", WeightTraits{}, layers.weight...);
        if ((!layers.bias.empty() && ...))
            visitor("bias", WeightTraits{.weight_decay = 0.0}, layers.bias...);
    }

    Tensor<T> weight;
    Tensor<T> bias;  ///< empty without bias

private:
    void check(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward("ssm::Conv1d", *this, u, y, context);
        context.require_regular("ssm::Conv1d");
    }
    [[nodiscard]] std::size_t window_size(std::size_t batch) const noexcept {
        return batch * (options_.width - 1) * options_.channels;
    }
    [[nodiscard]] Depthwise<T> filter() const noexcept {
        return {options_.channels, options_.width, weight.data(),
                bias.empty() ? nullptr : bias.data(), options_.silu};
    }

    Options options_;
};

}  // namespace ssm
