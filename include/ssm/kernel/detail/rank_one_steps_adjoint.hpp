#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/kernel/detail/mode_pack.hpp>
#include <ssm/kernel/detail/rank_one_channel.hpp>
#include <ssm/simd/convert.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::detail {

/// Adjoint of `RankOneSteps`: gradients mu of x and eta of y flow back,
///
///   mu_s  = conj(z) mu_{s+1} - conj(q) omega_s + dx_s      omega_s = Re sum_n conj(p_n) mu_{s+1,n}
///   eta_s = conj(z) eta_{s+1} - conj(v) tau_s              tau_s = Re sum_n eta_{s+1,n}
///
///   G(z) = sum_s mu_{s+1} conj(x_s) + eta_{s+1} conj(y_s)  G(p) = -sum_s w_s mu_{s+1}
///   G(v) = -sum_s tau_s conj(y_s)                          G(q) = -sum_s omega_s conj(x_s)
///
/// First all mu of some steps, step after step; then the sums, mode after mode, in registers. As there, feedbacks come
/// from the gradient before this one.
template <class Arch = simd::Arch>
class RankOneStepsAdjoint {
    using Pack = simd::Pack<double>;
    static constexpr std::size_t lanes = simd::width<double>;
    static constexpr std::size_t block = 32;  ///< of as many steps all fits into the first cache

public:
    /// Numbers of memory that it needs.
    [[nodiscard]] static std::size_t scratch(const RankOneChannel& channel) noexcept {
        return (block + 1) * channel.size() + block;
    }
    RankOneStepsAdjoint(const RankOneChannel& channel, const RankOneChannel& gradient,
                        double* memory) noexcept
        : a_(channel),
          gradient_(gradient),
          stride_(channel.stride),
          size_(channel.size()),
          flow_(memory),
          feedback_(memory + (block + 1) * size_) {}

    /// Through `count` steps of x: from states and what the taps say of each, (count, 2, stride), and feedbacks w.
    template <class T>
    void add_states(std::size_t count, const T* x, const T* dx, const double* w) const noexcept {
        // Copies: compilers take a store of a pack for one that may change members.
        const RankOneChannel a = a_;
        const std::size_t stride = stride_, size = size_;
        double* const flow = flow_;
        const double through = real_product(a.p, a.q);
        double omega = 0.0;
        std::fill_n(flow + block * size, size, 0.0);
        for (std::size_t end = count; end > 0;) {
            const std::size_t steps = std::min(block, end);
            const std::size_t first = end - steps;
            for (std::size_t t = steps; t-- > 0;) {
                const double* const after = behind(t, steps);
                double* const to = flow + t * size;
                const T* const from = dx + (first + t) * size;
                feedback_[t] = omega;
                const Pack fed(omega);
                ModePack next{Pack(0.0), Pack(0.0)};
                for (std::size_t n = 0; n < stride; n += lanes) {
                    const ModePack q = load_modes(a.q + n, stride), p = load_modes(a.p + n, stride);
                    const ModePack free = simd::conj_fma(
                        load_modes(a.z + n, stride), load_modes(after + n, stride),
                        {simd::load_widened(from + n), simd::load_widened(from + stride + n)});
                    next.re = simd::fma(p.re, free.re, next.re);
                    next.im = simd::fma(p.im, free.im, next.im);
                    store_modes(to + n, stride,
                                {simd::fnma(q.re, fed, free.re), simd::fma(q.im, fed, free.im)});
                }
                omega = simd::reduce_add(next.re + next.im) - through * omega;
            }
            for (std::size_t n = 0; n < stride; n += lanes)
                sum_states(n, steps, x + first * size, w + first);
            std::copy_n(flow, size, flow + block * size);
            end = first;
        }
        for (std::size_t n = 0; n < stride; n += lanes)
            add(gradient_.b + n, load_modes(flow + block * size + n, stride));
    }

