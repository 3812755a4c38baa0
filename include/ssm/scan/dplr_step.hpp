#pragma once

#include <cstddef>
#include <span>

#include <ssm/core/aligned.hpp>
#include <ssm/discretize/dplr_system.hpp>
#include <ssm/math/small_matrix.hpp>
#include <ssm/scan/diagonal_state.hpp>
#include <ssm/scan/diagonal_step.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::detail {

/// Coefficients for advancing a bank that is diagonal plus low rank one step at a time, vectors along modes.
///
/// Layout    [H][re, im of z - 1, b, (p, q) of each rank, c of each head][n padded]; padding is zero
template <class T>
class DplrStepBank {
public:
    void reset(const DplrSystem& system) {
        shape_ = system.shape;
        stride_ = padded<T>(shape_.modes);
        data_.assign(shape_.channels * channel_size(), T(0));
        for (std::size_t h = 0; h < shape_.channels; ++h)
            fill(system, h);
    }

    [[nodiscard]] const DplrShape& shape() const noexcept { return shape_; }
    /// Numbers from the real parts of a quantity to the imaginary ones.
    [[nodiscard]] std::size_t stride() const noexcept { return stride_; }
    /// z - 1, b, p and q of each rank, c of each head of channel `h`.
    [[nodiscard]] const T* pole(std::size_t h) const noexcept {
        return data_.data() + h * channel_size();
    }
    [[nodiscard]] const T* input(std::size_t h) const noexcept { return pole(h) + 2 * stride_; }
    [[nodiscard]] const T* p(std::size_t h, std::size_t r) const noexcept {
        return pole(h) + (4 + 4 * r) * stride_;
    }
    [[nodiscard]] const T* q(std::size_t h, std::size_t r) const noexcept {
        return p(h, r) + 2 * stride_;
    }
    [[nodiscard]] const T* readout(std::size_t h, std::size_t head) const noexcept {
        return p(h, shape_.rank) + 2 * head * stride_;
    }

private:
    [[nodiscard]] std::size_t channel_size() const noexcept {
        return (4 + 4 * shape_.rank + 2 * shape_.heads) * stride_;
    }

    void fill(const DplrSystem& system, std::size_t h) noexcept {
        T* to = data_.data() + h * channel_size();
        const auto put = [&](const ComplexNumbers& from, std::size_t first, double shift) {
            for (std::size_t n = 0; n < shape_.modes; ++n) {
                to[n] = static_cast<T>(from.re[first + n] - shift);
                to[stride_ + n] = static_cast<T>(from.im[first + n]);
            }
            to += 2 * stride_;
        };
        put(system.z, system.pole(h, 0), 1.0);
        put(system.b, system.pole(h, 0), 0.0);
        for (std::size_t r = 0; r < shape_.rank; ++r) {
            put(system.p, system.correction(r, h, 0), 0.0);
            put(system.q, system.correction(r, h, 0), 0.0);
        }
        for (std::size_t head = 0; head < shape_.heads; ++head)
            put(system.c, system.readout(head, h, 0), 0.0);
    }

    DplrShape shape_{};
    std::size_t stride_ = 0;
    AlignedVector<T> data_;
};

/// One step of one stream, for up to a register of channels at once: their feedbacks and outputs are sums over
/// lanes, which are cheap when transposed together.
///
/// `rank` is that of the system, or 0 for one known at run time.
template <class T, std::size_t rank, class Arch = simd::Arch>
class DplrStep {
    using Pack = simd::Pack<T>;
    using Number = simd::Complex<Pack>;
    static constexpr std::size_t width = simd::width<T>;
    static constexpr std::size_t most = rank == 0 ? math::SmallMatrix::most : rank;

public:
    DplrStep(const DplrStepBank<T>& bank, const T* u, const T* skip, T* y, T* state) noexcept
        : bank_(bank), shape_(bank.shape()), u_(u), skip_(skip), y_(y), state_(state) {}

    void run() const noexcept {
        std::size_t h = 0;
        for (; h + width <= shape_.channels; h += width)
            run_channels<width>(h);
        for (; h < shape_.channels; ++h)
            run_channels<1>(h);
    }

private:
    SSM_INLINE std::size_t terms() const noexcept { return rank == 0 ? shape_.rank : rank; }

