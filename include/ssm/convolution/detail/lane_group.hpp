#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/math/lane_rows.hpp>
#include <ssm/simd/pack.hpp>

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
};

/// The longest of some pieces.
[[nodiscard]] inline std::size_t longest(std::span<const Piece> pieces) noexcept {
    std::size_t length = 0;
    for (const Piece& piece : pieces)
        length = std::max(length, piece.length);
    return length;
}

/// Copies channels `channel .. channel + group.count - 1` of some pieces of `u` into lanes, width<T> numbers a
/// step in `stage`; zeros behind the end of a piece and in lanes without one.
template <class T>
void gather_lanes(BatchView<const T> u, std::size_t channel, const LaneGroup& group,
                  std::span<const Piece> pieces, T* stage) {
    constexpr std::size_t width = simd::width<T>;
    constexpr std::size_t tile =
        64;  // steps that stay in the first-level cache while lanes are filled
    const std::size_t length = longest(pieces);
    for (std::size_t begin = 0; begin < length; begin += tile) {
        const std::size_t end = std::min(begin + tile, length);
        std::fill(stage + begin * width, stage + end * width, T(0));
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            const T* const from = u.data() + pieces[i].row * u.channels() + channel;
            T* const to = stage + i * group.count;
            for (std::size_t l = begin; l < std::min(end, pieces[i].length); ++l)
                std::copy_n(from + l * u.channels(), group.count, to + l * width);
        }
    }
}

/// Copies lanes back, the inverse of `gather_lanes`; `add` adds to what is there.
template <bool add, class T>
void scatter_lanes(const T* stage, BatchView<T> y, std::size_t channel, const LaneGroup& group,
                   std::span<const Piece> pieces) {
    constexpr std::size_t width = simd::width<T>;
    constexpr std::size_t tile = 64;
    const std::size_t length = longest(pieces);
    for (std::size_t begin = 0; begin < length; begin += tile)
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            T* const to = y.data() + pieces[i].row * y.channels() + channel;
            const T* const from = stage + i * group.count;
            for (std::size_t l = begin; l < std::min(begin + tile, pieces[i].length); ++l)
                for (std::size_t c = 0; c < group.count; ++c)
                    if constexpr (add)
                        to[l * y.channels() + c] += from[l * width + c];
                    else
                        to[l * y.channels() + c] = from[l * width + c];
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
