#pragma once

#include <cmath>
#include <cstddef>
#include <span>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/discretization.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/discretize/transform.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/scan/diagonal.hpp>

namespace ssm {

/// Structure policy: N damped exponential moving averages for each channel, real modes in discrete time,
///
///   s_n[t] = q_n s_n[t-1] + p_n beta_n u[t]      y[t] = sum_n gamma_n s_n[t] / sqrt(N)
///   p = sigmoid(delta)      q = 1 - p sigmoid(alpha)
///
/// `Bank<T>` holds the weights, under the names and shapes of Mega, whose omega is the layer's D:
///
///   delta, alpha, beta (H, N, 1)      gamma (heads H, N)
///
/// There is no continuous time: the layer's discretisation is `Discrete`, `rate` must be 1, and the options of time
/// steps are not read.
///
/// Source  Ma et al.: "Mega: Moving Average Equipped Gated Attention", arXiv:2209.10655
struct MovingAverage {
    struct Options {};

    template <class T>
    class Bank;
};

template <class T>
class MovingAverage::Bank {
public:
    using System = Modes;
    template <class Discretization>
    static constexpr bool can_stream = true;

    Bank(const LtiSizes& sizes, std::size_t kernels, const Timescale&,
         const DynamicsTraining& training, const Options&, Rng& rng)
        : sizes_(sizes), heads_(kernels * sizes.heads), training_(training) {
        sizes.check();
        require<ValueError>(sizes.copies == 0 || sizes.copies == sizes.channels,
                            "ssm::MovingAverage: copies = ", sizes.copies,
                            ", but each channel has averages of its own");
        const auto fill = [&rng](Tensor<T>& weight, Extents extents, auto&& mean,
                                 double deviation) {
            weight = Tensor<T>(extents);
            for (std::size_t i = 0; i < weight.size(); ++i)
                weight[i] = static_cast<T>(mean(i) + deviation * rng.normal());
        };
        const auto zero = [](std::size_t) { return 0.0; };
        const Extents each{sizes.channels, sizes.state, 1};
        fill(delta, each, zero, 0.2);
        fill(alpha, each, zero, 0.2);
        fill(
            beta, each, [&](std::size_t i) { return i % sizes.state % 2 == 0 ? 1.0 : -1.0; }, 0.02);
        fill(gamma, {heads_ * sizes.channels, sizes.state}, zero, 1.0);
    }

    [[nodiscard]] const LtiSizes& sizes() const noexcept { return sizes_; }
    [[nodiscard]] ModeShape shape() const noexcept {
        return {sizes_.channels, sizes_.state, heads_};
    }

    void discretize(const Discrete&, double rate, Modes& modes, Workspace&) const {
        require<ValueError>(rate == 1.0, "ssm::MovingAverage: rate = ", rate,
                            ", but a system in discrete time has only its own, 1");
        modes.reset(shape());
        for (std::size_t i = 0; i < shape().poles(); ++i)
            modes.pole_re[i] = 1.0 - decay(delta, i) * decay(alpha, i);
        for (std::size_t r = 0; r < shape().residues(); ++r) {
            const std::size_t i = r % shape().poles();
            modes.residue_re[r] = scale() * decay(delta, i) * number(beta, i) * number(gamma, r);
        }
    }

    void adjoint(const Discrete&, double, const Modes&, const Modes& upstream, Bank& gradient,
                 Workspace&) const {
        for (std::size_t i = 0; i < shape().poles(); ++i)
            add_slopes(i, -upstream.pole_re[i] * decay(alpha, i),
                       -upstream.pole_re[i] * decay(delta, i), gradient);
        for (std::size_t r = 0; r < shape().residues(); ++r) {
            const std::size_t i = r % shape().poles();
            const double p = decay(delta, i);
            const double g = scale() * upstream.residue_re[r];
            add_slopes(i, g * number(beta, i) * number(gamma, r), 0.0, gradient);
            gradient.beta[i] += static_cast<T>(g * p * number(gamma, r));
            gradient.gamma[r] += static_cast<T>(g * p * number(beta, i));
        }
    }

    template <class Visitor, class... Banks>
    static void visit_weights(Visitor&& visitor, Banks&... banks) {
        const Bank& first = first_of(banks...);
        visitor("delta", first.training_.traits_of_A(), banks.delta...);
        visitor("alpha", first.training_.traits_of_A(), banks.alpha...);
        visitor("beta", first.training_.traits_of_B(), banks.beta...);
        visitor("gamma", WeightTraits{}, banks.gamma...);
    }

    Tensor<T> delta;
    Tensor<T> alpha;
    Tensor<T> beta;
    Tensor<T> gamma;

private:
    [[nodiscard]] static double number(const Tensor<T>& weight, std::size_t i) noexcept {
        return static_cast<double>(weight[i]);
    }
    [[nodiscard]] static double decay(const Tensor<T>& weight, std::size_t i) noexcept {
        return value(Transform::sigmoid, number(weight, i));
    }
    [[nodiscard]] double scale() const noexcept {
        return 1.0 / std::sqrt(static_cast<double>(sizes_.state));
    }
    /// Adds what gradients of p = sigmoid(delta) and of sigmoid(alpha) say about delta and alpha.
    void add_slopes(std::size_t i, double dp, double dalpha, Bank& gradient) const noexcept {
        gradient.delta[i] += static_cast<T>(dp * derivative(Transform::sigmoid, number(delta, i)));
        gradient.alpha[i] +=
            static_cast<T>(dalpha * derivative(Transform::sigmoid, number(alpha, i)));
    }

    LtiSizes sizes_;
    std::size_t heads_;
    DynamicsTraining training_;
};

}  // namespace ssm
