#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/parallel.hpp>
#include <ssm/core/subnormals.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/dplr_system.hpp>
#include <ssm/kernel/detail/krylov_taps.hpp>
#include <ssm/kernel/detail/mode_pack.hpp>
#include <ssm/kernel/detail/rank_one_channel.hpp>
#include <ssm/kernel/detail/rank_one_power_adjoint.hpp>
#include <ssm/kernel/detail/rank_one_steps.hpp>
#include <ssm/kernel/detail/rank_one_steps_adjoint.hpp>
#include <ssm/kernel/detail/tap_product.hpp>
#include <ssm/kernel/vandermonde.hpp>
#include <ssm/simd/convert.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::detail {

/// Adjoint of `KrylovTaps`, K[i, s] = row_i state_s, through the same two tables: products in T of dK with either give the
/// gradient of the other; then gradients flow back in double through the steps of x, through the rows, through the power
/// that makes them, and through the steps of y that make the power.
template <class T, class Arch = simd::Arch>
class KrylovTapsAdjoint {
    using Product = TapProduct<T, Arch>;
    static constexpr std::size_t lanes = simd::width<double>;
    /// See `krylov_steps`. Measured; of what is as fast the one with smaller tables, as there are many of them.
    static constexpr double row_cost = 0.14;

public:
    KrylovTapsAdjoint(const DplrShape& shape, std::size_t count, Workspace& workspace)
        : channel_(shape.modes, workspace),
          of_channel_(shape.modes, workspace),
          size_(channel_.size()),
          count_(count),
          steps_(krylov_steps<T>(shape, count, row_cost)),
          rows_((count + steps_ - 1) / steps_),
          power_(channel_, of_channel_, shape.heads * (rows_ - 1), workspace),
          upstream_(workspace.take<T>(rows_ * steps_).data()),
          states_(workspace.take<T>(size_ * steps_).data()),
          of_states_(workspace.take<T>(size_ * steps_).data()),
          table_(workspace.take<T>(size_ * rows_).data()),
          of_table_(workspace.take<T>(size_ * rows_).data()),
          relative_(workspace.take<double>(size_ * steps_).data()),
          w_(workspace.take<double>(steps_).data()),
          flow_(workspace.take<double>(RankOneStepsAdjoint<Arch>::scratch(channel_)).data()),
          x_(workspace.take<double>(size_).data()),
          y_(workspace.take<double>(size_).data()),
          c_(workspace.take<double>(size_).data()) {}

    /// Adds to `gradient` what dkernel (heads, H, length) says about channel `h`. False, and nothing added, if rounding
    /// errors would be larger than those of T.
    [[nodiscard]] bool add(const DplrSystem& system, std::size_t h, std::size_t length,
                           const T* dkernel, DplrSystem& gradient) noexcept {
        channel_.set(system, h);
        if (!make_states())
            return false;
        of_channel_.clear();
        std::fill_n(of_states_, size_ * steps_, T(0));
        for (std::size_t head = 0; head < system.shape.heads; ++head) {
            take_upstream(dkernel + (head * system.shape.channels + h) * length);
            channel_.copy(system.c, system.readout(head, h, 0), c_);
            add_head();
            channel_.add(c_, gradient.c, system.readout(head, h, 0));
        }
        const std::size_t wanted = std::min(steps_, count_);
        const RankOneStepsAdjoint<Arch> steps(channel_, of_channel_, flow_);
        if (rows_ > 1)
            steps.add_relative(wanted, relative_, power_.finish());
        steps.add_states(wanted, states_, of_states_, w_);
        add_products();
        channel_.add(of_channel_.z, gradient.z, system.pole(h, 0));
        channel_.add(of_channel_.b, gradient.b, system.pole(h, 0));
        channel_.add(of_channel_.p, gradient.p, system.correction(0, h, 0));
        channel_.add(of_channel_.q, gradient.q, system.correction(0, h, 0));
        return true;
    }

private:
    /// Of errors of y, which are those of all its steps: so that float does not see them.
    static constexpr double most_amplification = 1e6;

    [[nodiscard]] bool make_states() noexcept {
        std::copy_n(channel_.b, size_, x_);
        RankOneSteps<Arch>(channel_, x_, y_).template run<true>(steps_, states_, {relative_, w_});
        // Nothing else flows back, and states that grow may be infinite there.
        if (count_ < steps_)
            std::fill_n(states_ + count_ * size_, (steps_ - count_) * size_, T(0));
        return rows_ == 1 || power_.start(y_, steps_) < most_amplification;
    }

