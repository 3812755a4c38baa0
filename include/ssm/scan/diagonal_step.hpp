#pragma once

#include <cstddef>
#include <span>

#include <ssm/core/aligned.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/scan/diagonal_state.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/transpose.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// Coefficients for advancing a bank of diagonal systems one step at a time, vectors along modes.
///
/// A state moves by increments, s' = s + ((z - 1) s + u), and what is stored is w = z - 1, rounded
/// from double. Rounding z itself would change the decay 1 - |z| of slow modes in its leading
/// digits: for dt Re(lambda) = -1e-4 by 1e-3 of its value in float, where w is right to 6e-8. It
/// costs two additions a mode beside six multiply-adds.
///
/// Layout    [H][w.re, w.im, (r.re, r.im) of each head][n padded]; padding has z = 0, r = 0
template <class T>
class IncrementBank {
public:
    void reset(const Modes& modes) {
        shape_ = modes.shape;
        stride_ = padded<T>(shape_.modes);
        data_.assign(shape_.channels * rows() * stride_, T(0));
        for (std::size_t h = 0; h < shape_.channels; ++h)
            fill(modes, h);
    }

    [[nodiscard]] const ModeShape& shape() const noexcept { return shape_; }
    [[nodiscard]] std::size_t stride() const noexcept { return stride_; }
    /// w.re of channel h; w.im follows at stride().
    [[nodiscard]] const T* pole(std::size_t h) const noexcept {
        return data_.data() + h * rows() * stride_;
    }
    /// r.re of head c of channel h; r.im follows at stride().
    [[nodiscard]] const T* residue(std::size_t c, std::size_t h) const noexcept {
        return pole(h) + (2 + 2 * c) * stride_;
    }

private:
    [[nodiscard]] std::size_t rows() const noexcept { return 2 + 2 * shape_.heads; }

    void fill(const Modes& modes, std::size_t h) {
        T* const row = data_.data() + h * rows() * stride_;
        for (std::size_t n = 0; n < stride_; ++n)
            row[n] = T(-1);
        for (std::size_t n = 0; n < shape_.modes; ++n) {
            row[n] = static_cast<T>(modes.pole_re[modes.pole(h, n)] - 1.0);
            row[stride_ + n] = static_cast<T>(modes.pole_im[modes.pole(h, n)]);
            for (std::size_t c = 0; c < shape_.heads; ++c) {
                T* const residue = row + (2 + 2 * c) * stride_ + n;
                residue[0] = static_cast<T>(modes.residue_re[modes.residue(c, h, n)]);
                residue[stride_] = static_cast<T>(modes.residue_im[modes.residue(c, h, n)]);
            }
        }
    }

    ModeShape shape_{};
    std::size_t stride_ = 0;
    AlignedVector<T> data_;
};

/// s' = s + (w s + u)
template <class T>
SSM_INLINE simd::Complex<simd::Pack<T>> increment(simd::Complex<simd::Pack<T>> w,
                                                  simd::Complex<simd::Pack<T>> s,
                                                  simd::Pack<T> u) noexcept {
    using Pack = simd::Pack<T>;
    const Pack re = simd::fnma(w.im, s.im, simd::fma(w.re, s.re, u));
    const Pack im = simd::fma(w.im, s.re, w.re * s.im);
    return {s.re + re, s.im + im};
}

template <class T>
SSM_INLINE simd::Complex<simd::Pack<T>> load_complex(const T* re, std::size_t stride) noexcept {
    return {simd::load_aligned(re), simd::load_aligned(re + stride)};
}

/// Where the numbers of one channel are: coefficients of a bank, and a state.
template <class T>
struct StepRows {
    const T* coefficients;  ///< w.re, w.im, r.re, r.im, ...
    T* state;               ///< s.re, s.im
    std::size_t stride;     ///< from row to row
    std::size_t modes;
};

