#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>

#include <Eigen/Core>

#include <ssm/core/batch.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/dense_system.hpp>
#include <ssm/scan/diagonal_state.hpp>

namespace ssm {

namespace detail {

/// The kernel of one channel as a product of two short tables, length <= blocks * steps:
///
///   K[j steps + i] = (C A^(j steps)) (A^i B) = Y[j] X[i]
///
/// X (N, steps) is doubled by products with A, A^2, A^4, ...; Y (blocks * heads, N) advances by A^steps.
class KrylovTables {
    using Map = MatrixMap<double>;

public:
    KrylovTables(const DenseShape& shape, std::size_t length) noexcept
        : N_(shape.state),
          heads_(shape.heads),
          doublings_(doublings(length)),
          blocks_((length + steps() - 1) / steps()) {}

    [[nodiscard]] std::size_t steps() const noexcept { return std::size_t(1) << doublings_; }
    [[nodiscard]] std::size_t blocks() const noexcept { return blocks_; }
    /// Numbers of memory that the tables need: whole cache lines, since the last bits of Eigen's products depend on
    /// how their factors are aligned.
    [[nodiscard]] std::size_t size() const noexcept {
        return padded<double>((doublings_ + 1) * N_ * N_ + N_ * steps() +
                              blocks_ * heads_ * (N_ + steps()));
    }
    void use(double* memory) noexcept { memory_ = memory; }

    /// A^(2^i).
    [[nodiscard]] Map square(std::size_t i) const {
        return matrix_map(memory_ + i * N_ * N_, N_, N_);
    }
    [[nodiscard]] Map X() const {
        return matrix_map(memory_ + (doublings_ + 1) * N_ * N_, N_, steps());
    }
    [[nodiscard]] Map Y() const {
        return matrix_map(X().data() + N_ * steps(), blocks_ * heads_, N_);
    }
    /// K in blocks: (blocks * heads, steps).
    [[nodiscard]] Map K() const {
        return matrix_map(Y().data() + blocks_ * heads_ * N_, blocks_ * heads_, steps());
    }

    void fill(const std::same_as<DenseSystem> auto& system, std::size_t h) const {
        square(0) = system.transition(h);
        X().col(0) = system.input(h).col(0);
        for (std::size_t c = 0; c < heads_; ++c)
            Y().row(index(c)) = system.output(c, h).row(0);
        for (std::size_t i = 0; i < doublings_; ++i) {
            const Eigen::Index m = Eigen::Index(1) << i;
            X().middleCols(m, m).noalias() = square(i) * X().leftCols(m);
            square(i + 1).noalias() = square(i) * square(i);
        }
        for (std::size_t j = 1; j < blocks_; ++j)
            rows(j).noalias() = rows(j - 1) * square(doublings_);
        K().noalias() = Y() * X();
    }

    /// From the gradient of K, in `gradient.K()`, to that of A, B and C of channel `h`. Uses up `gradient`.
    void adjoint(const KrylovTables& gradient, std::size_t h,
                 std::same_as<DenseSystem> auto& system) const {
        gradient.X().noalias() = Y().transpose() * gradient.K();
        gradient.Y().noalias() = gradient.K() * X().transpose();
        for (std::size_t i = 0; i <= doublings_; ++i)
            gradient.square(i).setZero();
        for (std::size_t j = blocks_ - 1; j > 0; --j) {
            gradient.square(doublings_).noalias() += rows(j - 1).transpose() * gradient.rows(j);
            gradient.rows(j - 1).noalias() += gradient.rows(j) * square(doublings_).transpose();
        }
        for (std::size_t i = doublings_; i-- > 0;) {
            const Eigen::Index m = Eigen::Index(1) << i;
            gradient.square(i).noalias() += gradient.square(i + 1) * square(i).transpose();
            gradient.square(i).noalias() += square(i).transpose() * gradient.square(i + 1);
            gradient.square(i).noalias() +=
                gradient.X().middleCols(m, m) * X().leftCols(m).transpose();
            gradient.X().leftCols(m).noalias() +=
                square(i).transpose() * gradient.X().middleCols(m, m);
        }
        system.transition(h) += gradient.square(0);
        system.input(h).col(0) += gradient.X().col(0);
        for (std::size_t c = 0; c < heads_; ++c)
            system.output(c, h).row(0) += gradient.Y().row(index(c));
    }

private:
    [[nodiscard]] static Eigen::Index index(std::size_t i) noexcept {
        return static_cast<Eigen::Index>(i);
    }
    /// About as many steps as blocks: X and Y are the smallest then.
    [[nodiscard]] static std::size_t doublings(std::size_t length) noexcept {
        const auto root = static_cast<std::size_t>(std::sqrt(static_cast<double>(length)));
        return static_cast<std::size_t>(
            std::countr_zero(std::bit_ceil(std::max<std::size_t>(root, 1))));
    }
    [[nodiscard]] Map rows(std::size_t j) const {
        return matrix_map(Y().data() + j * heads_ * N_, heads_, N_);
    }

