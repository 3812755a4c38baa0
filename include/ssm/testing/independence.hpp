#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/testing/detail/probe.hpp>
#include <ssm/testing/options.hpp>

namespace ssm::testing {

namespace detail {

/// Everything a layer can compute from `u`, under a name: outputs of all modes, gradients.
template <class L>
std::vector<std::pair<std::string, Batch<value_t<L>>>> run_everything(const L& layer,
                                                                      const Batch<input_t<L>>& u,
                                                                      const Batch<value_t<L>>& dy,
                                                                      const Rng& masks) {
    std::vector<std::pair<std::string, Batch<value_t<L>>>> results;
    Workspace workspace;
    results.emplace_back("forward", run_whole(layer, u, workspace));
    if constexpr (StreamingLayer<L>) {
        auto state = layer.rest_state(u.batch());
        results.emplace_back("block", run_block(layer, u, state, workspace));
        if (u.length() > 0)
            results.emplace_back("step", run_step(layer, steps_of(u, 0, 1), state));
    }
    if constexpr (TrainableLayer<L>) {
        Training<L> training(layer, u, workspace, masks);
        results.emplace_back("training forward", training.y);
        L gradient = zeros_like(layer);
        results.emplace_back("gradient of the input",
                             training.backward(layer, u, dy, gradient, workspace));
        for (const auto& weight : weights_of(gradient)) {
            Batch<value_t<L>> numbers(1, 1, weight.numbers.size());
            std::ranges::copy(weight.numbers, numbers.data());
            results.emplace_back("gradient of " + weight.name, std::move(numbers));
        }
    }
    return results;
}

/// Lets the smallest call use several threads; restores the defaults.
struct ThreadsGuard {
    ThreadsGuard() { set_least_parallel_work(0.0); }
    ThreadsGuard(const ThreadsGuard&) = delete;
    ThreadsGuard& operator=(const ThreadsGuard&) = delete;
    ~ThreadsGuard() {
        set_threads(0);
        set_least_parallel_work(before);
    }
    double before = least_parallel_work();
};

}  // namespace detail

/// 1, 2 and 7 threads compute the same bits. Leaves the number of threads at its default.
template <Layer L>
void check_threads(const L& layer, const ConformanceOptions& options, Rng& rng) {
    const detail::ThreadsGuard guard;
    const auto u =
        detail::random_input(layer, options.batch + 2, options.large_length, options, rng);
    const auto dy = detail::random_batch<value_t<L>>(output_shape(layer, u.shape()), rng);
    const Rng masks = rng.split();
    set_threads(1);
    const auto expected = detail::run_everything(layer, u, dy, masks);
    for (const std::size_t threads : {2U, 7U}) {
        set_threads(threads);
        const auto found = detail::run_everything(layer, u, dy, masks);
        for (std::size_t i = 0; i < expected.size(); ++i)
            detail::require_same_bits<value_t<L>>(
                (expected[i].first + " on several threads").c_str(), found[i].second.view().flat(),
                expected[i].second.view().flat());
    }
}

/// A sequence gives the same in a batch and alone, in every mode.
template <Layer L>
double check_rows(const L& layer, const ConformanceOptions& options, Rng& rng) {
    using T = value_t<L>;
    const double allowed = detail::tolerance<T>(options);
    const auto u = detail::random_input(layer, options.batch, options.length, options, rng);
    const auto dy = detail::random_batch<T>(output_shape(layer, u.shape()), rng);
    const Rng masks = rng.split();
    const auto together = detail::run_everything(layer, u, dy, masks);
    double largest = 0.0;
    for (std::size_t b = 0; b < u.batch(); ++b) {
        const auto alone = detail::run_everything(layer, detail::sequence_of(u, b, u.length()),
                                                  detail::sequence_of(dy, b, dy.length()), masks);
        for (std::size_t i = 0; i < alone.size(); ++i) {
            const auto& [name, numbers] = alone[i];
            if (name == "training forward" && options.training_differs)
                break;  // and all gradients behind it
            if (together[i].second.batch() != u.batch())
                continue;  // gradients of weights are sums over the batch
            largest = std::max(
                largest,
                detail::compare((name + " of a sequence in a batch and alone").c_str(),
                                detail::sequence_of(together[i].second, b, numbers.length()),
                                numbers, allowed));
        }
    }
    return largest;
}

/// Numbers that are not numbers stay in their sequence, forward and backward.
template <Layer L>
void check_nan_stays_in_its_row(const L& layer, const ConformanceOptions& options, Rng& rng) {
    if constexpr (std::floating_point<input_t<L>>) {
        using T = value_t<L>;
        auto u = detail::random_input(layer, options.batch, options.length, options, rng);
        const auto dy = detail::random_batch<T>(output_shape(layer, u.shape()), rng);
        const Rng masks = rng.split();
        const auto clean = detail::run_everything(layer, u, dy, masks);
        const std::size_t bad = rng.below(options.batch);
        std::ranges::fill(u.view().sequence(bad).flat(), std::numeric_limits<T>::quiet_NaN());
        const auto soiled = detail::run_everything(layer, u, dy, masks);
        for (std::size_t i = 0; i < clean.size(); ++i) {
            const auto& [name, numbers] = clean[i];
            if (name == "training forward" && options.rows_are_coupled)
                break;
            for (std::size_t b = 0; b < u.batch() && numbers.batch() == u.batch(); ++b)
                if (b != bad)
                    detail::require_same_bits<T>((name + " next to a sequence of NaN").c_str(),
                                                 soiled[i].second.view().sequence(b).flat(),
                                                 numbers.view().sequence(b).flat());
        }
    }
}

/// Copies of layers and states are independent of what they were copied from.
template <Layer L>
void check_copies(const L& layer, const ConformanceOptions& options, Rng& rng) {
    using T = value_t<L>;
    Workspace workspace;
    const auto u = detail::random_input(layer, options.batch, options.length, options, rng);
    const auto expected = detail::run_whole(layer, u, workspace);
    L copy = layer;
    detail::require_same_bits<T>("copy of a layer",
                                 detail::run_whole(copy, u, workspace).view().flat(),
                                 expected.view().flat());
    set_zero(copy);
    detail::require_same_bits<T>("layer whose copy was changed",
                                 detail::run_whole(layer, u, workspace).view().flat(),
                                 expected.view().flat());
    if constexpr (StreamingLayer<L>) {
        const auto next = detail::random_input(layer, options.batch, 1, options, rng);
        auto state = layer.rest_state(options.batch);
        (void)detail::run_block(layer, u, state, workspace);
        auto fork = state;
        const auto first = detail::run_step(layer, next, fork);
        (void)detail::run_step(layer, next, fork);
        const auto saved = state;
        detail::require_same_bits<T>("state whose copy went on",
                                     detail::run_step(layer, next, state).view().flat(),
                                     first.view().flat());
        state = saved;
        detail::require_same_bits<T>("state that was restored",
                                     detail::run_step(layer, next, state).view().flat(),
                                     first.view().flat());
    }
}

/// `step` never allocates; calls for whole sequences do not once workspace, state and cache are
/// warm. Counts with options.allocations on one thread.
template <Layer L>
void check_allocations(const L& layer, const ConformanceOptions& options, Rng& rng) {
    using T = value_t<L>;
    if (!options.allocations)
        return;
    const detail::ThreadsGuard guard;
    set_threads(1);
    Workspace workspace;
    const auto u = detail::random_input(layer, options.batch, options.length, options, rng);
    auto y = detail::poisoned<T>(output_shape(layer, u.shape()));
    const auto none = [&](const char* what, auto&& call) {
        const std::size_t before = options.allocations();
        call();
        const std::size_t count = options.allocations() - before;
        require<ConformanceError>(count == 0, what, " allocates ", count, " times");
    };
    const auto none_when_warm = [&](const char* what, auto&& call) {
        if (options.allocates_in_blocks)
            return;
        call();
        none(what, call);
    };
    none_when_warm("forward with a warm workspace", [&] { layer.forward(u, y, workspace); });
    if constexpr (StreamingLayer<L>) {
        auto state = layer.rest_state(options.batch);
        const auto u_step = detail::steps_of(u, 0, 1);
        auto y_step = detail::poisoned<T>({u.batch(), 1, layer.out_channels()});
        none("step", [&] { layer.step(u_step.view().flat(), y_step.view().flat(), state); });
        none_when_warm("block with a warm workspace",
                       [&] { layer.forward(u, y, state, workspace); });
    }
    if constexpr (TrainableLayer<L>) {
        typename L::Cache cache;
        L gradient = zeros_like(layer);
        const auto dy = detail::random_batch<T>(y.shape(), rng);
        Batch<T> du;
        if constexpr (std::same_as<input_t<L>, T>)
            du = Batch<T>(u.shape());
        Rng masks = rng.split();
        const Context context = Context(workspace).with_rng(masks);
        none_when_warm("training forward with a warm cache",
                       [&] { layer.forward(u, y, cache, context); });
        none_when_warm("backward with a warm workspace",
                       [&] { layer.backward(u, dy, du.view(), cache, gradient, context); });
    }
}

}  // namespace ssm::testing
