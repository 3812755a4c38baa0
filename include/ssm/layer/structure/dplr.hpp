#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <numbers>
#include <span>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/dplr.hpp>
#include <ssm/discretize/dplr_system.hpp>
#include <ssm/discretize/transform.hpp>
#include <ssm/init/dplr.hpp>
#include <ssm/init/legs.hpp>
#include <ssm/init/normal.hpp>
#include <ssm/init/timescale.hpp>
#include <ssm/kernel/dplr.hpp>
#include <ssm/kernel/fold.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/math/small_matrix.hpp>
#include <ssm/scan/dplr.hpp>

namespace ssm {

/// Options of a state matrix that is diagonal plus low rank.
template <class Init>
struct DplrOptions {
    Init init{};                                 ///< where A, P and B start; see `init::dplr_bank`
    std::size_t rank = 1;                        ///< R, of the low-rank part; at most 8
    Transform real_transform = Transform::exp;   ///< -Re Lambda as a function of the stored weight
    Transform imag_transform = Transform::none;  ///< -Im Lambda
    double bandlimit =
        0.0;  ///< if positive: modes with dt |Im Lambda| / (2 pi) at or above half of it are silent
    std::size_t max_length =
        0;  ///< if positive: kernels are cut off behind so many steps. Such a layer does not stream
};

/// Structure policy: A is diagonal plus low rank, in conjugate pairs of which one mode is stored.
///
///   A = diag(Lambda) - sum_r P_r P_r^*      Lambda = -f(A_real) - i g(A_imag)      one dt for each channel
///
/// Every HiPPO matrix has this form, and the bilinear transform keeps it (`ResolventDiscretization`): a step costs
/// O(n R). A + A^* <= 0, so powers of A_bar are contractions.
///
/// `Bank<T>` holds the weights, under the names and shapes of the original code:
///
///   inv_dt (H, 1)   C (kernels heads, H, n, 2)   B (1, S, n, 2)   A_real, A_imag (S, n)   P (R, S, n, 2)
///   l_kernel ()     not trained: the length that C is folded for
///
/// What C is. With l_kernel = 0, as made, the weight C is the output matrix of the model. With l_kernel = L > 0 it is
/// C_tilde = C (I - A_bar^L), as in the original code after its first call. The layer computes the same for any
/// length and in every mode either way; the two differ in what is trained (a step of the optimiser moves C or C_tilde)
/// and in what is fast: kernels of up to L steps come directly from C_tilde, while recurrences, and kernels of more
/// steps, need C and cost a dense solve to get it. `set_length` converts in double and changes no output. No call
/// changes weights.
///
/// Source  arXiv:2111.00396 (S4) and the released S4 code
template <class Init = init::LegS>
struct Dplr {
    using Options = DplrOptions<Init>;

    template <class T>
    class Bank;
};

template <class Init>
template <class T>
class Dplr<Init>::Bank {
public:
    using System = DplrSystem;
    template <class Discretization>
    static constexpr bool can_stream = ResolventDiscretization<Discretization>;

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
        inv_dt = Tensor<T>({sizes_.channels, 1});
        C = Tensor<T>({kernels * sizes_.heads, sizes_.channels, n, 2});
        B = Tensor<T>({1, sizes_.copies, n, 2});
        A_real = Tensor<T>({sizes_.copies, n});
        A_imag = Tensor<T>({sizes_.copies, n});
        P = Tensor<T>({options.rank, sizes_.copies, n, 2});
        l_kernel = Tensor<T>(Extents{});
        initialise(rng);
    }

    [[nodiscard]] const LtiSizes& sizes() const noexcept { return sizes_; }
    /// Stored modes n of each channel: N / 2.
    [[nodiscard]] std::size_t modes() const noexcept { return sizes_.state / 2; }
    [[nodiscard]] DplrShape shape() const noexcept {
        return {{sizes_.channels, modes(), kernels_ * sizes_.heads}, options_.rank};
    }

    /// The length that C is folded for; 0 for plain C.
    ///
    /// Errors  ValueError when l_kernel is no length
    [[nodiscard]] std::size_t length() const {
        const auto stored = static_cast<double>(l_kernel[0]);
        require<ValueError>(stored >= 0.0 && stored <= 1e12 && stored == std::floor(stored),
                            "ssm::Dplr: l_kernel = ", stored, " is not a length");
        return static_cast<std::size_t>(stored);
    }
    /// Folds C for another length, or unfolds it with 0; computed in double, changes no output.
    ///
    /// Cost    O(H N^3 log length)
    /// Errors  ValueError when T cannot hold the length, with a band limit, and as `unfold`
    template <class Discretization>
    void set_length(std::size_t length, const Discretization& method) {
        require<ValueError>(static_cast<std::size_t>(static_cast<T>(length)) == length,
                            "ssm::Dplr: the length ", length, " is not exact in this type");
        if (length == this->length())
            return;
        require<ValueError>(options_.bandlimit <= 0.0,
                            "ssm::Dplr: with a band limit C cannot be folded for another length: "
                            "other modes would be silent");
        Workspace workspace;
        DplrSystem system;
        discretize(method, 1.0, system, workspace);
        unfold(system);
        if (length > 0)
            fold(system, length);
        for (std::size_t r = 0; r < shape().residues(); ++r) {
            C[2 * r] = static_cast<T>(0.5 * system.c.re[r]);
            C[2 * r + 1] = static_cast<T>(0.5 * system.c.im[r]);
        }
        l_kernel[0] = static_cast<T>(length);
    }