    std::size_t N_;
    std::size_t heads_;
    std::size_t doublings_;
    std::size_t blocks_;
    double* memory_ = nullptr;
};

template <class T>
void require_kernel(const char* what, const DenseShape& shape, std::size_t length,
                    std::span<T> kernel) {
    require<ShapeError>(kernel.size() == shape.heads * shape.channels * length, what,
                        ": the kernel has ", kernel.size(), " numbers, expected ",
                        shape.heads * shape.channels * length);
}

/// Calls body(c, l, number, tap) for all heads and steps: `number` of the tables' K, `tap` of the kernel.
template <class Body>
void for_each_tap(const KrylovTables& tables, const DenseShape& shape, std::size_t h,
                  std::size_t length, double* K, Body&& body) {
    const std::size_t steps = tables.steps();
    for (std::size_t l = 0; l < length; ++l)
        for (std::size_t c = 0; c < shape.heads; ++c)
            body(K[(l / steps * shape.heads + c) * steps + l % steps],
                 (c * shape.channels + h) * length + l);
}

[[nodiscard]] inline TaskCost krylov_cost(const DenseShape& shape, const KrylovTables& tables) {
    const auto N = static_cast<double>(shape.state);
    const auto steps = static_cast<double>(tables.steps());
    const double products = N * N * std::log2(2.0 * steps) + N * steps;
    return {0.15 * N *
            (products + static_cast<double>(tables.blocks() * shape.heads) * (N + steps))};
}

}  // namespace detail

/// The kernels of a bank of dense systems: K[c, h, l] = C A^l B for l < `length`.
///
/// Shapes    kernel (heads, H, length)
/// Cost      for each channel N^3 log2(sqrt L) + (1 + heads) N^2 sqrt L + heads N L multiply-adds, as matrix products;
///           a Krylov sequence alone would take N^2 L
/// Accuracy  double throughout, rounded once
/// Errors    ShapeError for a kernel of another size
/// Threads   channels are independent: the same bits for any number
template <class T>
void convolution_kernel(const DenseSystem& system, std::size_t length, std::span<T> kernel,
                        Workspace& workspace) {
    const DenseShape& shape = system.shape;
    detail::require_kernel("ssm::convolution_kernel", shape, length, kernel);
    if (length == 0)
        return;
    const auto frame = workspace.frame();
    const detail::KrylovTables plan(shape, length);
    double* const memory = workspace.take<double>(threads() * plan.size()).data();
    parallel_for(
        shape.channels,
        [&](std::size_t h, std::size_t worker) {
            detail::KrylovTables tables = plan;
            tables.use(memory + worker * plan.size());
            tables.fill(system, h);
            detail::for_each_tap(
                tables, shape, h, length, tables.K().data(),
                [&](double value, std::size_t tap) { kernel[tap] = static_cast<T>(value); });
        },
        detail::krylov_cost(shape, plan));
}

/// Its adjoint: adds to `gradient` what the gradient of the kernels says about A, B and C.
///
/// Cost, Errors, Threads   as above, three times the cost
template <class T>
void convolution_kernel_adjoint(const DenseSystem& system, std::size_t length,
                                std::span<const T> dkernel, DenseSystem& gradient,
                                Workspace& workspace) {
    const DenseShape& shape = system.shape;
    detail::require_kernel("ssm::convolution_kernel_adjoint", shape, length, dkernel);
    if (length == 0)
        return;
    const auto frame = workspace.frame();
    const detail::KrylovTables plan(shape, length);
    double* const memory = workspace.take<double>(2 * threads() * plan.size()).data();
    parallel_for(
        shape.channels,
        [&](std::size_t h, std::size_t worker) {
            detail::KrylovTables tables = plan;
            detail::KrylovTables dtables = plan;
            tables.use(memory + 2 * worker * plan.size());
            dtables.use(memory + (2 * worker + 1) * plan.size());
            tables.fill(system, h);
            dtables.K().setZero();
            detail::for_each_tap(tables, shape, h, length, dtables.K().data(),
                                 [&](double& number, std::size_t tap) {
                                     number = static_cast<double>(dkernel[tap]);
                                 });
            tables.adjoint(dtables, h, gradient);
        },
        TaskCost{3.0 * detail::krylov_cost(shape, plan).nanoseconds});
}

}  // namespace ssm
