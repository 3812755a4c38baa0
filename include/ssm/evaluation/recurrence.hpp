#pragma once

#include <span>
#include <type_traits>

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
    /// The adjoint of a recurrence is there for diagonal systems.
    template <class System>
    static constexpr bool trains = std::is_same_v<System, Modes>;

    /// The backward computes the states again from checkpoints of its own.
    template <class T>
    struct Cache {};

    template <class Direction, class T, class System>
    static void forward(const System& system, std::span<const T> skip, BatchView<const T> u,
                        BatchView<T> y, const Context& context) {
        if constexpr (std::is_same_v<System, Modes>) {
            diagonal_forward<T>(system, skip, u, y, context);
        } else {
            using Stream = typename System::template Stream<T>;
            const auto stream = context.workspace.template borrow<Stream>();
            stream->reset(system);
            const auto state = context.workspace.template borrow<typename Stream::State>();
            state->reset(system.shape, u.batch());
            stream->forward(u, skip, y, *state, context);
        }
    }

    template <class T, class Stream>
    static void forward(const Stream& stream, std::span<const T> skip, BatchView<const T> u,
                        BatchView<T> y, typename Stream::State& state, const Context& context) {
        stream.forward(u, skip, y, state, context);
    }

    template <class Direction, class T, class System>
    static void forward(const System& system, std::span<const T> skip, BatchView<const T> u,
                        BatchView<T> y, Cache<T>&, const Context& context) {
        forward<Direction, T>(system, skip, u, y, context);
    }

    template <class Direction, class T>
    static void backward(const Modes& modes, std::span<const T> skip, BatchView<const T> u,
                         BatchView<const T> dy, BatchView<T> du, const Cache<T>&, Modes& gradient,
                         std::span<T> dskip, const Context& context) {
        diagonal_backward<T>(modes, skip, u, dy, du, gradient, dskip, context);
    }
};

}  // namespace ssm::evaluation
