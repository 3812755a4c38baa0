#pragma once

#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// Products of short tables, lanes along the columns of one: out[i, :] = sum_k factors(i, k) table[k, :], or adds to out.
///
/// Shapes    table (depth, width), out (count, width), width a multiple of a pack of T
template <class T, class Arch = simd::Arch>
class TapProduct {
    using Pack = simd::Pack<T>;
    static constexpr std::size_t most_vectors = simd::registers == 32 ? 4 : 2;

public:
    /// factors(i, k) = at[i * row + k * column].
    struct Factors {
        const T* at;
        std::size_t row, column;
    };
    static constexpr std::size_t most_columns = most_vectors * simd::width<T>;

    TapProduct(std::size_t depth, std::size_t width) noexcept : depth_(depth), width_(width) {}

    void assign(Factors factors, std::size_t count, const T* table, T* out) const noexcept {
        all_columns<false>(factors, count, table, out);
    }
    void add(Factors factors, std::size_t count, const T* table, T* out) const noexcept {
        all_columns<true>(factors, count, table, out);
    }

private:
    template <bool adds>
    void all_columns(Factors factors, std::size_t count, const T* table, T* out) const noexcept {
        std::size_t s = 0;
        for (; s + most_columns <= width_; s += most_columns)
            all_rows<most_vectors, adds>(factors, count, table + s, out + s);
        for (; s < width_; s += simd::width<T>)
            all_rows<1, adds>(factors, count, table + s, out + s);
    }

    /// Rows are taken together so that there are enough sums to hide the latency of an addition.
    template <std::size_t vectors, bool adds>
    void all_rows(Factors factors, std::size_t count, const T* table, T* out) const noexcept {
        constexpr std::size_t rows = vectors == 1 ? 8 : 4;
        std::size_t i = 0;
        for (; i + rows <= count; i += rows)
            tile<rows, vectors, adds>(from_row(factors, i), table, out + i * width_);
        for (; i < count; ++i)
            tile<1, vectors, adds>(from_row(factors, i), table, out + i * width_);
    }
    [[nodiscard]] static Factors from_row(Factors factors, std::size_t i) noexcept {
        factors.at += i * factors.row;
        return factors;
    }

    template <std::size_t count, std::size_t vectors, bool adds>
    void tile(Factors factors, const T* SSM_RESTRICT table, T* SSM_RESTRICT out) const noexcept {
        const std::size_t width = width_, depth = depth_;
        Pack sum[count][vectors];
        simd::unroll<count * vectors>([&](auto k) SSM_INLINE_LAMBDA {
            Pack& one = sum[k / vectors][k % vectors];
            if constexpr (adds)
                one = simd::load_aligned(out + k / vectors * width + k % vectors * simd::width<T>);
            else
                one = Pack(T(0));
        });
        const T* SSM_RESTRICT at = factors.at;
        for (std::size_t k = 0; k < depth; ++k, table += width, at += factors.column) {
            Pack column[vectors];
            simd::unroll<vectors>([&](auto v) SSM_INLINE_LAMBDA {
                column[v] = simd::load_aligned(table + v * simd::width<T>);
            });
            simd::unroll<count>([&](auto i) SSM_INLINE_LAMBDA {
                const Pack factor(at[i * factors.row]);
                simd::unroll<vectors>([&](auto v) SSM_INLINE_LAMBDA {
                    sum[i][v] = simd::fma(factor, column[v], sum[i][v]);
                });
            });
        }
        simd::unroll<count * vectors>([&](auto k) SSM_INLINE_LAMBDA {
            simd::store_aligned(out + k / vectors * width + k % vectors * simd::width<T>,
                                sum[k / vectors][k % vectors]);
        });
    }

    std::size_t depth_;
    std::size_t width_;
};

}  // namespace ssm::detail
