#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/testing/options.hpp>

/// Random inputs, comparisons and the calls that all checks are made of.
namespace ssm::testing::detail {

template <class T>
double tolerance(const ConformanceOptions& options) {
    constexpr double unit = static_cast<double>(std::numeric_limits<T>::epsilon());
    return options.tolerance > 0.0 ? options.tolerance : 2000.0 * unit;
}

template <class T>
Batch<T> random_batch(const Shape& shape, Rng& rng) {
    Batch<T> result(shape);
    for (T& value : result.view().flat())
        value = static_cast<T>(rng.normal());
    return result;
}

template <class L>
Batch<input_t<L>> random_input(const L& layer, std::size_t batch, std::size_t length,
                               const ConformanceOptions& options, Rng& rng) {
    const Shape shape{batch, length, layer.in_channels()};
    if constexpr (std::floating_point<input_t<L>>) {
        return random_batch<input_t<L>>(shape, rng);
    } else {
        Batch<input_t<L>> result(shape);
        for (input_t<L>& token : result.view().flat())
            token = static_cast<input_t<L>>(rng.below(static_cast<std::uint64_t>(options.tokens)));
        return result;
    }
}

/// An output in which a skipped element shows.
template <class T>
Batch<T> poisoned(const Shape& shape) {
    Batch<T> result(shape);
    result.fill(std::numeric_limits<T>::quiet_NaN());
    return result;
}

/// Steps `from .. from + count - 1` of sequences `first .. first + sequences - 1`.
template <class T>
Batch<T> part(const Batch<T>& whole, std::size_t first, std::size_t sequences, std::size_t from,
              std::size_t count) {
    Batch<T> result(sequences, count, whole.channels());
    for (std::size_t b = 0; b < sequences; ++b)
        for (std::size_t l = 0; l < count; ++l)
            std::ranges::copy(whole.view().row(first + b, from + l),
                              result.view().row(b, l).begin());
    return result;
}

template <class T>
Batch<T> steps_of(const Batch<T>& whole, std::size_t from, std::size_t count) {
    return part(whole, 0, whole.batch(), from, count);
}

template <class T>
Batch<T> sequence_of(const Batch<T>& whole, std::size_t b, std::size_t count) {
    return part(whole, b, 1, 0, count);
}

/// Writes `steps` over the steps of `whole` from `from` on.
template <class T>
void put_steps(const Batch<T>& steps, std::size_t from, Batch<T>& whole) {
    for (std::size_t b = 0; b < steps.batch(); ++b)
        for (std::size_t l = 0; l < steps.length(); ++l)
            std::ranges::copy(steps.view().row(b, l), whole.view().row(b, from + l).begin());
}

/// Largest difference relative to the largest number expected (to 1 when all are zero); raises when
/// it is more than `allowed` or not a number.
template <class T>
double compare(const char* what, std::span<const T> found, std::span<const T> expected,
               double allowed) {
    require<ConformanceError>(found.size() == expected.size(), what, ": ", found.size(),
                              " numbers, expected ", expected.size());
    double scale = 0.0;
    for (const T value : expected)
        scale = std::max(scale, std::abs(static_cast<double>(value)));
    if (scale == 0.0)
        scale = 1.0;
    double largest = 0.0;
    for (std::size_t i = 0; i < found.size(); ++i) {
        const double difference =
            std::abs(static_cast<double>(found[i]) - static_cast<double>(expected[i])) / scale;
        require<ConformanceError>(difference <= allowed, what, ": number ", i, " of ", found.size(),
                                  " is ", found[i], ", expected ", expected[i],
                                  "; relative difference ", difference, ", allowed ", allowed);
        largest = std::max(largest, difference);
    }
    return largest;
}

template <class T>
double compare(const char* what, const Batch<T>& found, const Batch<T>& expected, double allowed) {
    return compare<T>(what, found.view().flat(), expected.view().flat(), allowed);
}

/// Raises unless all numbers are equal or both not a number.
template <class T>
void require_same_bits(const char* what, std::span<const T> found, std::span<const T> expected) {
    for (std::size_t i = 0; i < expected.size(); ++i)
        require<ConformanceError>(
            found[i] == expected[i] || (std::isnan(found[i]) && std::isnan(expected[i])), what,
            ": number ", i, " of ", found.size(), " is ", found[i], ", expected the same bits as ",
            expected[i]);
}

template <class T>
void require_finite(const char* what, std::span<const T> numbers) {
    for (std::size_t i = 0; i < numbers.size(); ++i)
        require<ConformanceError>(std::isfinite(numbers[i]), what, ": number ", i, " of ",
                                  numbers.size(), " was not written or is not finite");
}

template <class L>
Batch<value_t<L>> run_whole(const L& layer, const Batch<input_t<L>>& u, const Context& context) {
    auto y = poisoned<value_t<L>>(output_shape(layer, u.shape()));
    layer.forward(u, y, context);
    return y;
}

template <StreamingLayer L>
Batch<value_t<L>> run_block(const L& layer, const Batch<input_t<L>>& u, typename L::State& state,
                            const Context& context) {
    auto y = poisoned<value_t<L>>(output_shape(layer, u.shape()));
    layer.forward(u, y, state, context);
    return y;
}

/// One step of all sequences of a batch of length 1.
template <StreamingLayer L>
Batch<value_t<L>> run_step(const L& layer, const Batch<input_t<L>>& u, typename L::State& state) {
    auto y = poisoned<value_t<L>>({u.batch(), 1, layer.out_channels()});
    layer.step(u.view().flat(), y.view().flat(), state);
    return y;
}

/// A training forward and its backward. The generator is taken by value: the same masks every time.
template <TrainableLayer L>
struct Training {
    Training(const L& layer, const Batch<input_t<L>>& u, const Context& context, Rng rng)
        : y(poisoned<value_t<L>>(output_shape(layer, u.shape()))) {
        layer.forward(u, y, cache, context.with_rng(rng));
    }

