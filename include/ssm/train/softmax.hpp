#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/config.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/simd/exp.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>

namespace ssm {

namespace detail {

/// `x` in the lanes that `lanes` reads, `other` in those past the end of a row.
template <class T, class Lanes>
[[nodiscard]] SSM_INLINE simd::Pack<T> within(Lanes lanes, simd::Pack<T> x, T other) noexcept {
    if (lanes.count() == simd::width<T>)
        return x;
    return simd::select(simd::iota<T>() < simd::Pack<T>(static_cast<T>(lanes.count())), x, other);
}

/// Largest number of a row, -infinity for none; unspecified where there is NaN.
template <class T, class Arch = simd::Arch>
[[nodiscard]] T row_max(std::span<const T> z) noexcept {
    constexpr T lowest = -std::numeric_limits<T>::infinity();
    simd::Pack<T> max(lowest);
    simd::for_each_pack<T>(z.size(), [&](auto lanes, std::size_t c) SSM_INLINE_LAMBDA {
        max = simd::max(max, within(lanes, lanes.load(z.data() + c), lowest));
    });
    return simd::reduce_max(max);
}

/// Writes exp(z_c - max) to `result`, which may be z itself, and returns their sum. A NaN in z or
/// max makes the sum NaN.
template <class T, class Arch = simd::Arch>
T exponentials(std::span<const T> z, T max, T* result) noexcept {
    simd::Pack<T> sum(T(0));
    simd::for_each_pack<T>(z.size(), [&](auto lanes, std::size_t c) SSM_INLINE_LAMBDA {
        const simd::Pack<T> e = simd::exp(lanes.load(z.data() + c) - simd::Pack<T>(max));
        lanes.store(result + c, e);
        sum += within(lanes, e, T(0));
    });
    return simd::reduce_add(sum);
}

/// sum_c exp(z_c - max).
template <class T, class Arch = simd::Arch>
[[nodiscard]] T exponential_sum(std::span<const T> z, T max) noexcept {
    simd::Pack<T> sum(T(0));
    simd::for_each_pack<T>(z.size(), [&](auto lanes, std::size_t c) SSM_INLINE_LAMBDA {
        sum += within(lanes, simd::exp(lanes.load(z.data() + c) - simd::Pack<T>(max)), T(0));
    });
    return simd::reduce_add(sum);
}

/// Calls `body(row, input row, output row)` for all rows, in parallel.
template <class T, class Body>
void for_each_row(BatchView<const T> in, BatchView<T> out, Body&& body) {
    const std::size_t width = in.channels();
    parallel_ranges(in.shape().rows(), row_grain(width),
                    [&](std::size_t begin, std::size_t end, std::size_t) {
                        for (std::size_t r = begin; r < end; ++r)
                            body(in.flat().subspan(r * width, width), out.data() + r * width);
                    });
}

}  // namespace detail

/// p_c = exp(z_c) / sum_k exp(z_k) over the channels of every row, without overflow.
///
/// Aliasing  y may be z exactly
/// Errors    ShapeError for shapes that differ. A row with NaN or +infinity, or of -infinity alone,
///           is NaN.
template <class T>
void softmax(BatchView<const T> z, BatchView<T> y) {
    require_shape("ssm::softmax: output", y.shape(), z.shape());
    detail::for_each_row<T>(z, y, [](std::span<const T> row, T* result) {
        const T scale = T(1) / detail::exponentials(row, detail::row_max(row), result);
        for (std::size_t c = 0; c < row.size(); ++c)
            result[c] *= scale;
    });
}

/// log p_c = z_c - log sum_k exp(z_k) over the channels of every row. Aliasing and errors as
/// softmax.
template <class T>
void log_softmax(BatchView<const T> z, BatchView<T> y) {
    require_shape("ssm::log_softmax: output", y.shape(), z.shape());
    detail::for_each_row<T>(z, y, [](std::span<const T> row, T* result) {
        const T max = detail::row_max(row);
        const T log_sum = std::log(detail::exponential_sum(row, max));
        for (std::size_t c = 0; c < row.size(); ++c)
            result[c] = (row[c] - max) - log_sum;
    });
}

/// log sum_k exp(z_k) of every row, without overflow; -infinity for rows without channels.
///
/// Shapes    z (batch, L, C), result batch * L numbers
template <class T>
void logsumexp(BatchView<const T> z, std::span<T> result) {
    require<ShapeError>(result.size() == z.shape().rows(), "ssm::logsumexp: ", result.size(),
                        " results for ", z.shape().rows(), " rows");
    const std::size_t width = z.channels();
    parallel_ranges(result.size(), detail::row_grain(width),
                    [&](std::size_t begin, std::size_t end, std::size_t) {
                        for (std::size_t r = begin; r < end; ++r) {
                            const std::span<const T> row = z.flat().subspan(r * width, width);
                            const T max = detail::row_max(row);
                            result[r] = max + std::log(detail::exponential_sum(row, max));
                        }
                    });
}

}  // namespace ssm
