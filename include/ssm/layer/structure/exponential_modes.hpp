#pragma once

#include <cmath>
#include <complex>
#include <cstddef>

#include <Eigen/Core>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/init/ring.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/layer/mimo_modes.hpp>

namespace ssm {

struct ExponentialModesOptions {
    init::Ring ring{};
    DynamicsTraining training{.learning_rate = {}};
};

/// Dynamics policy of `Mimo`: poles in discrete time that are stable whatever the weights are, and an input that is
/// normalised by a weight of its own,
///
///   z = exp(-exp(nu_log) + i exp(theta_log))      b = exp(gamma_log)
///
/// Shapes    nu_log, theta_log, gamma_log (P); P is the state size: modes are complex, without partners
/// Initial   z on a ring, gamma = sqrt(1 - |z|^2); B with variance 1 / H and C with variance 2 / P
/// Source    arXiv:2303.06349 (LRU) and the minimal-LRU code
struct ExponentialModes {
    using Options = ExponentialModesOptions;
    static constexpr bool has_time_step = false;

    template <class T>
    class Bank;
};

template <class T>
class ExponentialModes::Bank {
public:
    Bank(const MimoSizes& sizes, const Options& options, Rng& rng)
        : nu_log({sizes.state}),
          theta_log({sizes.state}),
          gamma_log({sizes.state}),
          options_(options) {
        options.ring.check();
        require<ValueError>(sizes.state > 0, "ssm::Mimo: state must be positive");
        for (std::size_t p = 0; p < modes(); ++p) {
            const double nu = options.ring.nu_log(inside(rng));
            nu_log[p] = static_cast<T>(nu);
            theta_log[p] = static_cast<T>(options.ring.theta_log(inside(rng)));
            gamma_log[p] = static_cast<T>(init::Ring::gamma_log(nu));
        }
    }

    [[nodiscard]] std::size_t modes() const noexcept { return nu_log.size(); }
    [[nodiscard]] static double output_factor() noexcept { return 1.0; }

    [[nodiscard]] Eigen::MatrixXcd initial_input(const MimoSizes& sizes, Rng& rng) const {
        return normal(modes(), sizes.channels, 2.0 * static_cast<double>(sizes.channels), rng);
    }
    [[nodiscard]] Eigen::MatrixXcd initial_output(const MimoSizes& sizes, Rng& rng) const {
        return normal(sizes.channels, modes(), static_cast<double>(modes()), rng);
    }

    void discretize(double, MimoModes& result, Workspace&) const {
        result.reset(modes());
        for (std::size_t p = 0; p < modes(); ++p) {
            const std::complex<double> z = pole(p);
            result.pole_re[p] = z.real();
            result.pole_im[p] = z.imag();
            result.input_re[p] = std::exp(static_cast<double>(gamma_log[p]));
        }
    }
    /// Adds to `gradient` what the gradient of the discrete system says about the weights.
    void adjoint(double, const MimoModes& upstream, Bank& gradient, Workspace&) const {
        for (std::size_t p = 0; p < modes(); ++p) {
            const std::complex<double> d =
                std::conj(pole(p)) * std::complex<double>(upstream.pole_re[p], upstream.pole_im[p]);
            gradient.nu_log[p] -= static_cast<T>(exp_of(nu_log[p]) * d.real());
            gradient.theta_log[p] += static_cast<T>(exp_of(theta_log[p]) * d.imag());
            gradient.gamma_log[p] += static_cast<T>(exp_of(gamma_log[p]) * upstream.input_re[p]);
        }
    }

    [[nodiscard]] WeightTraits input_traits() const { return options_.training.traits_of_B(); }

    template <class Visitor, class... Banks>
    static void visit_weights(Visitor&& visitor, Banks&... banks) {
        const Bank& first = first_of(banks...);
        const WeightTraits traits = first.options_.training.traits_of_A();
        visitor("nu_log", traits, banks.nu_log...);
        visitor("theta_log", traits, banks.theta_log...);
        visitor("gamma_log", first.input_traits(), banks.gamma_log...);
    }

    Tensor<T> nu_log;
    Tensor<T> theta_log;
    Tensor<T> gamma_log;

private:
    [[nodiscard]] static double exp_of(T x) noexcept { return std::exp(static_cast<double>(x)); }
    [[nodiscard]] std::complex<double> pole(std::size_t p) const noexcept {
        const double size = std::exp(-exp_of(nu_log[p]));
        const double phase = exp_of(theta_log[p]);
        return {size * std::cos(phase), size * std::sin(phase)};
    }
    /// Uniform in (0, 1): the ends are a pole at 0 and one on the unit circle.
    [[nodiscard]] static double inside(Rng& rng) noexcept {
        for (;;) {
            const double uniform = rng.uniform();
            if (uniform > 0.0)
                return uniform;
        }
    }
    /// Real and imaginary parts of variance 1 / `inverse_variance` each.
    [[nodiscard]] static Eigen::MatrixXcd normal(std::size_t rows, std::size_t columns,
                                                 double inverse_variance, Rng& rng) {
        Eigen::MatrixXcd result(static_cast<Eigen::Index>(rows),
                                static_cast<Eigen::Index>(columns));
        for (Eigen::Index i = 0; i < result.rows(); ++i)
            for (Eigen::Index j = 0; j < result.cols(); ++j) {
                const double re = rng.normal();
                const double im = rng.normal();
                result(i, j) = std::complex<double>(re, im) / std::sqrt(inverse_variance);
            }
        return result;
    }

    Options options_;
};

}  // namespace ssm
