#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <span>

#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/dplr_system.hpp>
#include <ssm/kernel/detail/rank_one_power.hpp>
#include <ssm/kernel/detail/rank_one_steps.hpp>
#include <ssm/kernel/detail/tap_product.hpp>
#include <ssm/kernel/vandermonde.hpp>
#include <ssm/scan/diagonal_state.hpp>
#include <ssm/simd/convert.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/transpose.hpp>

namespace ssm::detail {

/// K of one channel of rank 1 with plain C, as a product of two short tables:
///
///   K[i steps + s] = (c A_bar^(i steps)) (A_bar^s b)
///
/// Columns are made step by step, rows by a power of A_bar (`RankOnePower`), both in double; the product is in T, as it
/// is for diagonal systems. For T narrower than double, which hides the errors of divided differences.
template <class T, class Arch = simd::Arch>
class KrylovTaps {
    using Product = TapProduct<T, Arch>;
    static constexpr std::size_t lanes = simd::width<double>;

public:
    KrylovTaps(const DplrShape& shape, std::size_t count, Workspace& workspace)
        : modes_(shape.modes),
          stride_(padded<double>(shape.modes)),
          count_(count),
          steps_(steps(shape, count)),
          product_(2 * stride_, steps_),
          power_(modes_, stride_, workspace),
          columns_(workspace.take<T>(2 * stride_ * steps_).data()),
          states_(workspace.take<T>(2 * stride_ * simd::width<T>).data()),
          rows_(workspace.take<T>(2 * stride_ * Product::most_rows).data()),
          rest_(workspace.take<T>(steps_).data()) {
        for (double** numbers : {&z_, &p_, &q_, &b_, &c_, &v_, &y_, &qz_, &vz_})
            *numbers = workspace.take_zero<double>(2 * stride_).data();
    }

    /// Prepares the tables of channel `h`. False if rounding errors would be larger than those of T.
    [[nodiscard]] bool set_channel(const DplrSystem& system, std::size_t h) noexcept {
        copy(system.z, system.pole(h, 0), z_);
        copy(system.b, system.pole(h, 0), b_);
        copy(system.p, system.correction(0, h, 0), p_);
        copy(system.q, system.correction(0, h, 0), q_);
        for (std::size_t n = 0; n < stride_; n += lanes)
            store_modes(v_ + n, stride_, load_modes(p_ + n, stride_) * load_modes(q_ + n, stride_));
        RankOneSteps<Arch> run({z_, p_, q_, v_, qz_, vz_, b_, y_, modes_, stride_});
        const std::size_t wanted = std::min(steps_, count_);
        std::size_t s = 0;
        for (; s < wanted; s += simd::width<T>) {
            run.run(simd::width<T>, states_);
            transpose_states(columns_ + s);
        }
        for (std::size_t k = 0; s < steps_ && k < 2 * stride_; ++k)
            std::fill_n(columns_ + k * steps_ + s, steps_ - s, T(0));
        return steps_ >= count_ || power_.fill({z_, p_, q_}, v_, y_) < most_amplification;
    }

    /// The kernel of one head of this channel.
    void evaluate(const DplrSystem& system, std::size_t readout, T* taps) noexcept {
        copy(system.c, readout, c_);
        const std::size_t full = count_ / steps_;
        for (std::size_t first = 0; first < full; first += Product::most_rows) {
            const std::size_t rows = std::min(Product::most_rows, full - first);
            for (std::size_t i = 0; i < rows; ++i)
                next_row(i, (first + i + 1) * steps_ < count_);
            product_(rows_, rows, columns_, taps + first * steps_);
        }
        if (const std::size_t rest = count_ % steps_; rest != 0) {
            next_row(0, false);
            product_(rows_, 1, columns_, rest_);
            std::copy_n(rest_, rest, taps + full * steps_);
        }
    }

private:
    /// Of errors of 1e-16, so that float does not see them.
    static constexpr double most_amplification = 1e7;

    /// A step costs some n for its column, a row some n^2: both together the least, in whole tiles of the product.
    [[nodiscard]] static std::size_t steps(const DplrShape& shape, std::size_t count) noexcept {
        const double best =
            std::sqrt(0.27 * static_cast<double>(count * shape.heads * shape.modes));
        const auto power = std::bit_floor(static_cast<std::size_t>(1.41 * best) + 1);
        const std::size_t two_levels = std::clamp<std::size_t>(power, 64, 512);
        const std::size_t tile = std::max<std::size_t>(Product::columns, simd::width<T>);
        if (count > 3 * two_levels)
            return two_levels;
        return std::max(tile, (count + tile - 1) / tile * tile);
    }

    /// The padding too: the last channel may have left NaN there.
    void copy(const ComplexNumbers& from, std::size_t at, double* to) const noexcept {
        for (const auto* numbers : {&from.re, &from.im}) {
            std::copy_n(numbers->data() + at, modes_, to);
            std::fill(to + modes_, to + stride_, 0.0);
            to += stride_;
        }
    }

    void transpose_states(T* to) const noexcept {
        for (std::size_t k = 0; k < 2 * stride_; k += simd::width<T>) {
            simd::Pack<T> block[simd::width<T>];
            for (std::size_t i = 0; i < simd::width<T>; ++i)
                block[i] = simd::load(states_ + 2 * stride_ * i + k);
            simd::transpose(block);
            for (std::size_t i = 0; i < simd::width<T>; ++i)
                simd::store(to + (k + i) * steps_, block[i]);
        }
    }

    /// Row `i` of the left factor: Re c and -Im c; then c moves on if there are more.
    void next_row(std::size_t i, bool more) noexcept {
        T* const to = rows_ + 2 * stride_ * i;
        for (std::size_t n = 0; n < stride_; n += lanes) {
            const ModePack c = load_modes(c_ + n, stride_);
            simd::store_rounded(to + n, c.re);
            simd::store_rounded(to + stride_ + n, -c.im);
        }
        if (more)
            power_.apply(c_);
    }

    std::size_t modes_, stride_, count_, steps_;
    Product product_;
    RankOnePower<Arch> power_;
    T* columns_;  // (2 stride, steps): Re x, Im x
    T* states_;   // (width, 2 stride): columns before they are transposed
    T* rows_;     // (most_rows, 2 stride): Re c, -Im c
    T* rest_;     // (steps): taps of which not all are wanted
    double *z_, *p_, *q_, *b_, *c_, *v_, *y_, *qz_, *vz_;  // (2, stride)
};

/// The first `count` taps of kernels of `length`, the others zero. `is_done` (H) says of which channels: those that
/// have modes which nearly coincide are left out.
template <class T>
void krylov_kernel(const DplrSystem& system, std::size_t length, std::size_t count,
                   std::span<T> kernel, std::span<char> is_done, Workspace& workspace) {
    const auto frame = workspace.frame();
    const DplrShape& shape = system.shape;
    using Worker = KrylovTaps<T>;
    const std::span<Worker> workers = make_workers<Worker>(workspace, shape, count);
    parallel_for(
        shape.channels,
        [&](std::size_t h, std::size_t worker) {
            is_done[h] = workers[worker].set_channel(system, h) ? 1 : 0;
            if (is_done[h] == 0)
                return;
            for (std::size_t head = 0; head < shape.heads; ++head) {
                T* const taps = kernel.data() + (head * shape.channels + h) * length;
                workers[worker].evaluate(system, system.readout(head, h, 0), taps);
                std::fill_n(taps + count, length - count, T(0));
            }
        },
        TaskCost{0.1 * static_cast<double>(shape.modes * (shape.heads * count + 400))});
}

}  // namespace ssm::detail
