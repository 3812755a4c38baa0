#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>

namespace ssm {

/// A mask `(batch, L, 1)`, not zero where the state of a stream is reset before that step.
using ResetMask = BatchView<const std::uint8_t>;

/// Time steps `(batch, L, 1)` of irregularly sampled sequences, in units of a layer's own.
using Intervals = BatchView<const double>;

/// What a call needs besides its input: scratch memory, and what is known about the sequences.
/// Composite layers hand it on to their parts. A `Workspace` converts to a plain context:
///
///   layer.forward(u, y, workspace);
///   layer.forward(u, y, Context(workspace).with_resets(mask).with_lengths(lengths));
///
/// The context refers to what it was made from and owns nothing.
struct Context {
    Context(Workspace& scratch) noexcept : workspace(scratch) {}

    [[nodiscard]] Context with_resets(ResetMask mask) const noexcept {
        Context result = *this;
        result.resets = mask;
        return result;
    }
    [[nodiscard]] Context with_lengths(std::span<const std::size_t> valid) const noexcept {
        Context result = *this;
        result.lengths = valid;
        return result;
    }
    [[nodiscard]] Context with_rng(Rng& generator) const noexcept {
        Context result = *this;
        result.rng = &generator;
        return result;
    }
    /// For irregularly sampled sequences: how long each step takes, relative to the layer's own time step;
    /// (batch, L, 1). Layers that are discretised in time follow it.
    [[nodiscard]] Context with_intervals(Intervals steps) const noexcept {
        Context result = *this;
        result.intervals = steps;
        return result;
    }
    /// The context of a sequence whose time axis is gone, for layers behind a pooling.
    [[nodiscard]] Context without_time() const noexcept {
        Context result = *this;
        result.resets = {};
        result.lengths = {};
        result.intervals = {};
        return result;
    }

    /// Whether the state of sequence `b` is reset before step `l`.
    [[nodiscard]] bool resets_at(std::size_t b, std::size_t l) const noexcept {
        return resets.data() != nullptr && resets(b, l, 0) != 0;
    }
    /// Whether steps take times of their own.
    [[nodiscard]] bool is_irregular() const noexcept { return intervals.data() != nullptr; }
    /// Steps of sequence `b` that count, `length` when nothing was said.
    [[nodiscard]] std::size_t valid_length(std::size_t b, std::size_t length) const noexcept {
        return lengths.empty() ? length : lengths[b];
    }
    /// Raises ShapeError unless mask, intervals and lengths fit sequences of this shape.
    void check(const Shape& shape) const {
        if (resets.data() != nullptr)
            require_shape("ssm::Context: reset mask", resets.shape(),
                          {shape.batch, shape.length, 1});
        if (is_irregular())
            require_shape("ssm::Context: intervals", intervals.shape(),
                          {shape.batch, shape.length, 1});
        require<ShapeError>(lengths.empty() || lengths.size() == shape.batch,
                            "ssm::Context: ", lengths.size(), " lengths for ", shape.batch,
                            " sequences");
        for (const std::size_t length : lengths)
            require<ShapeError>(length <= shape.length, "ssm::Context: a sequence has length ",
                                length, ", more than the ", shape.length, " steps of the batch");
    }

    /// Raises ValueError for intervals, on behalf of a layer all of whose steps take the same time.
    void require_regular(const char* what) const {
        require<ValueError>(!is_irregular(), what, ": has no intervals between steps");
    }

    Workspace& workspace;
    ResetMask resets{};                      ///< empty: no resets
    std::span<const std::size_t> lengths{};  ///< empty: all steps of all sequences are valid
    Intervals intervals{};                   ///< empty: all steps take the same time
    Rng* rng = nullptr;                      ///< for layers that draw during training (dropout)
};

}  // namespace ssm
