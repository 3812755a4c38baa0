#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/convolution/detail/interleave.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/math/lane_rows.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>

namespace ssm::detail {

/// A piece of one sequence between two resets: it is convolved by itself, from rest.
struct Piece {
    std::size_t row = 0;     ///< first step, counted over all sequences: b * L + l
    std::size_t length = 0;  ///< steps
};

/// How channels fill the lanes of a register: `width` channels of one piece, or the last few channels of
/// as many pieces as fit. Lane i is channel `first + i % count` of piece `i / count`.
struct LaneGroup {
    std::size_t first = 0;
    std::size_t count = 0;
    std::size_t pieces = 0;

    /// Number of groups of `channels` channels in registers of `width` lanes.
    [[nodiscard]] static std::size_t groups(std::size_t channels, std::size_t width) noexcept {
        return (channels + width - 1) / width;
    }
    /// Group `index` of them.
    [[nodiscard]] static LaneGroup of(std::size_t channels, std::size_t width,
                                      std::size_t index) noexcept {
        const std::size_t first = index * width;
        const std::size_t count = std::min(width, channels - first);
        return {first, count, width / count};
    }
    [[nodiscard]] std::size_t lanes() const noexcept { return count * pieces; }
    [[nodiscard]] std::size_t channel(std::size_t lane) const noexcept {
        return first + lane % count;
    }
};

/// The longest of some pieces.
[[nodiscard]] inline std::size_t longest(std::span<const Piece> pieces) noexcept {
    std::size_t length = 0;
    for (const Piece& piece : pieces)
        length = std::max(length, piece.length);
    return length;
}

/// The pieces of a sequence of one channel, one in each lane.
template <class T>
[[nodiscard]] LaneSpans<T> piece_spans(BatchView<T> u, std::span<const Piece> pieces) noexcept {
    LaneSpans<T> spans;
    for (std::size_t i = 0; i < pieces.size(); ++i)
        spans.of[i] = {u.data() + pieces[i].row, pieces[i].length};
    return spans;
}

/// Steps that stay in the first-level cache while their lanes are filled one piece after the other.
inline constexpr std::size_t gather_tile = 64;

/// Copies channels `channel .. channel + group.count - 1` of some pieces of `u` into lanes, width<T> numbers a
/// step in `stage`; zeros behind the end of a piece and in lanes without one.
template <class T>
void gather_lanes(BatchView<const T> u, std::size_t channel, const LaneGroup& group,
                  std::span<const Piece> pieces, T* stage) {
    if (u.channels() == 1)
        return interleave<T>(piece_spans(u, pieces), T(1), stage, simd::width<T>);
    constexpr std::size_t width = simd::width<T>;
    const std::size_t length = longest(pieces);
    for (std::size_t begin = 0; begin < length; begin += gather_tile) {
        const std::size_t end = std::min(begin + gather_tile, length);
        std::fill(stage + begin * width, stage + end * width, T(0));
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            const T* const from = u.data() + pieces[i].row * u.channels() + channel;
            T* const to = stage + i * group.count;
            for (std::size_t l = begin; l < std::min(end, pieces[i].length); ++l)
                simd::store_partial(to + l * width,
                                    simd::load_partial(from + l * u.channels(), group.count),
                                    group.count);
        }
    }
}

/// Copies lanes back, the inverse of `gather_lanes`; `add` adds to what is there.
template <bool add, class T>
void scatter_lanes(const T* stage, BatchView<T> y, std::size_t channel, const LaneGroup& group,
                   std::span<const Piece> pieces) {
    if (y.channels() == 1)
        return deinterleave<add>(stage, simd::width<T>, T(1), piece_spans(y, pieces));
    const std::size_t length = longest(pieces);
    for (std::size_t begin = 0; begin < length; begin += gather_tile)
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            const T* const from = stage + i * group.count;
            T* const to = y.data() + pieces[i].row * y.channels() + channel;
            const std::size_t end = std::min(begin + gather_tile, pieces[i].length);
            for (std::size_t l = begin; l < end; ++l) {
                T* const row = to + l * y.channels();
                simd::Pack<T> value = simd::load_partial(from + l * simd::width<T>, group.count);
                if constexpr (add)
                    value += simd::load_partial(row, group.count);
                simd::store_partial(row, value, group.count);
            }
        }
}

/// The rows of a group: those of `u` itself where a register of channels lies in one piece, else `stage`, filled
/// from it.
template <class T>
[[nodiscard]] math::LaneRows<const T> read_lanes(BatchView<const T> u, std::size_t channel,
                                                 const LaneGroup& group,
                                                 std::span<const Piece> pieces, T* stage) {
    if (group.count == simd::width<T>)
        return {u.data() + pieces[0].row * u.channels() + channel, u.channels(), pieces[0].length};
    gather_lanes(u, channel, group, pieces, stage);
    return {stage, simd::width<T>, longest(pieces)};
}

}  // namespace ssm::detail
