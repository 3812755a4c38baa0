#pragma once

#include <cstddef>
#include <optional>

#include <Eigen/Core>

#include <ssm/core/batch.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/init/hippo.hpp>
#include <ssm/layer/structure/dense_bank.hpp>

namespace ssm {

/// Options of dense state matrices.
template <class Init>
struct DenseOptions {
    Init init{};                            ///< where A and B start
    std::optional<double> learning_rate{};  ///< of A and B; none: that of `DynamicsTraining`
};

/// A and B as they are: A (S, N, N), B (S, N). `Init` is a HiPPO measure or any other with `transition`.
template <class T, class Init>
class FullTransition {
public:
    using Options = DenseOptions<Init>;

    FullTransition(std::size_t copies, std::size_t N, const Options& options, Rng& rng)
        : A({copies, N, N}), B({copies, N}) {
        for (std::size_t s = 0; s < copies; ++s) {
            const init::hippo::Transition start = init::hippo::transition(options.init, N, rng);
            A_of(*this, s) = start.A.cast<T>();
            B_of(*this, s) = start.B.cast<T>();
        }
    }

    /// A (N, N) and B (N, 1) of copy `s`.
    void matrices(std::size_t s, MatrixMap<double> A_s, MatrixMap<double> B_s, Workspace&) const {
        A_s = A_of(*this, s).template cast<double>();
        B_s = B_of(*this, s).template cast<double>();
    }
    /// Adds their gradients.
    void adjoint(std::size_t s, MatrixMap<const double> dA, MatrixMap<const double> dB,
                 FullTransition& gradient, Workspace&) const {
        A_of(gradient, s) += dA.cast<T>();
        B_of(gradient, s) += dB.cast<T>();
    }

    template <class Visitor, class... Transitions>
    static void visit_weights(Visitor&& visitor, const WeightTraits& traits_of_A,
                              const WeightTraits& traits_of_B, Transitions&... transitions) {
        visitor("A", traits_of_A, transitions.A...);
        visitor("B", traits_of_B, transitions.B...);
    }

    Tensor<T> A;
    Tensor<T> B;

private:
    template <class Self>
    [[nodiscard]] static auto A_of(Self& self, std::size_t s) {
        const std::size_t N = self.B.extent(1);
        return matrix_map(self.A.data() + s * N * N, N, N);
    }
    template <class Self>
    [[nodiscard]] static auto B_of(Self& self, std::size_t s) {
        const std::size_t N = self.B.extent(1);
        return matrix_map(self.B.data() + s * N, N, 1);
    }
};

/// Structure policy: A is a full real matrix, trained as it is.
///
///   Lti<float, Dense<init::hippo::LegT>, Bilinear> layer({.channels = 16, .state = 32});
///
/// Dense matrices are what the theory is about, and slow: N^2 numbers and multiply-adds a channel where diagonal
/// ones have N. For small states, and to check other structures. Works with `GeneralizedBilinear` and its special
/// cases, `Zoh` and `Dirac`.
///
/// Source  SSMKernelReal of the released S4 code
template <class Init = init::hippo::LegS>
requires init::hippo::DenseMeasure<Init> || init::hippo::RandomMeasure<Init>
struct Dense {
    template <class T>
    using Bank = DenseBank<T, FullTransition<T, Init>>;
    using Options = DenseOptions<Init>;
};

}  // namespace ssm
