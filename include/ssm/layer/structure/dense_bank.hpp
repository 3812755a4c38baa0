#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include <Eigen/Core>

#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/dense.hpp>
#include <ssm/discretize/dense_system.hpp>
#include <ssm/discretize/transform.hpp>
#include <ssm/init/timescale.hpp>
#include <ssm/kernel/krylov.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/scan/dense.hpp>

namespace ssm {

/// The weights of a bank of systems whose A is used as a dense real matrix, however it is parametrised:
///
///   inv_dt (H, 1)   C (kernels heads, H, N)   and those of the transition, S copies of A (N, N) and B (N)
///
/// A `Transition` offers
///
///   Options                                    with a member learning_rate: of A and B, if given
///   Transition(copies, N, options, rng)
///   matrices(s, A, B, workspace)               writes A (N, N) and B (N, 1) of copy s, in double
///   adjoint(s, dA, dB, gradient, workspace)    adds to the weights of copy s of `gradient`
///   visit_weights(visitor, traits_of_A, traits_of_B, transitions...)
///
/// Errors  ValueError for time steps of each mode: a dense system has one
/// Cost    discretisation: about N^3 a channel
template <class T, class Transition>
class DenseBank {
public:
    using System = DenseSystem;
    using Options = typename Transition::Options;
    /// Whether a discretisation works on dense systems; then it does for all lengths.
    template <class Discretization>
    static constexpr bool can_stream = DenseDiscretization<Discretization>;

    DenseBank(const LtiSizes& sizes, std::size_t kernels, const Timescale& timescale,
              const DynamicsTraining& training, const Options& options, Rng& rng)
        : sizes_(checked(sizes, timescale)),
          kernels_(kernels),
          timescale_(timescale),
          training_(training),
          transition_rate_(options.learning_rate ? options.learning_rate : training.learning_rate),
          transition(sizes_.copies, sizes_.state, options, rng) {
        inv_dt = Tensor<T>({sizes_.channels, 1});
        C = Tensor<T>({kernels * sizes_.heads, sizes_.channels, sizes_.state});
        const std::vector<double> steps =
            init::LogUniform{timescale.min, timescale.max}(inv_dt.size(), rng);
        set_steps(steps);
        for (T& c : C.flat())
            c = static_cast<T>(rng.normal());
    }

    [[nodiscard]] const LtiSizes& sizes() const noexcept { return sizes_; }
    [[nodiscard]] DenseShape shape() const noexcept {
        return {sizes_.channels, sizes_.state, kernels_ * sizes_.heads};
    }
    /// Sets the time step of each channel.
    void set_steps(const std::vector<double>& steps) {
        require<ShapeError>(steps.size() == inv_dt.size(), "ssm::DenseBank: ", steps.size(),
                            " time steps for ", inv_dt.size(), " channels");
        for (std::size_t h = 0; h < steps.size(); ++h) {
            const double stored = initial_weight(timescale_.transform, steps[h]);
            inv_dt[h] = static_cast<T>(timescale_.fast ? std::asinh(stored) : stored);
        }
    }

    /// The discrete system at `rate` times the trained time step.
    template <class Discretization>
    void discretize(const Discretization& method, double rate, DenseSystem& system,
                    Workspace& workspace) const {
        const auto frame = workspace.frame();
        const Matrices matrices = continuous(workspace);
        const auto workers = workspace.template borrow<std::vector<Worker<Discretization>>>();
        workers->resize(threads());
        system.reset(shape());
        parallel_for(
            sizes_.channels,
            [&](std::size_t h, std::size_t worker) {
                const std::size_t s = h % sizes_.copies;
                (*workers)[worker].method.forward(method, matrices.A_of(s), matrices.B_of(s),
                                                  rate * step(h), system.transition(h),
                                                  system.input(h));
            },
            cost());
        std::copy(C.data(), C.data() + C.size(), system.C.begin());
    }

    /// Adds to `gradient` what the gradient of the discrete system says about the weights.
    template <class Discretization>
    void adjoint(const Discretization& method, double rate, const DenseSystem& system,
                 DenseSystem& upstream, DenseBank& gradient, Workspace& workspace) const {
        const auto frame = workspace.frame();
        const Matrices matrices = continuous(workspace);
        const auto workers = workspace.template borrow<std::vector<Worker<Discretization>>>();
        workers->resize(threads());
        // Of A_bar and B_bar of each channel, the gradients become those of A and B, in the same place.
        parallel_for(
            sizes_.channels,
            [&](std::size_t h, std::size_t worker) {
                Worker<Discretization>& mine = (*workers)[worker];
                const std::size_t s = h % sizes_.copies;
                mine.dA.resize(size(), size());
                mine.dB.resize(size(), 1);
                const double ddt = mine.method.adjoint(method, matrices.A_of(s), matrices.B_of(s),
                                                       rate * step(h), system.transition(h),
                                                       system.input(h), upstream.transition(h),
                                                       upstream.input(h), mine.dA, mine.dB);
                upstream.transition(h) = mine.dA;
                upstream.input(h) = mine.dB;
                gradient.inv_dt[h] += static_cast<T>(ddt * rate * step_slope(h));
            },
            TaskCost{3.0 * cost().nanoseconds});
        for (std::size_t h = sizes_.copies; h < sizes_.channels; ++h) {
            upstream.transition(h % sizes_.copies) += upstream.transition(h);
            upstream.input(h % sizes_.copies) += upstream.input(h);
        }
        const DenseSystem& sums = upstream;
        for (std::size_t s = 0; s < sizes_.copies; ++s)
            transition.adjoint(s, sums.transition(s), sums.input(s), gradient.transition,
                               workspace);
        for (std::size_t i = 0; i < C.size(); ++i)
            gradient.C[i] += static_cast<T>(upstream.C[i]);
    }

