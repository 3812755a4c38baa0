#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/discretization.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/discretize/transform.hpp>
#include <ssm/init/diagonal.hpp>
#include <ssm/init/normal.hpp>
#include <ssm/init/system.hpp>
#include <ssm/init/timescale.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/scan/diagonal_state.hpp>

namespace ssm {

/// Options of a diagonal state matrix.
template <class Init>
struct DiagonalOptions {
    Init init{};                                 ///< where A and B start
    Transform real_transform = Transform::exp;   ///< -Re A as a function of the stored weight
    Transform imag_transform = Transform::none;  ///< -Im A
    bool real = false;  ///< real A, B, C: N real modes, as in an exponential moving average
    double bandlimit =
        0.0;  ///< if positive: modes with dt |Im A| / (2 pi) at or above half of it are silent
};

/// Structure policy: A is diagonal, with poles in conjugate pairs of which one is stored.
///
///   Lambda = -f(A_real) - i g(A_imag)      z, b_bar = discretize(Lambda, dt)      r = 2 C B b_bar
///
/// `Bank<T>` holds the weights, under the names and shapes of the original code:
///
///   inv_dt (H, 1 or n)   C (kernels heads, H, n, 2)   B (1, S, n, 2)   A_real (S, n)   A_imag (S, n)
///
/// Source  arXiv:2206.11893 (S4D) and the released S4 code.
template <class Init = init::Lin>
struct Diagonal {
    using Options = DiagonalOptions<Init>;

    template <class T>
    class Bank;
};

template <class Init>
template <class T>
class Diagonal<Init>::Bank {
public:
    using System = Modes;
    /// Whether the discrete system is the same for all lengths, so that it can run as a stream.
    template <class Discretization>
    static constexpr bool can_stream = ssm::Discretization<Discretization>;

    Bank(const LtiSizes& sizes, std::size_t kernels, const Timescale& timescale,
         const DynamicsTraining& training, const Options& options, Rng& rng)
        : sizes_(sizes),
          kernels_(kernels),
          timescale_(timescale),
          training_(training),
          options_(options) {
        if (sizes_.copies == 0)
            sizes_.copies = sizes_.channels;
        check();
        const std::size_t n = modes();
        inv_dt = Tensor<T>({sizes_.channels, timescale.tied ? 1 : n});
        C = complex_tensor({kernels * sizes_.heads, sizes_.channels, n});
        B = complex_tensor({1, sizes_.copies, n});
        A_real = Tensor<T>({sizes_.copies, n});
        A_imag = Tensor<T>({options.real ? 0 : sizes_.copies, n});
        initialise(rng);
    }

    [[nodiscard]] const LtiSizes& sizes() const noexcept { return sizes_; }
    /// Stored modes n of each channel: N / 2, or N when real.
    [[nodiscard]] std::size_t modes() const noexcept {
        return options_.real ? sizes_.state : sizes_.state / 2;
    }
    [[nodiscard]] ModeShape shape() const noexcept {
        return {sizes_.channels, modes(), kernels_ * sizes_.heads};
    }

    /// The discrete system at `rate` times the trained time step.
    template <class Discretization>
    void discretize(const Discretization& method, double rate, Modes& modes,
                    Workspace& workspace) const {
        const auto frame = workspace.frame();
        modes.reset(shape());
        const auto [system, inputs] =
            discrete(method, rate, {modes.pole_re, modes.pole_im}, workspace);
        const double factor = conjugate_factor<Discretization>;
        const std::size_t count = modes.shape.poles();
        for (std::size_t c = 0; c < modes.shape.heads; ++c) {
            const T* const C_of_head = C.data() + c * count * parts();
            double* const re = modes.residue_re.data() + c * count;
            double* const im = modes.residue_im.data() + c * count;
            for (std::size_t p = 0; p < count; ++p) {
                const double c_re = factor * real_part(C_of_head, p);
                const double c_im = factor * imaginary_part(C_of_head, p);
                re[p] = c_re * inputs.B_b.re[p] - c_im * inputs.B_b.im[p];
                im[p] = c_re * inputs.B_b.im[p] + c_im * inputs.B_b.re[p];
            }
        }
        for_each_silent(system, modes.shape,
                        [&](std::size_t r) { modes.residue_re[r] = modes.residue_im[r] = 0.0; });
    }

