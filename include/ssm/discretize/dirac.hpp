#pragma once

#include <cstddef>
#include <span>

#include <ssm/core/config.hpp>
#include <ssm/discretize/discretization.hpp>
#include <ssm/discretize/lanes.hpp>
#include <ssm/simd/complex_exp.hpp>
#include <ssm/simd/partial.hpp>

namespace ssm {

/// Every input is an impulse: z = e^{dt lambda}, b = 1.
///
/// Source  arXiv:2404.18508 (event-based state space models)
struct Dirac {
    template <class Arch = simd::Arch>
    static void forward(std::span<const double> lambda_re, std::span<const double> lambda_im,
                        std::span<const double> dt, std::span<double> z_re, std::span<double> z_im,
                        std::span<double> b_re, std::span<double> b_im) noexcept {
        simd::for_each_pack<double>(dt.size(), [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const auto lambda = detail::load_complex(lanes, lambda_re, lambda_im, i);
            const auto step = lanes.load(dt.data() + i);
            detail::store_complex(lanes, z_re, z_im, i, simd::exp(step * lambda));
            detail::store_complex(lanes, b_re, b_im, i, {1.0, 0.0});
        });
    }

    /// dz/dlambda = dt z, dz/ddt = lambda z.
    template <class Arch = simd::Arch>
    static void adjoint(std::span<const double> lambda_re, std::span<const double> lambda_im,
                        std::span<const double> dt, std::span<const double> dz_re,
                        std::span<const double> dz_im, std::span<const double>,
                        std::span<const double>, std::span<double> dlambda_re,
                        std::span<double> dlambda_im, std::span<double> ddt) noexcept {
        simd::for_each_pack<double>(dt.size(), [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const auto lambda = detail::load_complex(lanes, lambda_re, lambda_im, i);
            const auto step = lanes.load(dt.data() + i);
            const auto dz = detail::load_complex(lanes, dz_re, dz_im, i);
            const auto dx = simd::conj_mul(simd::exp(step * lambda), dz);
            detail::store_complex(lanes, dlambda_re, dlambda_im, i, step * dx);
            lanes.store(ddt.data() + i, detail::inner(lambda, dx));
        });
    }
};

}  // namespace ssm
