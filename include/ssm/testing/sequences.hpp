#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/testing/detail/probe.hpp>
#include <ssm/testing/options.hpp>

namespace ssm::testing {

namespace detail {

/// The output of sequence `b` when each stretch between resets is run on its own.
template <class L>
Batch<value_t<L>> run_stretches(const L& layer, const Batch<input_t<L>>& u,
                                const Batch<std::uint8_t>& resets, std::size_t b,
                                Workspace& workspace) {
    auto y = poisoned<value_t<L>>(output_shape(layer, {1, u.length(), u.channels()}));
    std::size_t begin = 0;
    for (std::size_t end = 1; end <= u.length(); ++end) {
        if (end < u.length() && resets(b, end, 0) == 0)
            continue;
        const auto part_y = run_whole(layer, part(u, b, 1, begin, end - begin), workspace);
        put_steps(part_y, ReducingLayer<L> ? 0 : begin, y);
        begin = end;
    }
    return y;
}

/// The context of steps `from .. from + count - 1` of all sequences.
class BlockContext {
public:
    BlockContext(const Batch<std::uint8_t>& resets, std::size_t from, std::size_t count)
        : resets_(steps_of(resets, from, count)) {}
    BlockContext(const std::vector<std::size_t>& lengths, std::size_t from, std::size_t count) {
        for (const std::size_t length : lengths)
            lengths_.push_back(std::min(count, length - std::min(length, from)));
    }
    [[nodiscard]] Context in(Workspace& workspace) const {
        return Context(workspace)
            .with_resets(resets_.size() > 0 ? ResetMask(resets_) : ResetMask())
            .with_lengths(lengths_);
    }

private:
    Batch<std::uint8_t> resets_;
    std::vector<std::size_t> lengths_;
};

/// All of `u` in random blocks, each with its part of the resets or lengths.
template <StreamingLayer L, class Known>
Batch<value_t<L>> run_blocks_knowing(const L& layer, const Batch<input_t<L>>& u, const Known& known,
                                     typename L::State& state, Rng& rng, Workspace& workspace) {
    auto y = poisoned<value_t<L>>(output_shape(layer, u.shape()));
    std::size_t done = 0;
    for (const std::size_t block : random_split(u.length(), rng)) {
        const BlockContext context(known, done, block);
        const auto part_y =
            run_block(layer, steps_of(u, done, block), state, context.in(workspace));
        put_steps(part_y, ReducingLayer<L> ? 0 : done, y);
        done += block;
    }
    return y;
}

}  // namespace detail

/// A reset before a step is the same as running what follows from a fresh state, in every mode.
template <Layer L>
double check_resets(const L& layer, const ConformanceOptions& options, Rng& rng) {
    using T = value_t<L>;
    Workspace workspace;
    const double allowed = detail::tolerance<T>(options);
    const auto u = detail::random_input(layer, options.batch, options.length, options, rng);
    const auto mask = detail::random_resets(u.shape(), rng);
    auto expected = detail::poisoned<T>(output_shape(layer, u.shape()));
    for (std::size_t b = 0; b < u.batch(); ++b)
        std::ranges::copy(detail::run_stretches(layer, u, mask, b, workspace).view().flat(),
                          expected.view().sequence(b).flat().begin());

    const Context context = Context(workspace).with_resets(mask);
    double largest = detail::compare("forward with resets against fresh starts",
                                     detail::run_whole(layer, u, context), expected, allowed);
    if constexpr (StreamingLayer<L>) {
        auto state = layer.rest_state(u.batch());
        largest = std::max(largest, detail::compare("blocks with resets against fresh starts",
                                                    detail::run_blocks_knowing(
                                                        layer, u, mask, state, rng, workspace),
                                                    expected, allowed));
    }
    if constexpr (TrainableLayer<L>) {
        detail::Training<L> training(layer, u, context, rng.split());
        if (!options.training_differs)
            largest = std::max(largest,
                               detail::compare("training forward with resets against fresh starts",
                                               training.y, expected, allowed));
    }
    return largest;
}

/// A padded sequence gives what the cut one gives: outputs, the state that goes on, and no
/// influence of the padding. Outputs in the padding are written and finite, but otherwise free.
template <Layer L>
double check_lengths(const L& layer, const ConformanceOptions& options, Rng& rng) {
    using T = value_t<L>;
    Workspace workspace;
    const double allowed = detail::tolerance<T>(options);
    const auto u = detail::random_input(layer, options.batch, options.length, options, rng);
    const auto next = detail::random_input(layer, options.batch, 1, options, rng);
    const auto lengths = detail::random_lengths(u.batch(), u.length(), rng);
    const Context context = Context(workspace).with_lengths(lengths);
    double largest = 0.0;
    const auto check = [&](const char* what, const Batch<T>& y) {
        detail::require_finite<T>(what, y.view().flat());
        for (std::size_t b = 0; b < u.batch(); ++b) {
            const auto cut =
                detail::run_whole(layer, detail::sequence_of(u, b, lengths[b]), workspace);
            largest = std::max(
                largest,
                detail::compare(what, detail::sequence_of(y, b, cut.length()), cut, allowed));
        }
    };
    check("forward of padded sequences", detail::run_whole(layer, u, context));
    if constexpr (TrainableLayer<L>) {
        detail::Training<L> training(layer, u, context, rng.split());
        if (!options.training_differs)
            check("training forward of padded sequences", training.y);
    }
    if constexpr (StreamingLayer<L>) {
        auto state = layer.rest_state(u.batch());
        check("blocks of padded sequences",
              detail::run_blocks_knowing(layer, u, lengths, state, rng, workspace));
        const auto y = detail::run_step(layer, next, state);
        for (std::size_t b = 0; b < u.batch(); ++b) {
            auto single = layer.rest_state(1);
            (void)detail::run_block(layer, detail::sequence_of(u, b, lengths[b]), single,
                                    workspace);
            largest = std::max(
                largest,
                detail::compare("step behind a padded block", detail::sequence_of(y, b, 1),
                                detail::run_step(layer, detail::sequence_of(next, b, 1), single),
                                allowed));
        }
    }
    return largest;
}

}  // namespace ssm::testing
