#pragma once

#include <ssm/discretize/zoh.hpp>
#include <ssm/evaluation/automatic.hpp>
#include <ssm/init/diagonal.hpp>
#include <ssm/layer/lti.hpp>
#include <ssm/layer/structure/diagonal.hpp>

namespace ssm {

/// S4D: a bank of systems with diagonal A in conjugate pairs, y = K * u + D u for each channel.
///
///   S4D<float> layer({.channels = 64, .state = 64});
///   S4D<float, init::Inv, Bilinear> other({.channels = 64, .heads = 2});
///
/// Source  Gu, Gupta, Goel, Re: "On the Parameterization and Initialization of Diagonal State Space
///         Models", arXiv:2206.11893. Defaults as there: S4D-Lin, zero-order hold, dt from 1e-3 to 1e-1.
template <class T, class Init = init::Lin, class Discretization = Zoh,
          class Evaluation = evaluation::Auto, class Direction = Causal>
using S4D = Lti<T, Diagonal<Init>, Discretization, Evaluation, Direction>;

}  // namespace ssm
