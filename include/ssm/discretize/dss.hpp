#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <span>

#include <ssm/core/error.hpp>
#include <ssm/discretize/discretization.hpp>
#include <ssm/discretize/phi.hpp>

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

    void forward(std::span<const double> lambda_re, std::span<const double> lambda_im,
                 std::span<const double> dt, std::span<double> z_re, std::span<double> z_im,
                 std::span<double> b_re, std::span<double> b_im) const {
        check(lambda_re, dt);
        for (std::size_t i = 0; i < dt.size(); ++i) {
            const Mode mode = at({lambda_re[i], lambda_im[i]}, dt[i]);
            const Number z = std::exp(mode.d);
            const Number b = mode.scale * mode.numerator * recip(mode.x());
            z_re[i] = z.real();
            z_im[i] = z.imag();
            b_re[i] = b.real();
            b_im[i] = b.imag();
        }
    }

    void adjoint(std::span<const double> lambda_re, std::span<const double> lambda_im,
                 std::span<const double> dt, std::span<const double> dz_re,
                 std::span<const double> dz_im, std::span<const double> db_re,
                 std::span<const double> db_im, std::span<double> dlambda_re,
                 std::span<double> dlambda_im, std::span<double> ddt) const {
        check(lambda_re, dt);
        const auto L = static_cast<double>(length);
        for (std::size_t i = 0; i < dt.size(); ++i) {
            const Number lambda{lambda_re[i], lambda_im[i]};
            const Mode mode = at(lambda, dt[i]);
            const Number dz{dz_re[i], dz_im[i]};
            const Number db{db_re[i], db_im[i]};
            const Number r = recip(mode.x());
            const Number dx = recip_adjoint(mode.x(), db * std::conj(mode.scale * mode.numerator));
            Number dd = dz * std::conj(std::exp(mode.d));
            dd += mode.sign * db * std::conj(mode.scale * r * (mode.numerator + 1.0));
            dd += mode.sign * L * dx * std::conj((mode.denominator + 1.0) * lambda);
            if (!constant_maximum && mode.sign < 0.0)
                dd -= (L - 1.0) * db * std::conj(mode.scale * mode.numerator * r);
            const Number dlambda = dt[i] * dd + dx * std::conj(mode.denominator);
            dlambda_re[i] = dlambda.real();
            dlambda_im[i] = dlambda.imag();
            ddt[i] = (dd * std::conj(lambda)).real();
        }
    }

private:
    using Number = std::complex<double>;

    struct Mode {
        Number lambda;
        Number d;            // dt lambda
        double sign;         // d' = sign d
        Number scale;        // e^{-m}
        Number numerator;    // e^{d'} - 1
        Number denominator;  // e^{d' L} - 1

        [[nodiscard]] Number x() const noexcept { return denominator * lambda; }
    };

    [[nodiscard]] Mode at(Number lambda, double dt) const noexcept {
        const auto L = static_cast<double>(length);
        const Number d = dt * lambda;
        const double sign = lambda.real() > 0.0 ? -1.0 : 1.0;
        return {lambda,
                d,
                sign,
                sign > 0.0 ? Number(1.0) : std::exp(-d * (L - 1.0)),
                detail::expm1(sign * d),
                detail::expm1(sign * d * L)};
    }
    [[nodiscard]] Number recip(Number x) const noexcept { return std::conj(x) / (std::norm(x) + epsilon); }
    /// recip is not holomorphic: G(x) = conj(g) / D - 2 Re(g x) x / D^2 with D = |x|^2 + epsilon.
    [[nodiscard]] Number recip_adjoint(Number x, Number g) const noexcept {
        const double D = std::norm(x) + epsilon;
        return std::conj(g) / D - 2.0 * (g * x).real() / (D * D) * x;
    }

    void check(std::span<const double> lambda_re, std::span<const double> dt) const {
        double growth = 0.0;
        for (std::size_t i = 0; i < dt.size(); ++i)
            growth = std::max(growth, dt[i] * lambda_re[i]);
        growth *= static_cast<double>(length) - 1.0;
        require<ValueError>(growth <= 700.0, "ssm::Dss: a mode grows by a factor e^", growth,
                            " over a sequence of ", length, " steps, more than a number can hold (e^700)");
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