    template <std::size_t count>
    SSM_INLINE void run_channels(std::size_t first) const noexcept {
        T w[most][count];
        for (std::size_t r = 0; r < terms(); ++r)
            reduce<count>(
                [&](std::size_t i)
                    SSM_INLINE_LAMBDA { return product(bank_.q(first + i, r), first + i); },
                w[r]);
        for (std::size_t head = 0; head < shape_.heads; ++head) {
            T* const out = y_ + head * shape_.channels + first;
            reduce<count>(
                [&](std::size_t i) SSM_INLINE_LAMBDA {
                    const std::size_t h = first + i;
                    return head == 0 ? advance<count>(h, w, i) : product(bank_.readout(h, head), h);
                },
                out);
            if (skip_ != nullptr)
                for (std::size_t i = 0; i < count; ++i)
                    out[i] += skip_[head * shape_.channels + first + i] * u_[first + i];
        }
    }

    /// Sums over the lanes of row(0) .. row(count - 1).
    template <std::size_t count, class Row>
    SSM_INLINE static void reduce(Row&& row, T* to) noexcept {
        if constexpr (count == width) {
            Pack rows[width];
            for (std::size_t i = 0; i < width; ++i)
                rows[i] = row(i);
            simd::store(to, sums(rows));
        } else {
            for (std::size_t i = 0; i < count; ++i)
                to[i] = simd::reduce_add(row(i));
        }
    }

    [[nodiscard]] SSM_INLINE T* state(std::size_t h) const noexcept {
        return state_ + 2 * h * bank_.stride();
    }

    // The loops below know all they need from local variables: members would be read again after every store.

    /// Re(factor x) of channel `h`, still to be summed over the lanes.
    [[nodiscard]] SSM_INLINE Pack product(const T* factor, std::size_t h) const noexcept {
        const std::size_t modes = shape_.modes;
        const std::size_t stride = bank_.stride();
        const T* const x = state(h);
        Pack sum(T(0));
        for (std::size_t n = 0; n < modes; n += width)
            sum =
                simd::real_fma(load_complex(factor + n, stride), load_complex(x + n, stride), sum);
        return sum;
    }

    /// Advances channel `h`, whose feedbacks are w[r][i], and returns Re(c x) of head 0, still to be summed over the lanes.
    template <std::size_t count>
    [[nodiscard]] SSM_INLINE Pack advance(std::size_t h, const T (&w)[most][count],
                                          std::size_t i) const noexcept {
        const std::size_t modes = shape_.modes;
        const std::size_t stride = bank_.stride();
        const std::size_t ranks = terms();
        const T* const pole = bank_.pole(h);
        const T* const input = bank_.input(h);
        const T* const p = bank_.p(h, 0);
        const T* const readout = bank_.readout(h, 0);
        T* const at = state(h);
        const Pack u(u_[h]);
        Pack sum(T(0));
        for (std::size_t n = 0; n < modes; n += width) {
            Number x = load_complex(at + n, stride);
            Number change =
                simd::fma(load_complex(input + n, stride), u, load_complex(pole + n, stride) * x);
            for (std::size_t r = 0; r < ranks; ++r) {
                const Number correction = load_complex(p + 4 * r * stride + n, stride);
                change.re = simd::fnma(correction.re, Pack(w[r][i]), change.re);
                change.im = simd::fnma(correction.im, Pack(w[r][i]), change.im);
            }
            x += change;
            simd::store_aligned(at + n, x.re);
            simd::store_aligned(at + stride + n, x.im);
            sum = simd::real_fma(load_complex(readout + n, stride), x, sum);
        }
        return sum;
    }

    const DplrStepBank<T>& bank_;
    const DplrShape& shape_;
    const T* u_;
    const T* skip_;
    T* y_;
    T* state_;
};

/// One step of one stream. `skip` may be null.
template <class T, class Arch = simd::Arch>
void dplr_step(const DplrStepBank<T>& bank, const T* u, const T* skip, T* y, T* state) noexcept {
    if (bank.shape().rank == 1)
        DplrStep<T, 1>(bank, u, skip, y, state).run();
    else
        DplrStep<T, 0>(bank, u, skip, y, state).run();
}

}  // namespace ssm::detail
