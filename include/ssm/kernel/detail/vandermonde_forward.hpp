#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <span>

#include <ssm/core/aligned.hpp>
#include <ssm/core/config.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/convert.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/prefetch.hpp>
#include <ssm/simd/unroll.hpp>

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
    static constexpr std::size_t packs = vandermonde_block<T> / simd::width<T>;
    static constexpr std::size_t doublings = std::bit_width(lanes) - 1;
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
          padded_((modes + simd::width<T> - 1) / simd::width<T> * simd::width<T>),
          length_(length),
          fine_(workspace.take<T>(2 * modes * block)),
          coarse_(workspace.take<T>(2 * padded_ * tile_rows)),
          steps_(workspace.take<T>(2 * padded_ * tile_rows)),
          row_(workspace.take<T>(block)),
          jumps_(workspace.take<T>(2 * padded_ * packs)),
          squares_(workspace.take<double>(2 * padded_ * (doublings + 1))),
          tile_step_(workspace.take<double>(2 * padded_)),
          power_(workspace.take<double>(2 * padded_)) {}

    /// Prepares the columns for the poles of a channel.
    void set_poles(const double* re, const double* im) noexcept {
        copy_padded(re, im, squares_.data());
        for (std::size_t n = 0; n < padded_; n += lanes)
            fill_steps(n);
        for (std::size_t n = 0; n < modes_; ++n)
            fill_first(n);
        for (std::size_t n = 0; n < modes_; ++n)
            fill_others(n);
    }

    /// The kernel of one head of this channel.
    void evaluate(const double* residue_re, const double* residue_im, T* kernel) noexcept {
        copy_padded(residue_re, residue_im, power_.data());
        const std::size_t full = length_ / block;
        std::size_t q = 0;
        for (; q + tile_rows <= full; q += tile_rows) {
            // The lines arrive while the tile is computed.
            for (std::size_t i = 0; i < tile_rows * block; i += alignment / sizeof(T))
                simd::prefetch_for_write(kernel + q * block + i);
            fill_coarse();
            rows<tile_rows>(0, kernel + q * block);
        }
        if (q * block == length_)
            return;
        fill_coarse();
        std::size_t i = 0;
        for (; q + i + 2 <= full; i += 2)
            rows<2>(i, kernel + (q + i) * block);
        for (; q + i < full; ++i)
            rows<1>(i, kernel + (q + i) * block);
        if (const std::size_t rest = length_ % block; rest != 0) {
            rows<1>(i, row_.data());
            std::copy_n(row_.data(), rest, kernel + full * block);
        }
    }

