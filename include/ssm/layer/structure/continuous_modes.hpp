#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <span>
#include <vector>

#include <Eigen/Core>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/discretization.hpp>
#include <ssm/discretize/zoh.hpp>
#include <ssm/init/hippo.hpp>
#include <ssm/init/hippo_blocks.hpp>
#include <ssm/init/normal.hpp>
#include <ssm/init/timescale.hpp>
#include <ssm/init/truncated.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/layer/mimo_modes.hpp>

namespace ssm {

/// Where an output matrix starts. With G drawn for the state in its own basis, C = G V; N is the state size.
enum class OutputInit {
    truncated_normal,  ///< G with variance 1 / N
    lecun_normal,      ///< G with variance 1 / (N H)
    complex_normal,    ///< C itself, with unit variance
};

/// Options of dynamics in continuous time.
template <class Discretization, class Init>
struct ContinuousModesOptions {
    Init init{};
    std::size_t blocks = 1;  ///< diagonal blocks of the HiPPO matrix that A starts as
    bool conjugate =
        true;  ///< modes come in conjugate pairs, of which one is stored: y = 2 Re(C x)
    bool clip_poles = false;  ///< Re Lambda is cut to at most -1e-4 where it is used
    OutputInit output = OutputInit::truncated_normal;
    double dt_min = 1e-3;
    double dt_max = 1e-1;
    DynamicsTraining training{};
    Discretization discretization{};
};

/// Dynamics policy of `Mimo`: a diagonal system in continuous time with a time step for each mode,
///
///   z, b = discretize(Lambda, rate dt)      dt = exp(log_step)
///
/// Shapes    Lambda (P, 2), log_step (P, 1); P = state / 2 with conjugate pairs, else state
/// Initial   eigenvalues of the normal part of a HiPPO measure in blocks, or what else `Init` has `hippo_blocks` for:
///           `init::Ptd<>` makes S5-PTD, for conjugate pairs; log_step uniform in [ln dt_min, ln dt_max]
/// Source    arXiv:2208.04933 (S5) and its released code
template <class Discretization = Zoh, class Init = init::hippo::LegS>
struct ContinuousModes {
    using Options = ContinuousModesOptions<Discretization, Init>;
    static constexpr bool has_time_step = true;

    template <class T>
    class Bank;
};

template <class Discretization, class Init>
template <class T>
class ContinuousModes<Discretization, Init>::Bank {
public:
    Bank(const MimoSizes& sizes, const Options& options, Rng& rng) : options_(options) {
        const auto blocks = initial_modes(sizes);
        Lambda = Tensor<T>({blocks.modes(), 2});
        log_step = Tensor<T>({blocks.modes(), 1});
        for (std::size_t p = 0; p < modes(); ++p) {
            Lambda[2 * p] = static_cast<T>(blocks.pole(p).real());
            Lambda[2 * p + 1] = static_cast<T>(blocks.pole(p).imag());
        }
        const init::LogUniform timescale{options.dt_min, options.dt_max};
        const std::vector<double> dt = timescale(modes(), rng);
        for (std::size_t p = 0; p < modes(); ++p)
            log_step[p] = static_cast<T>(std::log(dt[p]));
    }

    /// P, the modes that are stored.
    [[nodiscard]] std::size_t modes() const noexcept { return log_step.size(); }
    /// y = factor Re(C x).
    [[nodiscard]] double output_factor() const noexcept { return options_.conjugate ? 2.0 : 1.0; }
    [[nodiscard]] const Discretization& discretization() const noexcept {
        return options_.discretization;
    }

    /// B (P, H) at the start: real and random in the state's own basis, variance 1 / state.
    [[nodiscard]] Eigen::MatrixXcd initial_input(const MimoSizes& sizes, Rng& rng) const {
        const double scale = 1.0 / std::sqrt(static_cast<double>(sizes.state));
        Eigen::MatrixXcd G(static_cast<Eigen::Index>(sizes.state),
                           static_cast<Eigen::Index>(sizes.channels));
        for (Eigen::Index i = 0; i < G.rows(); ++i)
            for (Eigen::Index j = 0; j < G.cols(); ++j)
                G(i, j) = scale * init::truncated_normal(rng);
        return initial_modes(sizes).into_basis(G);
    }
    /// C (H, P) of one direction of time at the start.
    [[nodiscard]] Eigen::MatrixXcd initial_output(const MimoSizes& sizes, Rng& rng) const {
        const auto H = static_cast<Eigen::Index>(sizes.channels);
        const bool direct = options_.output == OutputInit::complex_normal;
        const double fan = options_.output == OutputInit::lecun_normal
                               ? static_cast<double>(sizes.state * sizes.channels)
                               : static_cast<double>(sizes.state);
        Eigen::MatrixXcd G(H, static_cast<Eigen::Index>(direct ? modes() : sizes.state));
        for (Eigen::Index i = 0; i < G.rows(); ++i)
            for (Eigen::Index j = 0; j < G.cols(); ++j) {
                if (direct) {
                    G(i, j) = init::complex_normal(rng);
                } else {
                    const double re = init::truncated_normal(rng);
                    const double im = init::truncated_normal(rng);
                    G(i, j) = std::complex<double>(re, im) / std::sqrt(fan);
                }
            }
        return direct ? G : initial_modes(sizes).out_of_basis(G);
    }

