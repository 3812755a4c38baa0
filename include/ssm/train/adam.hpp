#pragma once

#include <array>
#include <cmath>
#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/train/optimizer.hpp>
#include <ssm/train/update_rule.hpp>

namespace ssm {

namespace rule {

/// Adam: steps scaled by the root of the mean square of the gradient.
///
///   g += weight_decay w
///   m = beta1 m + (1 - beta1) g
///   v = beta2 v + (1 - beta2) g^2;   amsgrad: the largest v so far
///   w -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
///
/// Source  Kingma and Ba, arXiv:1412.6980; Reddi et al., arXiv:1904.09237 (amsgrad);
///         torch.optim.Adam
struct Adam {
    struct Options {
        double learning_rate = 1e-3;
        double beta1 = 0.9;
        double beta2 = 0.999;
        double eps = 1e-8;
        double weight_decay = 0.0;
        bool amsgrad = false;
    };
    using Clock = StepClock;
    static constexpr const char* name = "Adam";
    static constexpr std::size_t least_moments = 2;
    static constexpr std::size_t most_moments = 3;

    [[nodiscard]] static std::size_t moments(const Options& options) noexcept {
        return options.amsgrad ? 3 : 2;
    }
    static void check(const Options& options) { detail::require_adam(name, options); }

    template <class V>
    struct Update {
        template <class AnyOptions>
        Update(const AnyOptions& options, const Clock& clock, double learning_rate,
               double weight_decay, bool decoupled = false)
            : decay(learning_rate, weight_decay, decoupled),
              rate(detail::number<V>(learning_rate /
                                     detail::bias_correction(options.beta1, clock.step))),
              root(detail::number<V>(
                  1.0 / std::sqrt(detail::bias_correction(options.beta2, clock.step)))),
              eps(detail::number<V>(options.eps)),
              mix1(detail::number<V>(1.0 - options.beta1)),
              beta2(detail::number<V>(options.beta2)),
              mix2(detail::number<V>(1.0 - options.beta2)) {}

        template <std::size_t N>
        SSM_INLINE void operator()(V& w, V g, std::array<V, N>& m) const noexcept {
            decay(w, g);
            m[0] = detail::lerp(m[0], g, mix1);
            m[1] = detail::average_square(m[1], g, beta2, mix2);
            V square = m[1];
            if constexpr (N == 3)
                square = m[2] = simd::max(m[2], m[1]);
            w = simd::fnma(rate, m[0] / simd::fma(simd::sqrt(square), root, eps), w);
        }

        detail::Decay<V> decay;
        V rate, root, eps, mix1, beta2, mix2;
    };
};

/// AdamW: Adam whose weight decay shrinks the weight itself, w *= 1 - lr weight_decay, before its
/// update.
///
/// Source  Loshchilov and Hutter, arXiv:1711.05101; torch.optim.AdamW
struct AdamW {
    struct Options {
        double learning_rate = 1e-3;
        double beta1 = 0.9;
        double beta2 = 0.999;
        double eps = 1e-8;
        double weight_decay = 0.01;
        bool amsgrad = false;
    };
    using Clock = StepClock;
    static constexpr const char* name = "AdamW";
    static constexpr std::size_t least_moments = 2;
    static constexpr std::size_t most_moments = 3;

    [[nodiscard]] static std::size_t moments(const Options& options) noexcept {
        return options.amsgrad ? 3 : 2;
    }
    static void check(const Options& options) { detail::require_adam(name, options); }

    template <class V>
    struct Update : Adam::Update<V> {
        Update(const Options& options, const Clock& clock, double learning_rate,
               double weight_decay)
            : Adam::Update<V>(options, clock, learning_rate, weight_decay, true) {}
    };
};

}  // namespace rule

/// Optimiser of a layer L by Adam, weight decay as an L2 penalty.
template <class L>
using Adam = Optimizer<L, rule::Adam>;

/// Optimiser of a layer L by Adam, weight decay apart from the gradient.
template <class L>
using AdamW = Optimizer<L, rule::AdamW>;

}  // namespace ssm
