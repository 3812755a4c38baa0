#pragma once

#include <cstddef>

#include <ssm/core/concepts.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/layer/activation.hpp>
#include <ssm/layer/dropout.hpp>
#include <ssm/layer/glu.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/math/activation.hpp>
#include <ssm/model/self_gate.hpp>
#include <ssm/model/sequential.hpp>

namespace ssm {

/// What follows a state space layer x = system(u) in S5 and LRU: a nonlinearity g = dropout(gelu(x)) and a gate with
/// an H x H matrix. All of them train, and stream when the system does; `Residual` puts norm, skip and the last
/// dropout around them:
///
///   auto block = Residual(LayerNorm<float>({.channels = 64}), full_glu_block(S5<float>({.channels = 64})));
///
///   gelu_block        y = gelu(x)                                    weights `0.*` of the system
///   half_glu1_block   y = g o sigmoid(W g + b)                       and `3.inner.weight`, `3.inner.bias`
///   half_glu2_block   y = x o sigmoid(W g + b)                       and `1.inner.2.weight`, `1.inner.2.bias`
///   full_glu_block    y = (V g + a) o sigmoid(W g + b)               and `3.weight` = [V; W], `3.bias`
///
/// GELU in the tanh form; dropout drops a channel at all steps of a sequence alike.
///
/// Source  arXiv:2208.04933 and its released code
template <Layer System>
[[nodiscard]] auto gelu_block(const System& system) {
    using T = value_t<System>;
    return Sequential(system, Activation<T, math::GeluTanh>({.channels = system.out_channels()}));
}

namespace detail {

template <Layer System>
[[nodiscard]] auto block_dropout(const System& system, double p) {
    return Dropout<value_t<System>>({.channels = system.out_channels(), .p = p, .tied = true});
}
template <Layer System>
[[nodiscard]] auto block_linear(const System& system, std::size_t copies, Rng rng) {
    const std::size_t H = system.out_channels();
    return Linear<value_t<System>>({.in = H, .out = copies * H}, rng);
}

}  // namespace detail

template <Layer System>
[[nodiscard]] auto half_glu1_block(const System& system, double dropout = 0.0, Rng rng = Rng()) {
    using T = value_t<System>;
    return Sequential(system, Activation<T, math::GeluTanh>({.channels = system.out_channels()}),
                      detail::block_dropout(system, dropout),
                      SelfGate(detail::block_linear(system, 1, rng)));
}

template <Layer System>
[[nodiscard]] auto half_glu2_block(const System& system, double dropout = 0.0, Rng rng = Rng()) {
    using T = value_t<System>;
    return Sequential(
        system, SelfGate(Sequential(
                    Activation<T, math::GeluTanh>({.channels = system.out_channels()}),
                    detail::block_dropout(system, dropout), detail::block_linear(system, 1, rng))));
}

template <Layer System>
[[nodiscard]] auto full_glu_block(const System& system, double dropout = 0.0, Rng rng = Rng()) {
    using T = value_t<System>;
    return Sequential(system, Activation<T, math::GeluTanh>({.channels = system.out_channels()}),
                      detail::block_dropout(system, dropout), detail::block_linear(system, 2, rng),
                      SigmoidGlu<T>({.channels = system.out_channels()}));
}

}  // namespace ssm