    /// Adds to `gradient` what the gradient of the discrete system says about the weights.
    template <class Discretization>
    void adjoint(const Discretization& method, double rate, const Modes&, Modes& upstream,
                 Bank& gradient, Workspace& workspace) const {
        const auto frame = workspace.frame();
        const auto [system, inputs] = discrete(method, rate, take_complex(workspace), workspace);
        for_each_silent(system, upstream.shape, [&](std::size_t r) {
            upstream.residue_re[r] = upstream.residue_im[r] = 0.0;
        });
        const ComplexSpan g_input = take_complex(workspace);
        adjoint_of_residues(conjugate_factor<Discretization>, inputs, upstream, g_input, gradient);

        const ComplexSpan g_lambda = take_complex(workspace);
        const std::span<double> g_dt = workspace.take_zero<double>(shape().poles());
        method.adjoint(system.lambda_re, system.lambda_im, system.dt, upstream.pole_re,
                       upstream.pole_im, g_input.re, g_input.im, g_lambda.re, g_lambda.im, g_dt);
        adjoint_of_weights(rate, g_lambda, g_dt, gradient);
    }

    /// Input weights B_bar of the discrete system, (H, n): x = B_bar s turns the state s of the modal form into the
    /// state x of x[t] = A_bar x[t-1] + B_bar u[t].
    template <class Discretization>
    [[nodiscard]] std::vector<std::complex<double>> input_weights(const Discretization& method,
                                                                  double rate) const {
        Workspace workspace;
        const Inputs inputs = discrete(method, rate, take_complex(workspace), workspace).inputs;
        std::vector<Number> weights;
        for (std::size_t p = 0; p < shape().poles(); ++p)
            weights.emplace_back(inputs.B_b.re[p], inputs.B_b.im[p]);
        return weights;
    }

    /// The state x (batch, H, n, 2) of a state of the modal form.
    template <class Discretization>
    [[nodiscard]] Tensor<T> state_values(const Discretization& method, double rate,
                                         const DiagonalState<T>& state) const {
        const auto weights = input_weights(method, rate);
        Tensor<T> values({state.batch(), sizes_.channels, modes(), 2});
        for_each_mode(state, [&](std::size_t i, std::size_t p, const T& re, const T& im) {
            const Number x = weights[p] * Number(static_cast<double>(re), static_cast<double>(im));
            values[2 * i] = static_cast<T>(x.real());
            values[2 * i + 1] = static_cast<T>(x.imag());
        });
        return values;
    }
    /// The way back.
    ///
    /// Errors  ShapeError for another shape; ValueError for a mode that is not zero though B_bar is: no input
    ///         can bring the system there. The state is unchanged then.
    template <class Discretization>
    void set_state_values(const Discretization& method, double rate, DiagonalState<T>& state,
                          const Tensor<T>& values) const {
        const auto weights = input_weights(method, rate);
        const Extents expected{state.batch(), sizes_.channels, modes(), 2};
        require<ShapeError>(values.extents() == expected, "ssm::Lti: state values have shape ",
                            values.extents(), ", expected ", expected);
        const auto x = [&](std::size_t i) {
            return Number(static_cast<double>(values[2 * i]),
                          static_cast<double>(values[2 * i + 1]));
        };
        for (std::size_t i = 0; 2 * i < values.size(); ++i)
            require<ValueError>(x(i) == 0.0 || weights[i % weights.size()] != 0.0,
                                "ssm::Lti: mode ", i % modes(),
                                " of a state is not zero, but its B_bar is");
        for_each_mode(state, [&](std::size_t i, std::size_t p, T& re, T& im) {
            const Number s = weights[p] == 0.0 ? 0.0 : x(i) / weights[p];
            re = static_cast<T>(s.real());
            im = static_cast<T>(s.imag());
        });
    }

    /// The continuous system of each channel: A, B (H, n), C (kernels heads, H, n), and dt (H, 1 or n), with
    /// silent modes zero in C.
    struct ContinuousSystem {
        std::vector<std::complex<double>> A, B, C;
        std::vector<double> dt;
    };
    [[nodiscard]] ContinuousSystem continuous_system() const {
        Workspace workspace;
        const Continuous system = continuous(1.0, workspace);
        const ModeShape shape = this->shape();
        ContinuousSystem result;
        for (std::size_t h = 0; h < shape.channels; ++h)
            for (std::size_t n = 0; n < shape.modes; ++n) {
                const std::size_t p = h * shape.modes + n;
                result.A.emplace_back(system.lambda_re[p], system.lambda_im[p]);
                result.B.push_back(b_value(h, n));
                if (n == 0 || !timescale_.tied)
                    result.dt.push_back(system.dt[p]);
            }
        for (std::size_t r = 0; r < shape.residues(); ++r) {
            const std::size_t p = r % shape.poles();
            result.C.push_back(is_silent(system, p) ? Number(0.0) : c_value(r));
        }
        return result;
    }

