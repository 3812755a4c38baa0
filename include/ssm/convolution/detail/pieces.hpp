#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/convolution/detail/lane_group.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/math/right_angle_fft.hpp>
#include <ssm/scan/segments.hpp>

namespace ssm::detail {

/// Pieces that need a transform of the same size.
template <class T>
struct PieceRun {
    const math::RightAngleFft<T>* fft = nullptr;
    std::span<const Piece> pieces;
};

/// What a context makes of a batch: the pieces of all sequences, those that need the largest transform
/// first, and slices of them that are computed independently of each other.
template <class T>
class Pieces {
    using Fft = math::RightAngleFft<T>;

public:
    /// Memory is taken from the context's workspace.
    Pieces(const Shape& shape, const Context& context) {
        std::size_t count = 0;
        visit(shape, context, [&](std::size_t, std::size_t) { ++count; });
        pieces_ = context.workspace.take<Piece>(count);
        Piece* next = pieces_.data();
        visit(shape, context, [&](std::size_t row, std::size_t length) {
            *next++ = Piece{row, length};
        });
        std::sort(pieces_.begin(), pieces_.end(), [](const Piece& a, const Piece& b) {
            const std::size_t size_a = Fft::size_for(a.length);
            const std::size_t size_b = Fft::size_for(b.length);
            return size_a != size_b ? size_a > size_b : a.row < b.row;
        });
        make_runs(context.workspace);
    }

    [[nodiscard]] std::size_t count() const noexcept { return pieces_.size(); }
    /// Numbers of an array for the largest transform.
    [[nodiscard]] std::size_t numbers() const noexcept {
        return runs_.empty() ? 0 : runs_.front().fft->numbers();
    }

    /// Calls `body(PieceRun)` for the pieces begin .. end - 1.
    template <class Body>
    void for_each_run(std::size_t begin, std::size_t end, Body&& body) const {
        std::size_t first = 0;
        for (const PieceRun<T>& run : runs_) {
            const std::size_t from = std::max(begin, first);
            first += run.pieces.size();
            const std::size_t to = std::min(end, first);
            if (from < to)
                body(
                    PieceRun<T>{run.fft, std::span<const Piece>(pieces_).subspan(from, to - from)});
        }
    }

private:
    template <class Body>
    static void visit(const Shape& shape, const Context& context, Body&& body) {
        for (std::size_t b = 0; b < shape.batch; ++b)
            for_each_segment(context, b, 0, context.valid_length(b, shape.length),
                             [&](std::size_t begin, std::size_t end, bool) {
                                 body(b * shape.length + begin, end - begin);
                             });
    }

    void make_runs(Workspace& workspace) {
        const auto same_size = [](const Piece& a, const Piece& b) {
            return Fft::size_for(a.length) == Fft::size_for(b.length);
        };
        std::size_t runs = 0;
        for (std::size_t i = 0; i < count(); ++i)
            if (i == 0 || !same_size(pieces_[i - 1], pieces_[i]))
                ++runs;
        runs_ = workspace.take<PieceRun<T>>(runs);
        auto first = pieces_.begin();
        for (PieceRun<T>& run : runs_) {
            const auto last = std::find_if_not(
                first, pieces_.end(), [&](const Piece& piece) { return same_size(*first, piece); });
            run.fft = &workspace.table<Fft>(Fft::size_for(first->length));
            run.pieces = {first, last};
            first = last;
        }
    }

    std::span<Piece> pieces_;
    std::span<PieceRun<T>> runs_;
};

}  // namespace ssm::detail
