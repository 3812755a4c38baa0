#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <span>

#include <ssm/core/config.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/subnormals.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/dplr_system.hpp>
#include <ssm/kernel/detail/mode_pack.hpp>
#include <ssm/kernel/detail/rank_one_channel.hpp>
#include <ssm/kernel/detail/rank_one_power.hpp>
#include <ssm/kernel/detail/rank_one_steps.hpp>
#include <ssm/kernel/detail/tap_product.hpp>
#include <ssm/kernel/vandermonde.hpp>
#include <ssm/simd/convert.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/transpose.hpp>

namespace ssm::detail {

/// How the taps of a kernel are cut: into rows of so many steps, whole packs of T. A step costs some n for its column, a
/// row `row_cost` n^2 as much: both together the least.
template <class T>
[[nodiscard]] SSM_INLINE std::size_t krylov_steps(const DplrShape& shape, std::size_t count,
                                                  double row_cost) noexcept {
    const double best =
        std::sqrt(row_cost * static_cast<double>(count * shape.heads * shape.modes));
    const auto power = std::bit_floor(static_cast<std::size_t>(1.41 * best) + 1);
    const std::size_t two_levels = std::clamp<std::size_t>(power, 64, 512);
    if (count > 3 * two_levels)
        return two_levels;
    constexpr std::size_t pack = simd::width<T>;
    return std::max(pack, (count + pack - 1) / pack * pack);
}

/// Writes the transpose of (rows, columns), both whole packs of T, in rows of `stride`.
template <class T>
SSM_INLINE void transpose_table(const T* from, std::size_t rows, std::size_t columns, T* to,
                                std::size_t stride) noexcept {
    constexpr std::size_t pack = simd::width<T>;
    for (std::size_t i = 0; i < rows; i += pack)
        for (std::size_t k = 0; k < columns; k += pack) {
            simd::Pack<T> block[pack];
            for (std::size_t j = 0; j < pack; ++j)
                block[j] = simd::load_aligned(from + (i + j) * columns + k);
            simd::transpose(block);
            for (std::size_t j = 0; j < pack; ++j)
                simd::store_aligned(to + (k + j) * stride + i, block[j]);
        }
}

/// K of one channel of rank 1 with plain C, as a product of two short tables:
///
///   K[i steps + s] = (c A_bar^(i steps)) (A_bar^s b)
///
/// States A_bar^s b are made step by step, rows by a power of A_bar (`RankOnePower`), both in double; the product is in T,
/// as it is for diagonal systems, lanes along the rows: their table is the one that has to be transposed, and the smaller.
/// For T narrower than double, which hides the errors of divided differences.
template <class T, class Arch = simd::Arch>
class KrylovTaps {
    using Product = TapProduct<T, Arch>;
    static constexpr std::size_t lanes = simd::width<double>;
    static constexpr std::size_t pack = simd::width<T>;
    static constexpr double row_cost = 0.27;  ///< see `krylov_steps`; measured

public:
    KrylovTaps(const DplrShape& shape, std::size_t count, Workspace& workspace)
        : channel_(shape.modes, workspace),
          size_(channel_.size()),
          count_(count),
          steps_(krylov_steps<T>(shape, count, row_cost)),
          group_(std::min(Product::most_columns,
                          (count + pack * steps_ - 1) / (pack * steps_) * pack)),
          product_(size_, group_),
          power_(channel_, workspace),
          states_(workspace.take<T>(size_ * steps_).data()),
          rows_(workspace.take_zero<T>(size_ * group_).data()),
          table_(workspace.take<T>(size_ * group_).data()),
          taps_(workspace.take<T>(steps_ * group_).data()),
          rest_(workspace.take<T>(steps_).data()),
          x_(workspace.take<double>(size_).data()),
          y_(workspace.take<double>(size_).data()),
          c_(workspace.take<double>(size_).data()) {}

    /// Prepares the tables of channel `h`. False if rounding errors would be larger than those of T.
    [[nodiscard]] bool set_channel(const DplrSystem& system, std::size_t h) noexcept {
        channel_.set(system, h);
        std::copy_n(channel_.b, size_, x_);
        RankOneSteps<Arch>(channel_, x_, y_)
            .run(steps_, states_);  // those behind the last tap too, which are not written
        return steps_ >= count_ || power_.fill(y_) < most_amplification;
    }

    /// The kernel of one head of this channel.
    void evaluate(const DplrSystem& system, std::size_t readout, T* taps) noexcept {
        channel_.copy(system.c, readout, c_);
        const std::size_t rows = (count_ + steps_ - 1) / steps_;
        for (std::size_t first = 0; first < rows; first += group_) {
            const std::size_t end = std::min(first + group_, rows);
            for (std::size_t i = first; i < end; ++i)
                next_row(rows_ + (i - first) * size_, i + 1 < rows);
            transpose_table(rows_, group_, size_, table_, group_);
            product_.assign({states_, size_, 1}, steps_, table_, taps_);
            write(first, end, taps);
        }
    }

private:
    /// Of errors of 1e-16, so that float does not see them.
    static constexpr double most_amplification = 1e7;

    /// Re c and -Im c; then c moves on if there are more.
    void next_row(T* to, bool more) noexcept {
        const std::size_t stride = channel_.stride;
        for (std::size_t n = 0; n < stride; n += lanes) {
            const ModePack c = load_modes(c_ + n, stride);
            simd::store_rounded(to + n, c.re);
            simd::store_rounded(to + stride + n, -c.im);
        }
        if (more)
            power_.apply(c_);
    }

    /// Rows of taps from the product, of which the very last may not be wanted whole.
    void write(std::size_t first, std::size_t end, T* taps) const noexcept {
        for (std::size_t i = first; i < end; i += pack)
            for (std::size_t s = 0; s < steps_; s += pack) {
                simd::Pack<T> block[pack];
                for (std::size_t j = 0; j < pack; ++j)
                    block[j] = simd::load_aligned(taps_ + (s + j) * group_ + (i - first));
                simd::transpose(block);
                for (std::size_t j = 0; j < std::min(pack, end - i); ++j)
                    simd::store(
                        (i + j + 1) * steps_ <= count_ ? taps + (i + j) * steps_ + s : rest_ + s,
                        block[j]);
            }
        if (const std::size_t rest = count_ % steps_; rest != 0 && end * steps_ > count_)
            std::copy_n(rest_, rest, taps + count_ - rest);
    }

    RankOneChannel channel_;
    std::size_t size_, count_, steps_;
    std::size_t group_;  ///< rows that are multiplied together
    Product product_;
    RankOnePower<Arch> power_;
    T* states_;            // (steps, 2 stride): Re x, Im x
    T* rows_;              // (group, 2 stride): Re c, -Im c
    T* table_;             // (2 stride, group): the same
    T* taps_;              // (steps, group)
    T* rest_;              // (steps): taps of which not all are wanted
    double *x_, *y_, *c_;  // (2, stride)
};

/// The first `count` taps of kernels of `length`, the others zero. `is_done` (H) says of which channels: those that
/// have modes which nearly coincide are left out.
template <class T>
void krylov_kernel(const DplrSystem& system, std::size_t length, std::size_t count,
                   std::span<T> kernel, std::span<char> is_done, Workspace& workspace) {
    const FlushSubnormals flush;
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