    template <class Visitor, class... Banks>
    static void visit_weights(Visitor&& visitor, Banks&... banks) {
        const Bank& first = [](const Bank& bank, const auto&...) -> const Bank& {
            return bank;
        }(banks...);
        visitor("inv_dt", first.traits(first.training_.dt), banks.inv_dt...);
        visitor("C", WeightTraits{}, banks.C...);
        visitor("B", first.traits(first.training_.B), banks.B...);
        visitor("A_real", first.traits(first.training_.A), banks.A_real...);
        if (!first.options_.real)
            visitor("A_imag", first.traits(first.training_.A), banks.A_imag...);
    }

    Tensor<T> inv_dt;
    Tensor<T> C;
    Tensor<T> B;
    Tensor<T> A_real;
    Tensor<T> A_imag;  ///< empty when real

private:
    using Number = std::complex<double>;

    struct ComplexSpan {
        std::span<double> re, im;
    };
    /// dt and Lambda of each mode of each channel, (H, n).
    struct Continuous {
        std::span<double> lambda_re, lambda_im, dt;
        double rate;
    };

    /// Calls body(i, p, re, im) for each mode of each stream: i counts (batch, H, n), p counts (H, n).
    template <class State, class Body>
    void for_each_mode(State& state, Body&& body) const {
        for (std::size_t b = 0; b < state.batch(); ++b)
            for (std::size_t h = 0; h < sizes_.channels; ++h)
                for (std::size_t n = 0; n < modes(); ++n)
                    body((b * sizes_.channels + h) * modes() + n, h * modes() + n,
                         state.re(b, h)[n], state.im(b, h)[n]);
    }

    void check() const {
        require<ValueError>(sizes_.channels > 0 && sizes_.heads > 0,
                            "ssm::Lti: channels = ", sizes_.channels, " and heads = ", sizes_.heads,
                            " must be positive");
        require<ValueError>(sizes_.state > 0 && (options_.real || sizes_.state % 2 == 0),
                            "ssm::Lti: state = ", sizes_.state,
                            ", but a state of conjugate pairs has a positive even size");
        require<ValueError>(sizes_.channels % sizes_.copies == 0,
                            "ssm::Lti: copies = ", sizes_.copies,
                            " does not divide channels = ", sizes_.channels);
        require<ValueError>(timescale_.min > 0.0 && timescale_.min <= timescale_.max &&
                                std::isfinite(timescale_.max),
                            "ssm::Lti: time steps from ", timescale_.min, " to ", timescale_.max,
                            ", expected 0 < min <= max");
    }

    [[nodiscard]] Tensor<T> complex_tensor(std::initializer_list<std::size_t> sizes) const {
        std::vector<std::size_t> extents(sizes);
        if (!options_.real)
            extents.push_back(2);
        return Tensor<T>(Extents(std::span<const std::size_t>(extents)));
    }

    struct Inputs;

    void initialise(Rng& rng);
    [[nodiscard]] Continuous continuous(double rate, Workspace& workspace) const;
    void adjoint_of_residues(double factor, const Inputs& inputs, const Modes& upstream,
                             const ComplexSpan& g_input, Bank& gradient) const;
    void adjoint_of_weights(double rate, const ComplexSpan& g_lambda, std::span<const double> g_dt,
                            Bank& gradient) const;

    /// B and b_bar of each mode of each channel, and their product.
    struct Inputs {
        ComplexSpan B, b, B_b;
    };
    struct Discrete {
        Continuous continuous;
        Inputs inputs;
    };
    /// Discretises; the poles go to `pole`.
    template <class Discretization>
    [[nodiscard]] Discrete discrete(const Discretization& method, double rate,
                                    const ComplexSpan& pole, Workspace& workspace) const {
        const Discrete result{
            continuous(rate, workspace),
            {take_complex(workspace), take_complex(workspace), take_complex(workspace)}};
        const Continuous& system = result.continuous;
        method.forward(system.lambda_re, system.lambda_im, system.dt, pole.re, pole.im,
                       result.inputs.b.re, result.inputs.b.im);
        set_input_products(result.inputs);
        return result;
    }
    void set_input_products(const Inputs& inputs) const noexcept {
        const std::size_t n = modes();
        for (std::size_t h = 0; h < sizes_.channels; ++h) {
            const T* const B_of_copy = B.data() + h % sizes_.copies * n * parts();
            for (std::size_t k = 0; k < n; ++k) {
                const std::size_t p = h * n + k;
                const double re = inputs.B.re[p] = real_part(B_of_copy, k);
                const double im = inputs.B.im[p] = imaginary_part(B_of_copy, k);
                inputs.B_b.re[p] = re * inputs.b.re[p] - im * inputs.b.im[p];
                inputs.B_b.im[p] = re * inputs.b.im[p] + im * inputs.b.re[p];
            }
        }
    }
    /// Numbers that a stored complex weight takes.
    [[nodiscard]] std::size_t parts() const noexcept { return options_.real ? 1 : 2; }
    [[nodiscard]] double real_part(const T* pairs, std::size_t i) const noexcept {
        return static_cast<double>(options_.real ? pairs[i] : pairs[2 * i]);
    }
    [[nodiscard]] double imaginary_part(const T* pairs, std::size_t i) const noexcept {
        return options_.real ? 0.0 : static_cast<double>(pairs[2 * i + 1]);
    }
    /// Calls body(r) for the index of each residue of a silent mode.
    template <class Body>
    void for_each_silent(const Continuous& system, const ModeShape& shape, Body&& body) const {
        if (options_.bandlimit <= 0.0)
            return;
        for (std::size_t r = 0; r < shape.residues(); ++r)
            if (is_silent(system, r % shape.poles()))
                body(r);
    }

