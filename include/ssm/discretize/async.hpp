#pragma once

#include <ssm/discretize/zoh.hpp>

namespace ssm {

/// Zero-order hold for streams of events: the state decays over the time between events, but an event counts as
/// much as one of the layer's own time step, however long the last one is ago.
///
///   z = e^{s dt lambda}      b = (e^{dt lambda} - 1) / lambda      s the interval of a step
///
/// Without intervals it is zero-order hold.
///
/// Source    arXiv:2404.18508 (event-based state space models)
struct Async : Zoh {
    static constexpr bool input_ignores_intervals = true;
};

/// Whether the input weight of a discretisation is that of the layer's own time step at all steps.
template <class D>
inline constexpr bool input_ignores_intervals = false;
template <class D>
requires requires {
    D::input_ignores_intervals;
}
inline constexpr bool input_ignores_intervals<D> = D::input_ignores_intervals;

}  // namespace ssm
