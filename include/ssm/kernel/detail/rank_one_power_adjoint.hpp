#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/kernel/detail/mode_pack.hpp>
#include <ssm/kernel/detail/rank_one_channel.hpp>
#include <ssm/kernel/detail/rank_one_power.hpp>
#include <ssm/simd/bits.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// Adjoint of some products c M with a `RankOnePower`. From the gradient gamma of c M, with sigma = -conj(q) gamma / 2
/// that of S(r), r = p c,
///
///   G(c) = conj(M_jj) gamma + conj(p) G(r)      G(r) = conj(S(conj(sigma)))       as S is its own mirror image
///
/// What products say about L and P is collected, with M_jj = y_j + S_j(v / 2) as one product more, and becomes at the
/// end that about z and y:
///
///   G(L_ij) = sum conj(r_i) sigma_j    dL_ij = (dy_i - dy_j - L_ij (dz_i - dz_j)) / (z_i - z_j)
///   G(P_ij) = sum r_i sigma_j          dP_ij = (conj(dy_i) - dy_j - P_ij (conj(dz_i) - dz_j)) / (conj(z_i) - z_j)
///
/// Of each pair (i, j) and (j, i) both together, as M has it.
template <class Arch = simd::Arch>
class RankOnePowerAdjoint {
    using Pack = simd::Pack<double>;
    using Power = RankOnePower<Arch>;
    static constexpr std::size_t lanes = Power::lanes;

public:
    /// For up to `most` products.
    RankOnePowerAdjoint(const RankOneChannel& channel, const RankOneChannel& gradient,
                        std::size_t most, Workspace& workspace)
        : channel_(channel),
          gradient_(gradient),
          power_(channel, workspace),
          stride_(channel.stride),
          size_(channel.size()),
          c_(workspace.take<double>(most * size_).data()),
          sums_(workspace.take<double>(most * size_).data()),
          r_(workspace.take<double>((most + 1) * size_).data()),
          sigma_(workspace.take<double>((most + 1) * size_).data()),
          of_diagonal_(workspace.take<double>(size_).data()),
          of_r_(workspace.take<double>(size_).data()),
          of_y_(workspace.take<double>(size_).data()) {}

    /// Forgets all products. M from y, as `RankOnePower::fill`. Returns how much rounding errors of y are amplified at most
    /// in M, and in gradients: these are divided by z_i - z_j once more, and compared with sums over `steps`.
    [[nodiscard]] double start(const double* y, std::size_t steps) noexcept {
        count_ = 0;
        std::fill_n(of_diagonal_, size_, 0.0);
        const double amplification = power_.fill(y);
        const double more = 1.0 / (power_.nearest() * static_cast<double>(steps));
        return std::max(more, amplification * std::max(1.0, more));
    }

    /// Products so far.
    [[nodiscard]] std::size_t count() const noexcept { return count_; }

    /// c := c M.
    void apply(double* c) noexcept {
        const std::size_t at = count_++ * size_;
        std::copy_n(c, size_, c_ + at);
        power_.apply(c, r_ + at, sums_ + at);
    }

    /// gamma := G(c), from the gradient of what product `index` made of it.
    void apply_adjoint(std::size_t index, double* gamma) noexcept {
        const std::size_t at = index * size_;
        for (std::size_t n = 0; n < stride_; n += lanes) {
            const ModePack after = load(gamma + n), q = load(channel_.q + n);
            const ModePack half = after * Pack(0.5);
            store_modes(sigma_ + at + n, stride_, -(q * simd::conj(half)));
            add(gradient_.q + n, -simd::conj_mul(load(sums_ + at + n), half));
            add(of_diagonal_ + n, simd::conj_mul(load(c_ + at + n), after));
        }
        power_.multiply(sigma_ + at, of_r_);
        for (std::size_t n = 0; n < stride_; n += lanes) {
            const ModePack of_r = simd::conj(load(of_r_ + n));
            add(gradient_.p + n, simd::conj_mul(load(c_ + at + n), of_r));
            store_modes(
                gamma + n, stride_,
                simd::conj_fma(load(channel_.p + n), of_r,
                               simd::conj_mul(load(power_.diagonal() + n), load(gamma + n))));
        }
    }

    /// Adds to G(z) and G(v) what all products say about them. Returns G(y), of y at the end of the steps.
    const double* finish() noexcept {
        const std::size_t at = count_ * size_;
        for (std::size_t n = 0; n < stride_; n += lanes) {
            store_modes(r_ + at + n, stride_, load(channel_.v + n) * Pack(0.5));
            store_modes(sigma_ + at + n, stride_, simd::conj(load(of_diagonal_ + n)));
        }
        power_.multiply(sigma_ + at, of_r_);
        for (std::size_t n = 0; n < stride_; n += lanes)
            add(gradient_.v + n, simd::conj(load(of_r_ + n)) * Pack(0.5));
        std::copy_n(of_diagonal_, size_, of_y_);
        const double* block = power_.loewner();
        for (std::size_t row = 0; row < power_.blocks(); ++row) {
            const std::size_t i = row * lanes;
            Rows rows{};
            for (std::size_t j = i; j < power_.blocks() * lanes; j += lanes) {
                add_block(block, i, j, rows);
                block += Power::block_size;
            }
            add(of_y_ + i, Power::sum_lanes(rows.of_y));
            add(gradient_.z + i, -Power::sum_lanes(rows.of_z));
        }
        return of_y_;
    }

private:
    /// Rows of a block whose sums fit into the registers.
    static constexpr std::size_t together = std::min<std::size_t>(2, lanes);

