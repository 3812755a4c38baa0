#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/aligned.hpp>
#include <ssm/core/config.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/kernel/detail/vandermonde_forward.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/convert.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/prefetch.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// The adjoint of `VandermondeForward` for one channel. With upstream g[l] of one head it needs
///
///   M = sum_l g[l] z^l      and      dM/dz = sum_l g[l] l z^{l-1}
///
/// A matrix product with lanes along n makes A_q = sum_s g[q, s] z^s and A'_q = sum_s g[q, s] s z^{s-1}
/// in T; the sums over q are polynomials in Z = z^block and are evaluated by Horner's rule in double.
template <class T, class Arch>
class VandermondeAdjoint {
    using Number = simd::Complex<simd::Pack<double>>;
    static constexpr std::size_t lanes = simd::width<double>;
    static constexpr std::size_t group = simd::width<T>;  // modes that are treated together
    static constexpr std::size_t block = vandermonde_block<T>;
    static constexpr std::size_t sums = 4;  // Re A, Im A, Re A', Im A'
#if defined(__AVX512F__) || defined(__aarch64__)
    static constexpr std::size_t tile_rows = 6;
#else
    static constexpr std::size_t tile_rows = 2;
#endif
    static_assert(group % lanes == 0);

public:
    VandermondeAdjoint(const ModeShape& shape, std::size_t length, Workspace& workspace)
        : shape_(shape),
          length_(length),
          powers_(workspace.take<T>(block * sums * group)),
          partial_(workspace.take<T>(tile_rows * sums * group)),
          poles_(workspace.take<double>(count_values * group)) {}

    /// Adds to `gradient` what dkernel (heads, H, L) says about channel h.
    void add(const Modes& modes, std::size_t h, const T* dkernel, Modes& gradient) noexcept {
        for (std::size_t first = 0; first < shape_.modes; first += group) {
            const std::size_t count = std::min(group, shape_.modes - first);
            set_poles(modes, modes.pole(h, first), count);
            for (std::size_t c = 0; c < shape_.heads; ++c) {
                reduce(dkernel + (c * shape_.channels + h) * length_);
                scatter(modes, modes.residue(c, h, first), modes.pole(h, first), count, gradient);
            }
        }
    }

private:
    /// Complex numbers kept for each mode of the group, real and imaginary parts apart.
    enum Value { pole, Z, dZ_dz, M, dM_dZ, S, count_complex };
    static constexpr std::size_t count_values = 2 * static_cast<std::size_t>(count_complex);

    [[nodiscard]] double* part(Value value, std::size_t imaginary) noexcept {
        return poles_.data() + (2 * static_cast<std::size_t>(value) + imaginary) * group;
    }
    [[nodiscard]] Number load_value(Value value, std::size_t n) noexcept {
        return {simd::load(part(value, 0) + n), simd::load(part(value, 1) + n)};
    }
    void store_value(Value value, std::size_t n, Number x) noexcept {
        simd::store(part(value, 0) + n, x.re);
        simd::store(part(value, 1) + n, x.im);
    }

    void set_poles(const Modes& modes, std::size_t first, std::size_t count) noexcept {
        std::fill_n(std::copy_n(modes.pole_re.data() + first, count, part(pole, 0)), group - count,
                    0.0);
        std::fill_n(std::copy_n(modes.pole_im.data() + first, count, part(pole, 1)), group - count,
                    0.0);
        for (std::size_t n = 0; n < group; n += lanes)
            fill_powers(n);
    }

    /// z^s and s z^{s-1} for s below block; then z^block and its derivative.
    void fill_powers(std::size_t n) noexcept {
        const Number z = load_value(pole, n);
        Number power{simd::Pack<double>(1.0), simd::Pack<double>(0.0)};
        Number derivative{simd::Pack<double>(0.0), simd::Pack<double>(0.0)};
        for (std::size_t s = 0; s < block; ++s) {
            T* row = powers_.data() + s * sums * group + n;
            simd::store_rounded(row, power.re);
            simd::store_rounded(row + group, power.im);
            simd::store_rounded(row + 2 * group, derivative.re);
            simd::store_rounded(row + 3 * group, derivative.im);
            derivative = power * simd::Pack<double>(static_cast<double>(s + 1));
            power = power * z;
        }
        store_value(Z, n, power);
        store_value(dZ_dz, n, derivative);
    }

