#pragma once

#include <complex>
#include <cstddef>
#include <span>

#include <ssm/discretize/discretization.hpp>

namespace ssm {

/// Every input is an impulse: z = e^{dt lambda}, b = 1.
///
/// Source  arXiv:2404.18508 (event-based state space models)
struct Dirac {
    static void forward(std::span<const double> lambda_re, std::span<const double> lambda_im,
                        std::span<const double> dt, std::span<double> z_re, std::span<double> z_im,
                        std::span<double> b_re, std::span<double> b_im) noexcept {
        for (std::size_t i = 0; i < dt.size(); ++i) {
            const std::complex<double> z = std::exp(std::complex<double>(dt[i] * lambda_re[i], dt[i] * lambda_im[i]));
            z_re[i] = z.real();
            z_im[i] = z.imag();
            b_re[i] = 1.0;
            b_im[i] = 0.0;
        }
    }

    static void adjoint(std::span<const double> lambda_re, std::span<const double> lambda_im,
                        std::span<const double> dt, std::span<const double> dz_re,
                        std::span<const double> dz_im, std::span<const double>, std::span<const double>,
                        std::span<double> dlambda_re, std::span<double> dlambda_im,
                        std::span<double> ddt) noexcept {
        for (std::size_t i = 0; i < dt.size(); ++i) {
            const std::complex<double> lambda{lambda_re[i], lambda_im[i]};
            const std::complex<double> dx =
                std::complex<double>(dz_re[i], dz_im[i]) * std::conj(std::exp(dt[i] * lambda));
            dlambda_re[i] = dt[i] * dx.real();
            dlambda_im[i] = dt[i] * dx.imag();
            ddt[i] = (dx * std::conj(lambda)).real();
        }
    }
};

}  // namespace ssm
