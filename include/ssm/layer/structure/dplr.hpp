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
#include <ssm/discretize/dplr.hpp>
#include <ssm/discretize/dplr_system.hpp>
#include <ssm/discretize/transform.hpp>
#include <ssm/init/dplr.hpp>
#include <ssm/init/legs.hpp>
#include <ssm/kernel/dplr.hpp>
#include <ssm/kernel/fold.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/layer/structure/detail/modal_bank.hpp>
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
class Dplr<Init>::Bank : public detail::ModalBank<T> {
    using Base = detail::ModalBank<T>;

public:
    using System = DplrSystem;
    template <class Discretization>
    static constexpr bool can_stream = ResolventDiscretization<Discretization>;

    Bank(const LtiSizes& sizes, std::size_t kernels, const Timescale& timescale,
         const DynamicsTraining& training, const Options& options, Rng& rng)
        : Base(sizes, kernels, timescale, training,
               {options.real_transform, options.imag_transform, options.bandlimit}),
          l_kernel(Extents{}),
          rank_(options.rank),
          max_length_(options.max_length) {
        require<ValueError>(timescale.tied,
                            "ssm::Dplr: time steps must be tied: with one for each mode a system "
                            "of full matrices has no discretisation");
        require<ValueError>(rank_ > 0 && rank_ <= math::SmallMatrix::most,
                            "ssm::Dplr: rank = ", rank_, ", expected 1 to ",
                            math::SmallMatrix::most);
        const std::size_t copies = this->sizes().copies;
        P = Tensor<T>({rank_, copies, modes(), 2});
        const auto systems = init::dplr_bank(options.init, copies, modes(), rank_, rng);
        for (std::size_t s = 0; s < copies; ++s)
            for (std::size_t k = 0; k < modes(); ++k) {
                this->start_mode(s, k, systems[s].A[k], systems[s].B[k]);
                for (std::size_t r = 0; r < rank_; ++r)
                    this->set(P, (r * copies + s) * modes() + k, systems[s].P[r][k]);
            }
        this->start_steps_and_outputs(rng);
    }

    [[nodiscard]] DplrShape shape() const noexcept { return {Base::shape(), rank_}; }

