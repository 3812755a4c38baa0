#pragma once

#include <cstddef>
#include <type_traits>

#include <ssm/core/config.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::math {
inline namespace SSM_ARCH {
namespace detail {

/// Columns of `packs` packs, 1, 4 or 8: as many sums as hide the latency of a multiply-add, over every `splits`-th row of M.
template <std::size_t packs, class T, class Last, class Arch = simd::Arch>
SSM_INLINE void row_product_columns(const T* x, std::size_t k, const T* M, std::size_t n, T* y,
                                    const Last& last) noexcept {
    constexpr std::size_t width = simd::width<T>;
    constexpr std::size_t splits = 8 / packs;
    simd::Pack<T> sums[splits][packs];
    simd::unroll<splits>([&](auto s) SSM_INLINE_LAMBDA {
        simd::unroll<packs>([&](auto p) SSM_INLINE_LAMBDA { sums[s][p] = simd::Pack<T>(T(0)); });
    });
    const auto add_row = [&](auto s, std::size_t row) SSM_INLINE_LAMBDA {
        const T* const m = M + row * n;
        const simd::Pack<T> factor(x[row]);
        simd::unroll<packs - 1>([&](auto p) SSM_INLINE_LAMBDA {
            sums[s][p] = simd::fma(factor, simd::load(m + p * width), sums[s][p]);
        });
        constexpr std::size_t end = packs - 1;
        sums[s][end] = simd::fma(factor, last.load(m + end * width), sums[s][end]);
    };
    std::size_t row = 0;
    for (; row + splits <= k; row += splits)
        simd::unroll<splits>([&](auto s) SSM_INLINE_LAMBDA { add_row(s, row + s); });
    for (; row < k; ++row)
        add_row(std::integral_constant<std::size_t, 0>{}, row);
    simd::unroll<packs>([&](auto p) SSM_INLINE_LAMBDA {
        simd::Pack<T> sum = sums[0][p];
        simd::unroll<splits - 1>([&](auto s) SSM_INLINE_LAMBDA { sum += sums[s + 1][p]; });
        if constexpr (p + 1 < packs)
            simd::store(y + p * width, sum + simd::load(y + p * width));
        else
            last.store(y + p * width, sum + last.load(y + p * width));
    });
}

}  // namespace detail
}  // namespace SSM_ARCH

/// y += x M for one row x: what a product of many rows is when there is one, as in single steps.
///
/// Shapes    x (k), M (k, n) row-major, y (n), which may not overlap the others
/// Cost      k n multiply-adds without horizontal sums; M is read once
/// Real time no allocation
template <class T, class Arch = simd::Arch>
void add_row_product(const T* x, std::size_t k, const T* M, std::size_t n, T* y) noexcept {
    constexpr std::size_t width = simd::width<T>;
    std::size_t j = 0;
    for (; j + 8 * width <= n; j += 8 * width)
        detail::row_product_columns<8>(x, k, M + j, n, y + j, simd::AllLanes<T>{});
    for (; j + 4 * width <= n; j += 4 * width)
        detail::row_product_columns<4>(x, k, M + j, n, y + j, simd::AllLanes<T>{});
    for (; j + width <= n; j += width)
        detail::row_product_columns<1>(x, k, M + j, n, y + j, simd::AllLanes<T>{});
    if (j < n)
        detail::row_product_columns<1>(x, k, M + j, n, y + j, simd::FirstLanes<T>(n - j));
}

}  // namespace ssm::math
