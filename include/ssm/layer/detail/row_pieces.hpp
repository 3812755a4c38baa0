#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/workspace.hpp>

namespace ssm::detail {

/// Some whole sequences, or some steps of one: rows that follow each other in memory.
struct RowPiece {
    std::size_t sequence, sequences, step, steps;

    template <class T>
    [[nodiscard]] BatchView<T> of(BatchView<T> u) const noexcept {
        return {u.data() + (sequence * u.length() + step) * u.channels(),
                {sequences, steps, u.channels()}};
    }
    [[nodiscard]] Shape shape(std::size_t channels) const noexcept {
        return {sequences, steps, channels};
    }
    /// What is known about these steps; `lengths` is room for one number for each sequence.
    [[nodiscard]] Context of(const Context& context, std::span<std::size_t> lengths) const {
        Context result(context.workspace);
        if (context.resets.data() != nullptr)
            result.resets = of(context.resets);
        if (context.is_irregular())
            result.intervals = of(context.intervals);
        if (context.lengths.empty())
            return result;
        for (std::size_t b = 0; b < sequences; ++b) {
            const std::size_t valid = context.lengths[sequence + b];
            lengths[b] = std::min(steps, valid - std::min(valid, step));
        }
        result.lengths = lengths.first(sequences);
        return result;
    }
};

/// Cuts sequences into pieces of about `rows` rows, in order; `whole` sequences are not cut.
template <class Body>
void for_each_row_piece(const Shape& shape, std::size_t rows, bool whole, Body&& body) {
    if (whole || shape.length <= rows) {
        const std::size_t group = std::max<std::size_t>(1, rows / shape.length);
        for (std::size_t b = 0; b < shape.batch; b += group)
            body(RowPiece{b, std::min(group, shape.batch - b), 0, shape.length});
        return;
    }
    for (std::size_t b = 0; b < shape.batch; ++b)
        for (std::size_t l = 0; l < shape.length; l += rows)
            body(RowPiece{b, 1, l, std::min(rows, shape.length - l)});
}

}  // namespace ssm::detail
