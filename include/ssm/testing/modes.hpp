#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/testing/detail/probe.hpp>
#include <ssm/testing/options.hpp>

namespace ssm::testing {

namespace detail {

/// All of `u` in blocks of random lengths, and from `steps_from` on one step at a time. What a
/// layer that reduces time makes at its last call.
template <StreamingLayer L>
Batch<value_t<L>> run_split(const L& layer, const Batch<input_t<L>>& u, std::size_t steps_from,
                            Rng& rng, Workspace& workspace) {
    auto y = poisoned<value_t<L>>(output_shape(layer, u.shape()));
    auto state = layer.rest_state(u.batch());
    std::size_t done = 0;
    const auto keep = [&](const Batch<value_t<L>>& part, std::size_t steps) {
        put_steps(part, ReducingLayer<L> ? 0 : done, y);
        done += steps;
    };
    for (const std::size_t block : random_split(steps_from, rng))
        keep(run_block(layer, steps_of(u, done, block), state, workspace), block);
    while (done < u.length())
        keep(run_step(layer, steps_of(u, done, 1), state), 1);
    return y;
}

}  // namespace detail

/// Whole sequences = any split into blocks (also empty ones) = steps = blocks, then steps =
/// training forward. Returns the largest relative difference; ConformanceError when it exceeds the
/// tolerance.
template <Layer L>
double check_modes_agree(const L& layer, const ConformanceOptions& options, Rng& rng) {
    using T = value_t<L>;
    Workspace workspace;
    const double allowed = detail::tolerance<T>(options);
    const auto u = detail::random_input(layer, options.batch, options.length, options, rng);
    const auto whole = detail::run_whole(layer, u, workspace);
    double largest = 0.0;
    const auto agree = [&](const char* what, const Batch<T>& found) {
        largest = std::max(largest, detail::compare<T>(what, found, whole, allowed));
    };
    detail::require_finite<T>("forward", whole.view().flat());
    agree("forward repeated", detail::run_whole(layer, u, workspace));
    if constexpr (StreamingLayer<L>) {
        for (int trial = 0; trial < 4; ++trial)
            agree("blocks against whole sequences",
                  detail::run_split(layer, u, u.length(), rng, workspace));
        agree("steps against whole sequences", detail::run_split(layer, u, 0, rng, workspace));
        agree("blocks, then steps against whole sequences",
              detail::run_split(layer, u, u.length() / 2, rng, workspace));
    }
    if constexpr (TrainableLayer<L>) {
        detail::Training<L> training(layer, u, workspace, rng.split());
        detail::require_finite<T>("training forward", training.y.view().flat());
        if (!options.training_differs)
            agree("training forward against forward", training.y);
    }
    return largest;
}

/// A layer that says so may write over its input, and over its output's gradient: the same bits.
template <InPlaceLayer L>
void check_runs_in_place(const L& layer, const ConformanceOptions& options, Rng& rng) {
    using T = value_t<L>;
    Workspace workspace;
    const auto u = detail::random_input(layer, options.batch, options.length, options, rng);
    Batch<T> over = u;
    layer.forward(over, over, workspace);
    detail::require_same_bits<T>("forward over its input", over.view().flat(),
                                 detail::run_whole(layer, u, workspace).view().flat());
    if constexpr (TrainableLayer<L>) {
        const Rng masks = rng.split();
        detail::Training<L> training(layer, u, workspace, masks);
        const auto dy = detail::random_batch<T>(u.shape(), rng);
        L gradient = zeros_like(layer);
        const auto du = training.backward(layer, u, dy, gradient, workspace);
        Batch<T> read = u;
        if constexpr (InputForgettingLayer<L>)
            read.fill(std::numeric_limits<T>::quiet_NaN());
        over = dy;
        layer.backward(read, over, over, training.cache, gradient, workspace);
        detail::require_same_bits<T>("backward over the gradient of its output", over.view().flat(),
                                     du.view().flat());
    }
}

/// An empty batch and sequences of length 0 change nothing: no state, no gradient.
template <Layer L>
void check_empty_input(const L& layer, const ConformanceOptions& options, Rng& rng) {
    using T = value_t<L>;
    Workspace workspace;
    for (const auto& [batch, length] :
         {std::pair{std::size_t{0}, options.length}, std::pair{options.batch, std::size_t{0}}}) {
        const auto nothing = detail::random_input(layer, batch, length, options, rng);
        const auto y = detail::run_whole(layer, nothing, workspace);
        detail::require_finite<T>("forward of nothing", y.view().flat());
        if constexpr (StreamingLayer<L>) {
            auto state = layer.rest_state(batch);
            (void)detail::run_block(layer, nothing, state, workspace);
        }
        if constexpr (TrainableLayer<L>) {
            detail::Training<L> training(layer, nothing, workspace, rng.split());
            const auto dy = detail::random_batch<T>(training.y.shape(), rng);
            if (ReducingLayer<L> && length == 0)
                continue;  // a pool of nothing still has an output
            L gradient = zeros_like(layer);
            L zero = gradient;
            (void)training.backward(layer, nothing, dy, gradient, workspace);
            detail::require_same_weights("gradient of nothing:", gradient, zero);
        }
    }
}

}  // namespace ssm::testing
