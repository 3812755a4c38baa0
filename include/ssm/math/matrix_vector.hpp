#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include <ssm/core/config.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/sums.hpp>
#include <ssm/simd/unroll.hpp>
#include <ssm/simd/widen.hpp>

namespace ssm {

namespace detail {

/// Lanes of the sums of one row w (k) times `vectors` vectors x (vectors, k).
template <std::size_t vectors, class T, class Stored>
SSM_INLINE void row_times_vectors(const Stored* w, std::size_t k, const T* x,
                                  simd::Pack<T> (&sums)[vectors]) noexcept {
    constexpr std::size_t width = simd::width<T>;
    constexpr std::size_t chains = vectors == 1 ? 4 : 2;  // they hide the latency of a sum
    simd::Pack<T> parts[chains][vectors];
    for (auto& chain : parts)
        for (simd::Pack<T>& part : chain)
            part = simd::Pack<T>(T(0));
    const auto add = [&](auto chain, simd::Pack<T> weight, auto lanes,
                         std::size_t i) SSM_INLINE_LAMBDA {
        simd::unroll<vectors>([&](auto v) SSM_INLINE_LAMBDA {
            parts[chain][v] = simd::fma(weight, lanes.load(x + v * k + i), parts[chain][v]);
        });
    };
    constexpr std::integral_constant<std::size_t, 0> first;
    constexpr simd::AllLanes<T> all;
    std::size_t i = 0;
    for (; i + chains * width <= k; i += chains * width)
        simd::unroll<chains>([&](auto chain) SSM_INLINE_LAMBDA {
            const std::size_t at = i + chain * width;
            add(chain, simd::load_as<T>(w + at), all, at);
        });
    for (; i + width <= k; i += width)
        add(first, simd::load_as<T>(w + i), all, i);
    if (const std::size_t rest = k - i; rest > 0)
        add(first, simd::load_as<T>(w + i, rest), simd::FirstLanes<T>(rest), i);
    simd::unroll<vectors>([&](auto v) SSM_INLINE_LAMBDA {
        sums[v] = parts[0][v];
        simd::unroll<chains - 1>([&](auto chain)
                                     SSM_INLINE_LAMBDA { sums[v] += parts[chain + 1][v]; });
    });
}

/// Lanes of the sums of neighbouring rows of W times one vector, which is read once for all of them.
template <std::size_t rows, class T, class Stored>
SSM_INLINE void rows_times_vector(const Stored* W, std::size_t k, const T* x,
                                  simd::Pack<T> (&sums)[rows]) noexcept {
    constexpr std::size_t width = simd::width<T>;
    constexpr std::size_t chains = 2;  // of each row
    simd::Pack<T> parts[chains][rows];
    for (auto& chain : parts)
        for (simd::Pack<T>& part : chain)
            part = simd::Pack<T>(T(0));
    const auto add = [&](auto chain, std::size_t i) SSM_INLINE_LAMBDA {
        const simd::Pack<T> factor = simd::load(x + i);
        simd::unroll<rows>([&](auto r) SSM_INLINE_LAMBDA {
            parts[chain][r] = simd::fma(simd::load_as<T>(W + r * k + i), factor, parts[chain][r]);
        });
    };
    std::size_t i = 0;
    for (; i + chains * width <= k; i += chains * width)
        simd::unroll<chains>([&](auto chain) SSM_INLINE_LAMBDA { add(chain, i + chain * width); });
    for (; i + width <= k; i += width)
        add(std::integral_constant<std::size_t, 0>{}, i);
    simd::unroll<rows>([&](auto r) SSM_INLINE_LAMBDA { sums[r] = parts[0][r] + parts[1][r]; });
    if (const std::size_t rest = k - i; rest > 0) {
        const simd::Pack<T> factor = simd::load_partial(x + i, rest);
        simd::unroll<rows>([&](auto r) SSM_INLINE_LAMBDA {
            sums[r] = simd::fma(simd::load_as<T>(W + r * k + i, rest), factor, sums[r]);
        });
    }
}

/// y of 4 neighbouring rows or of 1, and of 4 vectors or 1. W is read in the order in which it lies in memory, one row
/// after the other: processors fetch one stream ahead better than four. Four short rows are one stream.
template <std::size_t rows, std::size_t vectors, class T, class Stored>
SSM_INLINE void few_rows(const Stored* W, std::size_t n, std::size_t k, const T* x, const T* d,
                         T* y) noexcept {
    [[maybe_unused]] constexpr std::size_t short_bytes = 1024;
    simd::Pack<T> sums[vectors][rows];
    const auto one_by_one = [&]() SSM_INLINE_LAMBDA {
        for (std::size_t r = 0; r < rows; ++r) {  // not unrolled: the code of a row is long
            simd::Pack<T> of_row[vectors];
            row_times_vectors<vectors>(W + r * k, k, x, of_row);
            simd::unroll<vectors>([&](auto v) SSM_INLINE_LAMBDA { sums[v][r] = of_row[v]; });
        }
    };
    if constexpr (vectors == 1 && rows > 1) {
        if (k * sizeof(Stored) <= short_bytes)
            rows_times_vector<rows>(W, k, x, sums[0]);
        else
            one_by_one();
    } else {
        one_by_one();
    }
    for (std::size_t v = 0; v < vectors; ++v) {
        T* const to = y + v * n;
        if constexpr (rows == 4)
            simd::reduce_add_four(sums[v], to);
        else
            *to = simd::reduce_add(sums[v][0]);
        for (std::size_t r = 0; r < rows && d != nullptr; ++r)
            to[r] += d[r];
    }
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

namespace math {

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
                ssm::detail::rows_times_vectors<rows>(W + row * k, n, k, x, count, bias(), y + row);
            for (; row < end; ++row)
                ssm::detail::rows_times_vectors<1>(W + row * k, n, k, x, count, bias(), y + row);
        },
        {static_cast<double>(grain * row_bytes) / bytes_per_nanosecond});
}

}  // namespace math

}  // namespace ssm
