#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include <ssm/core/config.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/kernel/detail/mode_pack.hpp>
#include <ssm/kernel/detail/rank_one_channel.hpp>
#include <ssm/simd/bits.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/transpose.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// A power M = A_bar^steps of one channel, A_bar = diag(z) - p q^T / 2 over modes and their conjugate partners (of both
/// one is stored, and the factor 2 of pairs is in q), from what it does to p alone: p y = M p. A power commutes with A_bar,
/// and so it is a Loewner matrix:
///
///   M_ij = -p_i L_ij q_j / 2      L_ij = (y_i - y_j) / (z_i - z_j)      i != j
///   M_jj = y_j + S_j(p q / 2)     S_j(r) = sum_{i != j} r_i L_ij + sum_i conj(r_i) P_ij
///   (c M)_j = M_jj c_j - q_j S_j(p c) / 2
///
/// with P_ij = L_i*j, i* the partner of i. These are n^2 divided differences instead of (2 n)^3 multiply-adds for each
/// squaring; and half of them, as L_ji = L_ij and P_ji = conj(P_ij).
///
/// Layout    blocks (row, column), column >= row, of as many modes as a pack has lanes: of each i of the row what r_i is
///           multiplied with, [Re r_i to Re S, to Im S, Im r_i to Re S, to Im S][j]
template <class Arch = simd::Arch>
class RankOnePower {
    using Pack = simd::Pack<double>;

public:
    static constexpr std::size_t lanes = simd::width<double>;
    static constexpr std::size_t block_size = 4 * lanes * lanes;

    RankOnePower(const RankOneChannel& channel, Workspace& workspace)
        : channel_(channel),
          stride_(channel.stride),
          blocks_((channel.modes + lanes - 1) / lanes),
          loewner_(workspace.take<double>(blocks_ * (blocks_ + 1) / 2 * block_size).data()),
          diagonal_(workspace.take<double>(channel.size()).data()),
          weighted_(workspace.take<double>(channel.size()).data()),
          sums_(workspace.take<double>(channel.size()).data()) {}

    /// From y (2, stride), whose padding has no meaning. Returns how much rounding errors of y are amplified at most;
    /// infinite where two modes coincide or a number is not finite.
    [[nodiscard]] double fill(const double* y) noexcept {
        Pack nearest(1e300);
        double* to = loewner_;
        for (std::size_t i = 0; i < blocks_ * lanes; i += lanes)
            for (std::size_t j = i; j < blocks_ * lanes; j += lanes, to += block_size)
                if (i != j && j + lanes <= channel_.modes)
                    fill_block<true>(i, j, y, to, nearest);
                else
                    fill_block<false>(i, j, y, to, nearest);
        nearest_ = std::sqrt(-simd::reduce_max(-nearest));
        const double* const v = channel_.v;
        for (std::size_t n = 0; n < 2 * stride_; n += lanes)
            simd::store_aligned(weighted_ + n, simd::load_aligned(v + n) * 0.5);
        multiply(weighted_, sums_);
        Pack most_p(0.0), most_q(0.0), most_y(0.0);
        double finite = 0.0;
        const auto size = [](ModePack of_modes) SSM_INLINE_LAMBDA { return simd::norm(of_modes); };
        for (std::size_t n = 0; n < stride_; n += lanes) {
            store_modes(diagonal_ + n, stride_,
                        load_modes(y + n, stride_) + load_modes(sums_ + n, stride_));
            const Pack in_use = simd::select(simd::iota<double>() + Pack(static_cast<double>(n)) <
                                                 Pack(static_cast<double>(channel_.modes)),
                                             size(load_modes(y + n, stride_)), Pack(0.0));
            most_p = simd::max(most_p, size(load_modes(channel_.p + n, stride_)));
            most_q = simd::max(most_q, size(load_modes(channel_.q + n, stride_)));
            most_y = simd::max(most_y, in_use);
            // NaN, which a maximum may lose
            finite += simd::reduce_add(size(load_modes(v + n, stride_)) * in_use * 0.0);
        }
        if (finite != 0.0)
            return std::numeric_limits<double>::infinity();
        return std::sqrt(simd::reduce_max(most_p)) * std::sqrt(simd::reduce_max(most_q)) *
               std::sqrt(simd::reduce_max(most_y)) / nearest_;
    }

