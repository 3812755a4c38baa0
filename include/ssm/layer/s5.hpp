#pragma once

#include <ssm/discretize/zoh.hpp>
#include <ssm/init/hippo.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/layer/mimo.hpp>
#include <ssm/layer/structure/continuous_modes.hpp>

namespace ssm {

/// S5: one diagonal system with H inputs and outputs and a state of P, a matrix product on each side of a scan.
///
///   S5<float> layer({.channels = 64, .state = 64, .dynamics = {.blocks = 4}});
///   S5<float, Bilinear, Bidirectional> other({.channels = 64, .state = 64});
///   layer.forward(u, y, Context(workspace).with_intervals(seconds));   // irregular sampling
///
/// Source  Smith, Warrington, Linderman: "Simplified State Space Layers for Sequence Modeling", arXiv:2208.04933.
///         Defaults as there: zero-order hold, conjugate pairs, dt from 1e-3 to 1e-1. `.conjugate = false` in the
///         dynamics is the S5 of other codes, with all modes and y = Re(C x).
template <class T, class Discretization = Zoh, class Direction = Causal,
          class Init = init::hippo::LegS>
using S5 = Mimo<T, ContinuousModes<Discretization, Init>, Direction>;

}  // namespace ssm
