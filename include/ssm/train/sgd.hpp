#pragma once

#include <array>
#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/core/error.hpp>
#include <ssm/train/optimizer.hpp>
#include <ssm/train/update_rule.hpp>

namespace ssm {

namespace rule {

/// Stochastic gradient descent with momentum.
///
///   g += weight_decay w;   b = g at first, then momentum b + (1 - dampening) g
///   w -= lr b,  or with Nesterov's momentum  w -= lr (g + momentum b)
///
/// Without momentum w -= lr g, and there is no moment.
/// Source  torch.optim.SGD
struct SGD {
    struct Options {
        double learning_rate = 1e-3;
        double momentum = 0.0;
        double dampening = 0.0;
        double weight_decay = 0.0;
        bool nesterov = false;
    };
    using Clock = StepClock;
    static constexpr const char* name = "SGD";
    static constexpr std::size_t least_moments = 0;
    static constexpr std::size_t most_moments = 1;

    [[nodiscard]] static std::size_t moments(const Options& options) noexcept {
        return options.momentum != 0.0 ? 1 : 0;
    }
    static void check(const Options& options) {
        detail::require_at_least_0(name, "momentum", options.momentum);
        require<ValueError>(
            !options.nesterov || (options.momentum > 0.0 && options.dampening == 0.0),
            "ssm::rule::SGD: Nesterov's momentum needs a momentum and no dampening");
    }

    template <class V>
    struct Update {
        Update(const Options& options, const Clock& clock, double learning_rate,
               double weight_decay)
            : decay(learning_rate, weight_decay, false),
              rate(detail::number<V>(learning_rate)),
              momentum(detail::number<V>(options.momentum)),
              share(detail::number<V>(clock.step == 1 ? 1.0 : 1.0 - options.dampening)),
              nesterov(options.nesterov) {}

        template <std::size_t N>
        SSM_INLINE void operator()(V& w, V g, [[maybe_unused]] std::array<V, N>& m) const noexcept {
            decay(w, g);
            if constexpr (N == 1) {
                m[0] = simd::fma(momentum, m[0], share * g);
                g = nesterov ? simd::fma(momentum, m[0], g) : m[0];
            }
            w = simd::fnma(rate, g, w);
        }

        detail::Decay<V> decay;
        V rate, momentum, share;
        bool nesterov;
    };
};

}  // namespace rule

/// Optimiser of a layer L by stochastic gradient descent.
template <class L>
using SGD = Optimizer<L, rule::SGD>;

}  // namespace ssm
