#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include <ssm/convolution/chunk_tables.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// Columns of a register block of 2 rows: with their sums they fill the register file.
template <class T, class Arch = simd::Arch>
inline constexpr std::size_t chunk_columns = simd::registers >= 32 ? 12 : 6;

/// sums += A x for 2 registers of rows and `columns` chunks: A[k] at a + k * step, x of chunk j at
/// x + j * stride.
template <std::size_t columns, std::size_t first_row = 0, class T, class Arch = simd::Arch>
SSM_INLINE void multiply_block(const T* a, std::ptrdiff_t step, const T* x, std::size_t stride,
                               std::size_t count, simd::Pack<T> (&sums)[2][columns]) noexcept {
    constexpr std::size_t width = simd::width<T>;
    for (std::size_t k = 0; k < count; ++k, a += step) {
        const simd::Pack<T> upper = simd::load(a);
        const simd::Pack<T> lower = simd::load(a + width);
        simd::unroll<columns>([&](auto j) SSM_INLINE_LAMBDA {
            const simd::Pack<T> value(x[j * stride + k]);
            if constexpr (first_row == 0)
                sums[0][j] = simd::fma(upper, value, sums[0][j]);
            sums[1][j] = simd::fma(lower, value, sums[1][j]);
        });
    }
}

/// Calls `body(columns, first)` for 0 .. count - 1 in blocks of columns known to the compiler.
template <class T, class Arch = simd::Arch, class Body>
SSM_INLINE void for_each_columns(std::size_t count, Body&& body) {
    constexpr std::size_t most = chunk_columns<T, Arch>;
    std::size_t j = 0;
    for (; j + most <= count; j += most)
        body(std::integral_constant<std::size_t, most>{}, j);
    for (; j + most / 3 <= count; j += most / 3)
        body(std::integral_constant<std::size_t, most / 3>{}, j);
    for (; j < count; ++j)
        body(std::integral_constant<std::size_t, 1>{}, j);
}

/// states[j] = B u_j for `columns` chunks: what each adds to the state. u_j at u + j * stride.
template <std::size_t columns, class T, class Arch>
void chunk_input(const ChunkTables<T, Arch>& tables, const T* u, std::size_t stride,
                 T* states) noexcept {
    const std::size_t row = tables.row();
    for (std::size_t n = 0; n < row; n += simd::width<T>) {
        simd::Pack<T> re[columns], im[columns];
        simd::unroll<columns>([&](auto j)
                                  SSM_INLINE_LAMBDA { re[j] = im[j] = simd::Pack<T>(T(0)); });
        const T* a = tables.input() + n;
        for (std::size_t k = 0; k < tables.steps; ++k, a += 2 * row) {
            const simd::Pack<T> a_re = simd::load_aligned(a);
            const simd::Pack<T> a_im = simd::load_aligned(a + row);
            simd::unroll<columns>([&](auto j) SSM_INLINE_LAMBDA {
                const simd::Pack<T> value(u[j * stride + k]);
                re[j] = simd::fma(a_re, value, re[j]);
                im[j] = simd::fma(a_im, value, im[j]);
            });
        }
        simd::unroll<columns>([&](auto j) SSM_INLINE_LAMBDA {
            simd::store_aligned(states + j * 2 * row + n, re[j]);
            simd::store_aligned(states + (j * 2 + 1) * row + n, im[j]);
        });
    }
}

/// y_j = Toeplitz(K) u_j + C s_j for `columns` chunks.
template <std::size_t columns, class T, class Arch>
void chunk_output(const ChunkTables<T, Arch>& tables, std::size_t modes, std::size_t c, const T* u,
                  std::size_t stride, const T* states, T* y) noexcept {
    constexpr std::size_t width = simd::width<T>;
    constexpr std::size_t steps = ChunkTables<T, Arch>::steps;
    const std::size_t row = tables.row();
    for (std::size_t t = 0; t < steps; t += 2 * width) {
        simd::Pack<T> sums[2][columns];
        simd::unroll<columns>(
            [&](auto j) SSM_INLINE_LAMBDA { sums[0][j] = sums[1][j] = simd::Pack<T>(T(0)); });
        // Input k reaches outputs k and later: the last `width` inputs only the lower register.
        const T* const taps = tables.taps(c) + steps + t;
        const std::size_t both = t + width;
        multiply_block<columns>(taps, -1, u, stride, both, sums);
        multiply_block<columns, 1>(taps - both, -1, u + both, stride, width, sums);
        const T* const output = tables.output(c) + t;
        const auto step = static_cast<std::ptrdiff_t>(steps);
        multiply_block<columns>(output, step, states, 2 * row, modes, sums);
        multiply_block<columns>(output + modes * steps, step, states + row, 2 * row, modes, sums);
        simd::unroll<columns>([&](auto j) SSM_INLINE_LAMBDA {
            simd::store(y + j * steps + t, sums[0][j]);
            simd::store(y + j * steps + t + width, sums[1][j]);
        });
    }
}

/// Turns what each of `count` chunks adds to the state into the state it starts from, and `state`
/// into the one after all of them; `pole` is z^T, [re, im][row].
template <class T, class Arch = simd::Arch>
void chunk_scan(const T* pole, std::size_t row, std::size_t count, T* states, T* state_re,
                T* state_im) noexcept {
    for (std::size_t n = 0; n < row; n += simd::width<T>) {
        const simd::Complex<simd::Pack<T>> z{simd::load_aligned(pole + n),
                                             simd::load_aligned(pole + row + n)};
        simd::Complex<simd::Pack<T>> s{simd::load_aligned(state_re + n),
                                       simd::load_aligned(state_im + n)};
        for (std::size_t j = 0; j < count; ++j) {
            T* const at = states + 2 * j * row + n;
            const simd::Complex<simd::Pack<T>> added{simd::load_aligned(at),
                                                     simd::load_aligned(at + row)};
            simd::store_aligned(at, s.re);
            simd::store_aligned(at + row, s.im);
            s = simd::fma(z, s, added);
        }
        simd::store_aligned(state_re + n, s.re);
        simd::store_aligned(state_im + n, s.im);
    }
}

}  // namespace ssm::detail