    /// The discrete system at `rate` times the trained time step.
    template <class Discretization>
    void discretize(const Discretization& method, double rate, DplrSystem& system,
                    Workspace& workspace) const {
        static_assert(ResolventDiscretization<Discretization>,
                      "ssm::Dplr: this discretisation does not keep a matrix diagonal plus low "
                      "rank; Bilinear, GeneralizedBilinear, ForwardEuler and BackwardEuler do");
        const auto frame = workspace.frame();
        const DplrContinuous in = continuous(rate, workspace);
        system.reset(shape());
        discretize_dplr(method, in, system, workspace);
        for (std::size_t r = 0; r < shape().residues(); ++r)
            if (!is_silent(in, r % shape().poles(), rate)) {
                system.c.re[r] = 2.0 * static_cast<double>(C[2 * r]);
                system.c.im[r] = 2.0 * static_cast<double>(C[2 * r + 1]);
            }
        const auto at_rate = [rate](std::size_t steps) {
            const double count = std::round(static_cast<double>(steps) / rate);
            return steps == 0 ? std::size_t{0} : static_cast<std::size_t>(std::max(1.0, count));
        };
        system.folded = at_rate(length());
        system.limit = at_rate(options_.max_length);
    }

    /// Adds to `gradient` what the gradient of the discrete system says about the weights.
    template <class Discretization>
    void adjoint(const Discretization& method, double rate, const DplrSystem& system,
                 DplrSystem& upstream, Bank& gradient, Workspace& workspace) const {
        const auto frame = workspace.frame();
        const DplrContinuous of_weights = DplrContinuous::take_zero(shape(), workspace);
        const DplrContinuous in = continuous(rate, workspace);
        for (std::size_t r = 0; r < shape().residues(); ++r) {
            if (is_silent(in, r % shape().poles(), rate))
                continue;
            gradient.C[2 * r] += static_cast<T>(2.0 * upstream.c.re[r]);
            gradient.C[2 * r + 1] += static_cast<T>(2.0 * upstream.c.im[r]);
        }
        discretize_dplr_adjoint(method, in, system, upstream, of_weights, workspace);
        adjoint_of_weights(rate, of_weights, gradient);
    }

    /// The state x (batch, H, n, 2) of x[t] = A_bar x[t-1] + B_bar u[t].
    template <class Discretization>
    [[nodiscard]] Tensor<T> state_values(const Discretization&, double,
                                         const DiagonalState<T>& state) const {
        Tensor<T> values({state.batch(), sizes_.channels, modes(), 2});
        for_each_mode(state, [&](std::size_t i, const T& re, const T& im) {
            values[2 * i] = re;
            values[2 * i + 1] = im;
        });
        return values;
    }
    /// The way back.
    ///
    /// Errors  ShapeError for another shape
    template <class Discretization>
    void set_state_values(const Discretization&, double, DiagonalState<T>& state,
                          const Tensor<T>& values) const {
        const Extents expected{state.batch(), sizes_.channels, modes(), 2};
        require<ShapeError>(values.extents() == expected, "ssm::Lti: state values have shape ",
                            values.extents(), ", expected ", expected);
        for_each_mode(state, [&](std::size_t i, T& re, T& im) {
            re = values[2 * i];
            im = values[2 * i + 1];
        });
    }

    /// The continuous system of each channel: A (its diagonal), B (H, n), P (R, H, n), C as the weight is (kernels
    /// heads, H, n), with silent modes zero, and dt (H).
    struct ContinuousSystem {
        std::vector<std::complex<double>> A, B, P, C;
        std::vector<double> dt;
    };
    [[nodiscard]] ContinuousSystem continuous_system() const {
        Workspace workspace;
        const DplrContinuous in = continuous(1.0, workspace);
        const auto numbers = [](const DplrContinuous::Numbers& from) {
            std::vector<std::complex<double>> result;
            for (std::size_t i = 0; i < from.re.size(); ++i)
                result.emplace_back(from.re[i], from.im[i]);
            return result;
        };
        ContinuousSystem result{numbers(in.lambda), numbers(in.B), numbers(in.P), {}, {}};
        for (std::size_t r = 0; r < shape().residues(); ++r) {
            const bool silent = is_silent(in, r % shape().poles(), 1.0);
            result.C.emplace_back(silent ? 0.0 : static_cast<double>(C[2 * r]),
                                  silent ? 0.0 : static_cast<double>(C[2 * r + 1]));
        }
        for (std::size_t h = 0; h < sizes_.channels; ++h)
            result.dt.push_back(in.dt[h * modes()]);
        return result;
    }

