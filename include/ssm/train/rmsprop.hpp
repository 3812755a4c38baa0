#pragma once

#include <array>
#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/train/optimizer.hpp>
#include <ssm/train/update_rule.hpp>

namespace ssm {

namespace rule {

/// RMSprop: steps scaled by the root of the mean square of the gradient, or of its variance when
/// centered.
///
///   g += weight_decay w;   v = alpha v + (1 - alpha) g^2
///   centered: a = alpha a + (1 - alpha) g, and v - a^2, at least 0, in place of v under the root
///   s = g / (sqrt(v) + eps);   with momentum  b = momentum b + s, and b in place of s;   w -= lr s
///
/// Moments   v, then a when centered, then b with momentum
/// Source    Hinton, lecture notes, 2012; torch.optim.RMSprop
struct RMSprop {
    struct Options {
        double learning_rate = 1e-2;
        double alpha = 0.99;
        double eps = 1e-8;
        double weight_decay = 0.0;
        double momentum = 0.0;
        bool centered = false;
    };
    using Clock = StepClock;
    static constexpr const char* name = "RMSprop";
    static constexpr std::size_t least_moments = 1;
    static constexpr std::size_t most_moments = 3;

    [[nodiscard]] static std::size_t moments(const Options& options) noexcept {
        return 1U + (options.centered ? 1U : 0U) + (options.momentum > 0.0 ? 1U : 0U);
    }
    static void check(const Options& options) {
        detail::require_rate(name, "alpha", options.alpha);
        detail::require_at_least_0(name, "eps", options.eps);
        detail::require_at_least_0(name, "momentum", options.momentum);
    }

    template <class V>
    struct Update {
        Update(const Options& options, const Clock&, double learning_rate, double weight_decay)
            : decay(learning_rate, weight_decay, false),
              rate(detail::number<V>(learning_rate)),
              eps(detail::number<V>(options.eps)),
              alpha(detail::number<V>(options.alpha)),
              mix(detail::number<V>(1.0 - options.alpha)),
              momentum(detail::number<V>(options.momentum)),
              centered(options.centered),
              has_momentum(options.momentum > 0.0) {}

        template <std::size_t N>
        SSM_INLINE void operator()(V& w, V g, std::array<V, N>& m) const noexcept {
            decay(w, g);
            m[0] = detail::average_square(m[0], g, alpha, mix);
            V square = m[0];
            if constexpr (N > 1)
                if (centered) {
                    m[1] = detail::lerp(m[1], g, mix);
                    square = simd::max(simd::fnma(m[1], m[1], m[0]), V(0));
                }
            V step = g / (simd::sqrt(square) + eps);
            if constexpr (N > 1)
                if (has_momentum)
                    step = m[N - 1] = simd::fma(momentum, m[N - 1], step);
            w = simd::fnma(rate, step, w);
        }

        detail::Decay<V> decay;
        V rate, eps, alpha, mix, momentum;
        bool centered, has_momentum;
    };
};

}  // namespace rule

/// Optimiser of a layer L by RMSprop.
template <class L>
using RMSprop = Optimizer<L, rule::RMSprop>;

}  // namespace ssm
