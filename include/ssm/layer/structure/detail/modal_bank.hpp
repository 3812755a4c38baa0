#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <initializer_list>
#include <numbers>
#include <numeric>
#include <span>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/discretize/transform.hpp>
#include <ssm/init/normal.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/layer/timescale.hpp>

namespace ssm::detail {

/// What modes are made of weights by, and which of them are heard.
struct ModalForm {
    Transform real_transform = Transform::exp;   ///< f
    Transform imag_transform = Transform::none;  ///< g
    double bandlimit =
        0.0;  ///< if positive: silences modes with dt |Im Lambda| / (2 pi) from half of it on
    bool real = false;  ///< modes are real, or else conjugate pairs of which one is stored
};

/// The weights of modes in continuous time that banks have whatever couples the modes:
///
///   Lambda = -f(A_real) - i g(A_imag)      dt, see `Timescale`      B      C
///
/// Shapes  inv_dt (H, 1 or n)   C (kernels heads, H, n, 2)   B (1, S, n, 2)   A_real (S, n)   A_imag (S, n); without
///         the last axis of pairs and A_imag when real. Channel h uses number h mod S
template <class T>
class ModalBank {
public:
    ModalBank(const LtiSizes& sizes, std::size_t kernels, const Timescale& timescale,
              const DynamicsTraining& training, const ModalForm& form)
        : sizes_(sizes.resolved()),
          kernels_(kernels),
          timescale_(timescale),
          training_(training),
          form_(form) {
        require<ValueError>(form.real || sizes.state % 2 == 0, "ssm::Lti: state = ", sizes.state,
                            ", but a state of conjugate pairs has an even size");
        const std::size_t n = modes();
        inv_dt = Tensor<T>({sizes_.channels, timescale.tied ? 1 : n});
        C = complex_tensor({kernels * sizes_.heads, sizes_.channels, n});
        B = complex_tensor({1, sizes_.copies, n});
        A_real = Tensor<T>({sizes_.copies, n});
        A_imag = Tensor<T>({form.real ? 0 : sizes_.copies, n});
    }

    [[nodiscard]] const LtiSizes& sizes() const noexcept { return sizes_; }
    /// Stored modes n of each channel: N / 2, or N when real.
    [[nodiscard]] std::size_t modes() const noexcept {
        return form_.real ? sizes_.state : sizes_.state / 2;
    }
    [[nodiscard]] ModeShape shape() const noexcept {
        return {sizes_.channels, modes(), kernels_ * sizes_.heads};
    }

    template <class Visitor, class... Banks>
    static void visit_weights(Visitor&& visitor, Banks&... banks) {
        const ModalBank& first = first_of(banks...);
        visitor("inv_dt", first.training_.traits_of_dt(), banks.inv_dt...);
        visitor("C", WeightTraits{}, banks.C...);
        visitor("B", first.training_.traits_of_B(), banks.B...);
        visitor("A_real", first.training_.traits_of_A(), banks.A_real...);
        if (!first.form_.real)
            visitor("A_imag", first.training_.traits_of_A(), banks.A_imag...);
    }

    Tensor<T> inv_dt;
    Tensor<T> C;
    Tensor<T> B;
    Tensor<T> A_real;
    Tensor<T> A_imag;  ///< empty when real

protected:
    using Number = std::complex<double>;

    /// Lambda and dt of each mode of each channel, (H, n), or what a gradient says about them.
    struct Poles {
        std::span<double> re, im, dt;
    };

    // ---- start -----------------------------------------------------------------------------------

    /// Lambda and B of mode `k` of copy `s` at the start.
    void start_mode(std::size_t s, std::size_t k, Number lambda, Number input) {
        const std::size_t a = s * modes() + k;
        A_real[a] = static_cast<T>(initial_weight(form_.real_transform, -lambda.real()));
        if (!form_.real)
            A_imag[a] = static_cast<T>(initial_weight(form_.imag_transform, -lambda.imag()));
        set(B, a, input);
    }
    /// The time steps, and a random C.
    void start_steps_and_outputs(Rng& rng) {
        timescale_.start(inv_dt, rng);
        for (std::size_t i = 0; i < shape().residues(); ++i)
            set(C, i, form_.real ? Number(rng.normal(), 0.0) : init::complex_normal(rng));
    }

    // ---- complex weights -------------------------------------------------------------------------

