#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/config.hpp>
#include <ssm/core/error.hpp>
#include <ssm/discretize/discretization.hpp>
#include <ssm/discretize/lanes.hpp>
#include <ssm/simd/complex_exp.hpp>
#include <ssm/simd/partial.hpp>

namespace ssm {

/// The discretisation of DSS for sequences of one length L: a softmax over time of each mode.
///
///   z = e^d      b = e^{-m} (e^{d'} - 1) recip((e^{d' L} - 1) lambda)      d = dt lambda
///   d' = d, m = 0 for Re lambda <= 0, else d' = -d, m = d (L - 1)      recip(x) = conj(x) / (|x|^2 + epsilon)
///
/// that is b = (e^d - 1) / (lambda (e^{d L} - 1)) for any sign of Re lambda, up to epsilon, without overflow.
///
/// Errors    ValueError if dt Re lambda (L - 1) exceeds 700: z^(L-1) would not be a number
struct DssOfLength {
    std::size_t length = 1;
    double epsilon = 1e-7;
    /// Whether the adjoint takes e^{-m} for a constant, as the original code does. The exact gradient of
    /// modes with Re lambda > 0 needs false; other modes do not notice.
    bool constant_maximum = true;

    static constexpr double conjugate_factor = 1.0;

    template <class Arch = simd::Arch>
    void forward(std::span<const double> lambda_re, std::span<const double> lambda_im,
                 std::span<const double> dt, std::span<double> z_re, std::span<double> z_im,
                 std::span<double> b_re, std::span<double> b_im) const {
        check(lambda_re, dt);
        simd::for_each_pack<double>(dt.size(), [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const auto lambda = detail::load_complex(lanes, lambda_re, lambda_im, i);
            const auto mode = softmax(lambda, lanes.load(dt.data() + i));
            detail::store_complex(lanes, z_re, z_im, i, simd::exp(mode.d));
            detail::store_complex(lanes, b_re, b_im, i,
                                  mode.scale * mode.numerator * recip(mode.x));
        });
    }

    template <class Arch = simd::Arch>
    void adjoint(std::span<const double> lambda_re, std::span<const double> lambda_im,
                 std::span<const double> dt, std::span<const double> dz_re,
                 std::span<const double> dz_im, std::span<const double> db_re,
                 std::span<const double> db_im, std::span<double> dlambda_re,
                 std::span<double> dlambda_im, std::span<double> ddt) const {
        check(lambda_re, dt);
        simd::for_each_pack<double>(dt.size(), [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const auto lambda = detail::load_complex(lanes, lambda_re, lambda_im, i);
            const auto step = lanes.load(dt.data() + i);
            const auto dz = detail::load_complex(lanes, dz_re, dz_im, i);
            const auto db = detail::load_complex(lanes, db_re, db_im, i);
            const auto [dd, dlambda] = softmax_adjoint(softmax(lambda, step), dz, db);
            detail::store_complex(lanes, dlambda_re, dlambda_im, i, step * dd + dlambda);
            lanes.store(ddt.data() + i, detail::inner(lambda, dd));
        });
    }

private:
    template <class V>
    struct Mode {
        simd::Complex<V> lambda;
        simd::Complex<V> d;
        V sign;                        // d' = sign d
        simd::Complex<V> scale;        // e^{-m}
        simd::Complex<V> numerator;    // e^{d'} - 1
        simd::Complex<V> denominator;  // e^{d' L} - 1
        simd::Complex<V> x;            // denominator lambda
    };
    template <class V>
    struct Gradients {
        simd::Complex<V> d;
        simd::Complex<V> lambda;  // what does not pass through d
    };

    template <class V>
    [[nodiscard]] SSM_INLINE Mode<V> softmax(simd::Complex<V> lambda, V dt) const noexcept {
        const V L(static_cast<double>(length));
        const V one(1.0);
        const simd::Complex<V> d = dt * lambda;
        const V sign = simd::select(lambda.re > V(0.0), V(-1.0), one);
        const V growing = simd::select(lambda.re > V(0.0), one, V(0.0));
        const simd::Complex<V> denominator = simd::expm1(d * (sign * L));
        return {lambda,
                d,
                sign,
                simd::exp(-d * (growing * (L - one))),
                simd::expm1(d * sign),
                denominator,
                denominator * lambda};
    }

    template <class V>
    [[nodiscard]] SSM_INLINE Gradients<V> softmax_adjoint(const Mode<V>& mode, simd::Complex<V> dz,
                                                          simd::Complex<V> db) const noexcept {
        const V L(static_cast<double>(length));
        const simd::Complex<V> one{V(1.0), V(0.0)};
        const simd::Complex<V> r = recip(mode.x);
        const simd::Complex<V> dx =
            recip_adjoint(mode.x, simd::conj_mul(mode.scale * mode.numerator, db));
        const simd::Complex<V> numerator =
            simd::conj_mul(mode.scale * r * (mode.numerator + one), db);
        const simd::Complex<V> denominator =
            simd::conj_mul((mode.denominator + one) * mode.lambda, dx);
        simd::Complex<V> d =
            simd::conj_mul(simd::exp(mode.d), dz) + mode.sign * (numerator + denominator * L);
        if (!constant_maximum) {
            const V slope = simd::select(mode.sign < V(0.0), L - V(1.0), V(0.0));
            d -= slope * simd::conj_mul(mode.scale * mode.numerator * r, db);
        }
        return {d, simd::conj_mul(mode.denominator, dx)};
    }

    template <class V>
    [[nodiscard]] SSM_INLINE simd::Complex<V> recip(simd::Complex<V> x) const noexcept {
        return simd::conj(x) * (V(1.0) / (simd::norm(x) + V(epsilon)));
    }
    /// recip is not holomorphic: G(x) = conj(g) / D - 2 Re(g x) x / D^2 with D = |x|^2 + epsilon.
    template <class V>
    [[nodiscard]] SSM_INLINE simd::Complex<V> recip_adjoint(simd::Complex<V> x,
                                                            simd::Complex<V> g) const noexcept {
        const V inverse = V(1.0) / (simd::norm(x) + V(epsilon));
        return simd::conj(g) * inverse -
               x * (V(2.0) * detail::inner(simd::conj(g), x) * inverse * inverse);
    }

    void check(std::span<const double> lambda_re, std::span<const double> dt) const {
        double growth = 0.0;
        for (std::size_t i = 0; i < dt.size(); ++i)
            growth = std::max(growth, dt[i] * lambda_re[i]);
        growth *= static_cast<double>(length) - 1.0;
        require<ValueError>(growth <= 700.0, "ssm::Dss: a mode grows by a factor e^", growth,
                            " over a sequence of ", length,
                            " steps, more than a number can hold (e^700)");
    }
};

/// DSS, softmax version: modes without conjugate partners, each normalised over the whole sequence.
///
/// Source  arXiv:2203.14343, and the discretisation `dss` of S4
struct Dss {
    double epsilon = 1e-7;
    bool constant_maximum = true;  ///< see `DssOfLength`

    static constexpr double conjugate_factor = 1.0;

    [[nodiscard]] DssOfLength with_length(std::size_t length) const noexcept {
        return {length, epsilon, constant_maximum};
    }
};

}  // namespace ssm
