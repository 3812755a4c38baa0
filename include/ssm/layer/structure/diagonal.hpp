#pragma once

#include <complex>
#include <cstddef>
#include <span>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/discretization.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/discretize/transform.hpp>
#include <ssm/init/diagonal.hpp>
#include <ssm/init/system.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/layer/structure/detail/modal_bank.hpp>
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
class Diagonal<Init>::Bank : public detail::ModalBank<T> {
    using Base = detail::ModalBank<T>;

public:
    using System = Modes;
    /// Whether the discrete system is the same for all lengths, so that it can run as a stream.
    template <class Discretization>
    static constexpr bool can_stream = ssm::Discretization<Discretization>;

    Bank(const LtiSizes& sizes, std::size_t kernels, const Timescale& timescale,
         const DynamicsTraining& training, const Options& options, Rng& rng)
        : Base(sizes, kernels, timescale, training,
               {options.real_transform, options.imag_transform, options.bandlimit, options.real}) {
        const std::size_t copies = this->sizes().copies;
        const auto systems = init::diagonal_bank(options.init, copies, modes(), rng);
        for (std::size_t s = 0; s < copies; ++s)
            for (std::size_t k = 0; k < modes(); ++k)
                this->start_mode(s, k, systems[s].A[k], systems[s].B[k]);
        this->start_steps_and_outputs(rng);
    }

    /// The discrete system at `rate` times the trained time step.
    template <class Discretization>
    void discretize(const Discretization& method, double rate, Modes& result,
                    Workspace& workspace) const {
        const auto frame = workspace.frame();
        result.reset(shape());
        const auto [system, inputs] =
            discrete(method, rate, {result.pole_re, result.pole_im}, workspace);
        const double factor = conjugate_factor<Discretization>;
        const std::size_t count = result.shape.poles();
        for (std::size_t c = 0; c < result.shape.heads; ++c) {
            const T* const C_of_head = C.data() + c * count * parts();
            double* const re = result.residue_re.data() + c * count;
            double* const im = result.residue_im.data() + c * count;
            for (std::size_t p = 0; p < count; ++p) {
                const double c_re = factor * real_part(C_of_head, p);
                const double c_im = factor * imaginary_part(C_of_head, p);
                re[p] = c_re * inputs.B_b.re[p] - c_im * inputs.B_b.im[p];
                im[p] = c_re * inputs.B_b.im[p] + c_im * inputs.B_b.re[p];
            }
        }
        silence(system, rate, result);
    }

    /// Adds to `gradient` what the gradient of the discrete system says about the weights.
    template <class Discretization>
    void adjoint(const Discretization& method, double rate, const Modes&, Modes& upstream,
                 Bank& gradient, Workspace& workspace) const {
        const auto frame = workspace.frame();
        const auto [system, inputs] = discrete(method, rate, take_complex(workspace), workspace);
        silence(system, rate, upstream);
        const ComplexSpan g_input = take_complex(workspace);
        adjoint_of_residues(conjugate_factor<Discretization>, inputs, upstream, g_input, gradient);

        const Poles g = take_poles(workspace);
        method.adjoint(system.re, system.im, system.dt, upstream.pole_re, upstream.pole_im,
                       g_input.re, g_input.im, g.re, g.im, g.dt);
        this->continuous_adjoint(rate, g, gradient);
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
        Tensor<T> values = state.values();
        for (std::size_t i = 0; 2 * i < values.size(); ++i)
            set_pair(values, i, weights[i % weights.size()] * pair(values, i));
        return values;
    }
    /// The way back.
    ///
    /// Errors  ShapeError for another shape; ValueError for a mode that is not zero though B_bar is: no input
    ///         can bring the system there. The state is unchanged then.
    template <class Discretization>
    void set_state_values(const Discretization& method, double rate, DiagonalState<T>& state,
                          const Tensor<T>& values) const {
        require_extents("ssm::Lti: state values", values.extents(), state.extents());
        const auto weights = input_weights(method, rate);
        Tensor<T> modal = values;
        for (std::size_t i = 0; 2 * i < values.size(); ++i) {
            const Number x = pair(values, i);
            const Number weight = weights[i % weights.size()];
            require<ValueError>(x == 0.0 || weight != 0.0, "ssm::Lti: mode ", i % modes(),
                                " of a state is not zero, but its B_bar is");
            set_pair(modal, i, weight == 0.0 ? 0.0 : x / weight);
        }
        state.set_values(modal);
    }

