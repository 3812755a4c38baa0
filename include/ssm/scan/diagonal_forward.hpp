#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/scan/diagonal_state.hpp>
#include <ssm/scan/leapfrog.hpp>
#include <ssm/scan/leapfrog_kernel.hpp>
#include <ssm/scan/leapfrog_tile.hpp>
#include <ssm/scan/segments.hpp>
#include <ssm/simd/prefetch.hpp>

namespace ssm::detail {

/// Steps that are taken with one group of modes before the next: their inputs and outputs stay in
/// the first-level cache.
inline constexpr std::size_t leapfrog_steps = 64;

/// Scratch memory of one worker.
template <class T>
struct LeapfrogScratch {
    static std::size_t size(const LeapfrogBank<T>& bank) {
        return (2 * leapfrog_steps + 4 * bank.most_slots()) * line<T>;
    }
    LeapfrogScratch(const LeapfrogBank<T>& bank, T* memory)
        : u(memory),
          y(u + leapfrog_steps * line<T>),
          state(y + leapfrog_steps * line<T>),
          next(state + 2 * bank.most_slots() * line<T>) {}

    T* u;
    T* y;
    T* state;
    T* next;
};

/// Asks for steps first .. last - 1: a tile is one line out of each row, which no hardware
/// foresees.
template <class T>
void prefetch_rows(const LeapfrogTile& tile, BatchView<const T> u, BatchView<T> y, std::size_t b,
                   std::size_t first, std::size_t last) noexcept {
    for (std::size_t t = first; t < last; ++t) {
        simd::prefetch(&u(b, t, tile.first));
        for (std::size_t h = tile.first; h < y.channels(); h += u.channels())
            simd::prefetch_for_write(&y(b, t, h));
    }
}

/// One tile of channels of one sequence.
template <class T, class Arch = simd::Arch>
void leapfrog_sequence(const LeapfrogBank<T>& bank, const LeapfrogTile& tile,
                       std::span<const T> skip, BatchView<const T> u, BatchView<T> y, std::size_t b,
                       DiagonalState<T>& state, const Context& context,
                       LeapfrogScratch<T> scratch) noexcept {
    const std::size_t length = context.valid_length(b, u.length());
    const std::size_t heads = bank.shape().heads;
    const std::size_t lanes = 2 * tile.slots * line<T>;
    const StatePlane<T> plane{tile, state.modes(), 2 * padded<T>(state.modes())};
    plane.gather(state.re(b, tile.first), scratch.state);
    plane.gather(state.im(b, tile.first), scratch.state + line<T>);
    leapfrog_enter(bank.basis(tile), tile.slots, scratch.state);
    for (std::size_t first = 0; first < length; first += leapfrog_steps) {
        const std::size_t steps = std::min(leapfrog_steps, length - first);
        gather_inputs(tile, u, b, first, steps, scratch.u);
        prefetch_rows(tile, u, y, b, first + steps,
                      std::min(first + steps + leapfrog_steps, length));
        for (std::size_t c = 0; c < heads; ++c) {
            std::copy_n(scratch.state, lanes, scratch.next);
            std::fill_n(scratch.y, steps * line<T>, T(0));
            for_each_segment(context, b, first, first + steps,
                             [&](std::size_t begin, std::size_t end, bool fresh) {
                                 if (fresh)
                                     std::fill_n(scratch.next, lanes, T(0));
                                 const std::size_t at = (begin - first) * line<T>;
                                 leapfrog_tile(bank.dynamics(tile), bank.readout(c, tile),
                                               tile.slots, scratch.u + at, scratch.y + at,
                                               end - begin, scratch.next);
                             });
            scatter_outputs(tile, scratch.y, steps, u,
                            skip.empty() ? nullptr : skip.data() + c * u.channels(), y, c, b,
                            first);
        }
        std::swap(scratch.state, scratch.next);
    }
    leapfrog_leave(bank.basis(tile), tile.slots, scratch.state);
    plane.scatter(scratch.state, state.re(b, tile.first));
    plane.scatter(scratch.state + line<T>, state.im(b, tile.first));
}

template <class T, class Arch = simd::Arch>
void leapfrog_forward(const LeapfrogBank<T>& bank, std::span<const T> skip, BatchView<const T> u,
                      BatchView<T> y, DiagonalState<T>& state, const Context& context) {
    const auto frame = context.workspace.frame();
    const std::size_t scratch = LeapfrogScratch<T>::size(bank);
    T* const memory = context.workspace.template take<T>(threads() * scratch).data();
    const std::size_t tiles = bank.tiles().size();
    parallel_for(
        u.batch() * tiles,
        [&](std::size_t task, std::size_t worker) {
            leapfrog_sequence<T>(bank, bank.tiles()[task % tiles], skip, u, y, task / tiles, state,
                                 context, {bank, memory + worker * scratch});
        },
        TaskCost{0.12 * static_cast<double>(u.length() * line<T> * bank.shape().modes *
                                            bank.shape().heads)});
    clear_after_end(y, context);
}

}  // namespace ssm::detail