    /// c := c M.
    void apply(double* c) const noexcept { apply(c, weighted_, sums_); }

    /// The same, and writes r = p c and S(r).
    void apply(double* c, double* r, double* sums) const noexcept {
        for (std::size_t n = 0; n < stride_; n += lanes)
            store_modes(r + n, stride_,
                        load_modes(channel_.p + n, stride_) * load_modes(c + n, stride_));
        multiply(r, sums);
        for (std::size_t n = 0; n < stride_; n += lanes) {
            const ModePack through =
                load_modes(channel_.q + n, stride_) * load_modes(sums + n, stride_) * Pack(0.5);
            store_modes(c + n, stride_,
                        load_modes(diagonal_ + n, stride_) * load_modes(c + n, stride_) - through);
        }
    }

    /// sums = S(r), both (2, stride).
    void multiply(const double* r, double* sums) const noexcept {
        // Copies: compilers take a store of a pack for one that may change members.
        const std::size_t stride = stride_, end = blocks_ * lanes;
        std::fill_n(sums, 2 * stride, 0.0);
        const double* block = loewner_;
        for (std::size_t n = 0; n < end; n += lanes) {
            ModePack mirrored[lanes];
            simd::unroll<lanes>([&](auto i) SSM_INLINE_LAMBDA {
                mirrored[i] = {Pack(0.0), Pack(0.0)};
            });
            add_block(block, stride, r + n, sums + n);
            block += block_size;
            for (std::size_t m = n + lanes; m < end; m += lanes, block += block_size)
                add_both(block, stride, r + n, r + m, sums + m, mirrored);
            store_modes(sums + n, stride, load_modes(sums + n, stride) + sum_lanes(mirrored));
        }
    }

    [[nodiscard]] std::size_t blocks() const noexcept { return blocks_; }
    [[nodiscard]] const double* loewner() const noexcept { return loewner_; }
    /// M_jj, (2, stride).
    [[nodiscard]] const double* diagonal() const noexcept { return diagonal_; }
    /// The smallest |z_i - z_j|.
    [[nodiscard]] double nearest() const noexcept { return nearest_; }

    /// Lane i becomes the sum over the lanes of `rows[i]`.
    [[nodiscard]] SSM_INLINE static ModePack sum_lanes(const ModePack (&rows)[lanes]) noexcept {
        Pack re[lanes], im[lanes];
        simd::unroll<lanes>([&](auto i) SSM_INLINE_LAMBDA {
            re[i] = rows[i].re;
            im[i] = rows[i].im;
        });
        simd::transpose(re);
        simd::transpose(im);
        ModePack sum{re[0], im[0]};
        for (std::size_t i = 1; i < lanes; ++i)
            sum += ModePack{re[i], im[i]};
        return sum;
    }

private:
    /// Of modes from `i` on and from `j` on, `apart` if all of them are modes and none the same.
    template <bool apart>
    void fill_block(std::size_t i, std::size_t j, const double* y, double* to,
                    Pack& nearest) const noexcept {
        const double* const z = channel_.z;
        const std::size_t stride = stride_, modes = channel_.modes;
        const ModePack zj = load_modes(z + j, stride), yj = load_modes(y + j, stride);
        const Pack index = simd::iota<double>() + Pack(static_cast<double>(j));
        for (const std::size_t end = i + lanes; i < end; ++i, to += 4 * lanes) {
            const Pack z_im(z[i + stride]), y_im(y[i + stride]);
            const ModePack dz{Pack(z[i]) - zj.re, z_im - zj.im}, dz_partner{dz.re, -(z_im + zj.im)};
            const ModePack dy{Pack(y[i]) - yj.re, y_im - yj.im}, dy_partner{dy.re, -(y_im + yj.im)};
            Pack far = simd::norm(dz), far_partner = simd::norm(dz_partner);
            const auto is_self = index == Pack(static_cast<double>(i));
            const auto is_padding =
                simd::max(index, static_cast<double>(i)) >= Pack(static_cast<double>(modes));
            if constexpr (!apart) {
                far = simd::select(is_self || is_padding, Pack(1.0), far);
                far_partner = simd::select(is_padding, Pack(1.0), far_partner);
            }
            nearest = simd::min(nearest, simd::min(far, far_partner));
            const Pack both = simd::detail::reciprocal(far * far_partner);
            Pack scale = both * far_partner, scale_partner = both * far;
            if constexpr (!apart) {
                scale = simd::select(is_self || is_padding, Pack(0.0), scale);
                scale_partner = simd::select(is_padding, Pack(0.0), scale_partner);
            }
            const ModePack L = simd::conj_mul(dz, dy) * scale;
            const ModePack P = simd::conj_mul(dz_partner, dy_partner) * scale_partner;
            simd::store_aligned(to, L.re + P.re);
            simd::store_aligned(to + lanes, L.im + P.im);
            simd::store_aligned(to + 2 * lanes, P.im - L.im);
            simd::store_aligned(to + 3 * lanes, L.re - P.re);
        }
    }

