#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include <ssm/core/config.hpp>
#include <ssm/core/error.hpp>
#include <ssm/simd/pack.hpp>

/// What an update rule is: the few numbers and the few lines in which optimisers differ.
///
///     struct Rule {
///         struct Options { double learning_rate; double weight_decay; ... };
///         using Clock = StepClock;                     // what the rule remembers besides its
///         moments static constexpr const char* name;           // for messages static constexpr
///         std::size_t least_moments, most_moments; static std::size_t moments(const Options&);  //
///         how many, between the two static void check(const Options&);           // ValueError for
///         options outside their range template <class V> struct Update {           // V: a number
///         or a pack of numbers
///             Update(const Options&, const Clock&, double learning_rate, double weight_decay);
///             template <std::size_t N> void operator()(V& weight, V gradient, std::array<V, N>&
///             moments) const;
///         };
///     };
///
/// `Update` is made once a step for each weight tensor and then applied to all its numbers.
namespace ssm {

/// Counts the updates made. A rule that remembers more derives from it.
struct StepClock {
    std::uint64_t step = 0;  ///< 1 during the first update

    template <class Options>
    void advance(const Options&) noexcept {
        ++step;
    }
    /// Calls visitor(name, value) for every number remembered, for saving.
    template <class Visitor, class... Clocks>
    static void visit_numbers(Visitor&& visitor, Clocks&... clocks) {
        visitor("step", clocks.step...);
    }

    friend bool operator==(const StepClock&, const StepClock&) = default;
};

namespace rule::detail {

/// 1 - beta^step, the share of a moving average that has arrived.
[[nodiscard]] inline double bias_correction(double beta, std::uint64_t step) noexcept {
    return 1.0 - std::pow(beta, static_cast<double>(step));
}

/// A double in every lane of V.
template <class V>
[[nodiscard]] SSM_INLINE V number(double value) noexcept {
    return V(static_cast<simd::Scalar<V>>(value));
}

/// Moving average: m + (1 - beta) (x - m).
template <class V>
[[nodiscard]] SSM_INLINE V lerp(V m, V x, V one_minus_beta) noexcept {
    return simd::fma(x - m, one_minus_beta, m);
}

/// Moving average of squares: beta v + (1 - beta) g^2.
template <class V>
[[nodiscard]] SSM_INLINE V average_square(V v, V g, V beta, V one_minus_beta) noexcept {
    return simd::fma(v, beta, one_minus_beta * g * g);
}

/// Weight decay of both kinds: added to the gradient (L2) or shrinking the weight (decoupled).
template <class V>
struct Decay {
    Decay(double learning_rate, double weight_decay, bool is_decoupled) noexcept
        : l2(number<V>(is_decoupled ? 0.0 : weight_decay)),
          shrink(number<V>(is_decoupled ? 1.0 - learning_rate * weight_decay : 1.0)) {}

    SSM_INLINE void operator()(V& weight, V& gradient) const noexcept {
        gradient = simd::fma(l2, weight, gradient);
        weight = weight * shrink;
    }

    V l2;
    V shrink;
};

inline void require_at_least_0(const char* rule, const char* option, double value) {
    require<ValueError>(value >= 0.0 && std::isfinite(value), "ssm::rule::", rule, ": ", option,
                        " = ", value, " is negative or not finite");
}

/// A decay rate of a moving average lies in [0, 1).
inline void require_rate(const char* rule, const char* option, double value) {
    require<ValueError>(value >= 0.0 && value < 1.0, "ssm::rule::", rule, ": ", option, " = ",
                        value, " is not in [0, 1)");
}

/// The options that Adam and its relatives share.
template <class Options>
void require_adam(const char* rule, const Options& options) {
    require_rate(rule, "beta1", options.beta1);
    require_rate(rule, "beta2", options.beta2);
    require_at_least_0(rule, "eps", options.eps);
}

}  // namespace rule::detail

}  // namespace ssm
