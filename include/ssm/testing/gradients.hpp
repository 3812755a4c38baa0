#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/testing/detail/probe.hpp>
#include <ssm/testing/options.hpp>

namespace ssm::testing {

namespace detail {

/// The loss sum(y * weight) of a training forward.
template <class L>
double weighted_sum(const L& layer, const Batch<input_t<L>>& u, const Batch<value_t<L>>& weight,
                    const Context& context, const Rng& rng) {
    const Training<L> training(layer, u, context, rng);
    double sum = 0.0;
    for (std::size_t i = 0; i < weight.size(); ++i)
        if (weight.data()[i] != 0)
            sum +=
                static_cast<double>(weight.data()[i]) * static_cast<double>(training.y.data()[i]);
    return sum;
}

/// Derivative at 0 from four values; its error is of fourth order in the step.
template <class F>
double central_difference(const F& f, double step) {
    return (8.0 * (f(step) - f(-step)) - (f(2.0 * step) - f(-2.0 * step))) / (12.0 * step);
}

/// Compares entries of `gradient` with differences of `loss()` when `numbers` change.
template <class Loss>
double compare_entries(const std::string& name, std::span<double> numbers,
                       std::span<const double> gradient, double noise, const Loss& loss,
                       const ConformanceOptions& options, Rng& rng) {
    require_finite<double>(("gradient of " + name).c_str(), gradient);
    double scale = noise / options.gradient_tolerance;
    for (const double g : gradient)
        scale = std::max(scale, std::abs(g));
    double largest = 0.0;
    for (std::size_t trial = 0; trial < std::min(options.entries, numbers.size()); ++trial) {
        const std::size_t i = options.entries >= numbers.size() ? trial : rng.below(numbers.size());
        const double before = numbers[i];
        const double expected = central_difference(
            [&](double change) {
                numbers[i] = before + change;
                return loss();
            },
            options.difference_step * std::max(1.0, std::abs(before)));
        numbers[i] = before;
        const double difference = std::abs(gradient[i] - expected) / scale;
        require<ConformanceError>(difference <= options.gradient_tolerance, "gradient of ", name,
                                  ": number ", i, " is ", gradient[i], ", but differences give ",
                                  expected, "; relative difference ", difference, ", allowed ",
                                  options.gradient_tolerance);
        largest = std::max(largest, difference);
    }
    return largest;
}

/// One gradient check under a context of resets and lengths; `dy` is zero where nothing counts.
template <class L>
double compare_gradients(L layer, Batch<input_t<L>> u, const Batch<double>& dy,
                         const Context& context, const ConformanceOptions& options, Rng& rng) {
    const Rng masks = rng.split();
    Training<L> training(layer, u, context, masks);
    L gradient = zeros_like(layer);
    const Batch<double> du = training.backward(layer, u, dy, gradient, context);

    double size_of_loss = 0.0;
    for (std::size_t i = 0; i < dy.size(); ++i)
        if (dy.data()[i] != 0.0)
            size_of_loss += std::abs(dy.data()[i] * training.y.data()[i]);
    const double noise = 1e-10 * size_of_loss + 1e-10;
    const auto loss = [&] { return weighted_sum(layer, u, dy, context, masks); };

    double largest = 0.0;
    const auto weights = weights_of(layer);
    const auto gradients = weights_of(gradient);
    for (std::size_t i = 0; i < weights.size(); ++i)
        if (weights[i].role == WeightRole::trained)
            largest =
                std::max(largest, compare_entries(weights[i].name, weights[i].numbers,
                                                  gradients[i].numbers, noise, loss, options, rng));
    if constexpr (std::same_as<input_t<L>, double>)
        largest = std::max(largest, compare_entries("the input", u.view().flat(), du.view().flat(),
                                                    noise, loss, options, rng));
    return largest;
}

}  // namespace detail

/// Gradients of all trained weights and of the input against central differences, plain, with
/// resets and with padded sequences. Returns the largest difference relative to the largest entry.
template <TrainableLayer L>
requires std::same_as < value_t<L>,
double > double check_gradients(const L& layer, const ConformanceOptions& options, Rng& rng) {
    Workspace workspace;
    const Context plain(workspace);
    const auto u = detail::random_input(layer, options.batch, options.length, options, rng);
    const Shape out = output_shape(layer, u.shape());
    const auto dy = detail::random_batch<double>(out, rng);
    double largest = detail::compare_gradients(layer, u, dy, plain, options, rng);

    const auto mask = detail::random_resets(u.shape(), rng);
    largest = std::max(
        largest, detail::compare_gradients(layer, u, dy, plain.with_resets(mask), options, rng));

    const auto lengths = detail::random_lengths(options.batch, options.length, rng);
    auto valid_dy = dy;
    if (!ReducingLayer<L>)
        detail::clear_padding<double>(valid_dy, lengths);
    return std::max(largest, detail::compare_gradients(layer, u, valid_dy,
                                                       plain.with_lengths(lengths), options, rng));
}

/// backward adds to the gradient it is given, writes all of du, and does without du when it is
/// empty.
template <TrainableLayer L>
double check_gradients_are_added(const L& layer, const ConformanceOptions& options, Rng& rng) {
    using T = value_t<L>;
    Workspace workspace;
    const auto u = detail::random_input(layer, options.batch, options.length, options, rng);
    detail::Training<L> training(layer, u, workspace, rng.split());
    const auto dy = detail::random_batch<T>(training.y.shape(), rng);

    L alone = zeros_like(layer);
    const auto du = training.backward(layer, u, dy, alone, workspace);
    detail::require_finite<T>("gradient of the input", du.view().flat());

    L without_input = zeros_like(layer);
    layer.backward(u, dy, {}, training.cache, without_input, workspace);
    detail::require_same_weights("gradient with and without du:", without_input, alone);

    L added = zeros_like(layer);
    const auto added_weights = detail::weights_of(added);
    for (const auto& weight : added_weights)
        std::ranges::fill(weight.numbers, T(1));
    (void)training.backward(layer, u, dy, added, workspace);

    double largest = 0.0;
    const auto alone_weights = detail::weights_of(alone);
    for (std::size_t i = 0; i < added_weights.size(); ++i) {
        std::vector<T> expected(alone_weights[i].numbers.begin(), alone_weights[i].numbers.end());
        for (T& value : expected)
            value += T(1);
        const std::string what = "gradient added to ones: " + added_weights[i].name;
        largest = std::max(largest, detail::compare<T>(what.c_str(), added_weights[i].numbers,
                                                       expected, detail::tolerance<T>(options)));
    }
    return largest;
}

}  // namespace ssm::testing
