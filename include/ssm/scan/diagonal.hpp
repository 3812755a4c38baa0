#pragma once

#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/scan/check.hpp>
#include <ssm/scan/diagonal_forward.hpp>
#include <ssm/scan/diagonal_state.hpp>
#include <ssm/scan/diagonal_step.hpp>
#include <ssm/scan/leapfrog.hpp>

namespace ssm {

/// A bank of diagonal systems, prepared for running as a recurrence in numbers of type T:
///
///   s_n[t] = z_n s_n[t-1] + u[t]        y_c[t] = Re sum_n r_cn s_n[t] + D_c u[t]
///
/// It does not change after preparation: any number of streams share one.
///
/// Shapes    u (batch, L, H) -> y (batch, L, heads * H), head c of channel h at c * H + h; D
///           (heads, H), or empty for none
/// State     that of real inputs: where a pole is real, its state is, and an imaginary part put
///           there from outside has no effect on `forward`
/// Errors    ShapeError for arguments that do not fit
/// Accuracy  coefficients are rounded from double as differences from 1, so slow modes keep decay and
///           frequency to full relative accuracy. What is left is one rounding of the state a step,
///           and a system forgets it as it forgets its inputs: outputs stay within eps / (1 - |z|)
///           of the largest state for ever, and within some hundredths of that for slow modes and
///           inputs that vary (tests/scan/diagonal.test.cpp)
/// Cost      step: 6 multiply-adds and 2 additions a mode; whole sequences: 4 and 2
/// Threads   const: any number of threads, one state each
template <class T>
class DiagonalSystem {
public:
    using State = DiagonalState<T>;

    DiagonalSystem() = default;
    explicit DiagonalSystem(const Modes& modes) { reset(modes); }

    /// Prepares for other modes; keeps the memory.
    void reset(const Modes& modes) {
        require<ShapeError>(modes.shape.modes > 0 && modes.shape.heads > 0,
                            "ssm::DiagonalSystem: ", modes.shape.modes, " modes and ",
                            modes.shape.heads, " heads, expected at least 1");
        modes_ = modes;
        increments_.reset(modes);
        leapfrog_.reset(modes);
    }

    [[nodiscard]] const ModeShape& shape() const noexcept { return modes_.shape; }
    /// What it was made from, in double.
    [[nodiscard]] const Modes& modes() const noexcept { return modes_; }
    /// `batch` streams at rest.
    [[nodiscard]] State rest_state(std::size_t batch = 1) const { return State(shape(), batch); }

    /// One step of all streams of `state`: u (batch, H), y (batch, heads * H).
    ///
    /// Real time no allocation, no lock, bounded time
    /// Aliasing  y must not overlap u
    void step(std::span<const T> u, std::span<const T> skip, std::span<T> y,
              State& state) const noexcept {
        const std::size_t channels = shape().channels;
        for (std::size_t b = 0; b < state.batch(); ++b)
            detail::step_stream<T>(increments_, u.data() + b * channels, skip,
                                   y.data() + b * shape().heads * channels, state.re(b, 0));
    }

    /// Continues the streams of `state` over whole sequences; resets and lengths of the context are
    /// honoured: the state of a sequence stops at its end, and outputs behind it are 0.
    ///
    /// Aliasing  y may be u exactly if there is one head
    void forward(BatchView<const T> u, std::span<const T> skip, BatchView<T> y, State& state,
                 const Context& context) const {
        detail::check_diagonal("ssm::DiagonalSystem", shape(), u, skip.size(), y, state, context);
        if (!u.empty())
            detail::leapfrog_forward<T>(leapfrog_, skip, u, y, state, context);
    }

private:
    Modes modes_;
    detail::IncrementBank<T> increments_;
    detail::LeapfrogBank<T> leapfrog_;
};

/// Whole sequences from rest through systems that are used once: `DiagonalSystem::forward` without
/// the preparation for steps. Shapes, errors and accuracy as there.
template <class T>
void diagonal_forward(const Modes& modes, std::span<const T> skip, BatchView<const T> u,
                      BatchView<T> y, const Context& context) {
    const auto state = context.workspace.template borrow<DiagonalState<T>>();
    state->reset(modes.shape, u.batch());
    detail::check_diagonal("ssm::diagonal_forward", modes.shape, u, skip.size(), y, *state,
                           context);
    if (u.empty())
        return;
    const auto bank = context.workspace.template borrow<detail::LeapfrogBank<T>>();
    bank->reset(modes);
    detail::leapfrog_forward<T>(*bank, skip, u, y, *state, context);
}

}  // namespace ssm
