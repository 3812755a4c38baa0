#pragma once

#include <ssm/layer/lti_options.hpp>
#include <ssm/layer/mimo.hpp>
#include <ssm/layer/structure/exponential_modes.hpp>

namespace ssm {

/// LRU, the linear recurrent unit: diagonal complex poles inside the unit circle, in discrete time.
///
///   LRU<float> layer({.channels = 64, .state = 128, .dynamics = {.ring = {.r_min = 0.9, .r_max = 0.999}}});
///
/// Source  Orvieto et al.: "Resurrecting Recurrent Neural Networks for Long Sequences", arXiv:2303.06349
template <class T, class Direction = Causal>
using LRU = Mimo<T, ExponentialModes, Direction>;

}  // namespace ssm
