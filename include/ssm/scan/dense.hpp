#pragma once

#include <cstddef>
#include <span>

#include <Eigen/Core>

#include <ssm/convolution/real_chunks.hpp>
#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/discretize/dense_system.hpp>
#include <ssm/scan/check.hpp>
#include <ssm/scan/real_state.hpp>

namespace ssm {

/// A bank of dense systems prepared for running in numbers of type T. Immutable once made: any number of streams
/// share one.
///
///   x[t] = A x[t-1] + B u[t]        y[t] = C x[t] + D u[t]
///
/// Shapes    u (batch, L, H) -> y (batch, L, heads * H), head c of channel h at c * H + h
/// Errors    ShapeError for arguments that do not fit
/// Cost      step: N^2 + (1 + heads) N multiply-adds a channel; blocks: `real_chunked_forward`
/// Memory    N^2 numbers of T and N^2 doubles a channel
template <class T>
class DenseStream {
public:
    using State = RealState<T>;

    DenseStream() = default;
    explicit DenseStream(const DenseSystem& system) { reset(system); }

    /// Takes another system; keeps the memory.
    void reset(const DenseSystem& system) {
        system_ = system;
        A_.assign(system.A.begin(), system.A.end());
        B_.assign(system.B.begin(), system.B.end());
        C_.assign(system.C.begin(), system.C.end());
    }

    [[nodiscard]] const DenseShape& shape() const noexcept { return system_.shape; }

    /// One step of all streams of `state`; allocates nothing.
    void step(std::span<const T> u, std::span<const T> skip, std::span<T> y,
              State& state) const noexcept {
        const auto [H, N, heads] = shape();
        for (std::size_t b = 0; b < state.batch(); ++b)
            for (std::size_t h = 0; h < H; ++h) {
                const T input = u[b * H + h];
                T* const x = state.row(b, h);
                advance(h, input, x, state.scratch());
                for (std::size_t c = 0; c < heads; ++c)
                    y[(b * heads + c) * H + h] =
                        read(c, h, x) + (skip.empty() ? T(0) : skip[c * H + h] * input);
            }
    }

    void forward(BatchView<const T> u, std::span<const T> skip, BatchView<T> y, State& state,
                 const Context& context) const {
        detail::check_stream("ssm::DenseStream", shape(), u, skip.size(), y, state, context);
        real_chunked_forward<T>(system_, skip, u, y, state, context,
                                [this](std::size_t h, T input, T* x, T* outputs, T* scratch) {
                                    advance(h, input, x, scratch);
                                    for (std::size_t c = 0; c < shape().heads; ++c)
                                        outputs[c] = read(c, h, x);
                                });
    }

private:
    using Vector = Eigen::Map<Eigen::VectorX<T>>;
    using Row = Eigen::Map<const Eigen::VectorX<T>>;

    void advance(std::size_t h, T input, T* x, T* scratch) const noexcept {
        const std::size_t N = shape().state;
        const auto size = static_cast<Eigen::Index>(N);
        Vector state(x, size);
        Vector next(scratch, size);
        next = Row(B_.data() + h * N, size) * input;
        next.noalias() += matrix_map(A_.data() + h * N * N, N, N) * state;
        state = next;
    }
    [[nodiscard]] T read(std::size_t c, std::size_t h, const T* x) const noexcept {
        const std::size_t N = shape().state;
        const auto size = static_cast<Eigen::Index>(N);
        return Row(C_.data() + (c * shape().channels + h) * N, size).dot(Row(x, size));
    }

    DenseSystem system_;
    AlignedVector<T> A_;
    AlignedVector<T> B_;
    AlignedVector<T> C_;
};

}  // namespace ssm