    /// The length that C is folded for; 0 for plain C.
    ///
    /// Errors  ValueError when l_kernel is no length
    [[nodiscard]] std::size_t length() const {
        const auto stored = static_cast<double>(l_kernel[0]);
        require<ValueError>(stored >= 0.0 && stored <= longest && stored == std::floor(stored),
                            "ssm::Dplr: l_kernel = ", stored, " is not a length");
        return static_cast<std::size_t>(stored);
    }
    /// Folds C for another length, or unfolds it with 0; computed in double, changes no output.
    ///
    /// Cost    O(H N^3 log length)
    /// Errors  ValueError when T cannot hold the length or it is more than 10^12, with a band limit, and as `unfold`
    template <class Discretization>
    void set_length(std::size_t length, const Discretization& method) {
        require<ValueError>(static_cast<double>(length) <= longest &&
                                static_cast<std::size_t>(static_cast<T>(length)) == length,
                            "ssm::Dplr: the length ", length,
                            " is not exact in this type, or more than ", longest);
        if (length == this->length())
            return;
        require<ValueError>(form_.bandlimit <= 0.0,
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
            if (!is_silent(poles(in), rate, r % shape().poles())) {
                system.c.re[r] = 2.0 * static_cast<double>(C[2 * r]);
                system.c.im[r] = 2.0 * static_cast<double>(C[2 * r + 1]);
            }
        const auto at_rate = [rate](std::size_t steps) {
            const double count = std::round(static_cast<double>(steps) / rate);
            return steps == 0 ? std::size_t{0} : static_cast<std::size_t>(std::max(1.0, count));
        };
        system.folded = at_rate(length());
        system.limit = at_rate(max_length_);
    }

    /// Adds to `gradient` what the gradient of the discrete system says about the weights.
    template <class Discretization>
    void adjoint(const Discretization& method, double rate, const DplrSystem& system,
                 DplrSystem& upstream, Bank& gradient, Workspace& workspace) const {
        const auto frame = workspace.frame();
        const DplrContinuous of_weights = DplrContinuous::take_zero(shape(), workspace);
        const DplrContinuous in = continuous(rate, workspace);
        for (std::size_t r = 0; r < shape().residues(); ++r) {
            if (is_silent(poles(in), rate, r % shape().poles()))
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
        return state.values();
    }
    template <class Discretization>
    void set_state_values(const Discretization&, double, DiagonalState<T>& state,
                          const Tensor<T>& values) const {
        state.set_values(values);
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
            const bool silent = is_silent(poles(in), 1.0, r % shape().poles());
            result.C.push_back(silent ? 0.0 : this->number(C, r));
        }
        for (std::size_t h = 0; h < shape().channels; ++h)
            result.dt.push_back(in.dt[h * modes()]);
        return result;
    }

    template <class Visitor, class... Banks>
    static void visit_weights(Visitor&& visitor, Banks&... banks) {
        Base::visit_weights(visitor, banks...);
        visitor("P", first_of(banks...).training_.traits_of_A(), banks.P...);
        visitor("l_kernel", WeightTraits{.role = WeightRole::frozen}, banks.l_kernel...);
    }

    using Base::B;
    using Base::C;
    using Base::modes;
    Tensor<T> P;
    Tensor<T> l_kernel;  ///< a scalar; change it through `set_length`

private:
    static constexpr double longest = 1e12;  ///< of the lengths that C can be folded for

    using Base::form_;
    using Base::is_silent;
    using Base::sizes_;

    [[nodiscard]] static auto poles(const DplrContinuous& system) noexcept {
        return typename Base::Poles{system.lambda.re, system.lambda.im, system.dt};
    }
    /// Where P has mode 0 of term `r` of channel `h`.
    [[nodiscard]] std::size_t P_index(std::size_t r, std::size_t h) const noexcept {
        return (r * sizes_.copies + h % sizes_.copies) * modes();
    }

    [[nodiscard]] DplrContinuous continuous(double rate, Workspace& workspace) const {
        const DplrContinuous result = DplrContinuous::take_zero(shape(), workspace);
        Base::continuous(rate, poles(result), workspace);
        const std::size_t n = modes();
        const auto copy = [n](const DplrContinuous::Numbers& to, std::size_t at, const T* from) {
            for (std::size_t k = 0; k < n; ++k) {
                to.re[at + k] = static_cast<double>(from[2 * k]);
                to.im[at + k] = static_cast<double>(from[2 * k + 1]);
            }
        };
        for (std::size_t h = 0; h < sizes_.channels; ++h) {
            copy(result.B, h * n, B.data() + 2 * this->copy_index(h, 0));
            for (std::size_t r = 0; r < rank_; ++r)
                copy(result.P, (r * sizes_.channels + h) * n, P.data() + 2 * P_index(r, h));
        }
        return result;
    }
    void adjoint_of_weights(double rate, const DplrContinuous& upstream, Bank& gradient) const {
        this->continuous_adjoint(rate, poles(upstream), gradient);
        const std::size_t n = modes();
        const auto add = [n](T* to, const DplrContinuous::Numbers& from, std::size_t at) {
            for (std::size_t k = 0; k < n; ++k) {
                to[2 * k] += static_cast<T>(from.re[at + k]);
                to[2 * k + 1] += static_cast<T>(from.im[at + k]);
            }
        };
        for (std::size_t h = 0; h < sizes_.channels; ++h) {
            add(gradient.B.data() + 2 * this->copy_index(h, 0), upstream.B, h * n);
            for (std::size_t r = 0; r < rank_; ++r)
                add(gradient.P.data() + 2 * P_index(r, h), upstream.P,
                    (r * sizes_.channels + h) * n);
        }
    }

    std::size_t rank_;
    std::size_t max_length_;
};

}  // namespace ssm