    /// What pairs say about the modes of their rows, to be summed over lanes.
    struct Rows {
        Rows() noexcept {
            for (std::size_t i = 0; i < lanes; ++i)
                of_y[i] = of_z[i] = {Pack(0.0), Pack(0.0)};
        }
        ModePack of_y[lanes], of_z[lanes];
    };
    struct Pairs {
        ModePack of_L, of_P;
    };

    /// Of modes from `i` on and from `j` on.
    void add_block(const double* block, std::size_t i, std::size_t j, Rows& rows) const noexcept {
        ModePack of_y = load(of_y_ + j), of_z = load(gradient_.z + j);
        for (std::size_t row = 0; row < lanes; row += together) {
            Pairs pairs[together];
            collect(i + row, j, pairs);
            for (std::size_t k = 0; k < together; ++k)
                add_row(block + 4 * lanes * (row + k), i + row + k, j, pairs[k], rows.of_y[row + k],
                        rows.of_z[row + k], of_y, of_z);
        }
        store_modes(of_y_ + j, stride_, of_y);
        store_modes(gradient_.z + j, stride_, of_z);
    }

    /// With s = conj(sigma): G(L) = sum conj(r_i s_j + r_j s_i), G(P) = sum r_i conj(s_j) + conj(r_j) s_i.
    SSM_INLINE void collect(std::size_t i, std::size_t j, Pairs (&pairs)[together]) const noexcept {
        const std::size_t stride = stride_, size = size_, count = count_;
        const Pack zero(0.0);
        Pack re_re[together], im_im[together], im_re[together], re_im[together];
        simd::unroll<together>(
            [&](auto k) SSM_INLINE_LAMBDA { re_re[k] = im_im[k] = im_re[k] = re_im[k] = zero; });
        for (std::size_t t = 0; t <= count; ++t) {
            const double* const r = r_ + t * size;
            const double* const s = sigma_ + t * size;
            const ModePack rj = load(r + j), sj = load(s + j);
            simd::unroll<together>([&](auto k) SSM_INLINE_LAMBDA {
                const Pack r_re(r[i + k]), r_im(r[stride + i + k]);
                const Pack s_re(s[i + k]), s_im(s[stride + i + k]);
                re_re[k] = simd::fma(s_re, rj.re, simd::fma(r_re, sj.re, re_re[k]));
                im_im[k] = simd::fma(s_im, rj.im, simd::fma(r_im, sj.im, im_im[k]));
                im_re[k] = simd::fma(s_im, rj.re, simd::fma(r_im, sj.re, im_re[k]));
                re_im[k] = simd::fma(s_re, rj.im, simd::fma(r_re, sj.im, re_im[k]));
            });
        }
        simd::unroll<together>([&](auto k) SSM_INLINE_LAMBDA {
            pairs[k].of_L = {re_re[k] - im_im[k], -(im_re[k] + re_im[k])};
            pairs[k].of_P = {re_re[k] + im_im[k], im_re[k] - re_im[k]};
        });
    }

    SSM_INLINE void add_row(const double* block, std::size_t i, std::size_t j, const Pairs& pairs,
                            ModePack& of_y_i, ModePack& of_z_i, ModePack& of_y_j,
                            ModePack& of_z_j) const noexcept {
        const double* const z = channel_.z;
        const Pack z_re(z[i]), z_im(z[i + stride_]);
        const Pack index = simd::iota<double>() + Pack(static_cast<double>(j));
        const auto is_self = index == Pack(static_cast<double>(i));
        const auto is_padding =
            simd::max(index, static_cast<double>(i)) >= Pack(static_cast<double>(channel_.modes));
        const ModePack zj = load(z + j);
        const ModePack dz{z_re - zj.re, z_im - zj.im}, dz_partner{dz.re, -(z_im + zj.im)};
        const Pack far = simd::select(is_self || is_padding, Pack(1.0), simd::norm(dz));
        const Pack far_partner = simd::select(is_padding, Pack(1.0), simd::norm(dz_partner));
        // A block on the diagonal has each pair twice.
        const Pack both =
            simd::detail::reciprocal(far * far_partner) * Pack(i / lanes == j / lanes ? 0.5 : 1.0);
        const ModePack of_dL =
            pairs.of_L * dz * simd::select(is_self, Pack(0.0), both * far_partner);
        const ModePack of_dP = pairs.of_P * dz_partner * (both * far);

        const Pack half(0.5);
        const Pack re_re = simd::load_aligned(block) * half,
                   re_im = simd::load_aligned(block + lanes) * half,
                   im_re = simd::load_aligned(block + 2 * lanes) * half,
                   im_im = simd::load_aligned(block + 3 * lanes) * half;
        const ModePack L{re_re + im_im, re_im - im_re}, P{re_re - im_im, re_im + im_re};
        const ModePack slope_L = simd::conj_mul(L, of_dL), slope_P = simd::conj_mul(P, of_dP);
        of_y_i += of_dL + simd::conj(of_dP);
        of_z_i += slope_L + simd::conj(slope_P);
        of_y_j -= of_dL + of_dP;
        of_z_j += slope_L + slope_P;
    }

    [[nodiscard]] SSM_INLINE ModePack load(const double* from) const noexcept {
        return load_modes(from, stride_);
    }
    SSM_INLINE void add(double* to, ModePack x) const noexcept {
        store_modes(to, stride_, load_modes(to, stride_) + x);
    }

    RankOneChannel channel_, gradient_;
    Power power_;
    std::size_t stride_, size_;
    std::size_t count_ = 0;
    double *c_, *sums_;                    // (most, 2, stride): c and S(p c) of each
    double *r_, *sigma_;                   // (most + 1, 2, stride): r and conj(sigma)
    double *of_diagonal_, *of_r_, *of_y_;  // (2, stride)
};

}  // namespace ssm::detail
