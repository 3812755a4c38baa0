#pragma once

#include <concepts>
#include <cstddef>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/layer/conv1d.hpp>
#include <ssm/layer/linear.hpp>

namespace ssm::detail {

/// What a stream of a block of the Mamba family remembers.
template <class T>
struct MambaState {
    typename Conv1d<T>::State conv;
    AlignedVector<T> ssm;      ///< (batch, states)
    AlignedVector<T> scratch;  ///< of `step`, which must not allocate: nothing remembered

    friend bool operator==(const MambaState& a, const MambaState& b) {
        return a.conv == b.conv && a.ssm == b.ssm;
    }

    template <class Visitor, class... States>
    static void visit_numbers(Visitor&& visitor, States&... states) {
        visitor("conv", states.conv...);
        visitor("ssm", states.ssm...);
    }
};

/// Rows of all streams at one step, taken one after the other from scratch memory.
template <class T>
class StreamRows {
public:
    StreamRows(AlignedVector<T>& scratch, std::size_t batch) noexcept
        : memory_(scratch.data()), batch_(batch) {}

    [[nodiscard]] BatchView<T> operator()(std::size_t width) noexcept {
        T* const taken = memory_;
        memory_ += batch_ * width;
        return {taken, {batch_, 1, width}};
    }

private:
    T* memory_;
    std::size_t batch_;
};

/// Sequences as long as those of u, of `width` channels, in the workspace.
template <class T>
[[nodiscard]] BatchView<T> take_rows(BatchView<const T> u, std::size_t width,
                                     const Context& context) {
    const Shape shape{u.batch(), u.length(), width};
    return {context.workspace.template take<T>(shape.size()).data(), shape};
}

/// What the blocks of the Mamba family have in common: a projection to all inputs of a scan, a short convolution over
/// some of them, and what a stream remembers. `Derived` adds the scan and
///
///   name                              in messages
///   states(), scratch()               numbers of the scan's state, and of scratch memory of `step`, for one stream
///   infer(u, y, state, context)       forward, from rest where the state is null
template <class Derived, class T, class Stored, class Sizes>
class MambaBlock {
public:
    using value_type = T;
    using input_type = T;
    using stored_type = Stored;
    using Options = Sizes;
    using State = MambaState<T>;
    static constexpr bool trains = std::same_as<T, Stored>;  ///< else for inference alone

    [[nodiscard]] std::size_t in_channels() const noexcept { return options_.channels; }
    [[nodiscard]] std::size_t out_channels() const noexcept { return options_.channels; }
    /// The options, with what follows from others filled in.
    [[nodiscard]] const Options& options() const noexcept { return options_; }

    [[nodiscard]] State rest_state(std::size_t batch = 1) const {
        State state;
        state.conv = conv1d.rest_state(batch);
        state.ssm.resize(batch * self().states());
        state.scratch.resize(batch * self().scratch());
        return state;
    }

    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        check(u, y, context);
        if (!u.empty())
            self().infer(u, y, nullptr, context);
    }
    void forward(BatchView<const T> u, BatchView<T> y, State& state, const Context& context) const {
        check(u, y, context);
        require<ShapeError>(
            state.ssm.size() == u.batch() * self().states() && conv1d.fits(state.conv, u.batch()),
            Derived::name, ": the state was not made by this layer for ", u.batch(), " streams");
        if (!u.empty())
            self().infer(u, y, &state, context);
    }

    Linear<T, Stored> in_proj;
    Conv1d<T> conv1d;

protected:
    /// `inputs` of the scan, `convolved` of them by the convolution. `Source` is Rng or Undrawn.
    template <class Source>
    MambaBlock(const Options& options, std::size_t inputs, std::size_t convolved, Source& source)
        : in_proj({.in = options.channels, .out = inputs, .bias = options.bias}, source.split()),
          conv1d({.channels = convolved,
                  .width = options.width,
                  .bias = options.conv_bias,
                  .silu = true},
                 source.split()),
          options_(options) {}

    void check(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward(Derived::name, self(), u, y, context);
        context.require_regular(Derived::name);
    }
    void convolve(BatchView<const T> x, BatchView<T> c, State* state,
                  const Context& context) const {
        if (state == nullptr)
            conv1d.forward(x, c, context);
        else
            conv1d.forward(x, c, state->conv, context);
    }

    Options options_;

private:
    [[nodiscard]] const Derived& self() const noexcept {
        return static_cast<const Derived&>(*this);
    }
};

}  // namespace ssm::detail
