#pragma once

#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/evaluation/chunked.hpp>
#include <ssm/evaluation/fft.hpp>
#include <ssm/evaluation/recurrence.hpp>
#include <ssm/scan/diagonal.hpp>
#include <ssm/scan/diagonal_state.hpp>

namespace ssm::evaluation {

/// Chooses among `Recurrence`, `Chunked` and `Fft` by shape, by whether a state or gradients are wanted, and by how
/// often sequences are reset. All agree to the stated accuracies; which one runs does not depend on threads.
struct Auto {
    static constexpr bool sees_future = true;

    template <class T>
    struct Cache {
        bool is_fft = true;
        Fft::Cache<T> fft{};
        Recurrence::Cache<T> recurrence{};
    };

    template <class Direction, class T>
    static void forward(const Modes& modes, std::span<const T> skip, BatchView<const T> u,
                        BatchView<T> y, const Context& context) {
        if constexpr (!Direction::is_causal) {
            Fft::forward<Direction, T>(modes, skip, u, y, context);
        } else if (u.length() < shortest_chunked) {
            Recurrence::forward<Direction, T>(modes, skip, u, y, context);
        } else if (prefers_fft(modes.shape, u.shape(), context)) {
            Fft::forward<Direction, T>(modes, skip, u, y, context);
        } else {
            Chunked::forward<Direction, T>(modes, skip, u, y, context);
        }
    }

    template <class T>
    static void forward(const DiagonalSystem<T>& system, std::span<const T> skip,
                        BatchView<const T> u, BatchView<T> y, DiagonalState<T>& state,
                        const Context& context) {
        if (u.length() < shortest_chunked)
            Recurrence::forward<T>(system, skip, u, y, state, context);
        else
            Chunked::forward<T>(system, skip, u, y, state, context);
    }

    template <class Direction, class T>
    static void forward(const Modes& modes, std::span<const T> skip, BatchView<const T> u,
                        BatchView<T> y, Cache<T>& cache, const Context& context) {
        cache.is_fft =
            !Direction::is_causal || mean_piece(u.shape(), context) >= shortest_trained_fft;
        if (cache.is_fft)
            Fft::forward<Direction, T>(modes, skip, u, y, cache.fft, context);
        else if constexpr (Direction::is_causal)
            Recurrence::forward<Direction, T>(modes, skip, u, y, cache.recurrence, context);
    }

    template <class Direction, class T>
    static void backward(const Modes& modes, std::span<const T> skip, BatchView<const T> u,
                         BatchView<const T> dy, BatchView<T> du, const Cache<T>& cache,
                         Modes& gradient, std::span<T> dskip, const Context& context) {
        if (cache.is_fft)
            Fft::backward<Direction, T>(modes, skip, u, dy, du, cache.fft, gradient, dskip,
                                        context);
        else if constexpr (Direction::is_causal)
            Recurrence::backward<Direction, T>(modes, skip, u, dy, du, cache.recurrence, gradient,
                                               dskip, context);
    }

private:
    static constexpr std::size_t shortest_chunked = 256;
    static constexpr std::size_t shortest_trained_fft = 16;

    /// Steps between resets, on average.
    [[nodiscard]] static std::size_t mean_piece(const Shape& shape, const Context& context) {
        std::size_t pieces = shape.batch;
        if (context.resets.data() != nullptr)
            for (std::size_t b = 0; b < shape.batch; ++b)
                for (std::size_t l = 1; l < shape.length; ++l)
                    pieces += context.resets_at(b, l) ? 1U : 0U;
        return shape.rows() / pieces;
    }

    [[nodiscard]] static bool prefers_fft(const ModeShape& modes, const Shape& shape,
                                          const Context& context) {
        return modes.modes >= 16 && shape.batch >= 4 && shape.length <= 8192 &&
               mean_piece(shape, context) >= shape.length / 4;
    }
};

}  // namespace ssm::evaluation