/// Advances one channel and returns Re(r s) of head 0, still to be summed over the lanes.
template <class T, class Arch = simd::Arch>
SSM_INLINE simd::Pack<T> advance_channel(StepRows<T> rows, T u) noexcept {
    using Pack = simd::Pack<T>;
    const T* const pole = rows.coefficients;
    const T* const residue = pole + 2 * rows.stride;
    const Pack input(u);
    Pack sum(T(0));
    for (std::size_t n = 0; n < rows.modes; n += simd::width<T>) {
        const auto s = increment<T>(load_complex(pole + n, rows.stride),
                                    load_complex(rows.state + n, rows.stride), input);
        simd::store_aligned(rows.state + n, s.re);
        simd::store_aligned(rows.state + n + rows.stride, s.im);
        sum = simd::real_fma(load_complex(residue + n, rows.stride), s, sum);
    }
    return sum;
}

/// Re(r s) of head `c`, still to be summed over the lanes.
template <class T, class Arch = simd::Arch>
SSM_INLINE simd::Pack<T> read_channel(StepRows<T> rows, std::size_t c) noexcept {
    const T* const residue = rows.coefficients + (2 + 2 * c) * rows.stride;
    simd::Pack<T> sum(T(0));
    for (std::size_t n = 0; n < rows.modes; n += simd::width<T>)
        sum = simd::real_fma(load_complex(residue + n, rows.stride),
                             load_complex(rows.state + n, rows.stride), sum);
    return sum;
}

/// Lane i of the result is the sum over the lanes of rows[i].
template <class T>
SSM_INLINE simd::Pack<T> sums(simd::Pack<T> (&rows)[simd::width<T>]) noexcept {
    simd::transpose(rows);
    if constexpr (simd::width<T> == 1)
        return rows[0];
    simd::Pack<T> partial[2] = {rows[0], rows[1]};
    simd::unroll<simd::width<T> / 2 - 1>([&](auto i) SSM_INLINE_LAMBDA {
        partial[0] += rows[2 * i + 2];
        partial[1] += rows[2 * i + 3];
    });
    return partial[0] + partial[1];
}

/// One step of one stream. y[c H + h] = Re sum_n r s + D u; `skip` (D) has heads * H numbers or
/// none.
template <class T, class Arch = simd::Arch>
void step_stream(const IncrementBank<T>& bank, const T* u, std::span<const T> skip, T* y,
                 T* state) noexcept {
    using Pack = simd::Pack<T>;
    constexpr std::size_t width = simd::width<T>;
    const ModeShape shape = bank.shape();
    const std::size_t stride = bank.stride();
    const std::size_t next = (2 + 2 * shape.heads) * stride;
    StepRows<T> rows{bank.pole(0), state, stride, shape.modes};
    const auto advance = [&rows, stride, next](std::size_t count) SSM_INLINE_LAMBDA {
        rows.coefficients += count * next;
        rows.state += count * 2 * stride;
    };
    std::size_t h = 0;
    for (; h + width <= shape.channels; h += width) {
        for (std::size_t c = 0; c < shape.heads; ++c) {
            Pack block[width];
            for (std::size_t i = 0; i < width; ++i) {
                const StepRows<T> row{rows.coefficients + i * next, rows.state + i * 2 * stride,
                                      stride, shape.modes};
                block[i] = c == 0 ? advance_channel<T>(row, u[h + i]) : read_channel<T>(row, c);
            }
            const std::size_t at = c * shape.channels + h;
            const Pack sum = sums(block);
            simd::store(y + at, skip.empty() ? sum
                                             : simd::fma(simd::load(skip.data() + at),
                                                         simd::load(u + h), sum));
        }
        advance(width);
    }
    for (; h < shape.channels; ++h) {
        for (std::size_t c = 0; c < shape.heads; ++c) {
            const std::size_t at = c * shape.channels + h;
            const T sum = simd::reduce_add(c == 0 ? advance_channel<T>(rows, u[h])
                                                  : read_channel<T>(rows, c));
            y[at] = skip.empty() ? sum : sum + skip[at] * u[h];
        }
        advance(1);
    }
}

}  // namespace ssm::detail