    template <class Visitor, class... Banks>
    static void visit_weights(Visitor&& visitor, Banks&... banks) {
        const Bank& first = [](const Bank& bank, const auto&...) -> const Bank& {
            return bank;
        }(banks...);
        const WeightTraits dynamics = first.traits(first.training_.A);
        visitor("inv_dt", first.traits(first.training_.dt), banks.inv_dt...);
        visitor("C", WeightTraits{}, banks.C...);
        visitor("B", first.traits(first.training_.B), banks.B...);
        visitor("A_real", dynamics, banks.A_real...);
        visitor("A_imag", dynamics, banks.A_imag...);
        visitor("P", dynamics, banks.P...);
        visitor("l_kernel", WeightTraits{.role = WeightRole::frozen}, banks.l_kernel...);
    }

    Tensor<T> inv_dt;
    Tensor<T> C;
    Tensor<T> B;
    Tensor<T> A_real;
    Tensor<T> A_imag;
    Tensor<T> P;
    Tensor<T> l_kernel;  ///< a scalar; change it through `set_length`

private:
    template <class State, class Body>
    void for_each_mode(State& state, Body&& body) const {
        std::size_t i = 0;
        for (std::size_t b = 0; b < state.batch(); ++b)
            for (std::size_t h = 0; h < sizes_.channels; ++h)
                for (std::size_t n = 0; n < modes(); ++n)
                    body(i++, state.re(b, h)[n], state.im(b, h)[n]);
    }

    void check() const {
        require<ValueError>(sizes_.channels > 0 && sizes_.heads > 0,
                            "ssm::Lti: channels = ", sizes_.channels, " and heads = ", sizes_.heads,
                            " must be positive");
        require<ValueError>(sizes_.state > 0 && sizes_.state % 2 == 0,
                            "ssm::Lti: state = ", sizes_.state,
                            ", but a state of conjugate pairs has a positive even size");
        require<ValueError>(sizes_.channels % sizes_.copies == 0,
                            "ssm::Lti: copies = ", sizes_.copies,
                            " does not divide channels = ", sizes_.channels);
        require<ValueError>(timescale_.min > 0.0 && timescale_.min <= timescale_.max &&
                                std::isfinite(timescale_.max),
                            "ssm::Lti: time steps from ", timescale_.min, " to ", timescale_.max,
                            ", expected 0 < min <= max");
        require<ValueError>(timescale_.tied,
                            "ssm::Dplr: time steps must be tied: with one for each mode a system "
                            "of full matrices has no discretisation");
        require<ValueError>(options_.rank > 0 && options_.rank <= math::SmallMatrix::most,
                            "ssm::Dplr: rank = ", options_.rank, ", expected 1 to ",
                            math::SmallMatrix::most);
    }

    void initialise(Rng& rng) {
        const std::size_t n = modes();
        const auto set = [](Tensor<T>& tensor, std::size_t index, std::complex<double> value) {
            tensor[2 * index] = static_cast<T>(value.real());
            tensor[2 * index + 1] = static_cast<T>(value.imag());
        };
        const auto systems = init::dplr_bank(options_.init, sizes_.copies, n, options_.rank, rng);
        for (std::size_t s = 0; s < sizes_.copies; ++s)
            for (std::size_t k = 0; k < n; ++k) {
                const std::size_t i = s * n + k;
                const std::complex<double> lambda = systems[s].A[k];
                A_real[i] = static_cast<T>(initial_weight(options_.real_transform, -lambda.real()));
                A_imag[i] = static_cast<T>(initial_weight(options_.imag_transform, -lambda.imag()));
                set(B, i, systems[s].B[k]);
                for (std::size_t r = 0; r < options_.rank; ++r)
                    set(P, (r * sizes_.copies + s) * n + k, systems[s].P[r][k]);
            }
        const auto steps = init::LogUniform{timescale_.min, timescale_.max}(sizes_.channels, rng);
        for (std::size_t h = 0; h < sizes_.channels; ++h) {
            const double stored = initial_weight(timescale_.transform, steps[h]);
            inv_dt[h] = static_cast<T>(timescale_.fast ? std::asinh(stored) : stored);
        }
        for (std::size_t r = 0; r < shape().residues(); ++r)
            set(C, r, init::complex_normal(rng));
    }

