#pragma once

#include <cstddef>

#include <ssm/discretize/bilinear.hpp>
#include <ssm/evaluation/automatic.hpp>
#include <ssm/init/dplr.hpp>
#include <ssm/init/legs.hpp>
#include <ssm/layer/lti.hpp>
#include <ssm/layer/structure/dplr.hpp>

namespace ssm {

/// S4: a bank of systems with a state matrix that is diagonal plus low rank, y = K * u + D u for each channel.
///
///   S4<float> layer({.channels = 64, .state = 64});
///   S4<float, init::Hippo> two({.channels = 64, .copies = 2});
///   S4<float, init::RandomLowRank<init::Lin>> random({.channels = 64, .structure = {.rank = 2}});
///
/// Its weight C is the output matrix of the model or, folded for a length, C_tilde of the paper: `Dplr` says what that
/// changes, `set_length` converts.
///
/// Source  Gu, Goel, Re: "Efficiently Modeling Long Sequences with Structured State Spaces", arXiv:2111.00396.
///         Defaults as there: HiPPO-LegS, rank 1, bilinear, dt from 1e-3 to 1e-1.
template <class T, class Init = init::LegS, class Evaluation = evaluation::Auto,
          class Direction = Causal>
using S4 = Lti<T, Dplr<Init>, Bilinear, Evaluation, Direction>;

/// The length that the C of an S4 layer is folded for; 0 for plain C.
template <class T, class Init, class Discretization, class Evaluation, class Direction>
[[nodiscard]] std::size_t length(
    const Lti<T, Dplr<Init>, Discretization, Evaluation, Direction>& layer) {
    return layer.bank.length();
}

/// Folds the weight C of an S4 layer for sequences of `length` steps at the rate of training, or makes it plain again
/// with 0. Outputs stay the same, for sequences of any length; what is trained and what is fast does not: see `Dplr`.
///
/// Cost    O(H N^3 log length), in double
/// Errors  ValueError when T cannot hold the length, with a band limit, and when I - A_bar^length is singular
template <class T, class Init, class Discretization, class Evaluation, class Direction>
void set_length(Lti<T, Dplr<Init>, Discretization, Evaluation, Direction>& layer,
                std::size_t length) {
    layer.bank.set_length(length, layer.discretization());
}

}  // namespace ssm
