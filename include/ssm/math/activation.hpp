#pragma once

#include <concepts>

#include <ssm/math/rectifiers.hpp>
#include <ssm/math/smooth_activations.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::math {
inline namespace SSM_ARCH {

/// A pointwise nonlinearity: a value that maps a number, or a pack of them, and knows its
/// derivative. Your own needs two templates on `simd::Numeric`:
///
///     struct Cube {
///         template <simd::Numeric V> V operator()(V x) const { return x * x * x; }
///         template <simd::Numeric V> V derivative(V x) const { return x * x * V(3); }
///     };
template <class F, class T = float>
concept Activation = std::copyable<F> && requires(const F& f, T x, simd::Pack<T> p) {
    { f(x) } -> std::same_as<T>;
    { f(p) } -> std::same_as<simd::Pack<T>>;
    { f.derivative(x) } -> std::same_as<T>;
    { f.derivative(p) } -> std::same_as<simd::Pack<T>>;
};

}  // namespace SSM_ARCH
}  // namespace ssm::math
