#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/layer/mimo_modes.hpp>
#include <ssm/scan/linear_scan_form.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>

namespace ssm {

/// A discrete diagonal system with many inputs and outputs as real matrices, ready to run:
///
///   v = in^T u      x = x + (w x + v)      y = out^T x + D u
///
/// with rows of complex numbers as real, then imaginary parts. It does not change after it was made: streams
/// share one. Steps of other intervals than the layer's own start from `plain`^T u, which is B u.
///
/// Shapes    w (2 P), in and plain (H, 2 P), out (directions, 2 P, H); lambda and dt (P) of continuous time
/// Accuracy  w = z - 1 is rounded from double: slow modes keep decay and frequency
template <class T>
struct MimoSystem {
    /// What `modes` hold, B (P, H, 2), and C (H, directions P, 2), of which `factor` Re(C x) is read out.
    void reset(const Tensor<T>& B, const Tensor<T>& C, double factor) {
        P = modes.size();
        H = C.extent(0);
        directions = C.extent(1) / P;
        w.resize(2 * P);
        for (std::size_t p = 0; p < P; ++p) {
            w[p] = static_cast<T>(modes.pole_re[p] - 1.0);
            w[P + p] = static_cast<T>(modes.pole_im[p]);
        }
        set_input(B, false, in);
        set_output(C, factor);
    }
    /// Prepares for intervals.
    void reset_plain(const Tensor<T>& B) { set_input(B, true, plain); }

    [[nodiscard]] MatrixMap<const T> in_matrix(bool irregular) const {
        return matrix_map((irregular ? plain : in).data(), H, 2 * P);
    }
    [[nodiscard]] MatrixMap<const T> out_matrix(std::size_t direction) const {
        return matrix_map(out.data() + direction * 2 * P * H, 2 * P, H);
    }

    MimoModes modes;
    std::size_t P = 0;
    std::size_t H = 0;
    std::size_t directions = 1;
    AlignedVector<T> w, in, plain, out;
    AlignedVector<double> lambda_re, lambda_im, dt;

private:
    void set_input(const Tensor<T>& B, bool alone, AlignedVector<T>& matrix) const {
        matrix.resize(H * 2 * P);
        for (std::size_t p = 0; p < P; ++p) {
            const double b_re = alone ? 1.0 : modes.input_re[p];
            const double b_im = alone ? 0.0 : modes.input_im[p];
            for (std::size_t h = 0; h < H; ++h) {
                const double re = static_cast<double>(B[2 * (p * H + h)]);
                const double im = static_cast<double>(B[2 * (p * H + h) + 1]);
                matrix[h * 2 * P + p] = static_cast<T>(b_re * re - b_im * im);
                matrix[h * 2 * P + P + p] = static_cast<T>(b_re * im + b_im * re);
            }
        }
    }
    void set_output(const Tensor<T>& C, double factor) {
        out.resize(directions * 2 * P * H);
        const T f = static_cast<T>(factor);
        for (std::size_t h = 0; h < H; ++h)
            for (std::size_t d = 0; d < directions; ++d)
                for (std::size_t p = 0; p < P; ++p) {
                    const T* const c = C.data() + 2 * ((h * directions + d) * P + p);
                    out[(d * 2 * P + p) * H + h] = f * c[0];
                    out[(d * 2 * P + P + p) * H + h] = -f * c[1];
                }
    }
};

namespace detail {

/// x = x + (w x + v), rows of P complex numbers.
template <class T, class Arch = simd::Arch>
void advance_row(const T* w, const T* v, T* x, std::size_t P) noexcept {
    simd::for_each_pack<T>(P, [&](auto lanes, std::size_t p) SSM_INLINE_LAMBDA {
        const auto load = [&](const T* row) SSM_INLINE_LAMBDA {
            return simd::Complex<simd::Pack<T>>{lanes.load(row + p), lanes.load(row + P + p)};
        };
        const auto now = ComplexIncrements::advance(load(w), load(x), load(v));
        lanes.store(x + p, now.re);
        lanes.store(x + P + p, now.im);
    });
}

/// y = D u, or zero.
template <class T, class Arch = simd::Arch>
void skip_row(std::span<const T> D, const T* u, T* y, std::size_t H) noexcept {
    if (D.empty())
        std::fill_n(y, H, T(0));
    else
        simd::for_each_pack<T>(H, [&](auto lanes, std::size_t h) SSM_INLINE_LAMBDA {
            lanes.store(y + h, lanes.load(D.data() + h) * lanes.load(u + h));
        });
}

}  // namespace detail

}  // namespace ssm
