#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/convolution/chunk_kernel.hpp>
#include <ssm/convolution/chunk_panel.hpp>
#include <ssm/convolution/chunk_tables.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/scan/check.hpp>
#include <ssm/scan/diagonal_state.hpp>
#include <ssm/scan/segments.hpp>

namespace ssm {
namespace detail {

/// The evaluation of one call in chunks: what its tasks share. A task takes a cache line of
/// channels and some sequences, computes the tables of these channels, and goes through time in
/// panels of 24 chunks.
template <class T, class Arch = simd::Arch>
class ChunkedCall {
public:
    using Tables = ChunkTables<T, Arch>;
    static constexpr std::size_t steps = Tables::steps;
    static constexpr std::size_t chunks = 24;
    static constexpr std::size_t panel = chunks * steps;

    ChunkedCall(const Modes& modes, std::span<const T> skip, BatchView<const T> u, BatchView<T> y,
                DiagonalState<T>& state, const Context& context) noexcept
        : modes_(modes), skip_(skip), u_(u), y_(y), state_(state), context_(context) {}

    void run() const {
        const auto frame = context_.workspace.frame();
        const std::size_t scratch = Scratch::size(modes_.shape);
        T* const memory = context_.workspace.template take<T>(threads() * scratch).data();
        const std::size_t tiles = (modes_.shape.channels + line<T> - 1) / line<T>;
        // Tables cost as much as some 250 steps: they serve several short sequences.
        const std::size_t rows = std::max<std::size_t>(1, 8192 / u_.length());
        parallel_for(
            (u_.batch() + rows - 1) / rows * tiles,
            [&](std::size_t task, std::size_t worker) {
                const Scratch mine(modes_.shape, memory + worker * scratch);
                const std::size_t first = task % tiles * line<T>;
                fill_tables(first, mine);
                const std::size_t b = task / tiles * rows;
                for (std::size_t row = b; row < std::min(b + rows, u_.batch()); ++row)
                    run_sequence(row, first, mine);
            },
            TaskCost{0.15 * static_cast<double>(u_.length() * std::min(rows, u_.batch()) * line<T> *
                                                modes_.shape.modes * modes_.shape.heads)});
    }

private:
    struct Scratch {
        [[nodiscard]] static std::size_t size(const ModeShape& shape) noexcept {
            return line<T> * (Tables::size(shape) + (1 + shape.heads) * panel) +
                   states_size(shape) + 4 * steps;
        }
        [[nodiscard]] static std::size_t states_size(const ModeShape& shape) noexcept {
            return padded<T>(
                std::max(2 * chunks * Tables::row_of(shape), Tables::scratch_size(shape)));
        }
        Scratch(const ModeShape& shape, T* memory) noexcept
            : tables(memory),
              u(tables + line<T> * Tables::size(shape)),
              y(u + line<T> * panel),
              states(y + shape.heads * line<T> * panel),
              edge(states + states_size(shape)) {}

        T* tables;  ///< [channel]
        T* u;       ///< [channel][panel]
        T* y;       ///< [head][channel][panel]
        T* states;  ///< [chunk][re, im][modes]; while tables are made, powers
        T* edge;    ///< [4 chunks]: a chunk that is not full, between zeros, and its output
    };

    [[nodiscard]] Tables tables(const Scratch& scratch, std::size_t c) const noexcept {
        return Tables(modes_.shape, scratch.tables + c * Tables::size(modes_.shape));
    }
    [[nodiscard]] std::size_t channels_from(std::size_t first) const noexcept {
        return std::min(line<T>, modes_.shape.channels - first);
    }

    void fill_tables(std::size_t first, const Scratch& scratch) const noexcept {
        for (std::size_t c = 0; c < channels_from(first); ++c)
            tables(scratch, c)
                .fill(modes_, first + c, skip_.empty() ? nullptr : skip_.data(), scratch.states);
    }

    void run_sequence(std::size_t b, std::size_t first, const Scratch& scratch) const noexcept {
        const std::size_t length = context_.valid_length(b, u_.length());
        const std::size_t channels = channels_from(first);
        for (std::size_t t = 0; t < length; t += panel) {
            const std::size_t count = std::min(panel, length - t);
            gather_panel(&u_(b, t, first), u_.channels(), count, channels, scratch.u, panel);
            for (std::size_t c = 0; c < channels; ++c)
                run_channel(b, first + c, t, count, tables(scratch, c), scratch.u + c * panel,
                            scratch.y + c * panel, scratch);
            for (std::size_t head = 0; head < modes_.shape.heads; ++head)
                scatter_panel(scratch.y + head * line<T> * panel, panel, count, channels,
                              &y_(b, t, head * u_.channels() + first), y_.channels());
        }
    }

