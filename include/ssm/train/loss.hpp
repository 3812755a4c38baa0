#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>

namespace ssm {

/// How the losses of the rows of a batch become one number.
enum class Reduction {
    mean,  ///< sum over what counts, divided by its weight
    sum,
};

/// What a loss function returns. It converts to its value.
struct Loss {
    double value = 0.0;   ///< the reduced loss
    double weight = 0.0;  ///< what a mean is divided by: rows, numbers, or the sum of class weights

    operator double() const noexcept { return value; }
};

namespace detail {

/// What turns a sum of losses into the reduced one: 1, or 1 / weight, or 0 when nothing counts.
[[nodiscard]] inline double reduction_scale(Reduction reduction, double weight) noexcept {
    if (reduction == Reduction::sum)
        return 1.0;
    return weight > 0.0 ? 1.0 / weight : 0.0;
}

/// Sum of `body(begin, end)` over ranges of `grain` items, in parallel; the ranges are added in
/// order, so the result is the same bits for any number of threads.
template <class Body>
[[nodiscard]] double parallel_sum(std::size_t count, std::size_t grain, Body&& body) {
    std::vector<double> parts((count + grain - 1) / grain);
    parallel_ranges(count, grain, [&](std::size_t begin, std::size_t end, std::size_t) {
        parts[begin / grain] = body(begin, end);
    });
    double sum = 0.0;
    for (const double part : parts)
        sum += part;
    return sum;
}

/// Sum of `term(i)` for i = begin .. end - 1. Sixteen sums run side by side, so that additions do
/// not wait for one another and compilers use vectors; the order of the additions is always the
/// same.
template <class Term>
[[nodiscard]] double interleaved_sum(std::size_t begin, std::size_t end, Term&& term) {
    constexpr std::size_t lanes = 16;
    std::array<double, lanes> sums{};
    std::size_t i = begin;
    for (; i + lanes <= end; i += lanes)
        for (std::size_t k = 0; k < lanes; ++k)
            sums[k] += term(i + k);
    for (std::size_t k = 0; i < end; ++i, ++k)
        sums[k] += term(i);
    double sum = 0.0;
    for (const double part : sums)
        sum += part;
    return sum;
}

/// Raises ShapeError unless an optional gradient has the shape of what it is the gradient of.
template <class T>
void require_gradient(const char* what, BatchView<T> gradient, const Shape& shape) {
    if (gradient.data() != nullptr)
        require_shape(what, gradient.shape(), shape);
}

}  // namespace detail

}  // namespace ssm
