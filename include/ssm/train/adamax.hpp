#pragma once

#include <array>
#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/train/optimizer.hpp>
#include <ssm/train/update_rule.hpp>

namespace ssm {

namespace rule {

/// Adamax: Adam with the largest recent gradient in place of the mean square.
///
///   g += weight_decay w;   m = beta1 m + (1 - beta1) g;   u = max(beta2 u, |g| + eps)
///   w -= lr / (1 - beta1^t) m / u
///
/// Source  Kingma and Ba, arXiv:1412.6980, section 7.1; torch.optim.Adamax
struct Adamax {
    struct Options {
        double learning_rate = 2e-3;
        double beta1 = 0.9;
        double beta2 = 0.999;
        double eps = 1e-8;
        double weight_decay = 0.0;
    };
    using Clock = StepClock;
    static constexpr const char* name = "Adamax";
    static constexpr std::size_t least_moments = 2;
    static constexpr std::size_t most_moments = 2;

    [[nodiscard]] static std::size_t moments(const Options&) noexcept { return most_moments; }
    static void check(const Options& options) { detail::require_adam(name, options); }

    template <class V>
    struct Update {
        Update(const Options& options, const Clock& clock, double learning_rate,
               double weight_decay)
            : decay(learning_rate, weight_decay, false),
              rate(detail::number<V>(learning_rate /
                                     detail::bias_correction(options.beta1, clock.step))),
              eps(detail::number<V>(options.eps)),
              mix1(detail::number<V>(1.0 - options.beta1)),
              beta2(detail::number<V>(options.beta2)) {}

        template <std::size_t N>
        SSM_INLINE void operator()(V& w, V g, std::array<V, N>& m) const noexcept {
            decay(w, g);
            m[0] = detail::lerp(m[0], g, mix1);
            m[1] = simd::max(beta2 * m[1], simd::abs(g) + eps);
            w = simd::fnma(rate, m[0] / m[1], w);
        }

        detail::Decay<V> decay;
        V rate, eps, mix1, beta2;
    };
};

}  // namespace rule

/// Optimiser of a layer L by Adamax.
template <class L>
using Adamax = Optimizer<L, rule::Adamax>;

}  // namespace ssm
