#pragma once

#include <cmath>
#include <complex>
#include <cstddef>
#include <span>

#include <ssm/discretize/discretization.hpp>
#include <ssm/discretize/phi.hpp>

namespace ssm {

/// Zero-order hold: the input is constant during each step.
///
///   z = e^{dt lambda}      b = (e^{dt lambda} - 1) / lambda = dt phi1(dt lambda)
///
/// Accuracy  a few units of 1e-16 for every dt lambda, including 0; tests/discretize/zoh.test.cpp
/// Source    arXiv:2206.11893
struct Zoh {
    static void forward(std::span<const double> lambda_re, std::span<const double> lambda_im,
                        std::span<const double> dt, std::span<double> z_re, std::span<double> z_im,
                        std::span<double> b_re, std::span<double> b_im) noexcept {
        for (std::size_t i = 0; i < dt.size(); ++i) {
            const std::complex<double> x{dt[i] * lambda_re[i], dt[i] * lambda_im[i]};
            const std::complex<double> z = std::exp(x);
            const std::complex<double> b = dt[i] * detail::phi1(x);
            z_re[i] = z.real();
            z_im[i] = z.imag();
            b_re[i] = b.real();
            b_im[i] = b.imag();
        }
    }

    /// dz/dlambda = dt z, dz/ddt = lambda z, db/dlambda = dt^2 phi1'(dt lambda), db/ddt = z.
    static void adjoint(std::span<const double> lambda_re, std::span<const double> lambda_im,
                        std::span<const double> dt, std::span<const double> dz_re,
                        std::span<const double> dz_im, std::span<const double> db_re,
                        std::span<const double> db_im, std::span<double> dlambda_re,
                        std::span<double> dlambda_im, std::span<double> ddt) noexcept {
        for (std::size_t i = 0; i < dt.size(); ++i) {
            const std::complex<double> lambda{lambda_re[i], lambda_im[i]};
            const std::complex<double> dz{dz_re[i], dz_im[i]};
            const std::complex<double> db{db_re[i], db_im[i]};
            const std::complex<double> x = dt[i] * lambda;
            const std::complex<double> z = std::exp(x);
            const std::complex<double> dlambda =
                dt[i] * (dz * std::conj(z) + db * dt[i] * std::conj(detail::phi1_derivative(x)));
            dlambda_re[i] = dlambda.real();
            dlambda_im[i] = dlambda.imag();
            ddt[i] = (std::conj(dz) * lambda * z + std::conj(db) * z).real();
        }
    }
};

}  // namespace ssm
