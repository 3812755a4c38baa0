#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include <ssm/core/config.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/scan/diagonal_state.hpp>
#include <ssm/simd/bits.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// Cauchy sums over conjugate pairs at imaginary nodes, several with the same poles,
///
///   h_j(y) = sum_n v_jn / (m_n + i y) + conj(v_jn) / (conj(m_n) + i y)
///
/// in real arithmetic. With Y = y^2, rho = 2 Re m, kappa = 2 Re(v conj(m)) and nu = 2 Re v the two terms are
///
///   (kappa + i y nu) / (A + i y rho) = (kappa A + rho nu Y + i y (nu A - rho kappa)) t
///   A = |m|^2 - Y      t = 1 / (A^2 + rho^2 Y)
///
/// Poles and the reciprocals t are shared by all products; each product then costs four multiply-adds, because with
/// Y = |m|^2 - A both parts of its numerator are straight lines in A. Vectors run along the nodes. The size of A relative
/// to |m|^2 says how near a resonance is, and no other difference is taken anywhere.
///
/// Layout    nodes, sums and upstream are padded to whole cache lines: [product][padded nodes]
template <class T, class Arch>
class CauchySums {
    using Pack = simd::Pack<T>;
    static constexpr bool many = simd::registers == 32;
    static constexpr std::size_t most = many ? 4 : 2;  // products in one pass
    static constexpr std::size_t weights = 5;          // of a mode and product

public:
    CauchySums(std::size_t modes, std::size_t products, Workspace& workspace)
        : modes_(modes),
          products_(products),
          poles_(workspace.take<T>(3 * modes)),
          weights_(workspace.take<T>(weights * modes * products)) {}

    /// m of all modes.
    void set_poles(const double* re, const double* im) noexcept {
        for (std::size_t n = 0; n < modes_; ++n) {
            const double rho = 2.0 * re[n];
            poles_[3 * n] = static_cast<T>(re[n] * re[n] + im[n] * im[n]);
            poles_[3 * n + 1] = static_cast<T>(rho * rho);
            poles_[3 * n + 2] = static_cast<T>(rho);
        }
    }
    /// v of product `j`, after `set_poles`, with the same m.
    void set_numerators(std::size_t j, const double* m_re, const double* m_im, const double* v_re,
                        const double* v_im) noexcept {
        for (std::size_t n = 0; n < modes_; ++n) {
            const double rho = 2.0 * m_re[n];
            const double square = m_re[n] * m_re[n] + m_im[n] * m_im[n];
            const double kappa = 2.0 * (v_re[n] * m_re[n] + v_im[n] * m_im[n]);
            const double nu = 2.0 * v_re[n];
            T* const to = weights_.data() + weights * (n * products_ + j);
            to[0] = static_cast<T>(rho * nu * square);
            to[1] = static_cast<T>(kappa - rho * nu);
            to[2] = static_cast<T>(rho * kappa);
            to[3] = static_cast<T>(nu);
            to[4] = static_cast<T>(kappa);
        }
    }

    /// All sums at `count` nodes y, whose arrays are `stride` long.
    void evaluate(const T* y, std::size_t count, std::size_t stride, T* re, T* im) const noexcept {
        for_each_group([&](auto group, std::size_t j) SSM_INLINE_LAMBDA {
            constexpr std::size_t packs = many ? (group == 1 ? 4 : 2) : 1;
            std::size_t k = 0;
            for (; k + packs * simd::width<T> <= count; k += packs * simd::width<T>)
                sum<group, packs>(j, y + k, stride, re + k, im + k);
            for (; k < count; k += simd::width<T>)
                sum<group, 1>(j, y + k, stride, re + k, im + k);
        });
    }

    /// The gradient of (kappa, nu) of each product and mode, [product][mode] twice, and of (|m|^2, rho) of each
    /// mode, from that of the sums: g_re and g_im y and g_re Y, zero in the padding. Writes the first, adds to the
    /// second.
    struct Upstream {
        const T* re;    ///< G(Re h)
        const T* im_y;  ///< y G(Im h)
        const T* re_Y;  ///< Y G(Re h)
    };
    struct Gradient {
        double* kappa;
        double* nu;
        double* square;
        double* rho;
    };
    void adjoint(const T* y, std::size_t count, std::size_t stride, const Upstream& upstream,
                 const Gradient& gradient) const noexcept {
        for_each_group([&](auto group, std::size_t j) SSM_INLINE_LAMBDA {
            for (std::size_t n = 0; n < modes_; ++n)
                add_mode<group>(j, n, y, count, stride, upstream, gradient);
        });
    }

private:
    template <class Body>
    SSM_INLINE void for_each_group(Body&& body) const noexcept {
        std::size_t j = 0;
        for (; j + most <= products_; j += most)
            body(std::integral_constant<std::size_t, most>{}, j);
        if constexpr (most == 4)
            if (j + 2 <= products_) {
                body(std::integral_constant<std::size_t, 2>{}, j);
                j += 2;
            }
        if (j < products_)
            body(std::integral_constant<std::size_t, 1>{}, j);
    }

