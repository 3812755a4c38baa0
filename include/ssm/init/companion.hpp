#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>

namespace ssm::init {

/// A discrete system with a companion matrix: its last column a, the input b, and one output row c for each head.
struct Companion {
    std::vector<double> a;
    std::vector<double> b;
    std::vector<double> c;  ///< (heads, d)
};

/// What gives one companion system of `state` numbers and `heads` outputs.
template <class I>
concept CompanionInit = requires(const I& init, std::size_t state, std::size_t heads, Rng& rng) {
    { init(state, heads, rng) } -> std::convertible_to<Companion>;
    { I::has_feedback } -> std::convertible_to<bool>;
};

namespace detail {

/// `count` numbers of `draw()`.
template <class Draw>
[[nodiscard]] std::vector<double> drawn(std::size_t count, Draw&& draw) {
    std::vector<double> numbers(count);
    for (double& number : numbers)
        number = draw();
    return numbers;
}

}  // namespace detail

/// a, b and c standard normal: SpaceTime's.
struct NormalCompanion {
    static constexpr bool has_feedback = true;  ///< whether there is an a

    [[nodiscard]] Companion operator()(std::size_t state, std::size_t heads, Rng& rng) const {
        const auto normal = [&rng] { return rng.normal(); };
        Companion system;
        system.a = detail::drawn(state, normal);
        system.b = detail::drawn(state, normal);
        system.c = detail::drawn(heads * state, normal);
        return system;
    }
};

/// a, b and c uniform in +-1 / sqrt(d): SpaceTime's `xavier`.
struct UniformCompanion {
    static constexpr bool has_feedback = true;

    [[nodiscard]] Companion operator()(std::size_t state, std::size_t heads, Rng& rng) const {
        const double bound = 1.0 / std::sqrt(static_cast<double>(state));
        const auto uniform = [&rng, bound] { return rng.uniform(-bound, bound); };
        Companion system;
        system.a = detail::drawn(state, uniform);
        system.b = detail::drawn(state, uniform);
        system.c = detail::drawn(heads * state, uniform);
        return system;
    }
};

/// A shift register that the newest input enters at its first place: no a, b = e_0, so that c is the convolution
/// kernel; c uniform in +-1 / sqrt(heads d), as in H3.
struct ShiftRegister {
    static constexpr bool has_feedback = false;

    [[nodiscard]] Companion operator()(std::size_t state, std::size_t heads, Rng& rng) const {
        const double bound = 1.0 / std::sqrt(static_cast<double>(heads * state));
        Companion system;
        system.b.assign(state, 0.0);
        system.b.front() = 1.0;
        system.c = detail::drawn(heads * state, [&] { return rng.uniform(-bound, bound); });
        return system;
    }
};

}  // namespace ssm::init
