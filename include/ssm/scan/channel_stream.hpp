#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/padding.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/scan/check.hpp>

namespace ssm {

/// Numbers of a bank of independent systems: `channels` (H) of `state` numbers each, read out by `heads`.
struct ChannelShape {
    std::size_t channels = 0;
    std::size_t state = 0;
    std::size_t heads = 1;

    friend bool operator==(const ChannelShape&, const ChannelShape&) = default;
};

/// The states x (batch, H, state) of `batch` streams: a regular value.
template <class T>
class ChannelState {
public:
    [[nodiscard]] std::size_t batch() const noexcept { return batch_; }
    /// The numbers of channel `h` of stream `b`.
    [[nodiscard]] std::span<T> x(std::size_t b, std::size_t h) noexcept {
        return {data_.data() + (b * shape_.channels + h) * shape_.state, shape_.state};
    }
    [[nodiscard]] std::span<const T> x(std::size_t b, std::size_t h) const noexcept {
        return {data_.data() + (b * shape_.channels + h) * shape_.state, shape_.state};
    }

    /// Makes this a state of `batch` streams at rest; keeps the memory.
    void reset(const ChannelShape& shape, std::size_t batch) {
        batch_ = batch;
        shape_ = shape;
        data_.assign(batch * shape.channels * shape.state, T(0));
    }
    [[nodiscard]] Extents extents() const { return extents_of(shape_, batch_); }
    /// Those of `batch` streams through systems of this shape.
    [[nodiscard]] static Extents extents_of(const ChannelShape& shape, std::size_t batch) {
        return {batch, shape.channels, shape.state};
    }
    /// Whether this state is one of `batch` streams through systems of this shape.
    [[nodiscard]] bool fits(const ChannelShape& shape, std::size_t batch) const noexcept {
        return batch_ == batch && shape_.channels == shape.channels && shape_.state == shape.state;
    }
    friend bool operator==(const ChannelState&, const ChannelState&) = default;

    template <class Visitor, class... States>
    static void visit_numbers(Visitor&& visitor, States&... states) {
        visitor("data", states.data_...);
    }

private:
    std::size_t batch_ = 0;
    ChannelShape shape_{};
    AlignedVector<T> data_;
};

/// The recurrence of one channel at a time, made from a discrete system:
///
///   Cell(system)            shape() -> ChannelShape
///   advance(h, u, x)        noexcept: x, which begins as zeros, after the input u of channel h
///   output(head, h, x)      noexcept: what that head reads then, without the skip
template <class C, class T>
concept ChannelCell = std::default_initializable<C> &&
    requires(const C& cell, T u, std::span<T> x, std::span<const T> state) {
    { cell.shape() } -> std::convertible_to<ChannelShape>;
    { cell.advance(std::size_t{}, u, x) }
    noexcept;
    { cell.output(std::size_t{}, std::size_t{}, state) }
    noexcept->std::convertible_to<T>;
};

/// Makes a stream of a recurrence for one channel: batches, heads, skip, resets, lengths, and threads. What a structure
/// needs for its `LinearStream`.
///
/// Shapes    u (batch, L, H) -> y (batch, L, heads * H), head c of channel h at c * H + h; skip (heads, H), or empty
/// Errors    ShapeError for arguments that do not fit
/// Real time step: no allocation, no lock, as bounded as the cell
/// Threads   const: any number of threads, one state each; same bits for any number
template <class T, ChannelCell<T> Cell>
class ChannelStream {
public:
    using State = ChannelState<T>;

    ChannelStream() = default;
    template <class System>
    requires std::constructible_from<Cell, const System&>
    explicit ChannelStream(const System& system) : cell_(system) {}
    /// Prepares for another system.
    template <class System>
    requires std::constructible_from<Cell, const System&>
    void reset(const System& system) { cell_ = Cell(system); }

    [[nodiscard]] ChannelShape shape() const noexcept { return cell_.shape(); }

    /// One step of all streams of `state`: u (batch, H), y (batch, heads * H).
    void step(std::span<const T> u, std::span<const T> skip, std::span<T> y,
              State& state) const noexcept {
        const ChannelShape shape = cell_.shape();
        for (std::size_t b = 0; b < state.batch(); ++b)
            for (std::size_t h = 0; h < shape.channels; ++h)
                advance(shape, h, u[b * shape.channels + h], skip,
                        y.data() + b * shape.heads * shape.channels, state.x(b, h));
    }

    /// Continues the streams of `state` over whole sequences.
    ///
    /// Aliasing  y may be u exactly if there is one head
    void forward(BatchView<const T> u, std::span<const T> skip, BatchView<T> y, State& state,
                 const Context& context) const {
        const ChannelShape shape = cell_.shape();
        detail::check_stream("ssm::ChannelStream", shape, u, skip.size(), y, state, context);
        if (u.empty())
            return;
        parallel_for(
            u.batch() * shape.channels,
            [&](std::size_t task, std::size_t) {
                const std::size_t b = task / shape.channels;
                const std::size_t h = task % shape.channels;
                const std::span<T> x = state.x(b, h);
                for (std::size_t l = 0; l < context.valid_length(b, u.length()); ++l) {
                    if (context.resets_at(b, l))
                        std::fill(x.begin(), x.end(), T(0));
                    advance(shape, h, u(b, l, h), skip, y.row(b, l).data(), x);
                }
            },
            TaskCost{static_cast<double>(u.length() * (shape.state + shape.heads))});
        detail::clear_padding(y, context);
    }

private:
    void advance(const ChannelShape& shape, std::size_t h, T u, std::span<const T> skip, T* y,
                 std::span<T> x) const noexcept {
        cell_.advance(h, u, x);
        for (std::size_t head = 0; head < shape.heads; ++head) {
            const std::size_t at = head * shape.channels + h;
            y[at] = cell_.output(head, h, x) + (skip.empty() ? T(0) : skip[at] * u);
        }
    }

    Cell cell_{};
};

}  // namespace ssm
