#pragma once

#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/scan/diagonal.hpp>
#include <ssm/scan/diagonal_backward.hpp>
#include <ssm/scan/diagonal_state.hpp>

namespace ssm::evaluation {

/// Evaluates a bank step after step. The best for short sequences and blocks, and for sequences that are reset often;
/// needs no preparation.
///
/// Cost      forward 10 n flops for each (head, channel, step)
/// Memory    in training checkpoints of the states, otherwise none that grows with the length
/// Accuracy  see `DiagonalSystem`
struct Recurrence {
    static constexpr bool sees_future = false;

    /// The backward computes the states again from checkpoints of its own.
    template <class T>
    struct Cache {};

    template <class Direction, class T>
    static void forward(const Modes& modes, std::span<const T> skip, BatchView<const T> u,
                        BatchView<T> y, const Context& context) {
        diagonal_forward<T>(modes, skip, u, y, context);
    }

    template <class T>
    static void forward(const DiagonalSystem<T>& system, std::span<const T> skip,
                        BatchView<const T> u, BatchView<T> y, DiagonalState<T>& state,
                        const Context& context) {
        system.forward(u, skip, y, state, context);
    }

    template <class Direction, class T>
    static void forward(const Modes& modes, std::span<const T> skip, BatchView<const T> u,
                        BatchView<T> y, Cache<T>&, const Context& context) {
        forward<Direction, T>(modes, skip, u, y, context);
    }

    template <class Direction, class T>
    static void backward(const Modes& modes, std::span<const T> skip, BatchView<const T> u,
                         BatchView<const T> dy, BatchView<T> du, const Cache<T>&, Modes& gradient,
                         std::span<T> dskip, const Context& context) {
        diagonal_backward<T>(modes, skip, u, dy, du, gradient, dskip, context);
    }
};

}  // namespace ssm::evaluation