    /// Through `count` steps of y (count, 2, stride): from the gradient `eta` of what they end with.
    void add_relative(std::size_t count, const double* y, const double* eta) const noexcept {
        const RankOneChannel a = a_;
        const std::size_t stride = stride_, size = size_;
        double* const flow = flow_;
        std::copy_n(eta, size, flow + block * size);
        double tau = 0.0, of_ones = 0.0;
        for (std::size_t n = 0; n < a.modes; ++n) {
            tau += eta[n];
            of_ones += a.v[n];
        }
        for (std::size_t end = count; end > 0;) {
            const std::size_t steps = std::min(block, end);
            const std::size_t first = end - steps;
            for (std::size_t t = steps; t-- > 0;) {
                const double* const after = behind(t, steps);
                double* const to = flow + t * size;
                feedback_[t] = tau;
                const Pack fed(tau);
                Pack next(0.0);
                for (std::size_t n = 0; n < stride; n += lanes) {
                    const ModePack v = load_modes(a.v + n, stride);
                    const ModePack free =
                        simd::conj_mul(load_modes(a.z + n, stride), load_modes(after + n, stride));
                    next += free.re;
                    store_modes(to + n, stride,
                                {simd::fnma(v.re, fed, free.re), simd::fma(v.im, fed, free.im)});
                }
                tau = simd::reduce_add(next) - of_ones * tau;
            }
            for (std::size_t n = 0; n < stride; n += lanes)
                sum_relative(n, steps, y + first * size);
            std::copy_n(flow, size, flow + block * size);
            end = first;
        }
    }

private:
    /// The gradient one step behind step `t` of a block.
    [[nodiscard]] SSM_INLINE const double* behind(std::size_t t, std::size_t steps) const noexcept {
        return flow_ + (t + 1 == steps ? block : t + 1) * size_;
    }

    template <class T>
    SSM_INLINE void sum_states(std::size_t n, std::size_t steps, const T* x,
                               const double* w) const noexcept {
        const ModePack zero{Pack(0.0), Pack(0.0)};
        ModePack of_z = zero, of_p = zero, of_q = zero;
        for (std::size_t t = 0; t < steps; ++t) {
            const ModePack after = at(behind(t, steps), n);
            const T* const now = x + t * size_ + n;
            const ModePack state{simd::load_widened(now), simd::load_widened(now + stride_)};
            of_z = simd::conj_fma(state, after, of_z);
            of_p = simd::fma(after, Pack(w[t]), of_p);
            of_q = simd::fma(state, Pack(feedback_[t]), of_q);
        }
        add(gradient_.z + n, of_z);
        add(gradient_.p + n, -of_p);
        add(gradient_.q + n, -simd::conj(of_q));
    }

    SSM_INLINE void sum_relative(std::size_t n, std::size_t steps, const double* y) const noexcept {
        const ModePack zero{Pack(0.0), Pack(0.0)};
        ModePack of_z = zero, of_v = zero;
        for (std::size_t t = 0; t < steps; ++t) {
            const ModePack after = at(behind(t, steps), n);
            const ModePack relative = at(y + t * size_, n);
            of_z = simd::conj_fma(relative, after, of_z);
            of_v = simd::fma(relative, Pack(feedback_[t]), of_v);
        }
        add(gradient_.z + n, of_z);
        add(gradient_.v + n, -simd::conj(of_v));
    }

    [[nodiscard]] SSM_INLINE ModePack at(const double* from, std::size_t n) const noexcept {
        return load_modes(from + n, stride_);
    }
    SSM_INLINE void add(double* to, ModePack x) const noexcept {
        store_modes(to, stride_, load_modes(to, stride_) + x);
    }
    /// Re sum conj(a b) = Re sum a b.
    [[nodiscard]] double real_product(const double* a, const double* b) const noexcept {
        Pack sum(0.0);
        for (std::size_t n = 0; n < stride_; n += lanes)
            sum = simd::real_fma(at(a, n), at(b, n), sum);
        return simd::reduce_add(sum);
    }

    RankOneChannel a_, gradient_;
    std::size_t stride_, size_;
    double* flow_;  // (block + 1, 2, stride): mu or eta, the last that of the step behind the block
    double* feedback_;  // (block): omega or tau
};

}  // namespace ssm::detail
