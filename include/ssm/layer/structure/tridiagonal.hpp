#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <type_traits>

#include <Eigen/Core>

#include <ssm/core/batch.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/init/tridiagonal.hpp>
#include <ssm/layer/structure/dense_bank.hpp>
#include <ssm/math/tridiagonal.hpp>

namespace ssm {

/// Options of inverse tridiagonal state matrices.
template <class Init>
struct InverseTridiagonalOptions {
    Init init{};                            ///< where the vectors start
    std::optional<double> learning_rate{};  ///< of the transition; none: that of `DynamicsTraining`
};

/// A and B by seven vectors, in the form that contains HiPPO matrices exactly:
///
///   A = -diag(pl) (T^-1 + diag(c)) diag(pr)      B = pl b
///   T tridiagonal: T(i, i-1) = dl[i], T(i, i) = d[i], T(i, i+1) = du[i+1]
///
/// Weights   dl, du (S, N + 1) with zeros at both ends, as the original code stores them; d, c, pl, pr, b (S, N)
/// Cost      N^2 for A; the adjoint N^3
template <class T, class Init>
class InverseTridiagonalTransition {
public:
    using Options = InverseTridiagonalOptions<Init>;

    InverseTridiagonalTransition(std::size_t copies, std::size_t N, const Options& options,
                                 Rng& rng)
        : dl({copies, N + 1}),
          d({copies, N}),
          du({copies, N + 1}),
          c({copies, N}),
          pl({copies, N}),
          pr({copies, N}),
          b({copies, N}) {
        for (std::size_t s = 0; s < copies; ++s) {
            const init::tridiagonal::Start start = options.init.start(N, rng);
            for (std::size_t i = 0; i < N; ++i) {
                const auto n = static_cast<Eigen::Index>(i);
                if (i > 0)
                    dl[s * (N + 1) + i] = static_cast<T>(start.lower(n));
                if (i + 1 < N)
                    du[s * (N + 1) + i + 1] = static_cast<T>(start.upper(n));
                d[s * N + i] = static_cast<T>(start.diagonal(n));
                c[s * N + i] = static_cast<T>(start.shift(n));
                pl[s * N + i] = static_cast<T>(start.left(n));
                pr[s * N + i] = static_cast<T>(start.right(n));
                b[s * N + i] = static_cast<T>(start.input(n));
            }
        }
    }

    /// A (N, N) and B (N, 1) of copy `s`.
    void matrices(std::size_t s, MatrixMap<double> A, MatrixMap<double> B,
                  Workspace& workspace) const {
        invert(s, A, workspace);
        const auto at = vectors(*this, s);
        A.diagonal() += at.c.template cast<double>();
        A = -(at.pl.template cast<double>().asDiagonal() * A *
              at.pr.template cast<double>().asDiagonal());
        B.col(0) = at.pl.cwiseProduct(at.b).template cast<double>();
    }

