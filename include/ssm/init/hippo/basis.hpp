#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>

#include <ssm/init/hippo/fourier.hpp>
#include <ssm/init/hippo/laguerre.hpp>
#include <ssm/init/hippo/legendre.hpp>

namespace ssm::init::hippo {

/// The functions whose coefficients the state of a measure holds: u(t - age window) = sum_n x_n p_n(age).
///
///   window                            length of the window in the time of the measure's A
///   for_each(age, N, body)            body(n, p_n(age)) for n < N, age from 0 (now) to 1 (the far end)
///
/// Measures with a sliding window have one; specialise it for your own.
template <class Measure>
struct Basis;

namespace detail {

/// body(n, P_n(x)), Legendre polynomials.
template <class Body>
void legendre(double x, std::size_t N, Body&& body) {
    double before = 0.0;
    double now = 1.0;
    for (std::size_t n = 0; n < N; ++n) {
        body(n, now);
        const auto m = static_cast<double>(n);
        const double next = ((2.0 * m + 1.0) * x * now - m * before) / (m + 1.0);
        before = now;
        now = next;
    }
}

/// Sines and cosines that are orthonormal on [0, 1].
template <class Body>
void fourier(double age, std::size_t N, Body&& body) {
    for (std::size_t n = 0; n < N; n += 2) {
        const double angle = std::numbers::pi * static_cast<double>(n) * age;
        body(n, n == 0 ? 1.0 : std::numbers::sqrt2 * std::cos(angle));
        if (n + 1 < N)
            body(n + 1, std::numbers::sqrt2 * std::sin(angle));
    }
}

}  // namespace detail

/// p_n = P_n(2 age - 1).
template <>
struct Basis<LMU> {
    static constexpr double window = 1.0;
    template <class Body>
    static void for_each(double age, std::size_t N, Body&& body) {
        detail::legendre(2.0 * age - 1.0, N, body);
    }
};

/// p_n = sqrt(2n+1) P_n(1 - 2 age).
template <>
struct Basis<LegT> {
    static constexpr double window = 2.0;
    template <class Body>
    static void for_each(double age, std::size_t N, Body&& body) {
        detail::legendre(1.0 - 2.0 * age, N, [&](std::size_t n, double p) {
            body(n, std::sqrt(2.0 * static_cast<double>(n) + 1.0) * p);
        });
    }
};

/// 1, sqrt 2 cos(2 pi j age), sqrt 2 sin(2 pi j age).
template <>
struct Basis<Fourier> {
    static constexpr double window = 2.0;
    template <class Body>
    static void for_each(double age, std::size_t N, Body&& body) {
        detail::fourier(age, N, body);
    }
};
template <>
struct Basis<Fourier2> : Basis<Fourier> {
    static constexpr double window = 1.0;
};

/// p_n = L_n(age) e^{-age / 2} with Laguerre polynomials; there is no far end, 1 is the time scale.
template <>
struct Basis<LagT> {
    static constexpr double window = 1.0;
    template <class Body>
    static void for_each(double age, std::size_t N, Body&& body) {
        double before = 0.0;
        double now = std::exp(-0.5 * age);
        for (std::size_t n = 0; n < N; ++n) {
            body(n, now);
            const auto m = static_cast<double>(n);
            const double next = ((2.0 * m + 1.0 - age) * now - m * before) / (m + 1.0);
            before = now;
            now = next;
        }
    }
};

}  // namespace ssm::init::hippo
