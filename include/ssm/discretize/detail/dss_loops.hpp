#pragma once

#include <cstddef>
#include <span>

#include <ssm/core/config.hpp>
#include <ssm/discretize/lanes.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>

namespace ssm::detail {

/// Pole and input weight of some modes.
template <class V>
struct DssMode {
    simd::Complex<V> z, b;
};

/// What their gradients say about d and, other than through d, about lambda.
template <class V>
struct DssGradient {
    simd::Complex<V> d, lambda;
};

/// Real and imaginary parts of an array of complex numbers.
template <class T>
struct ComplexArrays {
    std::span<T> re, im;
};

/// The discretisations of DSS are functions of lambda and of d, which is dt lambda, or has time steps of its own for
/// its real and its imaginary part. `Method` gives, for packs of modes,
///
///   mode(lambda, d) -> DssMode      mode_adjoint(lambda, d, dz, db) -> DssGradient      check(d_re)
///
/// and gets the loops over arrays, in d and as a `Discretization`, in dt.
template <class Method>
struct DssLoops {
    /// There are no conjugate partners.
    static constexpr double conjugate_factor = 1.0;

    using In = ComplexArrays<const double>;
    using Out = ComplexArrays<double>;

    template <class Arch = simd::Arch>
    void scaled_forward(In lambda, In d, Out z, Out b) const {
        self().check(d.re);
        simd::for_each_pack<double>(d.re.size(), [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const auto mode = self().mode(load_complex(lanes, lambda.re, lambda.im, i),
                                          load_complex(lanes, d.re, d.im, i));
            store_complex(lanes, z.re, z.im, i, mode.z);
            store_complex(lanes, b.re, b.im, i, mode.b);
        });
    }

    template <class Arch = simd::Arch>
    void scaled_adjoint(In lambda, In d, In dz, In db, Out dd, Out dlambda) const {
        self().check(d.re);
        simd::for_each_pack<double>(d.re.size(), [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const auto gradient = self().mode_adjoint(
                load_complex(lanes, lambda.re, lambda.im, i), load_complex(lanes, d.re, d.im, i),
                load_complex(lanes, dz.re, dz.im, i), load_complex(lanes, db.re, db.im, i));
            store_complex(lanes, dd.re, dd.im, i, gradient.d);
            store_complex(lanes, dlambda.re, dlambda.im, i, gradient.lambda);
        });
    }

    template <class Arch = simd::Arch>
    void forward(std::span<const double> lambda_re, std::span<const double> lambda_im,
                 std::span<const double> dt, std::span<double> z_re, std::span<double> z_im,
                 std::span<double> b_re, std::span<double> b_im) const {
        check_growth(lambda_re, dt);
        simd::for_each_pack<double>(dt.size(), [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const auto lambda = load_complex(lanes, lambda_re, lambda_im, i);
            const auto mode = self().mode(lambda, lanes.load(dt.data() + i) * lambda);
            store_complex(lanes, z_re, z_im, i, mode.z);
            store_complex(lanes, b_re, b_im, i, mode.b);
        });
    }

    template <class Arch = simd::Arch>
    void adjoint(std::span<const double> lambda_re, std::span<const double> lambda_im,
                 std::span<const double> dt, std::span<const double> dz_re,
                 std::span<const double> dz_im, std::span<const double> db_re,
                 std::span<const double> db_im, std::span<double> dlambda_re,
                 std::span<double> dlambda_im, std::span<double> ddt) const {
        check_growth(lambda_re, dt);
        simd::for_each_pack<double>(dt.size(), [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const auto lambda = load_complex(lanes, lambda_re, lambda_im, i);
            const auto step = lanes.load(dt.data() + i);
            const auto gradient =
                self().mode_adjoint(lambda, step * lambda, load_complex(lanes, dz_re, dz_im, i),
                                    load_complex(lanes, db_re, db_im, i));
            store_complex(lanes, dlambda_re, dlambda_im, i, step * gradient.d + gradient.lambda);
            lanes.store(ddt.data() + i, inner(lambda, gradient.d));
        });
    }

private:
    [[nodiscard]] const Method& self() const noexcept { return static_cast<const Method&>(*this); }

    void check_growth(std::span<const double> lambda_re, std::span<const double> dt) const {
        for (std::size_t i = 0; i < dt.size(); ++i) {
            const double growth = dt[i] * lambda_re[i];
            self().check(std::span<const double>(&growth, 1));
        }
    }
};

}  // namespace ssm::detail
