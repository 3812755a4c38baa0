#pragma once

#include <ssm/discretize/discretization.hpp>
#include <ssm/evaluation/automatic.hpp>
#include <ssm/layer/lti.hpp>
#include <ssm/layer/structure/moving_average.hpp>

namespace ssm {

/// The damped multi-dimensional moving average of Mega: real modes for each channel, y = K * u + D u. Mega puts a SiLU
/// behind it.
///
///   EmaSsm<float> layer({.channels = 128, .state = 16});
///
/// (Moving averages of the weights of a model are `Ema`, in ssm/train.)
///
/// Source  arXiv:2209.10655
template <class T, class Evaluation = evaluation::Auto, class Direction = Causal>
using EmaSsm = Lti<T, MovingAverage, Discrete, Evaluation, Direction>;

}  // namespace ssm
