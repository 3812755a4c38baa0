#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <span>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/dss.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/discretize/transform.hpp>
#include <ssm/init/legs.hpp>
#include <ssm/init/system.hpp>
#include <ssm/init/timescale.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/scan/diagonal.hpp>

namespace ssm {

/// How DSS stores its poles Lambda, and under which names.
enum class DssPoles {
    free,      ///< Lambda (N, 2); real parts may become positive
    exp,       ///< -e^Lambda_log_neg_re + i Lambda_im, (N) each
    exp_both,  ///< -e^Lambda_log_neg_re + i e^Lambda_log_im, (N) each
    clip,      ///< Lambda (N, 2) with real parts cut at 1e-4
};

template <class Init>
struct DssOptions {
    Init init{};  ///< its A, conjugate, is where Lambda starts
    DssPoles poles = DssPoles::free;
    bool separate_dt = true;  ///< one dt for the real part of Lambda and one for the imaginary
};

/// Structure policy of DSS: A is diagonal with N modes that have no conjugate partners and that all channels share,
///
///   d = dt_0 Re Lambda + i dt_1 Im Lambda      z, b = discretize(Lambda, d)      r = W b
///
/// `Bank<T>` holds the weights, under the names and shapes of the original code:
///
///   log_dt (H) or (H, 2)      Lambda (N, 2), or see `DssPoles`      W (kernels heads, H, N, 2)
///
/// `state` counts the stored modes, as in the paper. All channels share one Lambda, so `copies` must be 0 or 1; dt is
/// one for each channel, stored as its logarithm.
///
/// Source  arXiv:2203.14343 (DSS) and its released code
template <class Init = init::LegS>
struct DssDiagonal {
    using Options = DssOptions<Init>;

    template <class T>
    class Bank;
};

template <class Init>
template <class T>
class DssDiagonal<Init>::Bank {
public:
    using System = Modes;
    /// The softmax depends on the length.
    template <class Discretization>
    static constexpr bool can_stream = ssm::Discretization<Discretization>;

    Bank(const LtiSizes& sizes, std::size_t kernels, const Timescale& timescale,
         const DynamicsTraining& training, const Options& options, Rng& rng)
        : sizes_(sizes), kernels_(kernels), training_(training), options_(options) {
        check(timescale);
        const std::size_t N = sizes_.state;
        log_dt =
            options.separate_dt ? Tensor<T>({sizes_.channels, 2}) : Tensor<T>({sizes_.channels});
        const bool pairs = poles_are_pairs();
        Lambda = Tensor<T>({pairs ? N : 0, 2});
        log_neg_re = Tensor<T>({pairs ? 0 : N});
        im = Tensor<T>({pairs ? 0 : N});
        W = Tensor<T>({kernels * sizes_.heads, sizes_.channels, N, 2});
        initialise(timescale, rng);
    }

    [[nodiscard]] const LtiSizes& sizes() const noexcept { return sizes_; }
    [[nodiscard]] ModeShape shape() const noexcept {
        return {sizes_.channels, sizes_.state, kernels_ * sizes_.heads};
    }

    /// The poles Lambda in continuous time, (N).
    [[nodiscard]] std::vector<std::complex<double>> poles() const {
        std::vector<std::complex<double>> result;
        for (std::size_t n = 0; n < sizes_.state; ++n)
            result.push_back(pole(n));
        return result;
    }

    template <class Method>
    void discretize(const Method& method, double rate, Modes& modes, Workspace& workspace) const {
        const auto frame = workspace.frame();
        modes.reset(shape());
        const Continuous system = continuous(rate, workspace);
        const Arrays b = take(workspace);
        method.scaled_forward(in(system.lambda), in(system.d), {modes.pole_re, modes.pole_im}, b);
        for (std::size_t r = 0; r < shape().residues(); ++r) {
            const std::size_t p = r % shape().poles();
            const auto w_re = static_cast<double>(W[2 * r]);
            const auto w_im = static_cast<double>(W[2 * r + 1]);
            modes.residue_re[r] = w_re * b.re[p] - w_im * b.im[p];
            modes.residue_im[r] = w_re * b.im[p] + w_im * b.re[p];
        }
    }