    [[nodiscard]] WeightTraits traits(bool trained) const {
        return {.role = trained ? WeightRole::trained : WeightRole::frozen,
                .learning_rate = training_.learning_rate,
                .weight_decay = 0.0};
    }

    /// The stored dt weight before its transform.
    [[nodiscard]] double dt_weight(std::size_t h) const noexcept {
        const auto stored = static_cast<double>(inv_dt[h]);
        return timescale_.fast ? std::sinh(stored) : stored;
    }
    [[nodiscard]] bool is_silent(const DplrContinuous& in, std::size_t p,
                                 double rate) const noexcept {
        const double frequency =
            in.dt[p] / rate * std::abs(in.lambda.im[p]) / (2.0 * std::numbers::pi);
        return options_.bandlimit > 0.0 && frequency >= 0.5 * options_.bandlimit;
    }

    [[nodiscard]] DplrContinuous continuous(double rate, Workspace& workspace) const;
    void adjoint_of_weights(double rate, const DplrContinuous& upstream, Bank& gradient) const;

    LtiSizes sizes_;
    std::size_t kernels_;
    Timescale timescale_;
    DynamicsTraining training_;
    Options options_;
};

template <class Init>
template <class T>
auto Dplr<Init>::Bank<T>::continuous(double rate, Workspace& workspace) const -> DplrContinuous {
    const DplrContinuous result = DplrContinuous::take_zero(shape(), workspace);
    const auto frame = workspace.frame();
    const auto physical = [&workspace](Transform transform, const Tensor<T>& weight) {
        const std::span<double> numbers = workspace.take<double>(weight.size());
        std::copy(weight.data(), weight.data() + weight.size(), numbers.begin());
        values(transform, numbers, numbers);
        return numbers;
    };
    const std::span<const double> decay = physical(options_.real_transform, A_real);
    const std::span<const double> frequency = physical(options_.imag_transform, A_imag);
    const std::size_t n = modes();
    const auto copy = [n](const DplrContinuous::Numbers& to, std::size_t at, const T* from) {
        for (std::size_t k = 0; k < n; ++k) {
            to.re[at + k] = static_cast<double>(from[2 * k]);
            to.im[at + k] = static_cast<double>(from[2 * k + 1]);
        }
    };
    for (std::size_t h = 0; h < sizes_.channels; ++h) {
        const std::size_t s = h % sizes_.copies;
        const double step = rate * value(timescale_.transform, dt_weight(h));
        for (std::size_t k = 0; k < n; ++k) {
            result.lambda.re[h * n + k] = -decay[s * n + k];
            result.lambda.im[h * n + k] = -frequency[s * n + k];
            result.dt[h * n + k] = step;
        }
        copy(result.B, h * n, B.data() + 2 * s * n);
        for (std::size_t r = 0; r < options_.rank; ++r)
            copy(result.P, (r * sizes_.channels + h) * n,
                 P.data() + 2 * (r * sizes_.copies + s) * n);
    }
    return result;
}

template <class Init>
template <class T>
void Dplr<Init>::Bank<T>::adjoint_of_weights(double rate, const DplrContinuous& upstream,
                                             Bank& gradient) const {
    const std::size_t n = modes();
    const auto add = [n](T* to, const DplrContinuous::Numbers& from, std::size_t at) {
        for (std::size_t k = 0; k < n; ++k) {
            to[2 * k] += static_cast<T>(from.re[at + k]);
            to[2 * k + 1] += static_cast<T>(from.im[at + k]);
        }
    };
    for (std::size_t h = 0; h < sizes_.channels; ++h) {
        const std::size_t s = h % sizes_.copies;
        double of_dt = 0.0;
        for (std::size_t k = 0; k < n; ++k) {
            const std::size_t i = s * n + k;
            const std::size_t p = h * n + k;
            gradient.A_real[i] -=
                static_cast<T>(upstream.lambda.re[p] *
                               derivative(options_.real_transform, static_cast<double>(A_real[i])));
            gradient.A_imag[i] -=
                static_cast<T>(upstream.lambda.im[p] *
                               derivative(options_.imag_transform, static_cast<double>(A_imag[i])));
            of_dt += upstream.dt[p];
        }
        const double slope = timescale_.fast ? std::cosh(static_cast<double>(inv_dt[h])) : 1.0;
        gradient.inv_dt[h] +=
            static_cast<T>(of_dt * rate * slope * derivative(timescale_.transform, dt_weight(h)));
        add(gradient.B.data() + 2 * s * n, upstream.B, h * n);
        for (std::size_t r = 0; r < options_.rank; ++r)
            add(gradient.P.data() + 2 * (r * sizes_.copies + s) * n, upstream.P,
                (r * sizes_.channels + h) * n);
    }
}

}  // namespace ssm