    /// dK of one head, behind its end zero.
    void take_upstream(const T* dtaps) noexcept {
        std::copy_n(dtaps, count_, upstream_);
        std::fill(upstream_ + count_, upstream_ + rows_ * steps_, T(0));
    }

    /// What dK says about the states and, through the rows, about the power; c becomes G(c).
    void add_head() noexcept {
        const std::size_t first = power_.count();
        for (std::size_t i = 0; i < rows_; ++i) {
            write_row(table_ + i * size_);
            if (i + 1 < rows_)
                power_.apply(c_);
        }
        Product(rows_, size_).add({upstream_, 1, steps_}, steps_, table_, of_states_);
        Product(steps_, size_).assign({upstream_, steps_, 1}, rows_, states_, of_table_);
        std::fill_n(c_, size_, 0.0);
        for (std::size_t i = rows_; i-- > 0;) {
            add_row(of_table_ + i * size_);
            if (i > 0)
                power_.apply_adjoint(first + i - 1, c_);
        }
    }

    /// Re c and -Im c.
    void write_row(T* to) const noexcept {
        for (std::size_t n = 0; n < channel_.stride; n += lanes) {
            const ModePack c = load_modes(c_ + n, channel_.stride);
            simd::store_rounded(to + n, c.re);
            simd::store_rounded(to + channel_.stride + n, -c.im);
        }
    }
    /// Its adjoint: sums of dK x become the gradient of c.
    void add_row(const T* from) const noexcept {
        for (std::size_t n = 0; n < channel_.stride; n += lanes) {
            const ModePack x{simd::load_widened(from + n),
                             simd::load_widened(from + channel_.stride + n)};
            store_modes(c_ + n, channel_.stride,
                        load_modes(c_ + n, channel_.stride) + simd::conj(x));
        }
    }

    /// v = p q.
    void add_products() const noexcept {
        const std::size_t stride = channel_.stride;
        const auto add = [&](double* to, const double* factor, std::size_t n) {
            store_modes(
                to + n, stride,
                simd::conj_fma(load_modes(factor + n, stride),
                               load_modes(of_channel_.v + n, stride), load_modes(to + n, stride)));
        };
        for (std::size_t n = 0; n < stride; n += lanes) {
            add(of_channel_.p, channel_.q, n);
            add(of_channel_.q, channel_.p, n);
        }
    }

    RankOneChannel channel_;
    RankOneChannel of_channel_;  ///< its gradient
    std::size_t size_, count_, steps_, rows_;
    RankOnePowerAdjoint<Arch> power_;
    T* upstream_;          // (rows, steps): dK
    T* states_;            // (steps, 2 stride): Re x, Im x
    T* of_states_;         // the same: gradient of x
    T* table_;             // (rows, 2 stride): Re c, -Im c
    T* of_table_;          // the same: sums of dK Re x, dK Im x
    double* relative_;     // (steps, 2, stride): y
    double* w_;            // (steps): feedback
    double* flow_;         // of `RankOneStepsAdjoint`
    double *x_, *y_, *c_;  // (2, stride)
};

/// Adjoint of `krylov_kernel`: adds to `gradient` what the first `count` taps say. `is_done` (H) says of which channels:
/// those that have modes which nearly coincide are left out.
template <class T>
void krylov_kernel_adjoint(const DplrSystem& system, std::size_t length, std::size_t count,
                           std::span<const T> dkernel, DplrSystem& gradient,
                           std::span<char> is_done, Workspace& workspace) {
    const FlushSubnormals flush;
    const auto frame = workspace.frame();
    const DplrShape& shape = system.shape;
    using Worker = KrylovTapsAdjoint<T>;
    const std::span<Worker> workers = make_workers<Worker>(workspace, shape, count);
    parallel_for(
        shape.channels,
        [&](std::size_t h, std::size_t worker) {
            is_done[h] = workers[worker].add(system, h, length, dkernel.data(), gradient) ? 1 : 0;
        },
        TaskCost{0.3 * static_cast<double>(shape.modes * (shape.heads * count + 400))});
}

}  // namespace ssm::detail