    /// The state x (batch, H, N) of a stream.
    template <class Discretization>
    [[nodiscard]] Tensor<T> state_values(const Discretization&, double,
                                         const RealState<T>& state) const {
        Tensor<T> values({state.batch(), sizes_.channels, sizes_.state});
        for (std::size_t i = 0; i < state.batch() * sizes_.channels; ++i)
            std::copy_n(state.row(0, i), sizes_.state, values.data() + i * sizes_.state);
        return values;
    }
    /// Puts such values into a state.
    ///
    /// Errors  ShapeError for another shape; the state is unchanged then
    template <class Discretization>
    void set_state_values(const Discretization&, double, RealState<T>& state,
                          const Tensor<T>& values) const {
        const Extents expected{state.batch(), sizes_.channels, sizes_.state};
        require<ShapeError>(values.extents() == expected, "ssm::Lti: state values have shape ",
                            values.extents(), ", expected ", expected);
        for (std::size_t i = 0; i < state.batch() * sizes_.channels; ++i)
            std::copy_n(values.data() + i * sizes_.state, sizes_.state, state.row(0, i));
    }

    template <class Visitor, class... Banks>
    static void visit_weights(Visitor&& visitor, Banks&... banks) {
        const DenseBank& first = [](const DenseBank& bank, const auto&...) -> const DenseBank& {
            return bank;
        }(banks...);
        visitor("inv_dt", first.traits(first.training_.dt, first.training_.learning_rate),
                banks.inv_dt...);
        visitor("C", WeightTraits{}, banks.C...);
        Transition::visit_weights(visitor, first.traits(first.training_.A, first.transition_rate_),
                                  first.traits(first.training_.B, first.transition_rate_),
                                  banks.transition...);
    }

private:
    LtiSizes sizes_;
    std::size_t kernels_;
    Timescale timescale_;
    DynamicsTraining training_;
    std::optional<double> transition_rate_;

public:
    Tensor<T> inv_dt;
    Tensor<T> C;
    Transition transition;

private:
    /// A and B of all copies in double.
    struct Matrices {
        std::span<double> A, B;
        std::size_t size;

        [[nodiscard]] MatrixMap<double> A_of(std::size_t s) const {
            return matrix_map(A.data() + s * size * size, size, size);
        }
        [[nodiscard]] MatrixMap<double> B_of(std::size_t s) const {
            return matrix_map(B.data() + s * size, size, 1);
        }
    };
    template <class Discretization>
    struct Worker {
        DenseDiscretizer<Discretization> method;
        DenseMatrix dA, dB;
    };

    [[nodiscard]] static LtiSizes checked(LtiSizes sizes, const Timescale& timescale) {
        if (sizes.copies == 0)
            sizes.copies = sizes.channels;
        require<ValueError>(sizes.channels > 0 && sizes.heads > 0 && sizes.state > 0,
                            "ssm::Lti: channels = ", sizes.channels, ", heads = ", sizes.heads,
                            " and state = ", sizes.state, " must be positive");
        require<ValueError>(sizes.channels % sizes.copies == 0, "ssm::Lti: copies = ", sizes.copies,
                            " does not divide channels = ", sizes.channels);
        require<ValueError>(timescale.tied,
                            "ssm::Lti: the modes of a dense system share their time step");
        return sizes;
    }

    [[nodiscard]] Eigen::Index size() const noexcept {
        return static_cast<Eigen::Index>(sizes_.state);
    }
    [[nodiscard]] TaskCost cost() const noexcept {
        const auto N = static_cast<double>(sizes_.state);
        return {1000.0 + 0.3 * N * N * N};
    }
    [[nodiscard]] Matrices continuous(Workspace& workspace) const {
        const std::size_t N = sizes_.state;
        const Matrices result{workspace.take<double>(sizes_.copies * N * N),
                              workspace.take<double>(sizes_.copies * N), N};
        for (std::size_t s = 0; s < sizes_.copies; ++s)
            transition.matrices(s, result.A_of(s), result.B_of(s), workspace);
        return result;
    }

    /// The stored dt weight before its transform, the time step, and its slope.
    [[nodiscard]] double dt_weight(std::size_t h) const noexcept {
        const auto stored = static_cast<double>(inv_dt[h]);
        return timescale_.fast ? std::sinh(stored) : stored;
    }
    [[nodiscard]] double step(std::size_t h) const noexcept {
        return value(timescale_.transform, dt_weight(h));
    }
    [[nodiscard]] double step_slope(std::size_t h) const noexcept {
        const double slope = timescale_.fast ? std::cosh(static_cast<double>(inv_dt[h])) : 1.0;
        return slope * derivative(timescale_.transform, dt_weight(h));
    }
    [[nodiscard]] static WeightTraits traits(bool trained, std::optional<double> learning_rate) {
        return {.role = trained ? WeightRole::trained : WeightRole::frozen,
                .learning_rate = learning_rate,
                .weight_decay = 0.0};
    }
};

}  // namespace ssm
