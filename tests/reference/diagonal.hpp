#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/discretize/modes.hpp>

namespace ssm_test {

/// Plain double recurrence of a bank of diagonal systems, written for clarity.
struct DiagonalReference {
    const ssm::Modes& modes;
    std::vector<double> skip{};  ///< D (heads, H) or empty

    using Complex = std::complex<double>;
    using State = std::vector<Complex>;  ///< (batch, H, n)

    [[nodiscard]] Complex pole(std::size_t h, std::size_t n) const {
        const std::size_t i = modes.pole(h, n);
        return {modes.pole_re[i], modes.pole_im[i]};
    }
    [[nodiscard]] Complex residue(std::size_t c, std::size_t h, std::size_t n) const {
        const std::size_t i = modes.residue(c, h, n);
        return {modes.residue_re[i], modes.residue_im[i]};
    }
    [[nodiscard]] State rest(std::size_t batch) const { return State(batch * modes.shape.poles()); }

    [[nodiscard]] ssm::Batch<double> forward(const ssm::Batch<double>& u, State& state,
                                             const ssm::Context& context) const {
        const auto& [H, N, heads] = modes.shape;
        ssm::Batch<double> y(u.batch(), u.length(), heads * H);
        for (std::size_t b = 0; b < u.batch(); ++b)
            for (std::size_t l = 0; l < context.valid_length(b, u.length()); ++l)
                for (std::size_t h = 0; h < H; ++h) {
                    for (std::size_t n = 0; n < N; ++n) {
                        Complex& s = state[(b * H + h) * N + n];
                        s = (context.resets_at(b, l) ? Complex(0) : pole(h, n) * s) + u(b, l, h);
                    }
                    for (std::size_t c = 0; c < heads; ++c) {
                        double sum = skip.empty() ? 0.0 : skip[c * H + h] * u(b, l, h);
                        for (std::size_t n = 0; n < N; ++n)
                            sum += (residue(c, h, n) * state[(b * H + h) * N + n]).real();
                        y(b, l, c * H + h) = sum;
                    }
                }
        return y;
    }
};

/// Modes as a discretisation would make them: |z| from 0.3 to 1 - 1e-3, all angles, some real and
/// one 0.
inline ssm::Modes random_modes(ssm::ModeShape shape, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> uniform(0.0, 1.0);
    ssm::Modes modes(shape);
    for (std::size_t i = 0; i < shape.poles(); ++i) {
        const double decay = std::pow(10.0, -3.0 * uniform(random));
        const double angle = 3.14159 * std::pow(uniform(random), 2.0) * (i % 2 == 0 ? 1.0 : -1.0);
        const std::complex<double> z = std::polar(
            std::exp(-decay), i % 5 == 3 ? (i % 2 == 0 ? 3.141592653589793 : 0.0) : angle);
        modes.pole_re[i] = i == 7 ? 0.0 : z.real();
        modes.pole_im[i] = i == 7 || i % 5 == 3 ? 0.0 : z.imag();
    }
    for (std::size_t i = 0; i < shape.residues(); ++i) {
        modes.residue_re[i] = uniform(random) - 0.5;
        modes.residue_im[i] = uniform(random) - 0.5;
    }
    return modes;
}

/// Numbers in [-1, 1] that T holds exactly.
template <class T>
ssm::Batch<T> random_batch(ssm::Shape shape, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
    ssm::Batch<T> batch(shape);
    for (T& x : batch.view().flat())
        x = static_cast<T>(uniform(random));
    return batch;
}

template <class To, class From>
ssm::Batch<To> converted(const ssm::Batch<From>& from) {
    ssm::Batch<To> to(from.shape());
    for (std::size_t i = 0; i < from.size(); ++i)
        to.data()[i] = static_cast<To>(from.data()[i]);
    return to;
}

/// Largest |a - b| relative to the largest |b|; infinite if anything is not finite.
template <class T>
double relative_difference(const ssm::Batch<T>& a, const ssm::Batch<double>& b) {
    double difference = 0.0;
    double largest = 1e-300;
    for (std::size_t i = 0; i < b.size(); ++i) {
        const double d = std::abs(static_cast<double>(a.data()[i]) - b.data()[i]);
        if (!(d < std::numeric_limits<double>::infinity()))
            return std::numeric_limits<double>::infinity();
        difference = std::max(difference, d);
        largest = std::max(largest, std::abs(b.data()[i]));
    }
    return difference / largest;
}

/// Sequences through a bank of systems: what all evaluations are given, and what they should
/// answer.
template <class T>
struct DiagonalProblem {
    DiagonalProblem(ssm::ModeShape sizes, std::size_t batch, std::size_t length, bool has_skip,
                    unsigned seed)
        : modes(random_modes(sizes, seed)),
          u(random_batch<T>({batch, length, sizes.channels}, seed + 1)) {
        if (has_skip)
            for (std::size_t i = 0; i < sizes.heads * sizes.channels; ++i)
                skip.push_back(static_cast<T>(0.25 * static_cast<double>(i % 7) - 0.5));
    }

    /// Marks about one step in `period` as a reset, and lets row b end b steps early.
    void interrupt(unsigned period) {
        std::mt19937 random(period);
        mask.resize(u.batch() * u.length());
        for (std::uint8_t& m : mask)
            m = random() % period == 0 ? 1 : 0;
        for (std::size_t b = 0; b < u.batch(); ++b)
            lengths.push_back(u.length() - std::min(u.length(), 2 * b));
    }
    [[nodiscard]] ssm::Context context(ssm::Workspace& workspace) const {
        const ssm::ResetMask resets(mask.empty() ? nullptr : mask.data(),
                                    {u.batch(), u.length(), 1});
        return ssm::Context(workspace).with_resets(resets).with_lengths(lengths);
    }
    [[nodiscard]] DiagonalReference reference() const {
        return {modes, std::vector<double>(skip.begin(), skip.end())};
    }
    /// The answer from rest, and the state it leaves.
    [[nodiscard]] ssm::Batch<double> answer(DiagonalReference::State& state) const {
        ssm::Workspace workspace;
        state = reference().rest(u.batch());
        return reference().forward(converted<double>(u), state, context(workspace));
    }
    [[nodiscard]] ssm::Batch<T> output() const {
        return ssm::Batch<T>(u.batch(), u.length(), modes.shape.heads * modes.shape.channels);
    }

    ssm::Modes modes;
    ssm::Batch<T> u;
    std::vector<T> skip;
    std::vector<std::uint8_t> mask;
    std::vector<std::size_t> lengths;
};

/// Largest difference of two states relative to the largest number in them (at least 1).
template <class State>
double state_difference(const State& state, const DiagonalReference::State& expected) {
    double difference = 0.0;
    double largest = 1.0;
    for (std::size_t b = 0; b < state.batch(); ++b)
        for (std::size_t h = 0; h < state.channels(); ++h)
            for (std::size_t n = 0; n < state.modes(); ++n) {
                const auto s = expected[(b * state.channels() + h) * state.modes() + n];
                const std::complex<double> found(static_cast<double>(state.re(b, h)[n]),
                                                 static_cast<double>(state.im(b, h)[n]));
                difference = std::max(difference, std::abs(found - s));
                largest = std::max(largest, std::abs(s));
            }
    return difference / largest;
}

/// What sums of rounded terms may differ by. Terms of alternating sign add up to outputs smaller
/// than themselves, and slow modes keep their rounding errors for up to 1000 steps: hence 200
/// roundings.
template <class T>
inline constexpr double diagonal_tolerance = 200.0 *
                                             static_cast<double>(std::numeric_limits<T>::epsilon());

}  // namespace ssm_test
