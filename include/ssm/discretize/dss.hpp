#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/config.hpp>
#include <ssm/core/error.hpp>
#include <ssm/discretize/detail/dss_loops.hpp>
#include <ssm/discretize/discretization.hpp>
#include <ssm/discretize/lanes.hpp>
#include <ssm/simd/complex_exp.hpp>

namespace ssm {

/// The discretisation of DSS for sequences of one length L: a softmax over time of each mode.
///
///   z = e^d      b = e^{-m} (e^{d'} - 1) recip((e^{d' L} - 1) lambda)      d = dt lambda
///   d' = d, m = 0 for Re lambda <= 0, else d' = -d, m = d (L - 1)      recip(x) = conj(x) / (|x|^2 + epsilon)
///
/// that is b = (e^d - 1) / (lambda (e^{d L} - 1)) for any sign of Re lambda, up to epsilon, without overflow. With its
/// length fixed it is a system like any other, which can run step by step, also beyond L.
///
/// Errors    ValueError if dt Re lambda (L - 1) exceeds 700: z^(L-1) would not be a number
struct DssOfLength : detail::DssLoops<DssOfLength> {
    std::size_t length = 1;
    double epsilon = 1e-7;
    /// Whether the adjoint takes e^{-m} for a constant, as the original code does. The exact gradient of
    /// modes with Re lambda > 0 needs false; other modes do not notice.
    bool constant_maximum = true;

    DssOfLength() = default;
    explicit DssOfLength(std::size_t steps, double tiny = 1e-7, bool is_constant = true) noexcept
        : length(steps), epsilon(tiny), constant_maximum(is_constant) {}

    template <class V>
    [[nodiscard]] SSM_INLINE detail::DssMode<V> mode(simd::Complex<V> lambda,
                                                     simd::Complex<V> d) const noexcept {
        const Softmax<V> s = softmax(lambda, d);
        return {simd::exp(d), s.scale * s.numerator * recip(s.x)};
    }

    template <class V>
    [[nodiscard]] SSM_INLINE detail::DssGradient<V> mode_adjoint(
        simd::Complex<V> lambda, simd::Complex<V> d, simd::Complex<V> dz,
        simd::Complex<V> db) const noexcept {
        const V L(static_cast<double>(length));
        const simd::Complex<V> one{V(1.0), V(0.0)};
        const Softmax<V> s = softmax(lambda, d);
        const simd::Complex<V> r = recip(s.x);
        const simd::Complex<V> dx = recip_adjoint(s.x, simd::conj_mul(s.scale * s.numerator, db));
        const simd::Complex<V> numerator = simd::conj_mul(s.scale * r * (s.numerator + one), db);
        const simd::Complex<V> denominator = simd::conj_mul((s.denominator + one) * lambda, dx);
        simd::Complex<V> dd =
            simd::conj_mul(simd::exp(d), dz) + s.sign * (numerator + denominator * L);
        if (!constant_maximum) {
            const V slope = simd::select(s.sign < V(0.0), L - V(1.0), V(0.0));
            dd -= slope * simd::conj_mul(s.scale * s.numerator * r, db);
        }
        return {dd, simd::conj_mul(s.denominator, dx)};
    }

    /// Raises ValueError where a mode outgrows the range of numbers.
    void check(std::span<const double> d_re) const {
        double growth = 0.0;
        for (const double d : d_re)
            growth = std::max(growth, d);
        growth *= static_cast<double>(length) - 1.0;
        require<ValueError>(growth <= 700.0, "ssm::Dss: a mode grows by a factor e^", growth,
                            " over a sequence of ", length,
                            " steps, more than a number can hold (e^700)");
    }

private:
    template <class V>
    struct Softmax {
        V sign;                        // d' = sign d
        simd::Complex<V> scale;        // e^{-m}
        simd::Complex<V> numerator;    // e^{d'} - 1
        simd::Complex<V> denominator;  // e^{d' L} - 1
        simd::Complex<V> x;            // denominator lambda
    };

