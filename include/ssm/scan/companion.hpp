#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/config.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/discretize/companion.hpp>
#include <ssm/scan/check.hpp>
#include <ssm/scan/real_state.hpp>
#include <ssm/scan/segments.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm {

/// The states x (batch, H, d) of companion systems; in front of each is a cache line, in which the shift finds
/// x_{-1} = 0.
template <class T>
using CompanionState = RealState<T, detail::line<T>>;

/// A bank of companion systems, prepared for running as a recurrence in numbers of type T:
///
///   x_i[t] = x_{i-1}[t-1] + a_i x_{d-1}[t-1] + b_i u[t]      y_c[t] = sum_i c_ci x_i[t] + D_c u[t]
///
/// It does not change after preparation: any number of streams share one.
///
/// Shapes    u (batch, L, H) -> y (batch, L, heads * H), head c of channel h at c * H + h; D (heads, H), or empty
///           for none
/// Errors    ShapeError for arguments that do not fit
/// Cost      3 multiply-adds for each number of the state, along which vectors run, and a horizontal sum
/// Accuracy  one rounding of the state a step, which a system with sum |a_i| < 1 forgets
/// Threads   const: any number of threads, one state each
template <class T, class Arch>
class CompanionStream {
    using Pack = simd::Pack<T>;

public:
    using State = CompanionState<T>;

    CompanionStream() = default;
    explicit CompanionStream(const CompanionSystem& system) { reset(system); }

    /// Prepares for another system; keeps the memory.
    void reset(const CompanionSystem& system) {
        shape_ = system.shape;
        stride_ = detail::padded<T>(shape_.state);
        require<ShapeError>(shape_.state > 0 && shape_.heads > 0,
                            "ssm::CompanionStream: ", shape_.state, " states and ", shape_.heads,
                            " heads, expected at least 1");
        pad(system.a, a_);
        pad(system.b, b_);
        pad(system.c, c_);
    }

    [[nodiscard]] const CompanionShape& shape() const noexcept { return shape_; }
    /// `batch` streams at rest.
    [[nodiscard]] State rest_state(std::size_t batch = 1) const { return State(shape_, batch); }

    /// One step of all streams of `state`: u (batch, H), y (batch, heads * H).
    ///
    /// Real time no allocation, no lock, bounded time
    /// Aliasing  y must not overlap u
    void step(std::span<const T> u, std::span<const T> skip, std::span<T> y,
              State& state) const noexcept {
        for (std::size_t b = 0; b < state.batch(); ++b)
            for (std::size_t h = 0; h < shape_.channels; ++h)
                advance(h, u[b * shape_.channels + h], skip,
                        y.data() + b * shape_.heads * shape_.channels, state.row(b, h));
    }

    /// Continues the streams of `state` over whole sequences; resets and lengths of the context are honoured: the
    /// state of a sequence stops at its end, and outputs behind it are 0.
    ///
    /// Aliasing  y may be u exactly if there is one head
    void forward(BatchView<const T> u, std::span<const T> skip, BatchView<T> y, State& state,
                 const Context& context) const {
        detail::check_stream("ssm::CompanionStream", shape_, u, skip.size(), y, state, context);
        if (u.empty())
            return;
        parallel_for(
            u.batch() * shape_.channels,
            [&](std::size_t task, std::size_t) {
                run(task / shape_.channels, task % shape_.channels, u, skip, y, state, context);
            },
            TaskCost{0.5 * static_cast<double>(u.length() * shape_.state)});
        detail::clear_after_end(y, context);
    }

private:
    void run(std::size_t b, std::size_t h, BatchView<const T> u, std::span<const T> skip,
             BatchView<T> y, State& state, const Context& context) const noexcept {
        T* const x = state.row(b, h);
        const std::size_t length = context.valid_length(b, u.length());
        for (std::size_t l = 0; l < length; ++l) {
            if (context.resets_at(b, l))
                std::fill_n(x, stride_, T(0));
            advance(h, u(b, l, h), skip, y.row(b, l).data(), x);
        }
    }

    /// One step of channel h. Registers from the last to the first, so that each reads its left neighbour before
    /// that moves.
    void advance(std::size_t h, T u, std::span<const T> skip, T* y, T* x) const noexcept {
        const std::size_t kernel = shape_.kernel_of(h);
        const T* const a = a_.data() + kernel * stride_;
        const T* const b = b_.data() + kernel * stride_;
        const T* const c = c_.data() + kernel * stride_;
        const Pack last(x[shape_.state - 1]);
        const Pack input(u);
        Pack sum(T(0));
        for (std::size_t i = stride_; i > 0;) {
            i -= simd::width<T>;
            const Pack moved = simd::fma(simd::load(b + i), input, simd::load(x + i - 1));
            const Pack next = simd::fma(simd::load(a + i), last, moved);
            simd::store(x + i, next);
            sum = simd::fma(simd::load(c + i), next, sum);
        }
        y[h] = simd::reduce_add(sum) + (skip.empty() ? T(0) : skip[h] * u);
        for (std::size_t head = 1; head < shape_.heads; ++head)
            y[head * shape_.channels + h] = read(head, h, x, u, skip);
    }

    [[nodiscard]] T read(std::size_t head, std::size_t h, const T* x, T u,
                         std::span<const T> skip) const noexcept {
        const T* const c = c_.data() + (head * shape_.kernels + shape_.kernel_of(h)) * stride_;
        Pack sum(T(0));
        for (std::size_t i = 0; i < stride_; i += simd::width<T>)
            sum = simd::fma(simd::load(c + i), simd::load(x + i), sum);
        return simd::reduce_add(sum) + (skip.empty() ? T(0) : skip[head * shape_.channels + h] * u);
    }

    /// Rows of d numbers, each padded with zeros to whole registers.
    void pad(std::span<const double> rows, AlignedVector<T>& padded) const {
        const std::size_t d = shape_.state;
        padded.assign(rows.size() / d * stride_, T(0));
        for (std::size_t i = 0; i < rows.size(); ++i)
            padded[i / d * stride_ + i % d] = static_cast<T>(rows[i]);
    }

    CompanionShape shape_{};
    std::size_t stride_ = 0;
    AlignedVector<T> a_, b_, c_;
};

}  // namespace ssm