    template <class Method>
    void adjoint(const Method& method, double rate, const Modes&, Modes& upstream, Bank& gradient,
                 Workspace& workspace) const {
        const auto frame = workspace.frame();
        const Continuous system = continuous(rate, workspace);
        const Arrays z = take(workspace), b = take(workspace), db = take(workspace);
        method.scaled_forward(in(system.lambda), in(system.d), z, b);
        for (std::size_t r = 0; r < shape().residues(); ++r) {
            const std::size_t p = r % shape().poles();
            const double g_re = upstream.residue_re[r];
            const double g_im = upstream.residue_im[r];
            const auto w_re = static_cast<double>(W[2 * r]);
            const auto w_im = static_cast<double>(W[2 * r + 1]);
            gradient.W[2 * r] += static_cast<T>(g_re * b.re[p] + g_im * b.im[p]);
            gradient.W[2 * r + 1] += static_cast<T>(g_im * b.re[p] - g_re * b.im[p]);
            db.re[p] += g_re * w_re + g_im * w_im;
            db.im[p] += g_im * w_re - g_re * w_im;
        }
        const Arrays dd = take(workspace), dlambda = take(workspace);
        method.scaled_adjoint(in(system.lambda), in(system.d), {upstream.pole_re, upstream.pole_im},
                              in(db), dd, dlambda);
        adjoint_of_weights(system, dd, dlambda, gradient);
    }

    template <class Visitor, class... Banks>
    static void visit_weights(Visitor&& visitor, Banks&... banks) {
        const Bank& first = first_of(banks...);
        const WeightTraits poles = first.training_.traits_of_A();
        visitor("log_dt", first.training_.traits_of_dt(), banks.log_dt...);
        if (first.poles_are_pairs()) {
            visitor("Lambda", poles, banks.Lambda...);
        } else {
            visitor("Lambda_log_neg_re", poles, banks.log_neg_re...);
            visitor(first.options_.poles == DssPoles::exp ? "Lambda_im" : "Lambda_log_im", poles,
                    banks.im...);
        }
        visitor("W", WeightTraits{}, banks.W...);
    }

    Tensor<T> log_dt;
    Tensor<T> Lambda;      ///< of free and clipped poles
    Tensor<T> log_neg_re;  ///< of the others
    Tensor<T> im;          ///< Im Lambda, or its logarithm
    Tensor<T> W;

private:
    using Arrays = detail::ComplexArrays<double>;
    static constexpr double largest_clipped = 1e-4;

    /// Lambda and d of each mode of each channel, (H, N), and dt (H).
    struct Continuous {
        Arrays lambda, d, dt;
    };

    [[nodiscard]] static detail::ComplexArrays<const double> in(const Arrays& arrays) noexcept {
        return {arrays.re, arrays.im};
    }
    [[nodiscard]] Arrays take(Workspace& workspace) const {
        const std::size_t count = shape().poles();
        return {workspace.take_zero<double>(count), workspace.take_zero<double>(count)};
    }

    [[nodiscard]] bool poles_are_pairs() const noexcept {
        return options_.poles == DssPoles::free || options_.poles == DssPoles::clip;
    }
    [[nodiscard]] std::complex<double> pole(std::size_t n) const noexcept {
        if (poles_are_pairs()) {
            const auto re = static_cast<double>(Lambda[2 * n]);
            return {options_.poles == DssPoles::clip ? std::min(re, largest_clipped) : re,
                    static_cast<double>(Lambda[2 * n + 1])};
        }
        const auto stored = static_cast<double>(im[n]);
        return {-std::exp(static_cast<double>(log_neg_re[n])),
                options_.poles == DssPoles::exp ? stored : std::exp(stored)};
    }

    void check(const Timescale& timescale) const {
        sizes_.check();
        require<ValueError>(sizes_.copies <= 1, "ssm::DssDiagonal: copies = ", sizes_.copies,
                            ", but all channels share one Lambda");
        require<ValueError>(
            timescale.tied && timescale.transform == Transform::exp && !timescale.fast,
            "ssm::DssDiagonal: time steps are tied and stored as plain logarithms");
    }

