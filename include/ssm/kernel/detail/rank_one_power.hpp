#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include <ssm/core/config.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/kernel/detail/mode_pack.hpp>
#include <ssm/simd/bits.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// A power M = A_bar^steps of one channel, A_bar = diag(z) - p q^T / 2 over modes and their conjugate partners (of both
/// one is stored, and the factor 2 of pairs is in q), from what it does to p alone: p y = M p. A power commutes with A_bar,
/// and so it is a Loewner matrix:
///
///   M_ij = -p_i L_ij q_j / 2      L_ij = (y_i - y_j) / (z_i - z_j)      i != j
///   M_jj = y_j + S_j(p q / 2)     S_j(r) = sum_{i != j} r_i L_ij + sum_i conj(r_i) L_i*j
///   (c M)_j = M_jj c_j - q_j S_j(p c) / 2
///
/// with i* the partner of i, and S a real matrix. These are n^2 divided differences instead of (2 n)^3 multiply-adds for
/// each squaring.
template <class Arch = simd::Arch>
class RankOnePower {
    using Pack = simd::Pack<double>;
    static constexpr std::size_t lanes = simd::width<double>;

public:
    RankOnePower(std::size_t modes, std::size_t stride, Workspace& workspace)
        : modes_(modes),
          stride_(stride),
          loewner_(workspace.take<double>(4 * stride * modes).data()),
          diagonal_(workspace.take<double>(2 * stride).data()),
          weighted_(workspace.take<double>(2 * stride).data()),
          sums_(workspace.take<double>(2 * stride).data()) {}

    /// A_bar, each (2, stride).
    struct System {
        const double *z, *p, *q;
    };

    /// From v = p q and y, both (2, stride). Returns how much rounding errors of y are amplified at most; infinite
    /// where two modes coincide or a number is not finite.
    [[nodiscard]] double fill(const System& system, const double* v, const double* y) noexcept {
        p_ = system.p;
        q_ = system.q;
        double nearest = 1e300;
        for (std::size_t i = 0; i < modes_; ++i)
            nearest = std::min(nearest, fill_row(i, system.z, y));
        for (std::size_t n = 0; n < 2 * stride_; n += lanes)
            simd::store_aligned(weighted_ + n, simd::load_aligned(v + n) * 0.5);
        add_sums();
        double largest = 0.0, finite = 0.0;
        for (std::size_t n = 0; n < stride_; n += lanes) {
            store_modes(diagonal_ + n, stride_, load_modes(y + n, stride_) + sum(n));
            const Pack size =
                simd::norm(load_modes(v + n, stride_)) * simd::norm(load_modes(y + n, stride_));
            largest = std::max(largest, simd::reduce_max(size));
            finite += simd::reduce_add(size * 0.0);  // NaN, which a maximum may lose
        }
        if (finite != 0.0)
            return std::numeric_limits<double>::infinity();
        return std::sqrt(largest / nearest);
    }

    /// c := c M.
    void apply(double* c) const noexcept {
        for (std::size_t n = 0; n < stride_; n += lanes)
            store_modes(weighted_ + n, stride_,
                        load_modes(p_ + n, stride_) * load_modes(c + n, stride_));
        add_sums();
        for (std::size_t n = 0; n < stride_; n += lanes) {
            const ModePack through = load_modes(q_ + n, stride_) * sum(n) * Pack(0.5);
            store_modes(c + n, stride_,
                        load_modes(diagonal_ + n, stride_) * load_modes(c + n, stride_) - through);
        }
    }

private:
    [[nodiscard]] SSM_INLINE ModePack sum(std::size_t n) const noexcept {
        return load_modes(sums_ + n, stride_);
    }

    /// What r_i is multiplied with: [Re r_i to Re S, to Im S, Im r_i to Re S, to Im S][stride]. Returns the smallest
    /// |z_i - z_j|^2.
    double fill_row(std::size_t i, const double* z, const double* y) noexcept {
        const Pack z_re(z[i]), z_im(z[i + stride_]), y_re(y[i]), y_im(y[i + stride_]);
        double* to = loewner_ + 4 * stride_ * i;
        Pack nearest(1e300);
        for (std::size_t n = 0; n < stride_; n += lanes, to += lanes) {
            const Pack j = simd::iota<double>() + Pack(static_cast<double>(n));
            const auto is_self = j == Pack(static_cast<double>(i));
            const auto is_padding = j >= Pack(static_cast<double>(modes_));
            const ModePack zj = load_modes(z + n, stride_);
            const ModePack yj = load_modes(y + n, stride_);
            const ModePack dz{z_re - zj.re, z_im - zj.im}, dz_partner{dz.re, -(z_im + zj.im)};
            const ModePack dy{y_re - yj.re, y_im - yj.im}, dy_partner{dy.re, -(y_im + yj.im)};
            const Pack far = simd::select(is_self || is_padding, Pack(1.0), simd::norm(dz));
            const Pack far_partner = simd::select(is_padding, Pack(1.0), simd::norm(dz_partner));
            nearest = simd::min(nearest, simd::min(far, far_partner));
            const Pack both =
                simd::select(is_padding, Pack(0.0), simd::detail::reciprocal(far * far_partner));
            const Pack scale = simd::select(is_self, Pack(0.0), both * far_partner);
            const ModePack L = simd::conj_mul(dz, dy) * scale;
            const ModePack L_partner = simd::conj_mul(dz_partner, dy_partner) * (both * far);
            simd::store_aligned(to, L.re + L_partner.re);
            simd::store_aligned(to + stride_, L.im + L_partner.im);
            simd::store_aligned(to + 2 * stride_, L_partner.im - L.im);
            simd::store_aligned(to + 3 * stride_, L.re - L_partner.re);
        }
        return -simd::reduce_max(-nearest);
    }

    /// S of `weighted_`.
    void add_sums() const noexcept {
        std::size_t n = 0;
        for (; n + 4 * lanes <= stride_; n += 4 * lanes)
            add_columns<4>(n);
        for (; n < stride_; n += lanes)
            add_columns<1>(n);
    }
    template <std::size_t packs>
    SSM_INLINE void add_columns(std::size_t n) const noexcept {
        Pack re[packs], im[packs];
        simd::unroll<packs>([&](auto k) SSM_INLINE_LAMBDA { re[k] = im[k] = Pack(0.0); });
        const double* from = loewner_ + n;
        for (std::size_t i = 0; i < modes_; ++i, from += 4 * stride_) {
            const Pack r_re(weighted_[i]), r_im(weighted_[stride_ + i]);
            simd::unroll<packs>([&](auto k) SSM_INLINE_LAMBDA {
                const double* const at = from + k * lanes;
                re[k] = simd::fma(simd::load_aligned(at), r_re, re[k]);
                im[k] = simd::fma(simd::load_aligned(at + stride_), r_re, im[k]);
                re[k] = simd::fma(simd::load_aligned(at + 2 * stride_), r_im, re[k]);
                im[k] = simd::fma(simd::load_aligned(at + 3 * stride_), r_im, im[k]);
            });
        }
        simd::unroll<packs>([&](auto k) SSM_INLINE_LAMBDA {
            store_modes(sums_ + n + k * lanes, stride_, {re[k], im[k]});
        });
    }

    std::size_t modes_;
    std::size_t stride_;
    double* loewner_;   // (modes, 4, stride)
    double* diagonal_;  // (2, stride): M_jj
    double* weighted_;  // (2, stride): p c
    double* sums_;      // (2, stride): S
    const double* p_ = nullptr;
    const double* q_ = nullptr;
};

}  // namespace ssm::detail
