#pragma once

#include <span>
#include <type_traits>

#include <ssm/convolution/chunked.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/evaluation/recurrence.hpp>
#include <ssm/scan/diagonal.hpp>
#include <ssm/scan/diagonal_state.hpp>

namespace ssm::evaluation {

/// Evaluates a bank in chunks of some steps: small products inside, the state passed from one to the next. The best
/// for long inputs: time grows linearly with the length and memory not at all.
///
/// Streams of other than diagonal systems cut their blocks into chunks themselves. The training forward is the same; its backward is the one of `Recurrence`.
///
/// Cost      about 8 n flops for each (head, channel, step), in multiply-adds at the rate of a matrix product
/// Accuracy  float: errors of 1e-6 relative to the largest output, however long the sequence: the state is
///           rounded once a chunk
struct Chunked {
    static constexpr bool sees_future = false;
    template <class System>
    static constexpr bool trains = Recurrence::trains<System>;

    template <class T>
    using Cache = Recurrence::Cache<T>;

    template <class Direction, class T, class System>
    static void forward(const System& system, std::span<const T> skip, BatchView<const T> u,
                        BatchView<T> y, const Context& context) {
        if constexpr (std::is_same_v<System, Modes>) {
            const auto state = context.workspace.template borrow<DiagonalState<T>>();
            state->reset(system.shape, u.batch());
            chunked_forward<T>(system, skip, u, y, *state, context);
        } else {
            Recurrence::forward<Direction, T>(system, skip, u, y, context);
        }
    }

    template <class T, class Stream>
    static void forward(const Stream& stream, std::span<const T> skip, BatchView<const T> u,
                        BatchView<T> y, typename Stream::State& state, const Context& context) {
        if constexpr (std::is_same_v<Stream, DiagonalSystem<T>>)
            chunked_forward<T>(stream.modes(), skip, u, y, state, context);
        else
            stream.forward(u, skip, y, state, context);
    }

    template <class Direction, class T, class System>
    static void forward(const System& system, std::span<const T> skip, BatchView<const T> u,
                        BatchView<T> y, Cache<T>&, const Context& context) {
        forward<Direction, T>(system, skip, u, y, context);
    }

    template <class Direction, class T>
    static void backward(const Modes& modes, std::span<const T> skip, BatchView<const T> u,
                         BatchView<const T> dy, BatchView<T> du, const Cache<T>& cache,
                         Modes& gradient, std::span<T> dskip, const Context& context) {
        Recurrence::backward<Direction, T>(modes, skip, u, dy, du, cache, gradient, dskip, context);
    }
};

}  // namespace ssm::evaluation
