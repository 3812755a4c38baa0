#pragma once

#include <array>
#include <cmath>
#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/train/optimizer.hpp>
#include <ssm/train/update_rule.hpp>

namespace ssm {

namespace rule {

/// RAdam: Adam that steps without scaling until its mean square is known well enough, and then
/// corrects for the variance of that scaling.
///
///   g += weight_decay w  (or w *= 1 - lr weight_decay when decoupled);   m, v as Adam
///   rho_inf = 2 / (1 - beta2) - 1;   rho = rho_inf - 2 t beta2^t / (1 - beta2^t)
///   r = sqrt((rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho))
///   w -= lr m / (1 - beta1^t) (r sqrt(1 - beta2^t) / (sqrt(v) + eps) where rho > 5, 1 before)
///
/// Source  Liu et al., arXiv:1908.03265; torch.optim.RAdam
struct RAdam {
    struct Options {
        double learning_rate = 1e-3;
        double beta1 = 0.9;
        double beta2 = 0.999;
        double eps = 1e-8;
        double weight_decay = 0.0;
        bool decoupled = false;  ///< weight decay apart from the gradient, as in AdamW
    };
    using Clock = StepClock;
    static constexpr const char* name = "RAdam";
    static constexpr std::size_t least_moments = 2;
    static constexpr std::size_t most_moments = 2;

    [[nodiscard]] static std::size_t moments(const Options&) noexcept { return most_moments; }
    static void check(const Options& options) { detail::require_adam(name, options); }

    template <class V>
    struct Update {
        Update(const Options& options, const Clock& clock, double learning_rate,
               double weight_decay)
            : decay(learning_rate, weight_decay, options.decoupled),
              eps(detail::number<V>(options.eps)),
              mix1(detail::number<V>(1.0 - options.beta1)),
              beta2(detail::number<V>(options.beta2)),
              mix2(detail::number<V>(1.0 - options.beta2)) {
            const double t = static_cast<double>(clock.step);
            const double correction2 = detail::bias_correction(options.beta2, clock.step);
            const double most = 2.0 / (1.0 - options.beta2) - 1.0;
            const double rho = most - 2.0 * t * std::pow(options.beta2, t) / correction2;
            is_scaled = rho > 5.0;
            double step = learning_rate / detail::bias_correction(options.beta1, clock.step);
            if (is_scaled)
                step *= std::sqrt(correction2 * (rho - 4.0) * (rho - 2.0) * most /
                                  ((most - 4.0) * (most - 2.0) * rho));
            rate = detail::number<V>(step);
        }

        template <std::size_t N>
        SSM_INLINE void operator()(V& w, V g, std::array<V, N>& m) const noexcept {
            decay(w, g);
            m[0] = detail::lerp(m[0], g, mix1);
            m[1] = detail::average_square(m[1], g, beta2, mix2);
            w = simd::fnma(rate, is_scaled ? m[0] / (simd::sqrt(m[1]) + eps) : m[0], w);
        }

        detail::Decay<V> decay;
        V eps, mix1, beta2, mix2, rate;
        bool is_scaled;
    };
};

}  // namespace rule

/// Optimiser of a layer L by RAdam.
template <class L>
using RAdam = Optimizer<L, rule::RAdam>;

}  // namespace ssm
