#pragma once

#include <concepts>
#include <cstddef>
#include <span>

#include <ssm/core/config.hpp>

namespace ssm {

/// A discretisation of diagonal systems: what makes of x' = lambda x + B u and a time step dt the pole z
/// and the input weight b of
///
///   x[t] = z x[t-1] + b B u[t]
///
/// for many modes at once. Complex numbers are passed as real and imaginary parts, all spans have
/// the same length, one entry for each mode; outputs are written, not added to, and overlap nothing.
///
///   forward(lambda_re, lambda_im, dt,  z_re, z_im, b_re, b_im)
///   adjoint(lambda_re, lambda_im, dt,  dz_re, dz_im, db_re, db_im,  dlambda_re, dlambda_im, ddt)
///
/// where dz = d loss / d Re z + i d loss / d Im z, and so on.
template <class D>
concept Discretization = requires(const D& method, std::span<const double> in,
                                  std::span<double> out) {
    method.forward(in, in, in, out, out, out, out);
    method.adjoint(in, in, in, in, in, in, in, out, out, out);
};

/// A discretisation that depends on the length of the sequence: `with_length(L)` gives the one to use.
template <class D>
concept LengthDependentDiscretization = requires(const D& method, std::size_t length) {
    { method.with_length(length) } -> Discretization;
};

/// Nothing to discretise: the structure is one in discrete time.
struct Discrete {};

/// The discretisation to use for sequences of this length.
template <class D>
[[nodiscard]] auto at_length(const D& method, std::size_t length) {
    if constexpr (LengthDependentDiscretization<D>)
        return method.with_length(length);
    else
        return method;
}

/// What a residue is multiplied with for the conjugate partner of its mode, which is not stored: 2,
/// unless the method says `static constexpr double conjugate_factor`.
template <class D>
inline constexpr double conjugate_factor = 2.0;
template <class D>
requires requires {
    D::conjugate_factor;
}
inline constexpr double conjugate_factor<D> = D::conjugate_factor;

}  // namespace ssm