    /// M, dM/dZ and S = sum_q Z^q A'_q for one head: dM/dz = dM/dZ dZ/dz + S.
    void reduce(const T* upstream) noexcept {
        std::fill_n(part(M, 0), 2 * 3 * group, 0.0);
        const std::size_t full = length_ / block;
        if (const std::size_t rest = length_ % block; rest != 0)
            rows<1>(upstream + full * block, rest);
        std::size_t q = full;
        for (; q % tile_rows != 0; --q)
            rows<1>(upstream + (q - 1) * block, block);
        for (; q > 0; q -= tile_rows) {
            if (q > tile_rows)  // going down in steps of rows, which no hardware foresees
                for (std::size_t i = 0; i < tile_rows * block; i += alignment / sizeof(T))
                    simd::prefetch(upstream + (q - 2 * tile_rows) * block + i);
            rows<tile_rows>(upstream + (q - tile_rows) * block, block);
        }
    }

    template <std::size_t count>
    void rows(const T* upstream, std::size_t steps) noexcept {
        tile<count>(upstream, steps);
        for (std::size_t n = 0; n < group; n += lanes)
            horner<count>(n);
    }

    template <std::size_t count>
    void tile(const T* SSM_RESTRICT upstream, std::size_t steps) noexcept {
        using P = simd::Pack<T>;
        P sum[count][sums];
        simd::unroll<count * sums>([&](auto k)
                                       SSM_INLINE_LAMBDA { sum[k / sums][k % sums] = P(T(0)); });
        const T* SSM_RESTRICT power = powers_.data();
        for (std::size_t s = 0; s < steps; ++s, power += sums * group) {
            P factor[sums];
            simd::unroll<sums>(
                [&](auto v) SSM_INLINE_LAMBDA { factor[v] = simd::load(power + v * group); });
            simd::unroll<count>([&](auto i) SSM_INLINE_LAMBDA {
                const P g(upstream[i * block + s]);
                simd::unroll<sums>([&](auto v) SSM_INLINE_LAMBDA {
                    sum[i][v] = simd::fma(g, factor[v], sum[i][v]);
                });
            });
        }
        simd::unroll<count * sums>([&](auto k) SSM_INLINE_LAMBDA {
            simd::store(partial_.data() + k * group, sum[k / sums][k % sums]);
        });
    }

    template <std::size_t count>
    void horner(std::size_t n) noexcept {
        const Number step = load_value(Z, n);
        Number m = load_value(M, n);
        Number dm = load_value(dM_dZ, n);
        Number s = load_value(S, n);
        for (std::size_t i = count; i-- > 0;) {
            const T* row = partial_.data() + i * sums * group + n;
            const Number a{simd::load_widened(row), simd::load_widened(row + group)};
            const Number da{simd::load_widened(row + 2 * group),
                            simd::load_widened(row + 3 * group)};
            dm = simd::fma(dm, step, m);
            m = simd::fma(m, step, a);
            s = simd::fma(s, step, da);
        }
        store_value(M, n, m);
        store_value(dM_dZ, n, dm);
        store_value(S, n, s);
    }

    /// G(r) = conj(M), G(z) = conj(r dM/dz).
    void scatter(const Modes& modes, std::size_t residue, std::size_t first, std::size_t count,
                 Modes& gradient) noexcept {
        const bool has_rows = length_ > block;  // else dZ/dz may be infinite, and has no part in it
        for (std::size_t n = 0; n < count; ++n) {
            const auto at = [&](Value value) {
                return simd::Complex<double>{part(value, 0)[n], part(value, 1)[n]};
            };
            const simd::Complex<double> slope = has_rows ? at(dM_dZ) * at(dZ_dz) + at(S) : at(S);
            const simd::Complex<double> r{modes.residue_re[residue + n],
                                          modes.residue_im[residue + n]};
            const simd::Complex<double> dz = r * slope;
            gradient.residue_re[residue + n] += at(M).re;
            gradient.residue_im[residue + n] -= at(M).im;
            gradient.pole_re[first + n] += dz.re;
            gradient.pole_im[first + n] -= dz.im;
        }
    }

    ModeShape shape_;
    std::size_t length_;
    std::span<T> powers_;      // (block, 4, group): Re, Im z^s; Re, Im s z^{s-1}
    std::span<T> partial_;     // (tile_rows, 4, group): A_q and A'_q
    std::span<double> poles_;  // the values of the group
};

}  // namespace ssm::detail
