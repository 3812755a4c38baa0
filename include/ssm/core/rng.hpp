#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace ssm {

/// Random numbers that are the same on every platform, compiler and instruction set.
///
/// Generator xoshiro256** seeded by splitmix64. Everything is made of integer operations, exact
/// divisions by powers of two, square roots and explicit fused multiply-adds, so that no library
/// function and no contraction of expressions can change a bit. A regular value: copy = same future.
///
/// Source  Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021.
class Rng {
public:
    using result_type = std::uint64_t;
    using State = std::array<std::uint64_t, 4>;

    explicit Rng(std::uint64_t seed = 0) noexcept {
        for (std::uint64_t& word : state_) {
            seed += 0x9e3779b97f4a7c15U;
            std::uint64_t mixed = seed;
            mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9U;
            mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
            word = mixed ^ (mixed >> 31U);
        }
    }
    /// Continues where the generator with this state was; an all-zero state is not one.
    explicit Rng(const State& state) noexcept : state_(state) {}

    [[nodiscard]] const State& state() const noexcept { return state_; }
    [[nodiscard]] static constexpr result_type min() noexcept { return 0; }
    [[nodiscard]] static constexpr result_type max() noexcept { return ~result_type{0}; }

    /// 64 random bits.
    result_type operator()() noexcept {
        const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
        const std::uint64_t shifted = state_[1] << 17U;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = std::rotl(state_[3], 45);
        return result;
    }

    /// An independent generator; this one moves on.
    [[nodiscard]] Rng split() noexcept { return Rng((*this)()); }

    /// Uniform in [0, 1), 53 bits.
    [[nodiscard]] double uniform() noexcept {
        return static_cast<double>((*this)() >> 11U) * 0x1p-53;
    }
    /// Uniform in [low, high).
    [[nodiscard]] double uniform(double low, double high) noexcept {
        return std::fma(uniform(), high - low, low);
    }
    /// Uniform in 0 .. bound - 1 without bias. Precondition: bound > 0.
    [[nodiscard]] std::uint64_t below(std::uint64_t bound) noexcept {
        const std::uint64_t threshold = (0 - bound) % bound;
        for (;;) {
            const std::uint64_t bits = (*this)();
            if (bits >= threshold)
                return bits % bound;
        }
    }
    /// Standard normal, by Marsaglia's polar method.
    [[nodiscard]] double normal() noexcept {
        for (;;) {
            const double x = std::fma(2.0, uniform(), -1.0);
            const double y = std::fma(2.0, uniform(), -1.0);
            const double radius = std::fma(x, x, y * y);
            if (radius > 0.0 && radius < 1.0)
                return x * std::sqrt(-2.0 * logarithm(radius) / radius);
        }
    }
    /// Random order, by Fisher and Yates.
    template <class T>
    void shuffle(std::span<T> values) noexcept {
        for (std::size_t left = values.size(); left > 1; --left)
            std::swap(values[left - 1], values[below(left)]);
    }

    friend bool operator==(const Rng&, const Rng&) = default;

private:
    // Natural logarithm of a normal number in (0, 1) to about 1e-16 relative, from operations that
    // every platform rounds alike: x = m 2^e, log m = 2 atanh((m - 1) / (m + 1)).
    static double logarithm(double x) noexcept {
        const std::uint64_t bits = std::bit_cast<std::uint64_t>(x);
        std::int64_t exponent = static_cast<std::int64_t>(bits >> 52U) - 1023;
        double mantissa = std::bit_cast<double>((bits & 0x000fffffffffffffU) | 0x3ff0000000000000U);
        if (mantissa > 1.4142135623730951) {
            mantissa *= 0.5;
            ++exponent;
        }
        const double t = (mantissa - 1.0) / (mantissa + 1.0);
        const double t2 = t * t;
        double series = 1.0 / 21.0;
        for (int odd = 19; odd >= 1; odd -= 2)
            series = std::fma(series, t2, 1.0 / odd);
        return std::fma(static_cast<double>(exponent), 0.6931471805599453, 2.0 * (t * series));
    }

    State state_{};
};

/// In the place of a generator when a layer is made: weights that would be drawn are zero, because others will be put
/// there. Drawing those of a large model takes longer than reading them from a file.
struct Undrawn {
    [[nodiscard]] Undrawn split() const noexcept { return {}; }
};

}  // namespace ssm
