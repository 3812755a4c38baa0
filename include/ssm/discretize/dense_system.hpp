#pragma once

#include <cstddef>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>

namespace ssm {

template <class T>
class DenseStream;

/// Sizes of a bank of dense systems: `channels` (H) single-input systems of `state` (N) real numbers each, read out
/// by `heads` output heads.
struct DenseShape {
    std::size_t channels = 0;
    std::size_t state = 0;
    std::size_t heads = 1;

    friend bool operator==(const DenseShape&, const DenseShape&) = default;
};

/// A bank of dense systems in discrete time:
///
///   x[t] = A x[t-1] + B u[t]        y[t] = C x[t]        K[l] = C A^l B
///
/// for each channel. What a dense structure produces and evaluations consume; its gradient has the same type.
///
/// Shapes    A (H, N, N), B (H, N), C (heads, H, N)
struct DenseSystem {
    /// The same system, prepared for running as a recurrence in numbers of type T.
    template <class T>
    using Stream = DenseStream<T>;

    DenseSystem() = default;
    explicit DenseSystem(DenseShape sizes) { reset(sizes); }

    /// Takes these sizes and becomes zero; keeps its storage.
    void reset(DenseShape sizes) {
        shape = sizes;
        A.assign(sizes.channels * sizes.state * sizes.state, 0.0);
        B.assign(sizes.channels * sizes.state, 0.0);
        C.assign(sizes.heads * sizes.channels * sizes.state, 0.0);
    }

    /// A of channel `h`, (N, N).
    [[nodiscard]] MatrixMap<double> transition(std::size_t h) {
        return matrix_map(A.data() + h * shape.state * shape.state, shape.state, shape.state);
    }
    [[nodiscard]] MatrixMap<const double> transition(std::size_t h) const {
        return matrix_map(A.data() + h * shape.state * shape.state, shape.state, shape.state);
    }
    /// B of channel `h`, (N, 1).
    [[nodiscard]] MatrixMap<double> input(std::size_t h) {
        return matrix_map(B.data() + h * shape.state, shape.state, 1);
    }
    [[nodiscard]] MatrixMap<const double> input(std::size_t h) const {
        return matrix_map(B.data() + h * shape.state, shape.state, 1);
    }
    /// C of head `c` of channel `h`, (1, N).
    [[nodiscard]] MatrixMap<double> output(std::size_t c, std::size_t h) {
        return matrix_map(C.data() + (c * shape.channels + h) * shape.state, 1, shape.state);
    }
    [[nodiscard]] MatrixMap<const double> output(std::size_t c, std::size_t h) const {
        return matrix_map(C.data() + (c * shape.channels + h) * shape.state, 1, shape.state);
    }

    DenseShape shape{};
    AlignedVector<double> A;
    AlignedVector<double> B;
    AlignedVector<double> C;
};

}  // namespace ssm
