#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/discretize/modes.hpp>
#include <ssm/scan/diagonal_state.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/convert.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/transpose.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// Steps in a chunk: two registers of outputs, where the triangle of the convolution inside a chunk
/// and the handing over of states between chunks cost about the same. At least 16.
template <class T, class Arch = simd::Arch>
inline constexpr std::size_t chunk_steps = std::max<std::size_t>(2 * simd::width<T>, 16);

/// The matrices that take one channel through a chunk of T steps, in the numbers of the evaluation:
///
///   s_out = z^T s_in + B u          B[n][t] = z_n^(T-1-t)
///   y     = Toeplitz(K) u + C s_in  C[t][n] = r_n z_n^(t+1)
///                                   K[l] = Re sum_n r_n z_n^l, + D at l = 0
///
/// Powers are multiplied up in double and rounded once.
///
/// Layout    input  [T][re, im][modes padded to the width]
///           pole   [re, im][modes padded]: z^T
///           output [head][re, im][modes][T]: Re(r z^(t+1)), -Im(r z^(t+1))
///           taps   [head][T zeros, K, one register of anything]
template <class T, class Arch = simd::Arch>
class ChunkTables {
public:
    static constexpr std::size_t steps = chunk_steps<T, Arch>;
    static constexpr std::size_t width = simd::width<T>;

    /// Numbers of memory that tables of this shape need, for one channel.
    [[nodiscard]] static std::size_t size(const ModeShape& shape) noexcept {
        return padded<T>(Sizes(shape).input() + Sizes(shape).pole() +
                         shape.heads * (Sizes(shape).output() + Sizes(shape).taps()));
    }
    /// Numbers of scratch memory that `fill` needs.
    [[nodiscard]] static std::size_t scratch_size(const ModeShape& shape) noexcept {
        return 2 * steps * row_of(shape);
    }
    /// Modes rounded up to whole registers.
    [[nodiscard]] static std::size_t row_of(const ModeShape& shape) noexcept {
        return (shape.modes + width - 1) / width * width;
    }

    ChunkTables(const ModeShape& shape, T* memory) noexcept
        : shape_(shape), row_(row_of(shape)), memory_(memory) {}

    [[nodiscard]] std::size_t row() const noexcept { return row_; }
    [[nodiscard]] T* input() const noexcept { return memory_; }
    [[nodiscard]] T* pole() const noexcept { return memory_ + Sizes(shape_).input(); }
    [[nodiscard]] T* output(std::size_t c) const noexcept {
        return pole() + Sizes(shape_).pole() + c * Sizes(shape_).output();
    }
    [[nodiscard]] T* taps(std::size_t c) const noexcept {
        return output(shape_.heads) + c * Sizes(shape_).taps();
    }

    /// z^t, [re, im][modes padded].
    [[nodiscard]] T* power_of(std::size_t t) const noexcept {
        return t < steps ? input() + (steps - 1 - t) * 2 * row_ : pole();
    }

    /// Computes the tables of channel `h`; `skip` is D (heads, H) or null, `powers` is scratch
    /// memory.
    void fill(const Modes& modes, std::size_t h, const T* skip, T* powers) const noexcept {
        fill_powers(modes, h);
        transpose_powers(powers);
        for (std::size_t c = 0; c < shape_.heads; ++c) {
            fill_output(modes, c, h, powers);
            fill_taps(modes, c, h, skip == nullptr ? T(0) : skip[c * shape_.channels + h]);
        }
    }

private:
    struct Sizes {
        explicit Sizes(const ModeShape& shape) noexcept : modes(shape.modes), row(row_of(shape)) {}
        [[nodiscard]] std::size_t input() const noexcept { return steps * 2 * row; }
        [[nodiscard]] std::size_t pole() const noexcept { return 2 * row; }
        [[nodiscard]] std::size_t output() const noexcept { return 2 * modes * steps; }
        [[nodiscard]] std::size_t taps() const noexcept { return 2 * steps + width; }
        std::size_t modes;
        std::size_t row;
    };

