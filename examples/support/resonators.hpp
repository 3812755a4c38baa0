#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/discretization.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/scan/channel_stream.hpp>

/// A structure that the library does not have, as a user writes it: each channel is a resonator,
///
///   y[t] = a1 y[t-1] + a2 y[t-2] + g u[t]      a1 = 2 r cos w      a2 = -r^2      g = 1 - r
///
/// with a period 2 pi / w and a decay r that are learned. `ssm::Lti<T, examples::Resonators, ssm::Discrete>` is a
/// layer then that trains, streams and saves like all others.
namespace examples {

template <class T>
class ResonatorCell;

/// The discrete system of all channels, or its gradient.
struct ResonatorSystem {
    template <class T>
    using Stream = ssm::ChannelStream<T, ResonatorCell<T>>;

    void reset(const ssm::ChannelShape& sizes) {
        shape = sizes;
        for (std::vector<double>* coefficients : {&a1, &a2, &g})
            coefficients->assign(shape.channels, 0.0);
    }

    ssm::ChannelShape shape{};
    std::vector<double> a1, a2, g;
};

/// One step of one channel; the state is the two last outputs.
template <class T>
class ResonatorCell {
public:
    ResonatorCell() = default;
    explicit ResonatorCell(const ResonatorSystem& system) : system_(system) {}

    [[nodiscard]] ssm::ChannelShape shape() const noexcept { return system_.shape; }
    void advance(std::size_t h, T u, std::span<T> x) const noexcept {
        const T y = static_cast<T>(system_.a1[h]) * x[0] + static_cast<T>(system_.a2[h]) * x[1] +
                    static_cast<T>(system_.g[h]) * u;
        x[1] = std::exchange(x[0], y);
    }
    [[nodiscard]] T output(std::size_t, std::size_t, std::span<const T> x) const noexcept {
        return x[0];
    }

private:
    ResonatorSystem system_;
};

/// K[l] = a1 K[l-1] + a2 K[l-2], K[0] = g
inline void impulse_response(const ResonatorSystem& system, std::size_t h, std::span<double> K) {
    for (std::size_t l = 0; l < K.size(); ++l)
        K[l] = l == 0 ? system.g[h]
                      : system.a1[h] * K[l - 1] + (l > 1 ? system.a2[h] * K[l - 2] : 0.0);
}

template <class T>
void convolution_kernel(const ResonatorSystem& system, std::size_t length, std::span<T> kernel,
                        ssm::Workspace& workspace) {
    const ssm::Workspace::Frame frame =
        workspace.frame();  // what is taken is given back at the end
    const std::span<double> K = workspace.take<double>(length);
    for (std::size_t h = 0; h < system.shape.channels; ++h) {
        impulse_response(system, h, K);
        for (std::size_t l = 0; l < length; ++l)
            kernel[h * length + l] = static_cast<T>(K[l]);
    }
}

/// The recurrence backward in time: lambda[l] = dK[l] + a1 lambda[l+1] + a2 lambda[l+2].
template <class T>
void convolution_kernel_adjoint(const ResonatorSystem& system, std::size_t length,
                                std::span<const T> dkernel, ResonatorSystem& gradient,
                                ssm::Workspace& workspace) {
    const ssm::Workspace::Frame frame = workspace.frame();
    const std::span<double> K = workspace.take<double>(length);
    const std::span<double> lambda = workspace.take_zero<double>(length + 2);
    for (std::size_t h = 0; h < system.shape.channels; ++h) {
        impulse_response(system, h, K);
        for (std::size_t l = length; l-- > 0;) {
            lambda[l] = static_cast<double>(dkernel[h * length + l]) +
                        system.a1[h] * lambda[l + 1] + system.a2[h] * lambda[l + 2];
            if (l >= 1)
                gradient.a1[h] += lambda[l] * K[l - 1];
            if (l >= 2)
                gradient.a2[h] += lambda[l] * K[l - 2];
        }
        gradient.g[h] += lambda[0];
    }
}

/// The structure: weights, what they mean, and the way back.
struct Resonators {
    /// Periods, in steps, that the channels start with, evenly spaced in their logarithm.
    struct Options {
        double shortest = 4.0;
        double longest = 64.0;
        double decay = 0.9;
    };

    template <class T>
    class Bank {
    public:
        using System = ResonatorSystem;
        template <class Discretization>
        static constexpr bool can_stream = true;

        Bank(const ssm::LtiSizes& sizes, std::size_t kernels, const ssm::Timescale&,
             const ssm::DynamicsTraining&, const Options& options, ssm::Rng&)
            : log_period({sizes.channels}),
              logit_decay({sizes.channels},
                          static_cast<T>(std::log(options.decay / (1.0 - options.decay)))),
              sizes_(sizes) {
            ssm::require<ssm::ValueError>(sizes.heads == 1 && kernels == 1,
                                          "Resonators: one head and one direction only");
            for (std::size_t h = 0; h < sizes.channels; ++h) {
                const double place =
                    (static_cast<double>(h) + 0.5) / static_cast<double>(sizes.channels);
                log_period[h] = static_cast<T>(
                    std::lerp(std::log(options.shortest), std::log(options.longest), place));
            }
        }

        [[nodiscard]] const ssm::LtiSizes& sizes() const noexcept { return sizes_; }
        [[nodiscard]] ssm::ChannelShape shape() const noexcept {
            return {.channels = sizes_.channels, .state = 2};
        }

        void discretize(const ssm::Discrete&, double rate, ResonatorSystem& system,
                        ssm::Workspace&) const {
            system.reset(shape());
            for (std::size_t h = 0; h < sizes_.channels; ++h) {
                const auto [r, w] = meaning(h, rate);
                system.a1[h] = 2.0 * r * std::cos(w);
                system.a2[h] = -r * r;
                system.g[h] = 1.0 - r;
            }
        }
        void adjoint(const ssm::Discrete&, double rate, const ResonatorSystem&,
                     ResonatorSystem& upstream, Bank& gradient, ssm::Workspace&) const {
            for (std::size_t h = 0; h < sizes_.channels; ++h) {
                const auto [r, w] = meaning(h, rate);
                const double dr =
                    2.0 * std::cos(w) * upstream.a1[h] - 2.0 * r * upstream.a2[h] - upstream.g[h];
                const double dw = -2.0 * r * std::sin(w) * upstream.a1[h];
                const double logistic = std::pow(r, 1.0 / rate);
                gradient.log_period[h] += static_cast<T>(-dw * w);
                gradient.logit_decay[h] += static_cast<T>(dr * rate * r * (1.0 - logistic));
            }
        }

        template <class Visitor, class... Banks>
        static void visit_weights(Visitor&& visitor, Banks&... banks) {
            visitor("log_period", ssm::WeightTraits{.weight_decay = 0.0}, banks.log_period...);
            visitor("logit_decay", ssm::WeightTraits{.weight_decay = 0.0}, banks.logit_decay...);
        }

        ssm::Tensor<T> log_period, logit_decay;

    private:
        /// Decay and angle for each step, at `rate` times the trained time step.
        [[nodiscard]] std::pair<double, double> meaning(std::size_t h, double rate) const {
            const double logistic = 1.0 / (1.0 + std::exp(-static_cast<double>(logit_decay[h])));
            const double period = std::exp(static_cast<double>(log_period[h]));
            return {std::pow(logistic, rate), rate * 2.0 * std::numbers::pi / period};
        }

        ssm::LtiSizes sizes_;
    };
};

}  // namespace examples