    void run_channel(std::size_t b, std::size_t h, std::size_t t, std::size_t count,
                     const Tables& tables, const T* u, T* y,
                     const Scratch& scratch) const noexcept {
        const State state{state_.re(b, h), state_.im(b, h)};
        for_each_segment(context_, b, t, t + count,
                         [&](std::size_t begin, std::size_t end, bool fresh) {
                             if (fresh) {
                                 std::fill_n(state.re, tables.row(), T(0));
                                 std::fill_n(state.im, tables.row(), T(0));
                             }
                             const std::size_t at = begin - t;
                             const std::size_t whole = (end - begin) / steps;
                             const std::size_t rest = (end - begin) % steps;
                             run_chunks(tables, whole, u + at, y + at, state, scratch.states);
                             if (rest > 0)
                                 run_edge(tables, rest, u + at + whole * steps,
                                          y + at + whole * steps, state, scratch);
                         });
    }

    struct State {
        T* re;
        T* im;
    };

    void run_chunks(const Tables& tables, std::size_t count, const T* u, T* y, State state,
                    T* states) const noexcept {
        const std::size_t next = 2 * tables.row();
        for_each_columns<T>(count, [&](auto columns, std::size_t j) {
            chunk_input<columns>(tables, u + j * steps, steps, states + j * next);
        });
        chunk_scan(tables.pole(), tables.row(), count, states, state.re, state.im);
        for (std::size_t head = 0; head < modes_.shape.heads; ++head)
            for_each_columns<T>(count, [&](auto columns, std::size_t j) {
                chunk_output<columns>(tables, modes_.shape.modes, head, u + j * steps, steps,
                                      states + j * next, y + head * line<T> * panel + j * steps);
            });
    }

    /// A chunk of `count` < T steps: for what it adds to the state it is one that ends in them,
    /// after zeros; for its outputs one that starts with them.
    void run_edge(const Tables& tables, std::size_t count, const T* u, T* y, State state,
                  const Scratch& scratch) const noexcept {
        T* const input = scratch.edge + steps;
        std::fill_n(scratch.edge, 3 * steps, T(0));
        std::copy_n(u, count, input);
        chunk_input<1>(tables, input + count - steps, steps, scratch.states);
        chunk_scan(tables.power_of(count), tables.row(), 1, scratch.states, state.re, state.im);
        for (std::size_t head = 0; head < modes_.shape.heads; ++head) {
            T* const output = input + 2 * steps;
            chunk_output<1>(tables, modes_.shape.modes, head, input, steps, scratch.states, output);
            std::copy_n(output, count, y + head * line<T> * panel);
        }
    }

    const Modes& modes_;
    std::span<const T> skip_;
    BatchView<const T> u_;
    BatchView<T> y_;
    DiagonalState<T>& state_;
    const Context& context_;
};

}  // namespace detail

/// A bank of diagonal systems evaluated in chunks of T steps: inside a chunk as a convolution with
/// the first T taps of its kernel, from chunk to chunk by passing the state on,
///
///   y = Toeplitz(K) u + C s_in       s_out = z^T s_in + B u
///
/// for each chunk. All of it is matrix products whose blocks stay in registers. It beats the
/// recurrence for fewer than some 12 channels, whose numbers fill no vector, and where float must
/// remember thousands of steps of fast oscillations. Continues the streams of `state` over whole
/// sequences; resets and lengths of the context are honoured: the state of a sequence stops at its
/// end, and outputs behind it are 0.
///
/// Shapes    u (batch, L, H) -> y (batch, L, heads * H), head c of channel h at c * H + h; D
///           (heads, H), or empty for none
/// Errors    ShapeError for arguments that do not fit
/// Aliasing  y may be u exactly if there is one head
/// Cost      4 n + 3 T / 4 + 4 n / T multiply-adds a number of u, T = 32 in float with AVX-512 and
///           16 elsewhere; linear in L. Tables cost as much as some 200 steps and are made anew in
///           each call. Scratch memory does not depend on L or the batch
/// Accuracy  tables are powers in double, rounded once, and a state is rounded once a chunk: in float
///           5e-7 of the largest output for usual systems, 1e-5 where they remember 10,000 steps,
///           whatever L is (tests/convolution/chunked.test.cpp)
///           A number that is not finite spoils its whole chunk, also before it, and all steps up
///           to a reset
template <class T>
void chunked_forward(const Modes& modes, std::span<const T> skip, BatchView<const T> u,
                     BatchView<T> y, DiagonalState<T>& state, const Context& context) {
    detail::check_diagonal("ssm::chunked_forward", modes.shape, u, skip.size(), y, state, context);
    if (u.empty())
        return;
    detail::ChunkedCall<T>(modes, skip, u, y, state, context).run();
    detail::clear_after_end(y, context);
}

/// The same from rest.
template <class T>
void chunked_forward(const Modes& modes, std::span<const T> skip, BatchView<const T> u,
                     BatchView<T> y, const Context& context) {
    const auto state = context.workspace.template borrow<DiagonalState<T>>();
    state->reset(modes.shape, u.batch());
    chunked_forward<T>(modes, skip, u, y, *state, context);
}

}  // namespace ssm
