#pragma once

#include <complex>
#include <cstddef>
#include <span>

#include <ssm/discretize/discretization.hpp>

namespace ssm {

/// Generalised bilinear transform:
///
///   z = (1 + (1 - alpha) dt lambda) / (1 - alpha dt lambda)      b = dt / (1 - alpha dt lambda)
///
/// alpha = 0 is forward Euler (not stable for stiff modes), 1/2 the bilinear or Tustin transform, 1
/// backward Euler.
struct GeneralizedBilinear {
    double alpha = 0.5;

    void forward(std::span<const double> lambda_re, std::span<const double> lambda_im,
                 std::span<const double> dt, std::span<double> z_re, std::span<double> z_im,
                 std::span<double> b_re, std::span<double> b_im) const noexcept {
        for (std::size_t i = 0; i < dt.size(); ++i) {
            const std::complex<double> x{dt[i] * lambda_re[i], dt[i] * lambda_im[i]};
            const std::complex<double> w = 1.0 / (1.0 - alpha * x);
            const std::complex<double> z = w * (1.0 + (1.0 - alpha) * x);
            z_re[i] = z.real();
            z_im[i] = z.imag();
            b_re[i] = dt[i] * w.real();
            b_im[i] = dt[i] * w.imag();
        }
    }

    /// With w = 1 / (1 - alpha dt lambda): dz/d(dt lambda) = w^2, db/dlambda = alpha dt^2 w^2, db/ddt = w^2.
    void adjoint(std::span<const double> lambda_re, std::span<const double> lambda_im,
                 std::span<const double> dt, std::span<const double> dz_re,
                 std::span<const double> dz_im, std::span<const double> db_re,
                 std::span<const double> db_im, std::span<double> dlambda_re,
                 std::span<double> dlambda_im, std::span<double> ddt) const noexcept {
        for (std::size_t i = 0; i < dt.size(); ++i) {
            const std::complex<double> lambda{lambda_re[i], lambda_im[i]};
            const std::complex<double> dz{dz_re[i], dz_im[i]};
            const std::complex<double> db{db_re[i], db_im[i]};
            const std::complex<double> w = 1.0 / (1.0 - alpha * dt[i] * lambda);
            const std::complex<double> w2 = std::conj(w * w);
            const std::complex<double> dlambda = dt[i] * w2 * (dz + alpha * dt[i] * db);
            dlambda_re[i] = dlambda.real();
            dlambda_im[i] = dlambda.imag();
            ddt[i] = (w2 * (dz * std::conj(lambda) + db)).real();
        }
    }
};

namespace detail {

template <int numerator, int denominator>
struct FixedBilinear {
    static void forward(std::span<const double> lambda_re, std::span<const double> lambda_im,
                        std::span<const double> dt, std::span<double> z_re, std::span<double> z_im,
                        std::span<double> b_re, std::span<double> b_im) noexcept {
        method().forward(lambda_re, lambda_im, dt, z_re, z_im, b_re, b_im);
    }
    static void adjoint(std::span<const double> lambda_re, std::span<const double> lambda_im,
                        std::span<const double> dt, std::span<const double> dz_re,
                        std::span<const double> dz_im, std::span<const double> db_re,
                        std::span<const double> db_im, std::span<double> dlambda_re,
                        std::span<double> dlambda_im, std::span<double> ddt) noexcept {
        method().adjoint(lambda_re, lambda_im, dt, dz_re, dz_im, db_re, db_im, dlambda_re, dlambda_im, ddt);
    }

private:
    static constexpr GeneralizedBilinear method() noexcept {
        return {static_cast<double>(numerator) / static_cast<double>(denominator)};
    }
};

}  // namespace detail

/// The bilinear transform (trapezoidal rule, Tustin): z = (1 + dt lambda / 2) / (1 - dt lambda / 2),
/// b = dt / (1 - dt lambda / 2). Maps the left half plane into the unit circle.
struct Bilinear : detail::FixedBilinear<1, 2> {};
/// z = 1 + dt lambda, b = dt. Unstable where |1 + dt lambda| > 1.
struct ForwardEuler : detail::FixedBilinear<0, 1> {};
/// z = b / dt = 1 / (1 - dt lambda).
struct BackwardEuler : detail::FixedBilinear<1, 1> {};

}  // namespace ssm