    void initialise(const Timescale& timescale, Rng& rng) {
        const std::size_t N = sizes_.state;
        const init::Diagonal system = init::diagonal_bank(options_.init, 1, N, rng).front();
        for (std::size_t n = 0; n < N; ++n) {
            const std::complex<double> lambda = std::conj(system.A[n]);
            if (poles_are_pairs()) {
                Lambda[2 * n] = static_cast<T>(lambda.real());
                Lambda[2 * n + 1] = static_cast<T>(lambda.imag());
                continue;
            }
            const bool both = options_.poles == DssPoles::exp_both;
            require<ValueError>(lambda.real() < 0.0 && (!both || lambda.imag() > 0.0),
                                "ssm::DssDiagonal: the initial pole ", lambda,
                                " has no logarithm as it is stored");
            log_neg_re[n] = static_cast<T>(std::log(-lambda.real()));
            im[n] = static_cast<T>(both ? std::log(lambda.imag()) : lambda.imag());
        }
        const std::vector<double> steps =
            init::LogUniform{timescale.min, timescale.max}(sizes_.channels, rng);
        const std::size_t columns = log_dt.size() / sizes_.channels;
        for (std::size_t i = 0; i < log_dt.size(); ++i)
            log_dt[i] = static_cast<T>(std::log(steps[i / columns]));
        for (T& w : W.flat())
            w = static_cast<T>(rng.normal());
    }

    [[nodiscard]] Continuous continuous(double rate, Workspace& workspace) const {
        const std::size_t N = sizes_.state;
        const std::size_t columns = log_dt.size() / sizes_.channels;
        Continuous system{
            take(workspace),
            take(workspace),
            {workspace.take<double>(sizes_.channels), workspace.take<double>(sizes_.channels)}};
        for (std::size_t h = 0; h < sizes_.channels; ++h) {
            const auto first = static_cast<double>(log_dt[h * columns]);
            const auto last = static_cast<double>(log_dt[h * columns + columns - 1]);
            system.dt.re[h] = rate * std::exp(first);
            system.dt.im[h] = rate * std::exp(last);
            for (std::size_t n = 0; n < N; ++n) {
                const std::complex<double> lambda = pole(n);
                const std::size_t p = h * N + n;
                system.lambda.re[p] = lambda.real();
                system.lambda.im[p] = lambda.imag();
                system.d.re[p] = system.dt.re[h] * lambda.real();
                system.d.im[p] = system.dt.im[h] * lambda.imag();
            }
        }
        return system;
    }

    /// d is dt times a part of Lambda, for both parts; Lambda goes its own ways besides.
    void adjoint_of_weights(const Continuous& system, const Arrays& dd, const Arrays& dlambda,
                            Bank& gradient) const {
        const std::size_t N = sizes_.state;
        const std::size_t columns = log_dt.size() / sizes_.channels;
        for (std::size_t h = 0; h < sizes_.channels; ++h) {
            double slope_re = 0.0, slope_im = 0.0;
            for (std::size_t n = 0; n < N; ++n) {
                const std::size_t p = h * N + n;
                slope_re += dd.re[p] * system.d.re[p];
                slope_im += dd.im[p] * system.d.im[p];
                add_to_pole(n, dlambda.re[p] + system.dt.re[h] * dd.re[p],
                            dlambda.im[p] + system.dt.im[h] * dd.im[p], gradient);
            }
            gradient.log_dt[h * columns] += static_cast<T>(slope_re);
            gradient.log_dt[h * columns + columns - 1] += static_cast<T>(slope_im);
        }
    }

    void add_to_pole(std::size_t n, double re, double imaginary, Bank& gradient) const {
        const std::complex<double> lambda = pole(n);
        if (poles_are_pairs()) {
            const bool cut = options_.poles == DssPoles::clip &&
                             static_cast<double>(Lambda[2 * n]) > largest_clipped;
            gradient.Lambda[2 * n] += static_cast<T>(cut ? 0.0 : re);
            gradient.Lambda[2 * n + 1] += static_cast<T>(imaginary);
            return;
        }
        const double slope = options_.poles == DssPoles::exp ? 1.0 : lambda.imag();
        gradient.log_neg_re[n] += static_cast<T>(re * lambda.real());
        gradient.im[n] += static_cast<T>(imaginary * slope);
    }

    LtiSizes sizes_;
    std::size_t kernels_;
    DynamicsTraining training_;
    Options options_;
};

}  // namespace ssm
