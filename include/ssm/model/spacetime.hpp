#pragma once

#include <cstddef>

#include <ssm/core/rng.hpp>
#include <ssm/layer/activation.hpp>
#include <ssm/layer/closed_loop.hpp>
#include <ssm/layer/dropout.hpp>
#include <ssm/layer/identity.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/layer/spacetime.hpp>
#include <ssm/math/activation.hpp>
#include <ssm/model/repeat.hpp>
#include <ssm/model/residual.hpp>
#include <ssm/model/sequential.hpp>

namespace ssm {

/// Sizes of `SpaceTime`; width must be a multiple of 8, one channel for each detrending filter, and of `kernels`.
struct SpaceTimeOptions {
    std::size_t inputs = 1;   ///< channels of the series
    std::size_t targets = 1;  ///< channels to forecast
    std::size_t horizon = 1;  ///< steps to forecast
    std::size_t width = 128;  ///< H
    std::size_t state = 64;   ///< d of each system
    std::size_t depth = 2;    ///< encoder blocks
    std::size_t kernels =
        16;  ///< different systems of the first block; the others have one for each channel
    std::size_t window = 64;  ///< moving averages are shorter than this
    double dropout = 0.2;
};

namespace detail {

/// v + W dropout(gelu(v)) + b
template <class T>
using SpaceTimeMlp =
    Residual<Identity<T>, Sequential<Activation<T, math::Gelu>, Dropout<T>, Linear<T>>>;

template <class T>
using SpaceTimeBlock = Residual<Identity<T>, Sequential<CompanionSsm<T>, SpaceTimeMlp<T>>>;

template <class T>
using SpaceTimeBase = Sequential<Linear<T>, Detrend<T>, Repeat<SpaceTimeBlock<T>>, ClosedLoop<T>,
                                 Activation<T, math::Gelu>, Dropout<T>, Linear<T>>;

}  // namespace detail

/// A forecaster: reads a window of the past and puts out `horizon` steps of the future.
///
///   z = detrend(W_in u + b);   depth times z = z + mlp(companion(z));   y = W_out dropout(gelu(closed_loop(z))) + b
///
///   SpaceTime<float> model({.horizon = 96}, Rng(1));
///
/// A layer like any other: trained with `fit` on windows and their futures. Forecasting in a closed loop, it takes any
/// horizon with the same weights: `set_horizon`. Subtract the mean of each window, and add it to the forecast.
///
/// Shapes    u (batch, L, inputs) -> y (batch, horizon, targets)
/// Errors    ValueError for sizes that do not fit
/// Source    arXiv:2303.09489. W_in begins as the repetition that the original has, and is trained here
template <class T>
class SpaceTime : public detail::SpaceTimeBase<T> {
    using Base = detail::SpaceTimeBase<T>;

public:
    using Options = SpaceTimeOptions;

    // In braces, because they promise that random numbers are drawn from left to right.
    explicit SpaceTime(const Options& options, Rng rng = Rng())
        : Base{repetition(options),
               Detrend<T>({.channels = options.width, .state = options.window, .skip = false},
                          rng.split()),
               Repeat<detail::SpaceTimeBlock<T>>(
                   options.depth, [&](std::size_t i) { return block(options, i, rng.split()); }),
               ClosedLoop<T>(
                   {.channels = options.width, .state = options.state, .horizon = options.horizon},
                   rng.split()),
               gelu(options),
               drop(options),
               Linear<T>({.in = options.width, .out = options.targets}, rng.split())} {}

    /// Steps to forecast from now on.
    void set_horizon(std::size_t horizon) { std::get<3>(this->layers).set_horizon(horizon); }

private:
    static Activation<T, math::Gelu> gelu(const Options& options) {
        return Activation<T, math::Gelu>({.channels = options.width});
    }
    static Dropout<T> drop(const Options& options) {
        return Dropout<T>({.channels = options.width, .p = options.dropout});
    }

    /// Channel o of H begins as input o mod inputs.
    static Linear<T> repetition(const Options& options) {
        Linear<T> embedding({.in = options.inputs, .out = options.width});
        embedding.weight.fill(T(0));
        embedding.bias.fill(T(0));
        for (std::size_t o = 0; o < options.width; ++o)
            embedding.weight[o * options.inputs + o % options.inputs] = T(1);
        return embedding;
    }

    static detail::SpaceTimeBlock<T> block(const Options& options, std::size_t position, Rng rng) {
        const Identity<T> identity({.channels = options.width});
        const CompanionSsm<T> system({.channels = options.width,
                                      .state = options.state,
                                      .copies = position == 0 ? options.kernels : 0,
                                      .skip = false},
                                     rng.split());
        const Linear<T> mixing({.in = options.width, .out = options.width}, rng.split());
        return {
            identity,
            Sequential(system, detail::SpaceTimeMlp<T>(
                                   identity, Sequential(gelu(options), drop(options), mixing)))};
    }
};

}  // namespace ssm
