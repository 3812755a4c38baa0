#pragma once

#include <ssm/discretize/dss.hpp>
#include <ssm/evaluation/automatic.hpp>
#include <ssm/init/legs.hpp>
#include <ssm/layer/lti.hpp>
#include <ssm/layer/structure/dss_diagonal.hpp>

namespace ssm {

/// DSS: a bank of systems with diagonal A without conjugate partners, y = Re(K) * u + D u for each channel.
///
///   version            type                        .structure = {.poles = ...}
///   softmax            DSS<float>                  DssPoles::free
///   exp, exp-re-im     DSS<float, DssExp>          DssPoles::exp, exp_both
///   exp-no-scale       DSS<float, DssNoScale>      DssPoles::exp
///   clip               DSS<float, DssExp>          DssPoles::clip
///   clip-no-scale      DSS<float, DssNoScale>      DssPoles::clip
///
/// The softmax normalises each mode over the whole sequence, so that the system depends on its length: such a layer
/// cannot stream. With the length fixed it can:
///
///   const auto stream = with_length(layer, 1024);      // a DSS<float, DssOfLength>
///
/// is an ordinary layer whose kernel is that of sequences of 1024 steps. Resets and valid lengths cut sequences into
/// pieces but leave the softmax as it is, one over the length of the batch.
///
/// Source  Gupta, Gu, Berant: "Diagonal State Spaces are as Effective as Structured State Spaces", arXiv:2203.14343.
///         Defaults as there: Lambda of HiPPO-LegS, W standard normal, dt from 1e-3 to 1e-1
template <class T, class Discretization = Dss, class Init = init::LegS,
          class Evaluation = evaluation::Auto, class Direction = Causal>
using DSS = Lti<T, DssDiagonal<Init>, Discretization, Evaluation, Direction>;

}  // namespace ssm
