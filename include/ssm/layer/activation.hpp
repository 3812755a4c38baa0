#pragma once

#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/layer/stateless.hpp>
#include <ssm/math/activation.hpp>
#include <ssm/math/pointwise.hpp>

namespace ssm {

/// y = f(u), number by number.
///
///   Activation<float, math::Gelu> gelu({.channels = 64});
///   Activation<float, math::LeakyRelu> leaky({.channels = 64}, {.slope = 0.2});
///
/// Shapes    u (batch, L, channels) -> y the same
/// Aliasing  y may be u exactly, du may be dy exactly
/// Errors    ValueError for zero channels
/// Cost      one pass over memory; the backward computes the derivative from u
template <class T, class Function>
requires math::Activation<Function, T>
class Activation : public StatelessLayer<Activation<T, Function>, T> {
    using Base = StatelessLayer<Activation<T, Function>, T>;

public:
    using typename Base::State;
    static constexpr bool runs_in_place = true;
    struct Options {
        std::size_t channels = 0;
    };
    struct Cache {};

    explicit Activation(Options options, Function function = {})
        : channels_(options.channels), function_(function) {
        require<ValueError>(channels_ > 0, "ssm::Activation: channels must be positive");
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return channels_; }
    [[nodiscard]] std::size_t out_channels() const noexcept { return channels_; }

    using Base::forward;
    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward("ssm::Activation", *this, u, y, context);
        parallel_ranges(u.size(), grain, [&](std::size_t begin, std::size_t end, std::size_t) {
            math::apply(function_, u.data() + begin, y.data() + begin, end - begin);
        });
    }
    void forward(BatchView<const T> u, BatchView<T> y, Cache&, const Context& context) const {
        forward(u, y, context);
    }
    void step(std::span<const T> u, std::span<T> y, State&) const noexcept {
        math::apply(function_, u.data(), y.data(), u.size());
    }
    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache&,
                  Activation&, const Context& context) const {
        require_backward("ssm::Activation", *this, u, dy, du, context);
        if (du.empty())
            return;
        parallel_ranges(u.size(), grain, [&](std::size_t begin, std::size_t end, std::size_t) {
            math::apply_adjoint(function_, u.data() + begin, dy.data() + begin, du.data() + begin,
                                end - begin);
        });
    }

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&&, Layers&...) {}

private:
    static constexpr std::size_t grain = 4096;  // a multiple of every vector

    std::size_t channels_;
    SSM_NO_UNIQUE_ADDRESS Function function_;
};

}  // namespace ssm