    /// With G = -dA and M = T^-1 + diag(c): dM = diag(pl) G diag(pr), dT = -T^-T dM T^-T.
    void adjoint(std::size_t s, MatrixMap<const double> dA, MatrixMap<const double> dB,
                 InverseTridiagonalTransition& gradient, Workspace& workspace) const {
        const auto frame = workspace.frame();
        const std::size_t N = d.extent(1);
        const auto take = [&] { return matrix_map(workspace.take<double>(N * N).data(), N, N); };
        MatrixMap<double> inverse = take();
        MatrixMap<double> dM = take();
        MatrixMap<double> Y = take();
        invert(s, inverse, workspace);
        const auto at = vectors(*this, s);
        auto to = vectors(gradient, s);
        const auto left = [&](Eigen::Index n) { return static_cast<double>(at.pl(n)); };
        const auto right = [&](Eigen::Index n) { return static_cast<double>(at.pr(n)); };
        const auto M = [&](Eigen::Index i, Eigen::Index j) {
            return inverse(i, j) + (i == j ? static_cast<double>(at.c(i)) : 0.0);
        };
        for (Eigen::Index i = 0; i < dM.rows(); ++i) {
            double dleft = dB(i, 0) * static_cast<double>(at.b(i));
            for (Eigen::Index j = 0; j < dM.cols(); ++j) {
                dM(i, j) = -dA(i, j) * left(i) * right(j);
                dleft -= dA(i, j) * M(i, j) * right(j);
            }
            to.pl(i) += static_cast<T>(dleft);
            to.b(i) += static_cast<T>(dB(i, 0) * left(i));
            to.c(i) += static_cast<T>(dM(i, i));
        }
        for (Eigen::Index j = 0; j < dM.cols(); ++j) {
            double dright = 0.0;
            for (Eigen::Index i = 0; i < dM.rows(); ++i)
                dright -= dA(i, j) * M(i, j) * left(i);
            to.pr(j) += static_cast<T>(dright);
        }
        Y.noalias() = inverse.transpose() * dM;
        for (Eigen::Index i = 0; i < Y.rows(); ++i) {
            const auto dT = [&](Eigen::Index k) { return -Y.row(i).dot(inverse.row(k)); };
            to.d(i) += static_cast<T>(dT(i));
            if (i > 0)
                to.dl(i) += static_cast<T>(dT(i - 1));
            if (i + 1 < Y.rows())
                to.du(i + 1) += static_cast<T>(dT(i + 1));
        }
    }

    template <class Visitor, class... Transitions>
    static void visit_weights(Visitor&& visitor, const WeightTraits& traits_of_A,
                              const WeightTraits& traits_of_B, Transitions&... transitions) {
        visitor("dl", traits_of_A, transitions.dl...);
        visitor("d", traits_of_A, transitions.d...);
        visitor("du", traits_of_A, transitions.du...);
        visitor("c", traits_of_A, transitions.c...);
        visitor("pl", traits_of_A, transitions.pl...);
        visitor("pr", traits_of_A, transitions.pr...);
        visitor("b", traits_of_B, transitions.b...);
    }

    Tensor<T> dl, d, du, c, pl, pr, b;

private:
    template <class Map>
    struct VectorsOf {
        Map dl, d, du, c, pl, pr, b;
    };
    template <class Self>
    [[nodiscard]] static auto vectors(Self& self, std::size_t s) {
        using Map = Eigen::Map<
            std::conditional_t<std::is_const_v<Self>, const Eigen::VectorX<T>, Eigen::VectorX<T>>>;
        const auto at = [s](auto& tensor) {
            const std::size_t size = tensor.extent(1);
            return Map(tensor.data() + s * size, static_cast<Eigen::Index>(size));
        };
        return VectorsOf<Map>{at(self.dl), at(self.d),  at(self.du), at(self.c),
                              at(self.pl), at(self.pr), at(self.b)};
    }

    /// T^-1 of copy `s`.
    void invert(std::size_t s, MatrixMap<double> inverse, Workspace& workspace) const {
        const auto frame = workspace.frame();
        const std::size_t N = d.extent(1);
        const std::span<double> lower = workspace.take<double>(N);
        const std::span<double> diagonal = workspace.take<double>(N);
        const std::span<double> upper = workspace.take<double>(N);
        for (std::size_t i = 0; i < N; ++i) {
            lower[i] = static_cast<double>(dl[s * (N + 1) + i]);
            diagonal[i] = static_cast<double>(d[s * N + i]);
            upper[i] = static_cast<double>(du[s * (N + 1) + i + 1]);
        }
        inverse.setIdentity();
        math::solve_tridiagonal(lower, diagonal, upper, workspace.take<double>(N), inverse);
    }
};

/// Structure policy: A is minus the inverse of a tridiagonal matrix, shifted and scaled; see
/// `InverseTridiagonalTransition`. `Init` is one of `init::tridiagonal`.
///
/// Source  arXiv:2110.13985 (LSSL)
template <class Init = init::tridiagonal::LegS>
struct InverseTridiagonal {
    template <class T>
    using Bank = DenseBank<T, InverseTridiagonalTransition<T, Init>>;
    using Options = InverseTridiagonalOptions<Init>;
};

}  // namespace ssm
