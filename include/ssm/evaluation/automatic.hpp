#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <type_traits>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/evaluation/chunked.hpp>
#include <ssm/evaluation/fft.hpp>
#include <ssm/evaluation/recurrence.hpp>
#include <ssm/scan/diagonal.hpp>
#include <ssm/scan/diagonal_state.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::evaluation {

/// Chooses among `Recurrence`, `Chunked` and `Fft` by shape, by whether a state or gradients are wanted, and by how
/// often sequences are reset. All agree to the stated accuracies; which one runs does not depend on threads.
///
/// Systems that are not diagonal: transforms for whole sequences, unless `system.prefers_recurrence<T>(batch, length)`
/// says that their kernel costs more than running them, and their stream for what continues a state.
///
/// The choice compares estimates of the time for a number, fitted to measurements (Zen 3 with AVX2, Zen 4 and a
/// Xeon with AVX-512, float, one thread; in tenths of nanoseconds, but only their ratios matter): the recurrence is
/// linear in the number of modes and slow for a few channels; chunks need tables, and gain more from long registers;
/// transforms need a kernel that a batch shares, and outgrow the caches by the lanes that they take together.
struct Auto {
    static constexpr bool sees_future = true;
    template <class System>
    static constexpr bool trains = true;

    template <class T>
    struct Cache {
        bool is_fft = true;
        Fft::Cache<T> fft{};
        Recurrence::Cache<T> recurrence{};
    };

    template <class Direction, class T, class System>
    static void forward(const System& system, std::span<const T> skip, BatchView<const T> u,
                        BatchView<T> y, const Context& context) {
        if constexpr (Direction::is_causal &&
                      requires { system.template prefers_recurrence<T>(u.batch(), u.length()); })
            if (system.template prefers_recurrence<T>(u.batch(), u.length())) {
                Recurrence::forward<Direction, T>(system, skip, u, y, context);
                return;
            }
        if constexpr (!Direction::is_causal || !is_diagonal<System>) {
            Fft::forward<Direction, T>(system, skip, u, y, context);
        } else {
            const Pieces pieces(u.shape(), context);
            const double chunked = chunked_time<T>(system.shape, pieces);
            const double recurrence = recurrence_time(system.shape);
            if (fft_time<T>(system.shape, pieces) < std::min(chunked, recurrence))
                Fft::forward<Direction, T>(system, skip, u, y, context);
            else if (chunked < recurrence)
                Chunked::forward<Direction, T>(system, skip, u, y, context);
            else
                Recurrence::forward<Direction, T>(system, skip, u, y, context);
        }
    }

    template <class T, class Stream>
    static void forward(const Stream& stream, std::span<const T> skip, BatchView<const T> u,
                        BatchView<T> y, typename Stream::State& state, const Context& context) {
        if constexpr (!std::is_same_v<Stream, DiagonalSystem<T>>)
            stream.forward(u, skip, y, state, context);
        else if (chunked_time<T>(stream.shape(), Pieces(u.shape(), context)) <
                 recurrence_time(stream.shape()))
            Chunked::forward<T>(stream, skip, u, y, state, context);
        else
            Recurrence::forward<T>(stream, skip, u, y, state, context);
    }

    template <class Direction, class T, class System>
    static void forward(const System& system, std::span<const T> skip, BatchView<const T> u,
                        BatchView<T> y, Cache<T>& cache, const Context& context) {
        if constexpr (Direction::is_causal && is_diagonal<System>) {
            const Pieces pieces(u.shape(), context);
            cache.is_fft =
                fft_training_time<T>(system.shape, pieces) < recurrence_training_time(system.shape);
            if (!cache.is_fft) {
                Recurrence::forward<Direction, T>(system, skip, u, y, cache.recurrence, context);
                return;
            }
        }
        Fft::forward<Direction, T>(system, skip, u, y, cache.fft, context);
    }

    template <class Direction, class T, class System>
    static void backward(const System& system, std::span<const T> skip, BatchView<const T> u,
                         BatchView<const T> dy, BatchView<T> du, const Cache<T>& cache,
                         System& gradient, std::span<T> dskip, const Context& context) {
        if constexpr (Direction::is_causal && is_diagonal<System>) {
            if (!cache.is_fft) {
                Recurrence::backward<Direction, T>(system, skip, u, dy, du, cache.recurrence,
                                                   gradient, dskip, context);
                return;
            }
        }
        Fft::backward<Direction, T>(system, skip, u, dy, du, cache.fft, gradient, dskip, context);
    }

private:
    template <class System>
    static constexpr bool is_diagonal = std::is_same_v<System, Modes>;

    /// Into how many pieces resets cut a batch, and their mean length.
    struct Pieces {
        Pieces(const Shape& shape, const Context& context)
            : count(static_cast<double>(shape.batch)) {
            std::size_t resets = 0;
            if (context.resets.data() != nullptr)
                for (std::size_t b = 0; b < shape.batch; ++b)
                    for (std::size_t l = 1; l < shape.length; ++l)
                        resets += context.resets_at(b, l) ? 1U : 0U;
            count += static_cast<double>(resets);
            length = static_cast<double>(shape.rows()) / count;
            // Pieces of all lengths: each has a kernel spectrum of its own.
            sharing = resets == 0 ? count : 1.0;
        }
        double count;
        double length;
        double sharing;  ///< pieces that share one spectrum
    };

    [[nodiscard]] static double recurrence_time(const ModeShape& shape) {
        const double idle_lanes =
            shape.channels < 16 ? 110.0 / static_cast<double>(shape.channels) : 0.0;
        return 4.0 + 1.05 * static_cast<double>(shape.modes) + idle_lanes;
    }
    template <class T>
    [[nodiscard]] static double chunked_time(const ModeShape& shape, const Pieces& pieces) {
        const double tables = 240.0 * static_cast<double>(shape.modes);
        const double mode = sizeof(simd::Pack<T>) == 64 ? 0.6 : 1.0;
        return 13.0 + mode * static_cast<double>(shape.modes) +
               tables / (pieces.length * pieces.count) + 2000.0 / pieces.length;
    }
    /// What a transform waits for memory: more with each doubling beyond a quarter of a megabyte.
    template <class T>
    [[nodiscard]] static double miss_time(const Pieces& pieces) {
        const double bytes = 2.0 * pieces.length * sizeof(simd::Pack<T>);
        return 12.0 * std::max(0.0, std::log2(bytes / (256 << 10)));
    }
    template <class T>
    [[nodiscard]] static double transform_time(const Pieces& pieces) {
        return 6.0 + 1.5 * std::log2(pieces.length + 1.0) + miss_time<T>(pieces);
    }
    template <class T>
    [[nodiscard]] static double fft_time(const ModeShape& shape, const Pieces& pieces) {
        const double kernel = 8.0 + 0.45 * static_cast<double>(shape.modes) +
                              2000.0 / pieces.length + miss_time<T>(pieces);
        return transform_time<T>(pieces) + kernel / pieces.sharing;
    }
    [[nodiscard]] static double recurrence_training_time(const ModeShape& shape) {
        return 10.0 + 6.0 * static_cast<double>(shape.modes);
    }
    template <class T>
    [[nodiscard]] static double fft_training_time(const ModeShape& shape, const Pieces& pieces) {
        const double kernel =
            20.0 + 1.4 * static_cast<double>(shape.modes) + 4000.0 / pieces.length;
        return 2.5 * transform_time<T>(pieces) + kernel / pieces.sharing;
    }
};

}  // namespace ssm::evaluation
