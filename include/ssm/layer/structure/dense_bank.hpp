#pragma once

#include <algorithm>
#include <cstddef>
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
          training_of_transition_(training),
          transition(sizes_.copies, sizes_.state, options, rng) {
        if (options.learning_rate)
            training_of_transition_.learning_rate = options.learning_rate;
        inv_dt = Tensor<T>({sizes_.channels, 1});
        C = Tensor<T>({kernels * sizes_.heads, sizes_.channels, sizes_.state});
        timescale.start(inv_dt, rng);
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
        timescale_.set(inv_dt, steps);
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
                                                  rate * matrices.dt[h], system.transition(h),
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
                                                       rate * matrices.dt[h], system.transition(h),
                                                       system.input(h), upstream.transition(h),
                                                       upstream.input(h), mine.dA, mine.dB);
                upstream.transition(h) = mine.dA;
                upstream.input(h) = mine.dB;
                gradient.inv_dt[h] +=
                    static_cast<T>(ddt * rate * timescale_.slope(static_cast<double>(inv_dt[h])));
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
        return state.values();
    }
    /// Puts such values into a state.
    ///
    /// Errors  ShapeError for another shape; the state is unchanged then
    template <class Discretization>
    void set_state_values(const Discretization&, double, RealState<T>& state,
                          const Tensor<T>& values) const {
        state.set_values(values);
    }

    template <class Visitor, class... Banks>
    static void visit_weights(Visitor&& visitor, Banks&... banks) {
        const DenseBank& first = first_of(banks...);
        visitor("inv_dt", first.training_.traits_of_dt(), banks.inv_dt...);
        visitor("C", WeightTraits{}, banks.C...);
        const DynamicsTraining& training = first.training_of_transition_;
        Transition::visit_weights(visitor, training.traits_of_A(), training.traits_of_B(),
                                  banks.transition...);
    }

private:
    LtiSizes sizes_;
    std::size_t kernels_;
    Timescale timescale_;
    DynamicsTraining training_;
    DynamicsTraining training_of_transition_;

public:
    Tensor<T> inv_dt;
    Tensor<T> C;
    Transition transition;

private:
    /// A and B of all copies, and the time steps of all channels, in double.
    struct Matrices {
        std::span<double> A, B, dt;
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

    [[nodiscard]] static LtiSizes checked(const LtiSizes& sizes, const Timescale& timescale) {
        require<ValueError>(timescale.tied,
                            "ssm::Lti: the modes of a dense system share their time step");
        return sizes.resolved();
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
                              workspace.take<double>(sizes_.copies * N),
                              workspace.take<double>(sizes_.channels), N};
        timescale_.steps(inv_dt, result.dt);
        for (std::size_t s = 0; s < sizes_.copies; ++s)
            transition.matrices(s, result.A_of(s), result.B_of(s), workspace);
        return result;
    }
};

}  // namespace ssm
