#pragma once

#include <cmath>
#include <complex>
#include <cstddef>
#include <numbers>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/init/normal.hpp>
#include <ssm/init/system.hpp>

namespace ssm::init {

/// How B starts, for mode j of n = N/2.
enum class InputInit {
    constant,     ///< 1
    random,       ///< circular complex normal of unit variance
    alternating,  ///< +1, -1, +1, ...
    unit_cw,      ///< e^{-2 pi i j / N}
    unit_ccw,     ///< e^{+2 pi i j / N}
};

/// Variations that all elementary diagonal initialisations share, in the order they are applied.
struct DiagonalVariation {
    double real_scale = 1.0;   ///< multiplies Re A
    double imag_scale = 1.0;   ///< multiplies Im A
    bool real_random = false;  ///< -Re A uniform in [0, 1), for `Real` in [0, n)
    bool imag_random = false;  ///< the mode number in the formula of Im A uniform in [0, n)
    InputInit B = InputInit::constant;
    double B_scale = 1.0;  ///< multiplies B
    bool normalize =
        false;  ///< B / sqrt(2 sum_j |B_j / A_j|^2): the step response of a random C has unit variance
};

namespace detail {

[[nodiscard]] inline std::complex<double> initial_input(InputInit kind, std::size_t j,
                                                        std::size_t modes, Rng& rng) {
    const double angle = std::numbers::pi * static_cast<double>(j) / static_cast<double>(modes);
    switch (kind) {
        case InputInit::constant:
            return 1.0;
        case InputInit::random:
            return complex_normal(rng);
        case InputInit::alternating:
            return j % 2 == 0 ? 1.0 : -1.0;
        case InputInit::unit_cw:
            return std::polar(1.0, -angle);
        case InputInit::unit_ccw:
            return std::polar(1.0, angle);
    }
    raise<ValueError>("ssm::init: unknown kind of B");
}

/// B / sqrt(2 sum |B/A|^2).
inline void normalize_input(Diagonal& system) {
    double variance = 0.0;
    for (std::size_t j = 0; j < system.A.size(); ++j)
        variance += 2.0 * std::norm(system.B[j] / system.A[j]);
    for (std::complex<double>& b : system.B)
        b /= std::sqrt(variance);
}

/// The system with A_j = -decay(j) - i frequency(j), where frequency takes a real mode number.
template <class Decay, class Frequency>
[[nodiscard]] Diagonal vary(const DiagonalVariation& variation, std::size_t modes, Rng& rng,
                            double random_decay, const Decay& decay, const Frequency& frequency) {
    Diagonal system{std::vector<std::complex<double>>(modes),
                    std::vector<std::complex<double>>(modes)};
    const auto n = static_cast<double>(modes);
    for (std::size_t j = 0; j < modes; ++j) {
        const auto number = static_cast<double>(j);
        const double a = variation.real_random ? rng.uniform(0.0, random_decay) : decay(number);
        const double b = frequency(variation.imag_random ? rng.uniform(0.0, n) : number);
        // A negative frequency (Inv between its last two modes) is the other one of the pair.
        system.A[j] = {-variation.real_scale * a, -variation.imag_scale * std::abs(b)};
    }
    for (std::size_t j = 0; j < modes; ++j)
        system.B[j] = variation.B_scale * initial_input(variation.B, j, modes, rng);
    if (variation.normalize)
        normalize_input(system);
    return system;
}

/// The same with Re A = -1/2, as most have it.
template <class Frequency>
[[nodiscard]] Diagonal vary(const DiagonalVariation& variation, std::size_t modes, Rng& rng,
                            const Frequency& frequency) {
    return vary(
        variation, modes, rng, 1.0, [](double) { return 0.5; }, frequency);
}

}  // namespace detail

/// S4D-Lin: A_j = -1/2 - i pi j.
///
/// Source  arXiv:2206.11893 for all initialisations of this file
struct Lin {
    DiagonalVariation variation{};

    [[nodiscard]] Diagonal operator()(std::size_t modes, Rng& rng) const {
        return detail::vary(variation, modes, rng, [](double j) { return std::numbers::pi * j; });
    }
};

/// S4D-Inv: A_j = -1/2 - i (N / pi) (N / (2j + 1) - 1), the asymptotics of S4D-LegS.
struct Inv {
    DiagonalVariation variation{};

    [[nodiscard]] Diagonal operator()(std::size_t modes, Rng& rng) const {
        const double N = 2.0 * static_cast<double>(modes);
        return detail::vary(variation, modes, rng, [N](double j) {
            return N / std::numbers::pi * (N / (2.0 * j + 1.0) - 1.0);
        });
    }
};

/// S4D-Inv2: A_j = -1/2 - i (N / pi) (N / (j + 1) - 1).
struct Inv2 {
    DiagonalVariation variation{};

    [[nodiscard]] Diagonal operator()(std::size_t modes, Rng& rng) const {
        const double N = 2.0 * static_cast<double>(modes);
        return detail::vary(variation, modes, rng,
                            [N](double j) { return N / std::numbers::pi * (N / (j + 1.0) - 1.0); });
    }
};

/// S4D-Quad: A_j = -1/2 - i (2j + 1)^2 / pi.
struct Quad {
    DiagonalVariation variation{};

    [[nodiscard]] Diagonal operator()(std::size_t modes, Rng& rng) const {
        return detail::vary(variation, modes, rng, [](double j) {
            return (2.0 * j + 1.0) * (2.0 * j + 1.0) / std::numbers::pi;
        });
    }
};

/// S4D-Real: A_j = -(j + 1), no oscillation.
///
/// The original code ignores real_scale here, and rounds the decays of real_random down to whole
/// numbers by accident; both are as `DiagonalVariation` says.
struct Real {
    DiagonalVariation variation{};

    [[nodiscard]] Diagonal operator()(std::size_t modes, Rng& rng) const {
        return detail::vary(
            variation, modes, rng, static_cast<double>(modes), [](double j) { return j + 1.0; },
            [](double) { return 0.0; });
    }
};

/// Random frequencies: A_j = -1/2 - i e^g with standard normal g.
struct Random {
    DiagonalVariation variation{};

    [[nodiscard]] Diagonal operator()(std::size_t modes, Rng& rng) const {
        return detail::vary(variation, modes, rng,
                            [&rng](double) { return std::exp(rng.normal()); });
    }
};

}  // namespace ssm::init
