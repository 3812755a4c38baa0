#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/discretize/dplr_system.hpp>
#include <ssm/kernel/fold.hpp>
#include <ssm/scan/check.hpp>
#include <ssm/scan/diagonal_state.hpp>
#include <ssm/scan/dplr_block.hpp>
#include <ssm/scan/dplr_step.hpp>
#include <ssm/scan/dplr_tile.hpp>
#include <ssm/scan/leapfrog_tile.hpp>
#include <ssm/scan/segments.hpp>

namespace ssm {
namespace detail {

/// Whole sequences through a bank that is diagonal plus low rank: a task is one tile of channels of one sequence.
template <class T, class Arch = simd::Arch>
class DplrForward {
    /// Steps that are taken at once: their inputs and outputs stay in the first-level cache.
    static constexpr std::size_t block = 32;

public:
    DplrForward(const DplrBank<T>& bank, std::span<const T> skip, BatchView<const T> u,
                BatchView<T> y, DiagonalState<T>& state, const Context& context) noexcept
        : bank_(bank), skip_(skip), u_(u), y_(y), state_(state), context_(context) {}

    void run() const {
        const auto frame = context_.workspace.frame();
        const DplrShape& shape = bank_.shape();
        const std::size_t scratch = (2 * shape.modes + (1 + shape.heads) * block) * line<T>;
        T* const memory = context_.workspace.template take<T>(threads() * scratch).data();
        parallel_for(
            u_.batch() * bank_.tiles(),
            [&](std::size_t task, std::size_t worker) {
                run_sequence(task / bank_.tiles(), task % bank_.tiles(), memory + worker * scratch);
            },
            TaskCost{0.14 * static_cast<double>(u_.length() * line<T> * shape.modes *
                                                (shape.rank + shape.heads))});
        clear_after_end(y_, context_);
    }

private:
    void run_sequence(std::size_t b, std::size_t index, T* memory) const noexcept {
        const DplrShape& shape = bank_.shape();
        const LeapfrogTile tile{index * line<T>, bank_.channels_of(index), line<T>, shape.modes, 0};
        T* const state = memory;
        T* const u = state + 2 * shape.modes * line<T>;
        T* const y = u + block * line<T>;
        const StatePlane<T> plane{tile, shape.modes, 2 * padded<T>(shape.modes)};
        plane.gather(state_.re(b, tile.first), state);
        plane.gather(state_.im(b, tile.first), state + line<T>);
        const std::size_t length = context_.valid_length(b, u_.length());
        for (std::size_t first = 0; first < length; first += block) {
            const std::size_t steps = std::min(block, length - first);
            gather_inputs(tile, u_, b, first, steps, u);
            for_each_segment(context_, b, first, first + steps,
                             [&](std::size_t begin, std::size_t end, bool fresh) {
                                 if (fresh)
                                     std::fill_n(state, 2 * shape.modes * line<T>, T(0));
                                 const std::size_t at = (begin - first) * line<T>;
                                 dplr_steps<T, true>(bank_, index, u + at, end - begin, y + at,
                                                     block * line<T>, state);
                             });
            for (std::size_t head = 0; head < shape.heads; ++head)
                scatter_outputs(tile, y + head * block * line<T>, steps, u_,
                                skip_.empty() ? nullptr : skip_.data() + head * shape.channels, y_,
                                head, b, first);
        }
        plane.scatter(state, state_.re(b, tile.first));
        plane.scatter(state + line<T>, state_.im(b, tile.first));
    }

    const DplrBank<T>& bank_;
    std::span<const T> skip_;
    BatchView<const T> u_;
    BatchView<T> y_;
    DiagonalState<T>& state_;
    const Context& context_;
};

}  // namespace detail

/// A bank of systems that are diagonal plus low rank, prepared for running as a recurrence in numbers of type T:
///
///   x[t] = z x[t-1] - sum_r p_r w_r + b u[t]      w_r = Re sum_n q_rn x_n[t-1]
///   y_c[t] = Re sum_n c_n x_n[t] + D_c u[t]
///
/// It does not change after preparation: any number of streams share one.
///
/// Shapes    u (batch, L, H) -> y (batch, L, heads * H), head c of channel h at c * H + h; D (heads, H), or
///           empty for none
/// State     x (batch, H, n)
/// Errors    ShapeError for arguments that do not fit; ValueError for a system whose kernel is cut off
/// Cost      8 + 2 heads + 4 (R - 1) multiply-adds a mode and step, vectors across channels in `forward` and along
///           modes in `step`
/// Accuracy  A_bar is a contraction wherever the real part of A - or of its low-rank part - does not grow, so a
///           rounding is never amplified: one rounding of the state a step, forgotten as inputs are
/// Threads   const: any number of threads, one state each
template <class T>
class DplrStream {
public:
    using State = DiagonalState<T>;

    DplrStream() = default;
    explicit DplrStream(const DplrSystem& system) { reset(system); }

    /// Prepares for another system; keeps the memory. A folded C is unfolded.
    void reset(const DplrSystem& system) {
        require<ValueError>(system.limit == 0, "ssm::DplrStream: kernels cut off behind ",
                            system.limit, " steps are no recurrence");
        if (system.folded == 0)
            return set(system);
        DplrSystem plain = system;
        unfold(plain);
        set(plain);
    }

    [[nodiscard]] const DplrShape& shape() const noexcept { return bank_.shape(); }
    [[nodiscard]] State rest_state(std::size_t batch = 1) const { return State(shape(), batch); }

    /// One step of all streams of `state`: u (batch, H), y (batch, heads * H).
    ///
    /// Real time no allocation, no lock, bounded time
    /// Aliasing  y must not overlap u
    void step(std::span<const T> u, std::span<const T> skip, std::span<T> y,
              State& state) const noexcept {
        const std::size_t channels = shape().channels;
        for (std::size_t b = 0; b < state.batch(); ++b)
            detail::dplr_step<T>(steps_, u.data() + b * channels,
                                 skip.empty() ? nullptr : skip.data(),
                                 y.data() + b * shape().heads * channels, state.re(b, 0));
    }

    /// Continues the streams of `state` over whole sequences; resets and lengths of the context are honoured: the
    /// state of a sequence stops at its end, and outputs behind it are 0.
    ///
    /// Aliasing  y may be u exactly if there is one head
    void forward(BatchView<const T> u, std::span<const T> skip, BatchView<T> y, State& state,
                 const Context& context) const {
        detail::check_diagonal("ssm::DplrStream", shape(), u, skip.size(), y, state, context);
        if (!u.empty())
            detail::DplrForward<T>(bank_, skip, u, y, state, context).run();
    }

private:
    void set(const DplrSystem& system) {
        bank_.reset(system);
        steps_.reset(system);
    }

    detail::DplrBank<T> bank_;
    detail::DplrStepBank<T> steps_;
};

}  // namespace ssm
