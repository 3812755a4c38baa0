#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/aligned.hpp>
#include <ssm/core/config.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/prefetch.hpp>
#include <ssm/simd/sums.hpp>
#include <ssm/simd/unroll.hpp>
#include <ssm/simd/widen.hpp>

namespace ssm::math {

namespace detail {

/// Sums of `rows` rows of W times `vectors` vectors x (vectors, k). Each number of W that is read serves all vectors.
/// The sum of one row and one vector does not depend on what shares the loop with it.
template <std::size_t rows, std::size_t vectors, class T, class Stored>
SSM_INLINE void add_products(const Stored* W, std::size_t k, const T* x,
                             simd::Pack<T> (&sums)[vectors][rows]) noexcept {
    constexpr std::size_t width = simd::width<T>;
    constexpr std::size_t line = std::max(width, alignment / sizeof(Stored));
    const auto add = [&](auto lanes, auto load, std::size_t i) SSM_INLINE_LAMBDA {
        simd::Pack<T> in[vectors];
        simd::unroll<vectors>([&](auto v) SSM_INLINE_LAMBDA { in[v] = lanes.load(x + v * k + i); });
        simd::unroll<rows>([&](auto r) SSM_INLINE_LAMBDA {
            const simd::Pack<T> w = load(W + r * k + i);
            simd::unroll<vectors>(
                [&](auto v) SSM_INLINE_LAMBDA { sums[v][r] = simd::fma(w, in[v], sums[v][r]); });
        });
    };
    const auto whole = [](const Stored* p) SSM_INLINE_LAMBDA { return simd::load_as<T>(p); };
    std::size_t i = 0;
    for (; i + line <= k; i += line) {
        // Rows of few bytes are over before the processor has noticed that they are read in order.
        if constexpr (sizeof(Stored) < sizeof(T))
            simd::unroll<rows>([&](auto r)
                                   SSM_INLINE_LAMBDA { simd::prefetch(W + (rows + r) * k + i); });
        simd::unroll<line / width>(
            [&](auto p) SSM_INLINE_LAMBDA { add(simd::AllLanes<T>{}, whole, i + p * width); });
    }
    for (; i + width <= k; i += width)
        add(simd::AllLanes<T>{}, whole, i);
    if (const std::size_t rest = k - i; rest > 0)
        add(
            simd::FirstLanes<T>(rest),
            [rest](const Stored* p) SSM_INLINE_LAMBDA { return simd::load_as<T>(p, rest); }, i);
}

/// y of 4 rows or 1, and 4 vectors or 1.
template <std::size_t rows, std::size_t vectors, class T, class Stored>
SSM_INLINE void few_rows(const Stored* W, std::size_t n, std::size_t k, const T* x, const T* d,
                         T* y) noexcept {
    simd::Pack<T> sums[vectors][rows];
    for (auto& of_vector : sums)
        for (simd::Pack<T>& sum : of_vector)
            sum = simd::Pack<T>(T(0));
    add_products<rows, vectors>(W, k, x, sums);
    simd::unroll<vectors>([&](auto v) SSM_INLINE_LAMBDA {
        T* const to = y + v * n;
        if constexpr (rows == 4)
            simd::reduce_add_four(sums[v], to);
        else
            *to = simd::reduce_add(sums[v][0]);
        for (std::size_t r = 0; r < rows && d != nullptr; ++r)
            to[r] += d[r];
    });
}

/// The same for any number of vectors.
template <std::size_t rows, class T, class Stored>
SSM_INLINE void rows_times_vectors(const Stored* W, std::size_t n, std::size_t k, const T* x,
                                   std::size_t count, const T* d, T* y) noexcept {
    std::size_t v = 0;
    for (; v + 4 <= count; v += 4)
        few_rows<rows, 4>(W, n, k, x + v * k, d, y + v * n);
    for (; v < count; ++v)
        few_rows<rows, 1>(W, n, k, x + v * k, d, y + v * n);
}

}  // namespace detail

/// y = W x + d for a few vectors x: a matrix product that takes as long as reading W does.
///
/// Shapes    W (n, k) row-major, x (count, k), d (n) or null, y (count, n), which may not overlap the others
/// Cost      W is read once, from memory as it is stored: half of the time for Bfloat16
/// Threads   cut over the rows of W where reading it takes long, see `set_least_parallel_work`; the same bits for any
///           number
/// Real time no allocation
template <class T, class Stored, class Arch = simd::Arch>
void matrix_vector(const Stored* W, std::size_t n, std::size_t k, const T* x, std::size_t count,
                   const T* d, T* y) noexcept {
    constexpr std::size_t task_bytes = std::size_t{1} << 18U;
    constexpr std::size_t rows = 4;
    constexpr double bytes_per_nanosecond = 20.0;
    const std::size_t row_bytes = k * sizeof(Stored);
    const std::size_t grain =
        rows * std::max<std::size_t>(1, task_bytes / (rows * std::max<std::size_t>(1, row_bytes)));
    parallel_ranges(
        n, grain,
        [&](std::size_t begin, std::size_t end, std::size_t) {
            std::size_t row = begin;
            const auto bias = [&] { return d == nullptr ? nullptr : d + row; };
            for (; row + rows <= end; row += rows)
                detail::rows_times_vectors<rows>(W + row * k, n, k, x, count, bias(), y + row);
            for (; row < end; ++row)
                detail::rows_times_vectors<1>(W + row * k, n, k, x, count, bias(), y + row);
        },
        {static_cast<double>(grain * row_bytes) / bytes_per_nanosecond});
}

}  // namespace ssm::math