    /// Poles and time steps, as spans of P numbers.
    void continuous(double rate, std::span<double> lambda_re, std::span<double> lambda_im,
                    std::span<double> dt) const noexcept {
        for (std::size_t p = 0; p < modes(); ++p) {
            const double re = static_cast<double>(Lambda[2 * p]);
            lambda_re[p] = is_clipped(p) ? largest_real_part : re;
            lambda_im[p] = static_cast<double>(Lambda[2 * p + 1]);
            dt[p] = rate * std::exp(static_cast<double>(log_step[p]));
        }
    }
    /// The discrete system at `rate` times the trained time step.
    void discretize(double rate, MimoModes& result, Workspace& workspace) const {
        const Workspace::Frame frame = workspace.frame();
        result.reset(modes());
        const Continuous at = take(workspace);
        continuous(rate, at.re, at.im, at.dt);
        options_.discretization.forward(at.re, at.im, at.dt, result.pole_re, result.pole_im,
                                        result.input_re, result.input_im);
    }
    /// Adds to `gradient` what the gradient of the discrete system says about the weights.
    void adjoint(double rate, const MimoModes& upstream, Bank& gradient,
                 Workspace& workspace) const {
        const Workspace::Frame frame = workspace.frame();
        const Continuous at = take(workspace);
        const Continuous d = take(workspace);
        continuous(rate, at.re, at.im, at.dt);
        options_.discretization.adjoint(at.re, at.im, at.dt, upstream.pole_re, upstream.pole_im,
                                        upstream.input_re, upstream.input_im, d.re, d.im, d.dt);
        continuous_adjoint(rate, d.re, d.im, d.dt, gradient);
    }
    /// Adjoint of `continuous`.
    void continuous_adjoint(double rate, std::span<const double> d_re, std::span<const double> d_im,
                            std::span<const double> d_dt, Bank& gradient) const noexcept {
        for (std::size_t p = 0; p < modes(); ++p) {
            if (!is_clipped(p))
                gradient.Lambda[2 * p] += static_cast<T>(d_re[p]);
            gradient.Lambda[2 * p + 1] += static_cast<T>(d_im[p]);
            const double dt = rate * std::exp(static_cast<double>(log_step[p]));
            gradient.log_step[p] += static_cast<T>(d_dt[p] * dt);
        }
    }

    /// How B learns, which belongs to the dynamics.
    [[nodiscard]] WeightTraits input_traits() const { return options_.training.traits_of_B(); }

    template <class Visitor, class... Banks>
    static void visit_weights(Visitor&& visitor, Banks&... banks) {
        const Bank& first = first_of(banks...);
        visitor("Lambda", first.options_.training.traits_of_A(), banks.Lambda...);
        visitor("log_step", first.options_.training.traits_of_dt(), banks.log_step...);
    }

    Tensor<T> Lambda;
    Tensor<T> log_step;

private:
    static constexpr double largest_real_part = -1e-4;

    struct Continuous {
        std::span<double> re, im, dt;
    };
    [[nodiscard]] Continuous take(Workspace& workspace) const {
        return {workspace.take<double>(modes()), workspace.take<double>(modes()),
                workspace.take<double>(modes())};
    }
    [[nodiscard]] bool is_clipped(std::size_t p) const noexcept {
        return options_.clip_poles && static_cast<double>(Lambda[2 * p]) > largest_real_part;
    }
    [[nodiscard]] init::HippoBlocks initial_modes(const MimoSizes& sizes) const {
        using init::hippo_blocks;
        return hippo_blocks(options_.init, sizes.state, options_.blocks, options_.conjugate);
    }

    Options options_;
};

}  // namespace ssm
