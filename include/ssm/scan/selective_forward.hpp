#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/padding.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/scan/selective_blocks.hpp>
#include <ssm/scan/selective_discretization.hpp>
#include <ssm/scan/selective_forward_block.hpp>
#include <ssm/scan/selective_system.hpp>
#include <ssm/scan/selective_tile.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm {

/// States at every few steps, from which the adjoint of a selective scan computes the others again. Kept from
/// `selective_forward` to `selective_backward`; its contents are internal.
///
/// Memory    modes / 16 numbers for each number of u
template <class Number>
struct SelectiveCheckpoints {
    AlignedVector<detail::RealOfNumber<Number>> states;
};

namespace detail {

template <class Number>
[[nodiscard]] TaskCost selective_cost(const SelectiveLayout<Number>& layout, std::size_t steps,
                                      std::size_t channels) noexcept {
    return {static_cast<double>(layout.modes * steps * channels) * 0.2};
}

/// Numbers of the checkpoints of one tile of channels.
template <class Number>
[[nodiscard]] std::size_t selective_tile_checkpoints(const SelectiveLayout<Number>& layout,
                                                     std::size_t steps) noexcept {
    const std::size_t cuts = (steps + selective_steps - 1) / selective_steps;
    return cuts * SelectiveTiles<Number>::packs * layout.state();
}

/// Tiles of a task of the forward: as many as their rates and states fit into the level 2 cache beside the input, but
/// two tasks for each of several threads. Processors with AVX-512 have a megabyte and more of it, others half of one.
/// Channels know nothing of each other, so the results do not depend on it.
template <class Number>
[[nodiscard]] std::size_t selective_forward_tiles(const SelectiveLayout<Number>& layout,
                                                  std::size_t count) noexcept {
    using T = RealOfNumber<Number>;
    constexpr std::size_t bytes = sizeof(simd::Pack<T>) == 64 ? 512 << 10 : 128 << 10;
    const std::size_t tile = 2 * SelectiveTiles<Number>::packs * layout.state() * sizeof(T);
    const std::size_t tasks = threads() > 1 ? 2 * threads() : 1;
    return std::max<std::size_t>(1, std::min(bytes / tile, count / tasks));
}

template <class Number, class Discretization, class Maps, class T>
void run_selective_forward(const SelectiveSystem<Number>& system,
                           const SelectiveInput<Number>& input, BatchView<T> y, Number* state,
                           SelectiveCheckpoints<Number>* checkpoints, const Context& context) {
    using Block = SelectiveForwardBlock<Number, Discretization, Maps>;
    const SelectiveLayout<Number> layout(system.modes, Maps::group);
    const SelectiveTiles<Number> tiles(selective_sections(system, input));
    const SelectiveBlocks<Number> blocks(
        tiles, layout, y.length(), selective_forward_tiles(layout, y.batch() * tiles.count()));
    const std::size_t kept = selective_tile_checkpoints(layout, y.length());
    if (checkpoints != nullptr)
        checkpoints->states.resize(y.batch() * tiles.count() * kept);
    const Workspace::Frame frame = context.workspace.frame();
    const std::size_t size = Block::scratch(blocks);
    const std::span<T> scratch = context.workspace.take<T>(threads() * size);
    parallel_for(
        y.batch() * blocks.count(),
        [&](std::size_t task, std::size_t worker) {
            const std::size_t b = task / blocks.count();
            const std::size_t block = task % blocks.count();
            Block run(system, input, y, blocks, block,
                      SelectivePieces<T>(scratch.data() + worker * size));
            run.run(b, state == nullptr ? nullptr : state + b * system.modes * system.channels,
                    checkpoints == nullptr
                        ? nullptr
                        : checkpoints->states.data() +
                              (b * tiles.count() + blocks.first_tile(block)) * kept,
                    kept, context);
        },
        selective_cost(layout, y.length(), blocks.vectors * simd::width<T>));
}

/// Calls `body(maps)` with the fastest kind of maps that fits the input. Only the combination that models use has a
/// fast kind.
template <class Number, class Discretization, class Body>
void with_selective_maps(const SelectiveInput<Number>& input, Body&& body) {
    if constexpr (std::is_floating_point_v<Number> && !Discretization::has_gain)
        if (!input.B.is_constant() && !input.C.is_constant())
            return body(SharedMaps{});
    body(AnyMaps{});
}

/// Raises ShapeError unless the checkpoints are as many as those of a forward of this input.
template <class Discretization = SimplifiedZoh, class Number>
void check_selective_checkpoints(const char* what, const SelectiveSystem<Number>& system,
                                 const SelectiveInput<Number>& input,
                                 const SelectiveCheckpoints<Number>& checkpoints) {
    with_selective_maps<Number, Discretization>(input, [&]<class Maps>(Maps) {
        const SelectiveLayout<Number> layout(system.modes, Maps::group);
        const SelectiveTiles<Number> tiles(selective_sections(system, input));
        const std::size_t kept = selective_tile_checkpoints(layout, input.u.length());
        require<ShapeError>(checkpoints.states.size() == input.u.batch() * tiles.count() * kept,
                            what, ": the checkpoints are those of another forward");
    });
}

}  // namespace detail

/// The selective scan, with time step, skip and gate in one pass: see `SelectiveSystem` for the formula.
///
/// Shapes    y (batch, L, channels); state (batch, modes, channels), null: rest, and the last is not wanted
/// State     `state` is read, and then holds the states behind the last valid step; a reset makes them zero
/// Steps     behind a sequence's valid length give zero
/// Errors    ShapeError for what does not fit together; ValueError for complex logarithms
/// Cost      modes times (an exponential and 4 fused operations) a number; one pass over memory
/// Accuracy  5e-7 of the largest output in float; tests/scan/selective.test.cpp
/// Threads   cut into sequences and blocks of channels; the same bits for any number of threads
/// Source    Gu and Dao 2023
template <class Discretization = SimplifiedZoh, class Number, class T>
void selective_forward(const SelectiveSystem<Number>& system, const SelectiveInput<Number>& input,
                       BatchView<T> y, Number* state, SelectiveCheckpoints<Number>* checkpoints,
                       const Context& context) {
    detail::check_selective("ssm::selective_forward", system, input, y, context);
    detail::with_selective_maps<Number, Discretization>(input, [&]<class Maps>(Maps) {
        detail::run_selective_forward<Number, Discretization, Maps>(system, input, y, state,
                                                                    checkpoints, context);
    });
    detail::clear_padding(y, context);
}

/// The same for inference.
template <class Discretization = SimplifiedZoh, class Number, class T>
void selective_forward(const SelectiveSystem<Number>& system, const SelectiveInput<Number>& input,
                       BatchView<T> y, Number* state, const Context& context) {
    selective_forward<Discretization>(system, input, y, state,
                                      static_cast<SelectiveCheckpoints<Number>*>(nullptr), context);
}

}  // namespace ssm
