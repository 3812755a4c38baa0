#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include <ssm/core/config.hpp>
#include <ssm/train/optimizer.hpp>
#include <ssm/train/update_rule.hpp>

namespace ssm {

namespace rule {

/// NAdam: Adam with Nesterov's momentum.
///
///   g += weight_decay w  (or w *= 1 - lr weight_decay when decoupled);   m, v as Adam
///   mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2);   M_t = mu_1 ... mu_t
///   w -= lr ((1 - mu_t) / (1 - M_t) g + mu_(t+1) / (1 - M_(t+1)) m) / d
///   d = sqrt(v / (1 - beta2^t)) + eps
///
/// Source  Dozat, "Incorporating Nesterov Momentum into Adam", 2016; torch.optim.NAdam
struct NAdam {
    struct Options {
        double learning_rate = 2e-3;
        double beta1 = 0.9;
        double beta2 = 0.999;
        double eps = 1e-8;
        double weight_decay = 0.0;
        double momentum_decay = 4e-3;
        bool decoupled = false;  ///< weight decay apart from the gradient, as in AdamW
    };

    /// Also remembers M_t.
    struct Clock : StepClock {
        double mu_product = 1.0;

        void advance(const Options& options) noexcept {
            ++step;
            mu_product *= mu(options, step);
        }
        template <class Visitor, class... Clocks>
        static void visit_numbers(Visitor&& visitor, Clocks&... clocks) {
            StepClock::visit_numbers(visitor, clocks...);
            visitor("mu_product", clocks.mu_product...);
        }
        friend bool operator==(const Clock&, const Clock&) = default;
    };
    static constexpr const char* name = "NAdam";
    static constexpr std::size_t least_moments = 2;
    static constexpr std::size_t most_moments = 2;

    [[nodiscard]] static std::size_t moments(const Options&) noexcept { return most_moments; }
    static void check(const Options& options) {
        detail::require_adam(name, options);
        detail::require_at_least_0(name, "momentum_decay", options.momentum_decay);
    }
    [[nodiscard]] static double mu(const Options& options, std::uint64_t step) noexcept {
        return options.beta1 *
               (1.0 - 0.5 * std::pow(0.96, static_cast<double>(step) * options.momentum_decay));
    }

    template <class V>
    struct Update {
        Update(const Options& options, const Clock& clock, double learning_rate,
               double weight_decay)
            : decay(learning_rate, weight_decay, options.decoupled),
              root(detail::number<V>(
                  1.0 / std::sqrt(detail::bias_correction(options.beta2, clock.step)))),
              eps(detail::number<V>(options.eps)),
              mix1(detail::number<V>(1.0 - options.beta1)),
              beta2(detail::number<V>(options.beta2)),
              mix2(detail::number<V>(1.0 - options.beta2)) {
            const double now = mu(options, clock.step);
            const double next = mu(options, clock.step + 1);
            of_gradient = detail::number<V>(learning_rate * (1.0 - now) / (1.0 - clock.mu_product));
            of_moment = detail::number<V>(learning_rate * next / (1.0 - clock.mu_product * next));
        }

        template <std::size_t N>
        SSM_INLINE void operator()(V& w, V g, std::array<V, N>& m) const noexcept {
            decay(w, g);
            m[0] = detail::lerp(m[0], g, mix1);
            m[1] = detail::average_square(m[1], g, beta2, mix2);
            const V step = simd::fma(of_gradient, g, of_moment * m[0]);
            w = w - step / simd::fma(simd::sqrt(m[1]), root, eps);
        }

        detail::Decay<V> decay;
        V root, eps, mix1, beta2, mix2, of_gradient, of_moment;
    };
};

}  // namespace rule

/// Optimiser of a layer L by NAdam.
template <class L>
using NAdam = Optimizer<L, rule::NAdam>;

}  // namespace ssm
