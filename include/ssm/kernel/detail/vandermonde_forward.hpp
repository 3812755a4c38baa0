#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/config.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/convert.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/transpose.hpp>

namespace ssm::detail {

/// How time is cut: step l = block q + s, so that z^l = (z^block)^q z^s is a product of two entries of
/// small tables. Both are computed in double, which keeps the phase of z^l exact to the last digit of T
/// for any l.
template <class T>
inline constexpr std::size_t vandermonde_block = sizeof(T) <= 4 ? 64 : 32;

/// K[l] = Re sum_n r_n z_n^l of one channel, as the matrix product
///
///   K[q, s] = sum_n Re(r Z^q)_n Re(z^s)_n + Im(r Z^q)_n (-Im z^s)_n      Z = z^block
///
/// with lanes along s. The columns ("fine" powers) serve all heads, the rows ("coarse") are made as they
/// are used.
template <class T, class Arch>
class VandermondeForward {
    using Number = simd::Complex<simd::Pack<double>>;
    static constexpr std::size_t lanes = simd::width<double>;
    static constexpr std::size_t block = vandermonde_block<T>;
#if defined(__AVX512F__) || defined(__aarch64__)
    static constexpr std::size_t vectors = 4;  // 6 x 4 accumulators of 32 registers
#else
    static constexpr std::size_t vectors = 2;  // 6 x 2 accumulators of 16 registers
#endif
    static constexpr std::size_t tile_rows = 6;
    static_assert(block % (vectors * simd::width<T>) == 0 && block % lanes == 0);

public:
    VandermondeForward(std::size_t modes, std::size_t length, Workspace& workspace)
        : modes_(modes),
          padded_((modes + lanes - 1) / lanes * lanes),
          length_(length),
          fine_(workspace.take<T>(2 * padded_ * block)),
          coarse_(workspace.take<T>(2 * padded_ * tile_rows)),
          row_(workspace.take<T>(block)),
          step_(workspace.take<double>(2 * padded_)),
          power_(workspace.take<double>(2 * padded_)) {}

    /// Prepares the columns for the poles of a channel.
    void set_poles(const double* re, const double* im) noexcept {
        copy_padded(re, im, step_.data());
        for (std::size_t n = 0; n < padded_; n += lanes)
            fill_fine(n);
    }

    /// The kernel of one head of this channel.
    void evaluate(const double* residue_re, const double* residue_im, T* kernel) noexcept {
        copy_padded(residue_re, residue_im, power_.data());
        const std::size_t full = length_ / block;
        std::size_t q = 0;
        for (; q + tile_rows <= full; q += tile_rows)
            rows<tile_rows>(kernel + q * block);
        for (; q + 2 <= full; q += 2)
            rows<2>(kernel + q * block);
        for (; q < full; ++q)
            rows<1>(kernel + q * block);
        if (const std::size_t rest = length_ % block; rest != 0) {
            rows<1>(row_.data());
            std::copy_n(row_.data(), rest, kernel + full * block);
        }
    }

private:
    void copy_padded(const double* re, const double* im, double* to) const noexcept {
        std::fill_n(std::copy_n(re, modes_, to), padded_ - modes_, 0.0);
        std::fill_n(std::copy_n(im, modes_, to + padded_), padded_ - modes_, 0.0);
    }
    [[nodiscard]] Number load_pair(std::span<const double> from, std::size_t n) const noexcept {
        return {simd::load(from.data() + n), simd::load(from.data() + padded_ + n)};
    }
    void store_pair(std::span<double> to, std::size_t n, Number x) const noexcept {
        simd::store(to.data() + n, x.re);
        simd::store(to.data() + padded_ + n, x.im);
    }

    /// z^s for s below block, of the modes n .. n + lanes - 1; leaves z^block in `step_`.
    void fill_fine(std::size_t n) noexcept {
        const Number z = load_pair(step_, n);
        Number power{simd::Pack<double>(1.0), simd::Pack<double>(0.0)};
        simd::Pack<double> re[lanes];
        simd::Pack<double> im[lanes];
        for (std::size_t s = 0; s < lanes; ++s) {
            re[s] = power.re;
            im[s] = -power.im;
            power = power * z;
        }
        store_pair(step_, n, power);
        simd::transpose(re);
        simd::transpose(im);
        for (std::size_t i = 0; i < lanes; ++i) {
            T* row = fine_.data() + 2 * block * (n + i);
            const Number jump{simd::Pack<double>(step_[n + i]), simd::Pack<double>(-step_[padded_ + n + i])};
            Number v{re[i], im[i]};
            for (std::size_t s = 0; s < block; s += lanes) {
                simd::store_rounded(row + s, v.re);
                simd::store_rounded(row + block + s, v.im);
                v = v * jump;
            }
        }
        for (std::size_t s = lanes; s < block; s *= 2)
            power = power * power;
        store_pair(step_, n, power);
    }

    /// The next `count` rows of the left factor, r Z^q.
    template <std::size_t count>
    void fill_coarse() noexcept {
        for (std::size_t n = 0; n < padded_; n += lanes) {
            const Number Z = load_pair(step_, n);
            Number power = load_pair(power_, n);
            for (std::size_t i = 0; i < count; ++i) {
                T* row = coarse_.data() + 2 * padded_ * i;
                simd::store_rounded(row + n, power.re);
                simd::store_rounded(row + padded_ + n, power.im);
                power = power * Z;
            }
            store_pair(power_, n, power);
        }
    }

    /// The next `count` rows of the kernel.
    template <std::size_t count>
    void rows(T* out) noexcept {
        fill_coarse<count>();
        for (std::size_t s = 0; s < block; s += vectors * simd::width<T>)
            tile<count>(fine_.data() + s, out + s);
    }

    template <std::size_t count>
    void tile(const T* SSM_RESTRICT fine, T* SSM_RESTRICT out) const noexcept {
        using P = simd::Pack<T>;
        P sum[count][vectors];
        for (auto& row : sum)
            for (P& x : row)
                x = P(T(0));
        const T* SSM_RESTRICT coarse = coarse_.data();
        for (std::size_t n = 0; n < modes_; ++n)
            for (std::size_t part = 0; part < 2; ++part, fine += block) {
                P column[vectors];
                for (std::size_t v = 0; v < vectors; ++v)
                    column[v] = simd::load(fine + v * simd::width<T>);
                for (std::size_t i = 0; i < count; ++i) {
                    const P factor(coarse[(2 * i + part) * padded_ + n]);
                    for (std::size_t v = 0; v < vectors; ++v)
                        sum[i][v] = simd::fma(factor, column[v], sum[i][v]);
                }
            }
        for (std::size_t i = 0; i < count; ++i)
            for (std::size_t v = 0; v < vectors; ++v)
                simd::store(out + i * block + v * simd::width<T>, sum[i][v]);
    }

    std::size_t modes_;
    std::size_t padded_;
    std::size_t length_;
    std::span<T> fine_;        // (padded, 2, block): Re z^s, -Im z^s
    std::span<T> coarse_;      // (tile_rows, 2, padded): Re r Z^q, Im r Z^q
    std::span<T> row_;         // a row of which not all is wanted
    std::span<double> step_;   // (2, padded): Z
    std::span<double> power_;  // (2, padded): r Z^q
};

}  // namespace ssm::detail
