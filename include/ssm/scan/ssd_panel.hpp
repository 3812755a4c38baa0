#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include <ssm/core/aligned.hpp>
#include <ssm/core/config.hpp>
#include <ssm/scan/ssd_system.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// Steps of a block of an SSD scan: what a panel holds.
inline constexpr std::size_t ssd_steps = 32;

inline namespace SSM_ARCH {
/// States of a vector that are in registers together, with four packs of the vector.
inline constexpr std::size_t ssd_rows = simd::registers == 32 ? 4 : 2;
}  // namespace SSM_ARCH

/// Rows of numbers in the order in which a scan walks over them.
template <class T>
struct SsdWalk {
    const T* data;
    std::ptrdiff_t stride;

    [[nodiscard]] const T* at(std::size_t i) const noexcept {
        return data + static_cast<std::ptrdiff_t>(i) * stride;
    }
};

/// Forward from `row` on, numbers `offset` and up of each row.
template <class T>
[[nodiscard]] SsdWalk<T> ssd_walk(StridedRows<const T> rows, std::size_t row,
                                  std::size_t offset) noexcept {
    return {rows.at(row) + offset, static_cast<std::ptrdiff_t>(rows.stride)};
}
/// Backward from `row` on.
template <class T>
[[nodiscard]] SsdWalk<T> ssd_walk_back(StridedRows<const T> rows, std::size_t row,
                                       std::size_t offset) noexcept {
    return {rows.at(row) + offset, -static_cast<std::ptrdiff_t>(rows.stride)};
}

/// Steps first .. last - 1 through the states of `ssd_rows` coefficients and `packs` packs of the vector:
///
///   S = before S;   for each step:  S_k += b_k v,  y += c_k S_k;   S = after S
template <std::size_t packs, class T>
void ssd_advance(const T* v, T* y, std::size_t width, const T* coefficients, std::size_t first,
                 std::size_t last, T before, T after, T* states) noexcept {
    using P = simd::Pack<T>;
    constexpr std::size_t w = simd::width<T>;
    P s[ssd_rows][packs];
    simd::unroll<ssd_rows>([&](auto k) SSM_INLINE_LAMBDA {
        simd::unroll<packs>([&](auto p) SSM_INLINE_LAMBDA {
            s[k][p] = simd::load_aligned(states + k * width + p * w) * before;
        });
    });
    for (std::size_t t = first; t < last; ++t) {
        P in[packs];
        P out[packs];
        simd::unroll<packs>([&](auto p) SSM_INLINE_LAMBDA {
            in[p] = simd::load_aligned(v + t * width + p * w);
            out[p] = simd::load_aligned(y + t * width + p * w);
        });
        const T* b = coefficients + t * 2 * ssd_rows;
        simd::unroll<ssd_rows>([&](auto k) SSM_INLINE_LAMBDA {
            const P input(b[k]);
            const P output(b[ssd_rows + k]);
            simd::unroll<packs>([&](auto p) SSM_INLINE_LAMBDA {
                s[k][p] = simd::fma(in[p], input, s[k][p]);
                out[p] = simd::fma(s[k][p], output, out[p]);
            });
        });
        simd::unroll<packs>(
            [&](auto p) SSM_INLINE_LAMBDA { simd::store_aligned(y + t * width + p * w, out[p]); });
    }
    simd::unroll<ssd_rows>([&](auto k) SSM_INLINE_LAMBDA {
        simd::unroll<packs>([&](auto p) SSM_INLINE_LAMBDA {
            simd::store_aligned(states + k * width + p * w, s[k][p] * after);
        });
    });
}

/// A block of steps of one scan through states (coefficients, vector), in the level 1 cache and padded to whole packs:
///
///   S_t = S_{t-1} + b_t v_t^T      y_t = S_t^T c_t
///
/// This is the one loop of SSD. Forward, the vector is x and the coefficients are B and C. The gradients of x, B and C
/// are the same scan with the roles changed.
template <class T>
class SsdPanel {
    static constexpr std::size_t w = simd::width<T>;
    static constexpr std::size_t line = alignment / sizeof(T);
    static_assert(ssd_steps % line == 0);

public:
    SsdPanel(std::size_t vector, std::size_t coefficients) noexcept
        : vector_(vector),
          width_((vector + w - 1) / w * w),
          coefficients_(coefficients),
          rows_((coefficients + ssd_rows - 1) / ssd_rows * ssd_rows) {}

