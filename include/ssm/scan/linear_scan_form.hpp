#pragma once

#include <concepts>
#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm {

/// How the numbers of a linear recurrence x[t] = a[t] x[t-1] + b[t] are stored: real, or complex as rows of
/// real parts followed by imaginary parts; and whether the coefficient is given as the factor a, or as the
/// increment w = a - 1, which keeps decay and frequency of slow modes to full relative accuracy:
///
///   x[t] = x[t-1] + (w[t] x[t-1] + b[t])
///
/// A form computes with numbers of one type or with packs of them:
///
///   parts                       1 real, 2 complex
///   Number<V>                   V, or simd::Complex<V>
///   advance(a, x, b)            a x + b
///   retreat(a, g, d)            conj(a) g + d, the adjoint
///   compose(first, second)      the coefficient of two steps at once
///   slope(x, g)                 conj(x) g: what the gradient g of a step says about its coefficient
///   identity, nothing           the coefficients of a step that keeps the state, and of one that forgets it
template <class F>
concept LinearScanForm = requires(typename F::template Number<double> x) {
    { F::parts } -> std::convertible_to<std::size_t>;
    { F::advance(x, x, x) } -> std::same_as<typename F::template Number<double>>;
    { F::retreat(x, x, x) } -> std::same_as<typename F::template Number<double>>;
    { F::compose(x, x) } -> std::same_as<typename F::template Number<double>>;
    { F::slope(x, x) } -> std::same_as<typename F::template Number<double>>;
};

/// Real states, coefficients a.
struct RealFactors {
    static constexpr std::size_t parts = 1;
    static constexpr double identity = 1.0;
    static constexpr double nothing = 0.0;
    template <class V>
    using Number = V;

    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE static V advance(V a, V x, V b) noexcept {
        return simd::fma(a, x, b);
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE static V retreat(V a, V g, V d) noexcept {
        return simd::fma(a, g, d);
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE static V compose(V first, V second) noexcept {
        return second * first;
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE static V slope(V x, V g) noexcept {
        return x * g;
    }
};

/// Complex states, coefficients a.
struct ComplexFactors {
    static constexpr std::size_t parts = 2;
    static constexpr double identity = 1.0;
    static constexpr double nothing = 0.0;
    template <class V>
    using Number = simd::Complex<V>;

    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE static Number<V> advance(Number<V> a, Number<V> x,
                                                      Number<V> b) noexcept {
        return simd::fma(a, x, b);
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE static Number<V> retreat(Number<V> a, Number<V> g,
                                                      Number<V> d) noexcept {
        return simd::conj_fma(a, g, d);
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE static Number<V> compose(Number<V> first, Number<V> second) noexcept {
        return second * first;
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE static Number<V> slope(Number<V> x, Number<V> g) noexcept {
        return simd::conj_mul(x, g);
    }
};

/// Complex states, coefficients w = a - 1.
struct ComplexIncrements {
    static constexpr std::size_t parts = 2;
    static constexpr double identity = 0.0;
    static constexpr double nothing = -1.0;
    template <class V>
    using Number = simd::Complex<V>;

    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE static Number<V> advance(Number<V> w, Number<V> x,
                                                      Number<V> b) noexcept {
        return x + simd::fma(w, x, b);
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE static Number<V> retreat(Number<V> w, Number<V> g,
                                                      Number<V> d) noexcept {
        return g + simd::conj_fma(w, g, d);
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE static Number<V> compose(Number<V> first, Number<V> second) noexcept {
        return second + simd::fma(second, first, first);
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE static Number<V> slope(Number<V> x, Number<V> g) noexcept {
        return simd::conj_mul(x, g);
    }
};

/// Which way a recurrence runs over a sequence.
enum class TimeDirection { forward, backward };

}  // namespace ssm