    template <std::size_t group, std::size_t packs>
    SSM_INLINE void sum(std::size_t j, const T* nodes, std::size_t stride, T* re,
                        T* im) const noexcept {
        Pack y[packs], Y[packs];
        Pack real[packs][group], imaginary[packs][group];
        simd::unroll<packs>([&](auto i) SSM_INLINE_LAMBDA {
            y[i] = simd::load(nodes + i * simd::width<T>);
            Y[i] = y[i] * y[i];
            simd::unroll<group>(
                [&](auto p) SSM_INLINE_LAMBDA { real[i][p] = imaginary[i][p] = Pack(T(0)); });
        });
        const T* pole = poles_.data();
        const T* weight = weights_.data() + weights * j;
        for (std::size_t n = 0; n < modes_; ++n, pole += 3, weight += weights * products_)
            simd::unroll<packs>([&](auto i) SSM_INLINE_LAMBDA {
                const Pack A = Pack(pole[0]) - Y[i];
                const Pack t = simd::detail::reciprocal(simd::fma(A, A, Pack(pole[1]) * Y[i]));
                simd::unroll<group>([&](auto p) SSM_INLINE_LAMBDA {
                    const T* const w = weight + weights * p;
                    real[i][p] = simd::fma(simd::fma(Pack(w[1]), A, w[0]), t, real[i][p]);
                    imaginary[i][p] = simd::fma(simd::fms(Pack(w[3]), A, w[2]), t, imaginary[i][p]);
                });
            });
        simd::unroll<packs * group>([&](auto both) SSM_INLINE_LAMBDA {
            constexpr std::size_t i = both / group;
            constexpr std::size_t p = both % group;
            const std::size_t at = (j + p) * stride + i * simd::width<T>;
            simd::store(re + at, real[i][p]);
            simd::store(im + at, y[i] * imaginary[i][p]);
        });
    }

    template <std::size_t group>
    SSM_INLINE void add_mode(std::size_t j, std::size_t n, const T* y, std::size_t count,
                             std::size_t stride, const Upstream& upstream,
                             const Gradient& gradient) const noexcept {
        const Pack square(poles_[3 * n]), rho_square(poles_[3 * n + 1]), rho(poles_[3 * n + 2]);
        Pack kappa[group], nu[group];
        Pack re_At[group], im_t[group], re_t[group], im_At[group];
        simd::unroll<group>([&](auto p) SSM_INLINE_LAMBDA {
            nu[p] = Pack(weights_[weights * (n * products_ + j + p) + 3]);
            kappa[p] = Pack(weights_[weights * (n * products_ + j + p) + 4]);
            re_At[p] = im_t[p] = re_t[p] = im_At[p] = Pack(T(0));
        });
        Pack of_square(T(0)), of_rho_square(T(0));
        for (std::size_t k = 0; k < count; k += simd::width<T>) {
            const Pack node = simd::load(y + k);
            const Pack Y = node * node;
            const Pack A = square - Y;
            const Pack t = simd::detail::reciprocal(simd::fma(A, A, rho_square * Y));
            const Pack At = A * t;
            Pack of_At(T(0)), of_t(T(0));
            simd::unroll<group>([&](auto p) SSM_INLINE_LAMBDA {
                const std::size_t at = (j + p) * stride + k;
                const Pack g_re = simd::load(upstream.re + at);
                const Pack g_im = simd::load(upstream.im_y + at);
                const Pack g_Y = simd::load(upstream.re_Y + at);
                re_At[p] = simd::fma(g_re, At, re_At[p]);
                im_t[p] = simd::fma(g_im, t, im_t[p]);
                re_t[p] = simd::fma(g_Y, t, re_t[p]);
                im_At[p] = simd::fma(g_im, At, im_At[p]);
                of_At = simd::fma(g_im, nu[p], simd::fma(g_re, kappa[p], of_At));
                of_t = simd::fnma(g_im, kappa[p], simd::fma(g_Y, nu[p], of_t));
            });
            of_t = simd::fma(of_At, A, rho * of_t);
            const Pack of_sum = -(of_t * (t * t));
            of_square += simd::fma(A + A, of_sum, of_At * t);
            of_rho_square = simd::fma(Y, of_sum, of_rho_square);
        }
        const auto total = [](Pack x) SSM_INLINE_LAMBDA {
            return static_cast<double>(simd::reduce_add(x));
        };
        const double r = static_cast<double>(poles_[3 * n + 2]);
        double of_rho = 2.0 * r * total(of_rho_square);
        simd::unroll<group>([&](auto p) SSM_INLINE_LAMBDA {
            const std::size_t at = (j + p) * modes_ + n;
            const T* const w = weights_.data() + weights * (n * products_ + j + p);
            const double with_im = total(im_t[p]);
            const double with_re = total(re_t[p]);
            gradient.kappa[at] = total(re_At[p]) - r * with_im;
            gradient.nu[at] = r * with_re + total(im_At[p]);
            of_rho += static_cast<double>(w[3]) * with_re - static_cast<double>(w[4]) * with_im;
        });
        gradient.square[n] += total(of_square);
        gradient.rho[n] += of_rho;
    }

    std::size_t modes_;
    std::size_t products_;
    std::span<T> poles_;    // [mode][|m|^2, rho^2, rho]
    std::span<T> weights_;  // [mode][product][rho nu |m|^2, kappa - rho nu, rho kappa, nu, kappa]
};

}  // namespace ssm::detail