private:
    void copy_padded(const double* re, const double* im, double* to) const noexcept {
        std::fill_n(std::copy_n(re, modes_, to), padded_ - modes_, 0.0);
        std::fill_n(std::copy_n(im, modes_, to + padded_), padded_ - modes_, 0.0);
    }
    template <class U>
    [[nodiscard]] SSM_INLINE auto load_pair(const U* from, std::size_t n) const noexcept {
        return simd::Complex<simd::Pack<U>>{simd::load(from + n), simd::load(from + padded_ + n)};
    }
    template <class U>
    SSM_INLINE void store_pair(U* to, std::size_t n, Number x) const noexcept {
        simd::store_rounded(to + n, x.re);
        simd::store_rounded(to + padded_ + n, x.im);
    }

    /// For the modes n .. n + lanes - 1, W lanes in a pack of T: z, z^2, z^4, ..., z^lanes in double;
    /// z^(W j) and Z^i in T; Z^tile_rows.
    void fill_steps(std::size_t n) noexcept {
        Number z = load_pair(squares_.data(), n);
        for (std::size_t k = 1; k <= doublings; ++k) {
            z = z * z;
            store_pair(squares_.data() + 2 * padded_ * k, n, z);
        }
        for (std::size_t s = lanes; s < simd::width<T>; s *= 2)
            z = z * z;
        const Number Z = fill_powers<packs>(jumps_.data(), n, z);
        store_pair(tile_step_.data(), n, fill_powers<tile_rows>(steps_.data(), n, Z));
    }

    /// z^1 .. z^(count - 1) behind an unused place; returns z^count.
    template <std::size_t count>
    Number fill_powers(T* to, std::size_t n, Number z) noexcept {
        Number power = z;
        for (std::size_t i = 1; i < count; ++i) {
            store_pair(to + 2 * padded_ * i, n, power);
            power = power * z;
        }
        return power;
    }

    /// The first pack of conj(z^s) of mode n, in double.
    void fill_first(std::size_t n) noexcept {
        T* row = fine_.data() + 2 * block * n;
        Number power = first_powers(n);
        for (std::size_t s = 0; s < simd::width<T>; s += lanes) {
            simd::store_rounded(row + s, power.re);
            simd::store_rounded(row + block + s, power.im);
            power = power * square(doublings, n);
        }
    }

    /// The other packs, by products with conj(z^(W j)): two roundings more. Not in one loop with
    /// `fill_first`, whose halves of packs must have reached memory before they are read as one.
    void fill_others(std::size_t n) noexcept {
        using Powers = simd::Complex<simd::Pack<T>>;
        T* row = fine_.data() + 2 * block * n;
        const Powers first{simd::load(row), simd::load(row + block)};
        for (std::size_t j = 1; j < packs; ++j) {
            const T* jump = jumps_.data() + 2 * padded_ * j + n;
            const Powers next =
                first * Powers{simd::Pack<T>(jump[0]), simd::Pack<T>(-jump[padded_])};
            simd::store(row + j * simd::width<T>, next.re);
            simd::store(row + block + j * simd::width<T>, next.im);
        }
    }

    /// conj(z^s) for s below lanes, from the bits of s: the product of those z^(2^k) whose bit k is set.
    [[nodiscard]] SSM_INLINE Number first_powers(std::size_t n) const noexcept {
        Number power{simd::Pack<double>(1.0), simd::Pack<double>(0.0)};
        simd::unroll<doublings>([&](auto k) SSM_INLINE_LAMBDA {
            const auto is_set = bit_of_lane(k);
            const Number factor = square(k, n);
            power = power * Number{simd::select(is_set, factor.re, simd::Pack<double>(1.0)),
                                   simd::select(is_set, factor.im, simd::Pack<double>(0.0))};
        });
        return power;
    }
    /// conj(z^(2^k)) of mode n in all lanes.
    [[nodiscard]] SSM_INLINE Number square(std::size_t k, std::size_t n) const noexcept {
        const double* from = squares_.data() + 2 * padded_ * k + n;
        return {simd::Pack<double>(from[0]), simd::Pack<double>(-from[padded_])};
    }

    /// The lanes whose number has bit k.
    [[nodiscard]] SSM_INLINE static auto bit_of_lane(std::size_t k) noexcept {
        double bit[lanes];
        for (std::size_t i = 0; i < lanes; ++i)
            bit[i] = static_cast<double>(i >> k & 1U);
        return simd::load(bit) > simd::Pack<double>(0.5);
    }

    /// The next `tile_rows` rows of the left factor: r Z^q in double, the rows after it by the powers of Z.
    void fill_coarse() noexcept {
        for (std::size_t n = 0; n < padded_; n += lanes) {
            const Number power = load_pair(power_.data(), n);
            store_pair(coarse_.data(), n, power);
            store_pair(power_.data(), n, power * load_pair(tile_step_.data(), n));
        }
        for (std::size_t n = 0; n < padded_; n += simd::width<T>) {
            const auto first = load_pair(coarse_.data(), n);
            for (std::size_t i = 1; i < tile_rows; ++i) {
                const auto next = first * load_pair(steps_.data() + 2 * padded_ * i, n);
                simd::store(coarse_.data() + 2 * padded_ * i + n, next.re);
                simd::store(coarse_.data() + 2 * padded_ * i + padded_ + n, next.im);
            }
        }
    }

    /// `count` rows of the kernel, from those of the left factor beginning with `first`.
    template <std::size_t count>
    void rows(std::size_t first, T* out) noexcept {
        for (std::size_t s = 0; s < block; s += vectors * simd::width<T>)
            tile<count>(coarse_.data() + 2 * padded_ * first, fine_.data() + s, out + s);
    }

    template <std::size_t count>
    void tile(const T* SSM_RESTRICT coarse, const T* SSM_RESTRICT fine,
              T* SSM_RESTRICT out) const noexcept {
        using P = simd::Pack<T>;
        P sum[count][vectors];
        simd::unroll<count * vectors>(
            [&](auto k) SSM_INLINE_LAMBDA { sum[k / vectors][k % vectors] = P(T(0)); });
        for (std::size_t n = 0; n < modes_; ++n)
            simd::unroll<2>([&](auto part) SSM_INLINE_LAMBDA {
                P column[vectors];
                simd::unroll<vectors>([&](auto v) SSM_INLINE_LAMBDA {
                    column[v] = simd::load(fine + (2 * n + part) * block + v * simd::width<T>);
                });
                simd::unroll<count>([&](auto i) SSM_INLINE_LAMBDA {
                    const P factor(coarse[(2 * i + part) * padded_ + n]);
                    simd::unroll<vectors>([&](auto v) SSM_INLINE_LAMBDA {
                        sum[i][v] = simd::fma(factor, column[v], sum[i][v]);
                    });
                });
            });
        simd::unroll<count * vectors>([&](auto k) SSM_INLINE_LAMBDA {
            simd::store(out + k / vectors * block + k % vectors * simd::width<T>,
                        sum[k / vectors][k % vectors]);
        });
    }

    std::size_t modes_;
    std::size_t padded_;
    std::size_t length_;
    std::span<T> fine_;            // (modes, 2, block): Re z^s, -Im z^s
    std::span<T> coarse_;          // (tile_rows, 2, padded): r Z^q
    std::span<T> steps_;           // (tile_rows, 2, padded): Z^i
    std::span<T> row_;             // a row of which not all is wanted
    std::span<T> jumps_;           // (packs, 2, padded): z^(W j)
    std::span<double> squares_;    // (doublings + 1, 2, padded): z^(2^k)
    std::span<double> tile_step_;  // (2, padded): Z^tile_rows
    std::span<double> power_;      // (2, padded): r Z^q
};

}  // namespace ssm::detail
