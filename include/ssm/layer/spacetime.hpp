#pragma once

#include <ssm/discretize/discretization.hpp>
#include <ssm/evaluation/automatic.hpp>
#include <ssm/init/companion.hpp>
#include <ssm/layer/lti.hpp>
#include <ssm/layer/structure/companion.hpp>
#include <ssm/layer/structure/detrending.hpp>

namespace ssm {

/// The layer of SpaceTime: a bank of systems with companion matrices, y = K * u + D u for each channel.
///
///   CompanionSsm<float> layer({.channels = 128, .state = 64});
///   CompanionSsm<float> shared({.channels = 128, .copies = 16});   // 16 kernels, each for 8 neighbouring channels
///
/// Source  Zhang, Saab, Poli, Dao, Goel, Re: "Effectively Modeling Time Series with Simple Discrete State Spaces",
///         arXiv:2303.09489. Defaults as there: a, b, c and D standard normal, a divided by the sum of its absolute
///         values
template <class T, class Init = init::NormalCompanion, class Evaluation = evaluation::Auto,
          class Direction = Causal>
using CompanionSsm = Lti<T, Companion<Init>, Discrete, Evaluation, Direction>;

/// A bank of shift registers: a finite impulse response of d steps for each channel, with a state that is the recent
/// past. The shift SSM of H3, and of SpaceTime.
///
///   ShiftSsm<float> layer({.channels = 768, .state = 64});
///
/// Source  Fu, Dao, Saab, Thomas, Rudra, Re: "Hungry Hungry Hippos: Towards Language Modeling with State Space
///         Models", arXiv:2212.14052
template <class T, class Evaluation = evaluation::Auto, class Direction = Causal>
using ShiftSsm = Lti<T, Companion<init::ShiftRegister>, Discrete, Evaluation, Direction>;

/// Fixed filters in front of a forecaster: differences and residuals of moving averages.
///
///   Detrend<float> layer({.channels = 128, .state = 64, .skip = false});
///
/// Source  arXiv:2303.09489; four differences and four averages, as there
template <class T>
using Detrend = Lti<T, Detrending, Discrete>;

}  // namespace ssm
