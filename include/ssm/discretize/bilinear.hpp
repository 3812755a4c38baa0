#pragma once

#include <cstddef>
#include <span>

#include <ssm/core/config.hpp>
#include <ssm/discretize/discretization.hpp>
#include <ssm/discretize/lanes.hpp>
#include <ssm/simd/partial.hpp>

namespace ssm {

/// Generalised bilinear transform:
///
///   z = (1 + (1 - alpha) dt lambda) / (1 - alpha dt lambda)      b = dt / (1 - alpha dt lambda)
///
/// alpha = 0 is forward Euler (not stable for stiff modes), 1/2 the bilinear or Tustin transform, 1
/// backward Euler.
struct GeneralizedBilinear {
    double alpha = 0.5;

    template <class Arch = simd::Arch>
    void forward(std::span<const double> lambda_re, std::span<const double> lambda_im,
                 std::span<const double> dt, std::span<double> z_re, std::span<double> z_im,
                 std::span<double> b_re, std::span<double> b_im) const noexcept {
        simd::for_each_pack<double>(dt.size(), [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const auto lambda = detail::load_complex(lanes, lambda_re, lambda_im, i);
            const auto step = lanes.load(dt.data() + i);
            const auto x = step * lambda;
            const auto w = detail::reciprocal(detail::one_plus(x * -alpha));
            detail::store_complex(lanes, z_re, z_im, i, w * detail::one_plus(x * (1.0 - alpha)));
            detail::store_complex(lanes, b_re, b_im, i, step * w);
        });
    }

    /// With w = 1 / (1 - alpha dt lambda): dz/d(dt lambda) = w^2, db/dlambda = alpha dt^2 w^2, db/ddt = w^2.
    template <class Arch = simd::Arch>
    void adjoint(std::span<const double> lambda_re, std::span<const double> lambda_im,
                 std::span<const double> dt, std::span<const double> dz_re,
                 std::span<const double> dz_im, std::span<const double> db_re,
                 std::span<const double> db_im, std::span<double> dlambda_re,
                 std::span<double> dlambda_im, std::span<double> ddt) const noexcept {
        simd::for_each_pack<double>(dt.size(), [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const auto lambda = detail::load_complex(lanes, lambda_re, lambda_im, i);
            const auto step = lanes.load(dt.data() + i);
            const auto dz = detail::load_complex(lanes, dz_re, dz_im, i);
            const auto db = detail::load_complex(lanes, db_re, db_im, i);
            const auto w = detail::reciprocal(detail::one_plus(lambda * (step * -alpha)));
            const auto dx = simd::conj_mul(w * w, dz);
            const auto dw = simd::conj_mul(w * w, db);
            detail::store_complex(lanes, dlambda_re, dlambda_im, i,
                                  step * (dx + dw * (step * alpha)));
            lanes.store(ddt.data() + i, detail::inner(lambda, dx) + dw.re);
        });
    }
};

namespace detail {

template <int numerator, int denominator>
struct FixedBilinear {
    static constexpr double alpha =
        static_cast<double>(numerator) / static_cast<double>(denominator);

    template <class Arch = simd::Arch>
    static void forward(std::span<const double> lambda_re, std::span<const double> lambda_im,
                        std::span<const double> dt, std::span<double> z_re, std::span<double> z_im,
                        std::span<double> b_re, std::span<double> b_im) noexcept {
        method().template forward<Arch>(lambda_re, lambda_im, dt, z_re, z_im, b_re, b_im);
    }
    template <class Arch = simd::Arch>
    static void adjoint(std::span<const double> lambda_re, std::span<const double> lambda_im,
                        std::span<const double> dt, std::span<const double> dz_re,
                        std::span<const double> dz_im, std::span<const double> db_re,
                        std::span<const double> db_im, std::span<double> dlambda_re,
                        std::span<double> dlambda_im, std::span<double> ddt) noexcept {
        method().template adjoint<Arch>(lambda_re, lambda_im, dt, dz_re, dz_im, db_re, db_im,
                                        dlambda_re, dlambda_im, ddt);
    }

private:
    static constexpr GeneralizedBilinear method() noexcept { return {alpha}; }
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