    /// Numbers that a stored complex weight takes.
    [[nodiscard]] std::size_t parts() const noexcept { return form_.real ? 1 : 2; }
    [[nodiscard]] double real_part(const T* pairs, std::size_t i) const noexcept {
        return static_cast<double>(form_.real ? pairs[i] : pairs[2 * i]);
    }
    [[nodiscard]] double imaginary_part(const T* pairs, std::size_t i) const noexcept {
        return form_.real ? 0.0 : static_cast<double>(pairs[2 * i + 1]);
    }
    [[nodiscard]] Number number(const Tensor<T>& weight, std::size_t i) const noexcept {
        return {real_part(weight.data(), i), imaginary_part(weight.data(), i)};
    }
    void set(Tensor<T>& weight, std::size_t i, Number value) const noexcept {
        weight[parts() * i] = static_cast<T>(value.real());
        if (!form_.real)
            weight[2 * i + 1] = static_cast<T>(value.imag());
    }
    void add(Tensor<T>& weight, std::size_t i, double re, double im) const noexcept {
        weight[parts() * i] += static_cast<T>(re);
        if (!form_.real)
            weight[2 * i + 1] += static_cast<T>(im);
    }

    // ---- continuous time -------------------------------------------------------------------------

    /// Where A and B have mode `k` of channel `h`.
    [[nodiscard]] std::size_t copy_index(std::size_t h, std::size_t k) const noexcept {
        return h % sizes_.copies * modes() + k;
    }
    /// Poles and time steps at `rate` times the trained one.
    void continuous(double rate, const Poles& to, Workspace& workspace) const {
        const Workspace::Frame frame = workspace.frame();
        const std::span<const double> decay = physical(form_.real_transform, A_real, workspace);
        const std::span<const double> frequency = physical(form_.imag_transform, A_imag, workspace);
        const std::span<double> step = workspace.take<double>(inv_dt.size());
        timescale_.steps(inv_dt, step);
        for (std::size_t h = 0; h < sizes_.channels; ++h)
            for (std::size_t k = 0; k < modes(); ++k) {
                const std::size_t p = h * modes() + k;
                const std::size_t a = copy_index(h, k);
                to.re[p] = -decay[a];
                to.im[p] = form_.real ? 0.0 : -frequency[a];
                to.dt[p] = rate * step[timescale_.tied ? h : p];
            }
    }
    /// Adds to `gradient` what the gradient of poles and time steps says about the weights.
    void continuous_adjoint(double rate, const Poles& upstream, ModalBank& gradient) const {
        const auto slope = [](Transform transform, const Tensor<T>& weight, std::size_t i) {
            return derivative(transform, static_cast<double>(weight[i]));
        };
        for (std::size_t h = 0; h < sizes_.channels; ++h)
            for (std::size_t k = 0; k < modes(); ++k) {
                const std::size_t p = h * modes() + k;
                const std::size_t a = copy_index(h, k);
                gradient.A_real[a] -=
                    static_cast<T>(upstream.re[p] * slope(form_.real_transform, A_real, a));
                if (!form_.real)
                    gradient.A_imag[a] -=
                        static_cast<T>(upstream.im[p] * slope(form_.imag_transform, A_imag, a));
            }
        const std::size_t sharing = timescale_.tied ? modes() : 1;
        for (std::size_t i = 0; i < inv_dt.size(); ++i) {
            const std::span<double> shared = upstream.dt.subspan(i * sharing, sharing);
            const double sum = std::accumulate(shared.begin(), shared.end(), 0.0);
            gradient.inv_dt[i] +=
                static_cast<T>(sum * rate * timescale_.slope(static_cast<double>(inv_dt[i])));
        }
    }
    /// Whether the band limit silences mode `p`; it sees the time step of the training.
    [[nodiscard]] bool is_silent(const Poles& poles, double rate, std::size_t p) const noexcept {
        const double frequency =
            poles.dt[p] / rate * std::abs(poles.im[p]) / (2.0 * std::numbers::pi);
        return form_.bandlimit > 0.0 && frequency >= 0.5 * form_.bandlimit;
    }

    LtiSizes sizes_;
    std::size_t kernels_;
    Timescale timescale_;
    DynamicsTraining training_;
    ModalForm form_;

private:
    [[nodiscard]] Tensor<T> complex_tensor(std::initializer_list<std::size_t> sizes) const {
        std::vector<std::size_t> extents(sizes);
        if (!form_.real)
            extents.push_back(2);
        return Tensor<T>(Extents(std::span<const std::size_t>(extents)));
    }
    [[nodiscard]] static std::span<const double> physical(Transform transform,
                                                          const Tensor<T>& weight,
                                                          Workspace& workspace) {
        const std::span<double> numbers = workspace.take<double>(weight.size());
        std::copy(weight.data(), weight.data() + weight.size(), numbers.begin());
        values(transform, numbers, numbers);
        return numbers;
    }
};

}  // namespace ssm::detail
