#pragma once

#include <array>
#include <cmath>
#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/train/optimizer.hpp>
#include <ssm/train/update_rule.hpp>

namespace ssm {

namespace rule {

/// Adagrad: steps scaled by the root of the sum of all squares of the gradient.
///
///   g += weight_decay w;   s += g^2;   w -= lr / (1 + (t - 1) rate_decay) g / (sqrt(s) + eps)
///
/// Source  Duchi, Hazan and Singer, 2011; torch.optim.Adagrad
struct Adagrad {
    struct Options {
        double learning_rate = 1e-2;
        double rate_decay = 0.0;
        double eps = 1e-10;
        double weight_decay = 0.0;
        double initial_sum = 0.0;  ///< s before the first step
    };
    using Clock = StepClock;
    static constexpr const char* name = "Adagrad";
    static constexpr std::size_t least_moments = 1;
    static constexpr std::size_t most_moments = 1;

    [[nodiscard]] static std::size_t moments(const Options&) noexcept { return most_moments; }
    static void check(const Options& options) {
        detail::require_at_least_0(name, "rate_decay", options.rate_decay);
        detail::require_at_least_0(name, "eps", options.eps);
        detail::require_at_least_0(name, "initial_sum", options.initial_sum);
    }

    template <class V>
    struct Update {
        Update(const Options& options, const Clock& clock, double learning_rate,
               double weight_decay)
            : decay(learning_rate, weight_decay, false),
              rate(detail::number<V>(learning_rate / (1.0 + static_cast<double>(clock.step - 1) *
                                                                options.rate_decay))),
              eps(detail::number<V>(options.eps)),
              first(detail::number<V>(clock.step == 1 ? options.initial_sum : 0.0)) {}

        template <std::size_t N>
        SSM_INLINE void operator()(V& w, V g, std::array<V, N>& m) const noexcept {
            decay(w, g);
            m[0] = simd::fma(g, g, m[0] + first);
            w = simd::fnma(rate, g / (simd::sqrt(m[0]) + eps), w);
        }

        detail::Decay<V> decay;
        V rate, eps, first;
    };
};

}  // namespace rule

/// Optimiser of a layer L by Adagrad.
template <class L>
using Adagrad = Optimizer<L, rule::Adagrad>;

}  // namespace ssm