    /// z^0 .. z^(T-1) in falling order, and z^T: one step after the other, vectors along modes.
    void fill_powers(const Modes& modes, std::size_t h) const noexcept {
        using Doubles = simd::Pack<double>;
        constexpr std::size_t packs = std::max<std::size_t>(1, width / simd::width<double>);
        for (std::size_t n = 0; n < row_; n += width) {
            simd::Complex<Doubles> z[packs], power[packs];
            for (std::size_t i = 0; i < packs; ++i) {
                const std::size_t first = std::min(n + i * simd::width<double>, shape_.modes);
                const std::size_t count = std::min(simd::width<double>, shape_.modes - first);
                z[i] = {simd::load_partial(modes.pole_re.data() + modes.pole(h, first), count),
                        simd::load_partial(modes.pole_im.data() + modes.pole(h, first), count)};
                power[i] = {Doubles(1.0), Doubles(0.0)};
            }
            for (std::size_t t = 0; t <= steps; ++t) {
                T* const out = power_of(t) + n;
                simd::unroll<packs>([&](auto i) SSM_INLINE_LAMBDA {
                    simd::store_rounded(out + i * simd::width<double>, power[i].re);
                    simd::store_rounded(out + row_ + i * simd::width<double>, power[i].im);
                    power[i] *= z[i];
                });
            }
        }
    }

    /// powers[mode][re, im][t] = z^(t+1)
    void transpose_powers(T* powers) const noexcept {
        for (std::size_t n = 0; n < row_; n += width)
            for (std::size_t t = 0; t < steps; t += width)
                for (std::size_t part = 0; part < 2; ++part) {
                    simd::Pack<T> block[width];
                    simd::unroll<width>([&](auto i) SSM_INLINE_LAMBDA {
                        block[i] = simd::load_aligned(power_of(t + i + 1) + part * row_ + n);
                    });
                    simd::transpose(block);
                    simd::unroll<width>([&](auto i) SSM_INLINE_LAMBDA {
                        simd::store_aligned(powers + (2 * (n + i) + part) * steps + t, block[i]);
                    });
                }
    }

    void fill_output(const Modes& modes, std::size_t c, std::size_t h,
                     const T* powers) const noexcept {
        T* const re = output(c);
        T* const im = re + shape_.modes * steps;
        for (std::size_t n = 0; n < shape_.modes; ++n) {
            const std::size_t r = modes.residue(c, h, n);
            const simd::Complex<simd::Pack<T>> residue{static_cast<T>(modes.residue_re[r]),
                                                       static_cast<T>(modes.residue_im[r])};
            for (std::size_t t = 0; t < steps; t += width) {
                const T* const power = powers + 2 * n * steps + t;
                const auto value =
                    residue * simd::Complex<simd::Pack<T>>{simd::load_aligned(power),
                                                           simd::load_aligned(power + steps)};
                simd::store_aligned(re + n * steps + t, value.re);
                simd::store_aligned(im + n * steps + t, -value.im);
            }
        }
    }

    /// K[l] = sum_n Re(r z^l), which for l > 0 are the columns of the output matrix.
    void fill_taps(const Modes& modes, std::size_t c, std::size_t h, T skip) const noexcept {
        T* const zeros = taps(c);
        T* const kernel = zeros + steps;
        std::fill_n(zeros, steps, T(0));
        double first = static_cast<double>(skip);
        for (std::size_t n = 0; n < shape_.modes; ++n)
            first += modes.residue_re[modes.residue(c, h, n)];
        kernel[0] = static_cast<T>(first);
        for (std::size_t t = 0; t < steps; t += width) {
            simd::Pack<T> sum(T(0));
            for (std::size_t n = 0; n < shape_.modes; ++n)
                sum += simd::load_aligned(output(c) + n * steps + t);
            simd::store(kernel + 1 + t, sum);
        }
    }

    ModeShape shape_;
    std::size_t row_;
    T* memory_;
};

}  // namespace ssm::detail