    /// Adds a block's products with r to S of its columns.
    SSM_INLINE static void add_block(const double* block, std::size_t stride, const double* r,
                                     double* sums) noexcept {
        ModePack sum = load_modes(sums, stride);
        simd::unroll<lanes>([&](auto i) SSM_INLINE_LAMBDA {
            const double* const from = block + 4 * lanes * i;
            const Pack r_re(r[i]), r_im(r[stride + i]);
            sum.re = simd::fma(simd::load_aligned(from), r_re, sum.re);
            sum.im = simd::fma(simd::load_aligned(from + lanes), r_re, sum.im);
            sum.re = simd::fma(simd::load_aligned(from + 2 * lanes), r_im, sum.re);
            sum.im = simd::fma(simd::load_aligned(from + 3 * lanes), r_im, sum.im);
        });
        store_modes(sums, stride, sum);
    }
    /// The same, and to `mirrored` what the block's mirror image makes of `r_columns`. One row after the other of the four,
    /// so that all fits into 16 registers.
    SSM_INLINE static void add_both(const double* block, std::size_t stride, const double* r,
                                    const double* r_columns, double* sums,
                                    ModePack (&mirrored)[lanes]) noexcept {
        ModePack sum = load_modes(sums, stride);
        const ModePack other = load_modes(r_columns, stride);
        simd::unroll<lanes>([&](auto i) SSM_INLINE_LAMBDA {
            const double* const from = block + 4 * lanes * i;
            const Pack re_re = simd::load_aligned(from);
            sum.re = simd::fma(re_re, Pack(r[i]), sum.re);
            mirrored[i].re = simd::fma(re_re, other.re, mirrored[i].re);
            const Pack re_im = simd::load_aligned(from + lanes);
            sum.im = simd::fma(re_im, Pack(r[i]), sum.im);
            mirrored[i].re = simd::fnma(re_im, other.im, mirrored[i].re);
            const Pack im_re = simd::load_aligned(from + 2 * lanes);
            sum.re = simd::fma(im_re, Pack(r[stride + i]), sum.re);
            mirrored[i].im = simd::fnma(im_re, other.re, mirrored[i].im);
            const Pack im_im = simd::load_aligned(from + 3 * lanes);
            sum.im = simd::fma(im_im, Pack(r[stride + i]), sum.im);
            mirrored[i].im = simd::fma(im_im, other.im, mirrored[i].im);
        });
        store_modes(sums, stride, sum);
    }

    RankOneChannel channel_;
    std::size_t stride_, blocks_;
    double* loewner_;
    double* diagonal_;  // (2, stride): M_jj
    double* weighted_;  // (2, stride): p c
    double* sums_;      // (2, stride): S
    double nearest_ = 0.0;
};

}  // namespace ssm::detail
