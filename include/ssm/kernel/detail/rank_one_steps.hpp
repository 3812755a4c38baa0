#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/kernel/detail/mode_pack.hpp>
#include <ssm/kernel/detail/rank_one_channel.hpp>
#include <ssm/simd/convert.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// Steps x := A_bar x of one channel of rank 1, and beside them of y, where p y is what A_bar^s makes of p (so that
/// nothing is divided by p):
///
///   x' = z x - p w      w' = Re sum_n q_n z_n x_n - w Re sum_n q_n p_n
///   y' = z y - g        g' = Re sum_n v_n z_n y_n - g Re sum_n v_n            v = p q, y = 1 at first
///
/// The feedback of the next step comes from the state before this one: then sums across lanes are not waited for.
///
/// Layout    all arrays (re, im)[stride], stride a multiple of a cache line
template <class Arch = simd::Arch>
class RankOneSteps {
    using Pack = simd::Pack<double>;
    static constexpr std::size_t lanes = simd::width<double>;

public:
    /// What an adjoint needs of the steps beside x.
    struct Trace {
        double* y = nullptr;  ///< (count, 2, stride)
        double* w = nullptr;  ///< (count)
    };

    /// From x and y on; y is set to 1 in the places of modes.
    RankOneSteps(const RankOneChannel& channel, double* x, double* y) noexcept
        : a_(channel), x_(x), y_(y) {
        std::fill_n(y_, a_.modes, 1.0);
        std::fill_n(y_ + a_.modes, a_.size() - a_.modes, 0.0);
        w_ = real_product(a_.q, x_);
        through_ = real_product(a_.q, a_.p);
        g_ = through_y_ = real_product(a_.v, y_);
    }

    /// Writes `count` states x, each (re, im)[stride] of T, and makes as many steps.
    template <bool traced = false, class T>
    void run(std::size_t count, T* states, const Trace& trace = {}) noexcept {
        // All of both states in registers, if there are so many.
        if (simd::registers == 32 && a_.stride == 4 * lanes)
            run_held<4, traced>(count, states, trace);
        else if (simd::registers == 32 && a_.stride == 2 * lanes)
            run_held<2, traced>(count, states, trace);
        else
            run_held<0, traced>(count, states, trace);
    }

private:
    /// A state during some steps: in registers, or for 0 packs in memory.
    template <std::size_t packs>
    class Held {
    public:
        SSM_INLINE Held(double* x, std::size_t stride) noexcept : x_(x), stride_(stride) {
            simd::unroll<packs>(
                [&](auto k) SSM_INLINE_LAMBDA { held_[k] = load_modes(x + k * lanes, stride); });
        }
        template <class Index>
        [[nodiscard]] SSM_INLINE ModePack get(Index k) const noexcept {
            if constexpr (packs == 0)
                return load_modes(x_ + k * lanes, stride_);
            else
                return held_[k];
        }
        template <class Index>
        SSM_INLINE void set(Index k, ModePack value) noexcept {
            if constexpr (packs == 0)
                store_modes(x_ + k * lanes, stride_, value);
            else
                held_[k] = value;
        }
        SSM_INLINE void write() const noexcept {
            simd::unroll<packs>(
                [&](auto k) SSM_INLINE_LAMBDA { store_modes(x_ + k * lanes, stride_, held_[k]); });
        }

    private:
        double* x_;
        std::size_t stride_;
        ModePack held_[packs == 0 ? 1 : packs];
    };

    template <std::size_t packs, class Body>
    SSM_INLINE static void for_each_pack(std::size_t stride, Body&& body) noexcept {
        if constexpr (packs == 0)
            for (std::size_t k = 0; k * lanes < stride; ++k)
                body(k);
        else
            simd::unroll<packs>(body);
    }

    template <std::size_t packs, bool traced, class T>
    void run_held(std::size_t count, T* states, const Trace& trace) noexcept {
        // Copies: compilers take a store of a pack for one that may change members.
        const RankOneChannel a = a_;
        double* const relatives = trace.y;
        const std::size_t stride = a.stride, size = a.size();
        Held<packs> x(x_, stride), y(y_, stride);
        for (std::size_t s = 0; s < count; ++s, states += size) {
            const Pack w(w_), g(g_), zero(0.0);
            ModePack next_w{zero, zero}, next_g{zero, zero};
            for_each_pack<packs>(stride, [&](auto k) SSM_INLINE_LAMBDA {
                const std::size_t n = k * lanes;
                const ModePack z = load_modes(a.z + n, stride), p = load_modes(a.p + n, stride);
                const ModePack now = x.get(k), relative = y.get(k);
                simd::store_rounded(states + n, now.re);
                simd::store_rounded(states + stride + n, now.im);
                if constexpr (traced)
                    store_modes(relatives + s * size + n, stride, relative);
                const ModePack free = z * now, free_y = z * relative;
                add_products(load_modes(a.q + n, stride), free, next_w);
                add_products(load_modes(a.v + n, stride), free_y, next_g);
                x.set(k, {simd::fnma(p.re, w, free.re), simd::fnma(p.im, w, free.im)});
                y.set(k, {free_y.re - g, free_y.im});
            });
            if constexpr (traced)
                trace.w[s] = w_;
            w_ = simd::reduce_add(next_w.re - next_w.im) - through_ * w_;
            g_ = simd::reduce_add(next_g.re - next_g.im) - through_y_ * g_;
        }
        x.write();
        y.write();
    }

    /// To Re(a b) = sum.re - sum.im, in two chains.
    SSM_INLINE static void add_products(ModePack a, ModePack b, ModePack& sum) noexcept {
        sum.re = simd::fma(a.re, b.re, sum.re);
        sum.im = simd::fma(a.im, b.im, sum.im);
    }
    [[nodiscard]] double real_product(const double* a, const double* b) const noexcept {
        Pack sum(0.0);
        for (std::size_t n = 0; n < a_.stride; n += lanes)
            sum = simd::real_fma(load_modes(a + n, a_.stride), load_modes(b + n, a_.stride), sum);
        return simd::reduce_add(sum);
    }

    const RankOneChannel& a_;
    double *x_, *y_;
    double w_, g_, through_, through_y_;
};

}  // namespace ssm::detail