    /// Adds to `gradient`; returns the gradient of the input (empty for token ids).
    Batch<value_t<L>> backward(const L& layer, const Batch<input_t<L>>& u,
                               const Batch<value_t<L>>& dy, L& gradient, const Context& context) {
        if constexpr (std::same_as<input_t<L>, value_t<L>>) {
            auto du = poisoned<value_t<L>>(u.shape());
            layer.backward(u, dy, du, cache, gradient, context);
            return du;
        } else {
            layer.backward(u, dy, {}, cache, gradient, context);
            return {};
        }
    }

    Batch<value_t<L>> y;
    typename L::Cache cache;
};

/// Name and numbers of every weight of a layer.
template <class T>
struct NamedWeight {
    std::string name;
    WeightRole role;
    std::span<T> numbers;
};

template <class L>
std::vector<NamedWeight<value_t<L>>> weights_of(L& layer) {
    std::vector<NamedWeight<value_t<L>>> result;
    visit(
        [&](std::string_view name, const WeightTraits& traits, Tensor<value_t<L>>& weight) {
            result.push_back({std::string(name), traits.role, weight.flat()});
        },
        layer);
    return result;
}

/// Raises unless two layers of one type have the same weights, bit by bit.
template <class L>
void require_same_weights(const char* what, L& found, L& expected) {
    const auto expected_weights = weights_of(expected);
    const auto found_weights = weights_of(found);
    for (std::size_t i = 0; i < expected_weights.size(); ++i)
        require_same_bits<value_t<L>>((std::string(what) + " " + found_weights[i].name).c_str(),
                                      found_weights[i].numbers, expected_weights[i].numbers);
}

/// Lengths of blocks that together make `length` steps; at random, also 0.
inline std::vector<std::size_t> random_split(std::size_t length, Rng& rng) {
    std::vector<std::size_t> blocks;
    while (length > 0) {
        const std::size_t block = rng.below(length + 1);
        blocks.push_back(block);
        length -= block;
    }
    return blocks;
}

/// A reset mask with resets at about a quarter of the steps.
inline Batch<std::uint8_t> random_resets(const Shape& shape, Rng& rng) {
    Batch<std::uint8_t> mask(shape.batch, shape.length, 1);
    for (std::uint8_t& reset : mask.view().flat())
        reset = rng.below(4) == 0 ? 1 : 0;
    return mask;
}

/// Valid lengths between 0 and `length`, with both among them when there are two sequences or more.
inline std::vector<std::size_t> random_lengths(std::size_t batch, std::size_t length, Rng& rng) {
    std::vector<std::size_t> lengths(batch);
    for (std::size_t b = 0; b < batch; ++b)
        lengths[b] = b == 0 ? length : b == 1 ? 0 : rng.below(length + 1);
    return lengths;
}

/// Sets everything behind the valid lengths to zero.
template <class T>
void clear_padding(Batch<T>& batch, std::span<const std::size_t> lengths) {
    for (std::size_t b = 0; b < batch.batch(); ++b)
        for (std::size_t l = lengths[b]; l < batch.length(); ++l)
            std::ranges::fill(batch.view().row(b, l), T(0));
}

}  // namespace ssm::testing::detail