    /// Numbers of states, padded to whole cache lines.
    [[nodiscard]] std::size_t state_size() const noexcept {
        return (rows_ * width_ + line - 1) / line * line;
    }
    /// Numbers of scratch memory that the panel needs; whole cache lines too.
    [[nodiscard]] std::size_t scratch() const noexcept { return 2 * ssd_steps * (width_ + rows_); }
    /// Hands `memory` over, aligned.
    void use(T* memory) noexcept {
        v_ = memory;
        y_ = v_ + ssd_steps * width_;
        packed_ = y_ + ssd_steps * width_;
    }

    /// Copies b and c of `steps` steps.
    void set_coefficients(SsdWalk<T> b, SsdWalk<T> c, std::size_t steps) noexcept {
        for (std::size_t t = 0; t < steps; ++t) {
            T* to = packed_ + t * 2 * ssd_rows;
            for (std::size_t k = 0; k < rows_; k += ssd_rows, to += ssd_steps * 2 * ssd_rows) {
                copy_group(b.at(t), k, to);
                copy_group(c.at(t), k, to + ssd_rows);
            }
        }
    }
    /// v_t = scale_t from_t, y_t = 0
    void set_vectors(SsdWalk<T> from, const double* scale, std::size_t steps) noexcept {
        for (std::size_t t = 0; t < steps; ++t) {
            const simd::Pack<T> factor(static_cast<T>(scale[t]));
            simd::for_each_pack<T>(vector_, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
                simd::store_aligned(v_ + t * width_ + i, lanes.load(from.at(t) + i) * factor);
                simd::store_aligned(y_ + t * width_ + i, simd::Pack<T>(T(0)));
            });
        }
    }
    /// Steps first .. last - 1; the states are multiplied by `before` and by `after`.
    void advance(std::size_t first, std::size_t last, double before, double after,
                 T* states) noexcept {
        for (std::size_t k = 0; k < rows_; k += ssd_rows) {
            const auto run = [&](auto packs, std::size_t i) SSM_INLINE_LAMBDA {
                ssd_advance<packs>(v_ + i, y_ + i, width_, packed_ + k * 2 * ssd_steps, first, last,
                                   static_cast<T>(before), static_cast<T>(after),
                                   states + k * width_ + i);
            };
            std::size_t i = 0;
            for (; i + 4 * w <= width_; i += 4 * w)
                run(std::integral_constant<std::size_t, 4>{}, i);
            for (; i < width_; i += w)
                run(std::integral_constant<std::size_t, 1>{}, i);
        }
    }
    /// y_t, padded.
    [[nodiscard]] const T* y(std::size_t t) const noexcept { return y_ + t * width_; }
    [[nodiscard]] std::size_t width() const noexcept { return width_; }

    /// Padded states from (coefficients, vector) numbers, or from their transpose; null: zeros.
    void load_states(const T* from, bool transposed, T* states) const noexcept {
        std::fill_n(states, state_size(), T(0));
        if (from != nullptr)
            for (std::size_t k = 0; k < coefficients_; ++k)
                for (std::size_t i = 0; i < vector_; ++i)
                    states[k * width_ + i] =
                        transposed ? from[i * coefficients_ + k] : from[k * vector_ + i];
    }
    /// (coefficients, vector) numbers from padded states.
    void store_states(const T* states, T* to) const noexcept {
        for (std::size_t k = 0; k < coefficients_; ++k)
            std::copy_n(states + k * width_, vector_, to + k * vector_);
    }

private:
    void copy_group(const T* from, std::size_t k, T* to) const noexcept {
        if (k + ssd_rows <= coefficients_)
            std::copy_n(from + k, ssd_rows, to);
        else
            for (std::size_t i = 0; i < ssd_rows; ++i)
                to[i] = k + i < coefficients_ ? from[k + i] : T(0);
    }

    std::size_t vector_;
    std::size_t width_;
    std::size_t coefficients_;
    std::size_t rows_;
    T* v_ = nullptr;
    T* y_ = nullptr;
    T* packed_ = nullptr;
};

}  // namespace ssm::detail