    /// The continuous system of each channel: A, B (H, n), C (kernels heads, H, n), and dt (H, 1 or n), with
    /// silent modes zero in C.
    struct ContinuousSystem {
        std::vector<std::complex<double>> A, B, C;
        std::vector<double> dt;
    };
    [[nodiscard]] ContinuousSystem continuous_system() const {
        Workspace workspace;
        const Poles system = take_poles(workspace);
        continuous(1.0, system, workspace);
        ContinuousSystem result;
        for (std::size_t p = 0; p < shape().poles(); ++p) {
            result.A.emplace_back(system.re[p], system.im[p]);
            result.B.push_back(number(B, copy_index(p / modes(), p % modes())));
        }
        const std::size_t sharing = shape().poles() / inv_dt.size();
        for (std::size_t i = 0; i < inv_dt.size(); ++i)
            result.dt.push_back(system.dt[i * sharing]);
        for (std::size_t r = 0; r < shape().residues(); ++r)
            result.C.push_back(is_silent(system, 1.0, r % shape().poles()) ? Number(0.0)
                                                                           : number(C, r));
        return result;
    }

    using Base::B;
    using Base::C;
    using Base::inv_dt;
    using Base::modes;
    using Base::shape;

private:
    using Base::continuous;
    using Base::copy_index;
    using Base::form_;
    using Base::imaginary_part;
    using Base::is_silent;
    using Base::number;
    using Base::parts;
    using Base::real_part;
    using typename Base::Number;
    using typename Base::Poles;

    struct ComplexSpan {
        std::span<double> re, im;
    };
    /// B and b_bar of each mode of each channel, and their product.
    struct Inputs {
        ComplexSpan B, b, B_b;
    };
    struct Discrete {
        Poles continuous;
        Inputs inputs;
    };

    [[nodiscard]] ComplexSpan take_complex(Workspace& workspace) const {
        const std::size_t count = shape().poles();
        return {workspace.take_zero<double>(count), workspace.take_zero<double>(count)};
    }
    [[nodiscard]] Poles take_poles(Workspace& workspace) const {
        const auto [re, im] = take_complex(workspace);
        return {re, im, workspace.take_zero<double>(shape().poles())};
    }
    [[nodiscard]] static Number pair(const Tensor<T>& values, std::size_t i) noexcept {
        return {static_cast<double>(values[2 * i]), static_cast<double>(values[2 * i + 1])};
    }
    static void set_pair(Tensor<T>& values, std::size_t i, Number value) noexcept {
        values[2 * i] = static_cast<T>(value.real());
        values[2 * i + 1] = static_cast<T>(value.imag());
    }

    /// Discretises; the poles go to `pole`.
    template <class Discretization>
    [[nodiscard]] Discrete discrete(const Discretization& method, double rate,
                                    const ComplexSpan& pole, Workspace& workspace) const {
        const Discrete result{
            take_poles(workspace),
            {take_complex(workspace), take_complex(workspace), take_complex(workspace)}};
        const auto& [system, inputs] = result;
        continuous(rate, system, workspace);
        method.forward(system.re, system.im, system.dt, pole.re, pole.im, inputs.b.re, inputs.b.im);
        set_input_products(inputs);
        return result;
    }
    void set_input_products(const Inputs& inputs) const noexcept {
        const std::size_t n = modes();
        for (std::size_t h = 0; h < shape().channels; ++h) {
            const T* const B_of_copy = B.data() + copy_index(h, 0) * parts();
            for (std::size_t k = 0; k < n; ++k) {
                const std::size_t p = h * n + k;
                const double re = inputs.B.re[p] = real_part(B_of_copy, k);
                const double im = inputs.B.im[p] = imaginary_part(B_of_copy, k);
                inputs.B_b.re[p] = re * inputs.b.re[p] - im * inputs.b.im[p];
                inputs.B_b.im[p] = re * inputs.b.im[p] + im * inputs.b.re[p];
            }
        }
    }
    /// Makes residues of silent modes zero.
    void silence(const Poles& system, double rate, Modes& result) const {
        if (form_.bandlimit <= 0.0)
            return;
        for (std::size_t r = 0; r < result.shape.residues(); ++r)
            if (is_silent(system, rate, r % result.shape.poles()))
                result.residue_re[r] = result.residue_im[r] = 0.0;
    }
    void adjoint_of_residues(double factor, const Inputs& inputs, const Modes& upstream,
                             const ComplexSpan& g_input, Bank& gradient) const;
};

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
        gradient.add(gradient.C, r, g_re * inputs.B_b.re[p] + g_im * inputs.B_b.im[p],
                     g_im * inputs.B_b.re[p] - g_re * inputs.B_b.im[p]);
        g_input.re[p] += g_re * c_re + g_im * c_im;
        g_input.im[p] += g_im * c_re - g_re * c_im;
    }
    for (std::size_t p = 0; p < count; ++p) {
        const double g_re = g_input.re[p];
        const double g_im = g_input.im[p];
        gradient.add(gradient.B, copy_index(p / modes(), p % modes()),
                     g_re * inputs.b.re[p] + g_im * inputs.b.im[p],
                     g_im * inputs.b.re[p] - g_re * inputs.b.im[p]);
        g_input.re[p] = g_re * inputs.B.re[p] + g_im * inputs.B.im[p];
        g_input.im[p] = g_im * inputs.B.re[p] - g_re * inputs.B.im[p];
    }
}

}  // namespace ssm