    [[nodiscard]] ComplexSpan take_complex(Workspace& workspace) const {
        const std::size_t count = shape().poles();
        return {workspace.take_zero<double>(count), workspace.take_zero<double>(count)};
    }
    [[nodiscard]] WeightTraits traits(bool trained) const {
        return {.role = trained ? WeightRole::trained : WeightRole::frozen,
                .learning_rate = training_.learning_rate,
                .weight_decay = 0.0};
    }
    [[nodiscard]] Number c_value(std::size_t index) const noexcept { return number(C, index); }
    [[nodiscard]] Number b_value(std::size_t h, std::size_t n) const noexcept {
        return number(B, b_index(h, n));
    }
    [[nodiscard]] std::size_t b_index(std::size_t h, std::size_t n) const noexcept {
        return h % sizes_.copies * modes() + n;
    }
    [[nodiscard]] Number number(const Tensor<T>& tensor, std::size_t index) const noexcept {
        return options_.real ? Number(static_cast<double>(tensor[index]), 0.0)
                             : Number(static_cast<double>(tensor[2 * index]),
                                      static_cast<double>(tensor[2 * index + 1]));
    }
    void add_parts(Tensor<T>& tensor, std::size_t index, double re, double im) const noexcept {
        tensor[parts() * index] += static_cast<T>(re);
        if (!options_.real)
            tensor[2 * index + 1] += static_cast<T>(im);
    }
    /// The stored dt weight before its transform, and its slope.
    [[nodiscard]] double dt_weight(std::size_t index) const noexcept {
        const auto stored = static_cast<double>(inv_dt[index]);
        return timescale_.fast ? std::sinh(stored) : stored;
    }
    [[nodiscard]] bool is_silent(const Continuous& system, std::size_t p) const noexcept {
        const double frequency =
            system.dt[p] / system.rate * std::abs(system.lambda_im[p]) / (2.0 * std::numbers::pi);
        return options_.bandlimit > 0.0 && frequency >= 0.5 * options_.bandlimit;
    }