    template <class V>
    [[nodiscard]] SSM_INLINE Softmax<V> softmax(simd::Complex<V> lambda,
                                                simd::Complex<V> d) const noexcept {
        const V L(static_cast<double>(length));
        const V one(1.0);
        const V sign = simd::select(lambda.re > V(0.0), V(-1.0), one);
        const V growing = simd::select(lambda.re > V(0.0), one, V(0.0));
        const simd::Complex<V> denominator = simd::expm1(d * (sign * L));
        return {sign, simd::exp(-d * (growing * (L - one))), simd::expm1(d * sign), denominator,
                denominator * lambda};
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
};

/// DSS, softmax version: modes without conjugate partners, each normalised over the whole sequence.
///
/// Source  arXiv:2203.14343, and the discretisation `dss` of S4
struct Dss {
    double epsilon = 1e-7;
    bool constant_maximum = true;  ///< see `DssOfLength`

    static constexpr double conjugate_factor = 1.0;

    [[nodiscard]] DssOfLength with_length(std::size_t length) const noexcept {
        return DssOfLength(length, epsilon, constant_maximum);
    }
};

/// DSS, exp versions: z = e^d, b = (e^d - 1) conj(lambda) / max(|lambda|^2, epsilon). Zero-order hold without
/// conjugate partners, but for epsilon.
///
/// Source  arXiv:2203.14343
struct DssExp : detail::DssLoops<DssExp> {
    double epsilon = 1e-7;

    template <class V>
    [[nodiscard]] SSM_INLINE detail::DssMode<V> mode(simd::Complex<V> lambda,
                                                     simd::Complex<V> d) const noexcept {
        return {simd::exp(d), simd::expm1(d) * (simd::conj(lambda) * reciprocal_size(lambda))};
    }

    template <class V>
    [[nodiscard]] SSM_INLINE detail::DssGradient<V> mode_adjoint(
        simd::Complex<V> lambda, simd::Complex<V> d, simd::Complex<V> dz,
        simd::Complex<V> db) const noexcept {
        const V inverse = reciprocal_size(lambda);
        const simd::Complex<V> g = simd::conj_mul(simd::expm1(d), db);
        const V slope = simd::select(simd::norm(lambda) < V(epsilon), V(0.0),
                                     V(2.0) * detail::inner(simd::conj(g), lambda));
        return {simd::conj_mul(simd::exp(d), dz + simd::conj_mul(simd::conj(lambda) * inverse, db)),
                simd::conj(g) * inverse - lambda * (slope * inverse * inverse)};
    }

    void check(std::span<const double>) const noexcept {}

private:
    template <class V>
    [[nodiscard]] SSM_INLINE V reciprocal_size(simd::Complex<V> lambda) const noexcept {
        return V(1.0) / simd::max(simd::norm(lambda), V(epsilon));
    }
};

/// DSS, versions without scale: z = e^d, b = 1. `Dirac` without conjugate partners.
///
/// Source  arXiv:2203.14343
struct DssNoScale : detail::DssLoops<DssNoScale> {
    template <class V>
    [[nodiscard]] SSM_INLINE detail::DssMode<V> mode(simd::Complex<V>,
                                                     simd::Complex<V> d) const noexcept {
        return {simd::exp(d), {V(1.0), V(0.0)}};
    }
    template <class V>
    [[nodiscard]] SSM_INLINE detail::DssGradient<V> mode_adjoint(simd::Complex<V>,
                                                                 simd::Complex<V> d,
                                                                 simd::Complex<V> dz,
                                                                 simd::Complex<V>) const noexcept {
        return {simd::conj_mul(simd::exp(d), dz), {V(0.0), V(0.0)}};
    }
    void check(std::span<const double>) const noexcept {}
};

}  // namespace ssm
