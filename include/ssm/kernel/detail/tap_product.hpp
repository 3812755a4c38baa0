#pragma once

#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/prefetch.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// Taps of a kernel as a product of two short tables, K[i steps + s] = sum_k rows[i, k] columns[k, s].
///
/// Shapes    rows (count, depth); columns (depth, steps), steps a multiple of `columns`
template <class T, class Arch = simd::Arch>
class TapProduct {
    using Pack = simd::Pack<T>;
    static constexpr std::size_t vectors = simd::registers == 32 ? 4 : 2;

public:
    static constexpr std::size_t most_rows = 6;  ///< 6 x `vectors` sums in registers
    static constexpr std::size_t columns = vectors * simd::width<T>;

    TapProduct(std::size_t depth, std::size_t steps) noexcept : depth_(depth), steps_(steps) {}

    void operator()(const T* rows, std::size_t count, const T* table, T* taps) const noexcept {
        std::size_t i = 0;
        for (; i + most_rows <= count; i += most_rows)
            some_rows<most_rows>(rows + i * depth_, table, taps + i * steps_);
        for (; i + 2 <= count; i += 2)
            some_rows<2>(rows + i * depth_, table, taps + i * steps_);
        if (i < count)
            some_rows<1>(rows + i * depth_, table, taps + i * steps_);
    }

private:
    template <std::size_t count>
    void some_rows(const T* rows, const T* table, T* taps) const noexcept {
        for (std::size_t s = 0; s < steps_; s += columns)
            tile<count>(rows, table + s, taps + s);
    }

    template <std::size_t count>
    void tile(const T* SSM_RESTRICT rows, const T* SSM_RESTRICT table,
              T* SSM_RESTRICT taps) const noexcept {
        Pack sum[count][vectors];
        simd::unroll<count * vectors>([&](auto k) SSM_INLINE_LAMBDA {
            sum[k / vectors][k % vectors] = Pack(T(0));
            simd::prefetch_for_write(taps + k / vectors * steps_ + k % vectors * simd::width<T>);
        });
        for (std::size_t k = 0; k < depth_; ++k, table += steps_) {
            Pack column[vectors];
            simd::unroll<vectors>([&](auto v) SSM_INLINE_LAMBDA {
                column[v] = simd::load_aligned(table + v * simd::width<T>);
            });
            simd::unroll<count>([&](auto i) SSM_INLINE_LAMBDA {
                const Pack factor(rows[i * depth_ + k]);
                simd::unroll<vectors>([&](auto v) SSM_INLINE_LAMBDA {
                    sum[i][v] = simd::fma(factor, column[v], sum[i][v]);
                });
            });
        }
        simd::unroll<count * vectors>([&](auto k) SSM_INLINE_LAMBDA {
            simd::store(taps + k / vectors * steps_ + k % vectors * simd::width<T>,
                        sum[k / vectors][k % vectors]);
        });
    }

    std::size_t depth_;
    std::size_t steps_;
};

}  // namespace ssm::detail