    LtiSizes sizes_;
    std::size_t kernels_;
    Timescale timescale_;
    DynamicsTraining training_;
    Options options_;
};

template <class Init>
template <class T>
void Diagonal<Init>::Bank<T>::initialise(Rng& rng) {
    const std::size_t n = modes();
    const auto set = [this](Tensor<T>& tensor, std::size_t index, Number value) {
        if (options_.real) {
            tensor[index] = static_cast<T>(value.real());
        } else {
            tensor[2 * index] = static_cast<T>(value.real());
            tensor[2 * index + 1] = static_cast<T>(value.imag());
        }
    };
    const std::vector<init::Diagonal> systems =
        init::diagonal_bank(options_.init, sizes_.copies, n, rng);
    for (std::size_t s = 0; s < sizes_.copies; ++s)
        for (std::size_t k = 0; k < n; ++k) {
            const std::size_t a = s * n + k;
            A_real[a] =
                static_cast<T>(initial_weight(options_.real_transform, -systems[s].A[k].real()));
            if (!options_.real)
                A_imag[a] = static_cast<T>(
                    initial_weight(options_.imag_transform, -systems[s].A[k].imag()));
            set(B, a, systems[s].B[k]);
        }
    const std::vector<double> steps =
        init::LogUniform{timescale_.min, timescale_.max}(inv_dt.size(), rng);
    for (std::size_t i = 0; i < steps.size(); ++i) {
        const double stored = initial_weight(timescale_.transform, steps[i]);
        inv_dt[i] = static_cast<T>(timescale_.fast ? std::asinh(stored) : stored);
    }
    for (std::size_t i = 0; i < shape().residues(); ++i)
        set(C, i, options_.real ? Number(rng.normal(), 0.0) : init::complex_normal(rng));
}

template <class Init>
template <class T>
auto Diagonal<Init>::Bank<T>::continuous(double rate, Workspace& workspace) const -> Continuous {
    const std::size_t n = modes();
    const std::size_t count = shape().poles();
    Continuous system{workspace.take<double>(count), workspace.take_zero<double>(count),
                      workspace.take<double>(count), rate};
    const auto physical = [&workspace](Transform transform, const Tensor<T>& weight) {
        const std::span<double> numbers = workspace.take<double>(weight.size());
        std::copy(weight.data(), weight.data() + weight.size(), numbers.begin());
        values(transform, numbers, numbers);
        return numbers;
    };
    const std::span<const double> decay = physical(options_.real_transform, A_real);
    const std::span<const double> frequency = physical(options_.imag_transform, A_imag);
    const std::span<double> step = workspace.take<double>(inv_dt.size());
    for (std::size_t i = 0; i < step.size(); ++i)
        step[i] = dt_weight(i);
    values(timescale_.transform, step, step);
    for (std::size_t h = 0; h < sizes_.channels; ++h)
        for (std::size_t k = 0; k < n; ++k) {
            const std::size_t p = h * n + k;
            const std::size_t a = b_index(h, k);
            system.lambda_re[p] = -decay[a];
            if (!options_.real)
                system.lambda_im[p] = -frequency[a];
            system.dt[p] = rate * step[timescale_.tied ? h : p];
        }
    return system;
}

template <class Init>
template <class T>
void Diagonal<Init>::Bank<T>::adjoint_of_residues(double factor, const Inputs& inputs,
                                                  const Modes& upstream, const ComplexSpan& g_input,
                                                  Bank& gradient) const {
    const std::size_t count = shape().poles();
    // Of the products B b_bar, summed over the heads; then of their factors.
    for (std::size_t r = 0; r < shape().residues(); ++r) {
        const std::size_t p = r % count;
        const double g_re = factor * upstream.residue_re[r];
        const double g_im = factor * upstream.residue_im[r];
        const double c_re = real_part(C.data(), r);
        const double c_im = imaginary_part(C.data(), r);
        gradient.add_parts(gradient.C, r, g_re * inputs.B_b.re[p] + g_im * inputs.B_b.im[p],
                           g_im * inputs.B_b.re[p] - g_re * inputs.B_b.im[p]);
        g_input.re[p] += g_re * c_re + g_im * c_im;
        g_input.im[p] += g_im * c_re - g_re * c_im;
    }
    for (std::size_t p = 0; p < count; ++p) {
        const double g_re = g_input.re[p];
        const double g_im = g_input.im[p];
        gradient.add_parts(gradient.B, b_index(p / modes(), p % modes()),
                           g_re * inputs.b.re[p] + g_im * inputs.b.im[p],
                           g_im * inputs.b.re[p] - g_re * inputs.b.im[p]);
        g_input.re[p] = g_re * inputs.B.re[p] + g_im * inputs.B.im[p];
        g_input.im[p] = g_im * inputs.B.re[p] - g_re * inputs.B.im[p];
    }
}

template <class Init>
template <class T>
void Diagonal<Init>::Bank<T>::adjoint_of_weights(double rate, const ComplexSpan& g_lambda,
                                                 std::span<const double> g_dt,
                                                 Bank& gradient) const {
    const std::size_t n = modes();
    for (std::size_t h = 0; h < sizes_.channels; ++h)
        for (std::size_t k = 0; k < n; ++k) {
            const std::size_t p = h * n + k;
            const std::size_t a = b_index(h, k);
            gradient.A_real[a] -=
                static_cast<T>(g_lambda.re[p] *
                               derivative(options_.real_transform, static_cast<double>(A_real[a])));
            if (!options_.real)
                gradient.A_imag[a] -=
                    static_cast<T>(g_lambda.im[p] * derivative(options_.imag_transform,
                                                               static_cast<double>(A_imag[a])));
            const std::size_t d = timescale_.tied ? h : p;
            const double slope = timescale_.fast ? std::cosh(static_cast<double>(inv_dt[d])) : 1.0;
            gradient.inv_dt[d] += static_cast<T>(g_dt[p] * rate * slope *
                                                 derivative(timescale_.transform, dt_weight(d)));
        }
}

}  // namespace ssm
