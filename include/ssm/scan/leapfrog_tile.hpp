#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/batch.hpp>
#include <ssm/scan/diagonal_state.hpp>
#include <ssm/scan/leapfrog.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/transpose.hpp>

/// Moves inputs, outputs and states between their places in memory and the lanes of a tile.
namespace ssm::detail {

/// Steps `first .. first + steps - 1` of sequence `b`, lane by lane: [steps][line]. The tile's
/// channels are those after `head` others.
template <class T, class Arch = simd::Arch>
void gather_inputs(const LeapfrogTile& tile, BatchView<const T> u, std::size_t b, std::size_t first,
                   std::size_t steps, T* SSM_RESTRICT lanes, std::size_t head = 0) noexcept {
    using Pack = simd::Pack<T>;
    for (std::size_t t = 0; t < steps; ++t, lanes += line<T>) {
        const T* const row = &u(b, first + t, head + tile.first);
        if (tile.group == 1 || tile.channels == line<T>)
            for (std::size_t lane = 0; lane < line<T>; lane += simd::width<T>)
                simd::store_aligned(lanes + lane,
                                    tile.group == 1 ? Pack(*row) : simd::load(row + lane));
        else
            for (std::size_t lane = 0; lane < line<T>; ++lane)
                lanes[lane] = tile.channel(lane) < tile.channels ? row[tile.channel(lane)] : T(0);
    }
}

/// Adds up the lanes that hold modes of one channel, for each channel of a tile.
template <class T, class Arch = simd::Arch>
void fold_lanes(const LeapfrogTile& tile, T* lanes) noexcept {
    std::size_t half = line<T> / 2;
    for (; half >= std::max(tile.group, simd::width<T>); half /= 2)
        for (std::size_t lane = 0; lane < half; lane += simd::width<T>)
            simd::store_aligned(lanes + lane, simd::load_aligned(lanes + lane) +
                                                  simd::load_aligned(lanes + lane + half));
    if (tile.group == 1)
        lanes[0] = simd::reduce_add(simd::load_aligned(lanes));
    else
        for (; half >= tile.group; half /= 2)
            for (std::size_t lane = 0; lane < half; ++lane)
                lanes[lane] += lanes[lane + half];
}

/// y = what the lanes of a channel add up to, + D u; `skip` may be null.
template <class T, class Arch = simd::Arch>
void scatter_outputs(const LeapfrogTile& tile, T* lanes, std::size_t steps, BatchView<const T> u,
                     const T* skip, BatchView<T> y, std::size_t head, std::size_t b,
                     std::size_t first) noexcept {
    for (std::size_t t = 0; t < steps; ++t, lanes += line<T>) {
        fold_lanes(tile, lanes);
        T* const row = &y(b, first + t, head * u.channels() + tile.first);
        const T* const input = &u(b, first + t, tile.first);
        simd::for_each_pack<T>(tile.channels, [&](auto part, std::size_t i) SSM_INLINE_LAMBDA {
            simd::Pack<T> sum = part.load(lanes + i);
            if (skip != nullptr)
                sum = simd::fma(part.load(skip + tile.first + i), part.load(input + i), sum);
            part.store(row + i, sum);
        });
    }
}

/// The states of one stream seen from the lanes of a tile, one plane (real or imaginary parts) at a
/// time. `rows` has the first channel's modes, `stride` from channel to channel; `lanes` is
/// [slot][2][line].
template <class T>
struct StatePlane {
    const LeapfrogTile& tile;
    std::size_t modes;
    std::size_t stride;

    /// Calls `body(place in rows, place in lanes)` for each mode of the tile.
    template <class Body>
    void for_each_mode(Body&& body) const {
        for (std::size_t lane = 0; lane < line<T>; ++lane)
            for (std::size_t slot = 0; slot < tile.slots; ++slot)
                if (tile.channel(lane) < tile.channels && tile.mode(lane, slot) < modes)
                    body(tile.channel(lane) * stride + tile.mode(lane, slot),
                         2 * slot * line<T> + lane);
    }

    /// Whether lane and channel are the same, so that blocks can be transposed in registers.
    [[nodiscard]] bool is_transposed() const noexcept { return tile.group == line<T>; }

    template <class Arch = simd::Arch>
    void gather(const T* rows, T* lanes) const noexcept {
        constexpr std::size_t width = simd::width<T>;
        if (!is_transposed()) {
            for (std::size_t slot = 0; slot < tile.slots; ++slot)
                std::fill_n(lanes + 2 * slot * line<T>, line<T>, T(0));
            return for_each_mode(
                [&](std::size_t row, std::size_t lane) { lanes[lane] = rows[row]; });
        }
        for (std::size_t lane = 0; lane < line<T>; lane += width)
            for (std::size_t slot = 0; slot < tile.slots; slot += width) {
                simd::Pack<T> block[width];
                for (std::size_t i = 0; i < width; ++i)
                    block[i] = lane + i < tile.channels
                                   ? simd::load_aligned(rows + (lane + i) * stride + slot)
                                   : simd::Pack<T>(T(0));
                simd::transpose(block);
                for (std::size_t i = 0; i < std::min(width, tile.slots - slot); ++i)
                    simd::store_aligned(lanes + 2 * (slot + i) * line<T> + lane, block[i]);
            }
    }

    template <class Arch = simd::Arch>
    void scatter(const T* lanes, T* rows) const noexcept {
        constexpr std::size_t width = simd::width<T>;
        if (!is_transposed())
            return for_each_mode(
                [&](std::size_t row, std::size_t lane) { rows[row] = lanes[lane]; });
        for (std::size_t lane = 0; lane < tile.channels; lane += width)
            for (std::size_t slot = 0; slot < tile.slots; slot += width) {
                simd::Pack<T> block[width];
                for (std::size_t i = 0; i < width; ++i)
                    block[i] = slot + i < tile.slots
                                   ? simd::load_aligned(lanes + 2 * (slot + i) * line<T> + lane)
                                   : simd::Pack<T>(T(0));
                simd::transpose(block);
                for (std::size_t i = 0; i < std::min(width, tile.channels - lane); ++i)
                    simd::store_aligned(rows + (lane + i) * stride + slot, block[i]);
            }
    }
};

}  // namespace ssm::detail
