#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/scan/selective_coefficients.hpp>
#include <ssm/scan/selective_system.hpp>
#include <ssm/scan/selective_tile.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::detail {

/// Tiles of one task of the backward: the sums over its channels that dB and dC need are made once for all of them.
inline constexpr std::size_t selective_block = 8;

/// What one task of the backward sums over steps, for each of its vectors of channels; and over its channels, for each
/// step.
template <class T>
struct SelectiveResult {
    T* A;           ///< (vector, modes) vectors
    T* B;           ///< the same, of a constant B
    T* C;           ///< the same, of a constant C
    T* D;           ///< (vector)
    T* delta_bias;  ///< (vector)
    T* B_rows;      ///< (L, map) numbers, of a B that varies
    T* C_rows;      ///< the same of C
};

/// How a scan is cut: tasks are sequences times blocks of neighbouring tiles of a section.
template <class Number>
struct SelectiveBlocks {
    using T = RealOfNumber<Number>;
    static constexpr std::size_t w = simd::width<T>;
    static constexpr std::size_t packs = SelectiveTiles<Number>::packs;

    SelectiveTiles<Number> tiles;
    SelectiveLayout<Number> layout;
    std::size_t length;
    std::size_t per_block;    ///< tiles
    std::size_t per_section;  ///< blocks
    std::size_t vectors;      ///< of a block

    SelectiveBlocks(const SelectiveTiles<Number>& t, const SelectiveLayout<Number>& l,
                    std::size_t steps, std::size_t most_tiles)
        : tiles(t),
          layout(l),
          length(steps),
          per_block(std::clamp<std::size_t>(t.per_section, 1, most_tiles)),
          per_section((t.per_section + per_block - 1) / per_block),
          vectors(packs * per_block) {}

    [[nodiscard]] std::size_t count() const noexcept { return tiles.sections.count * per_section; }
    [[nodiscard]] std::size_t section(std::size_t block) const noexcept {
        return block / per_section;
    }
    [[nodiscard]] std::size_t first_tile(std::size_t block) const noexcept {
        return section(block) * tiles.per_section + block % per_section * per_block;
    }
    [[nodiscard]] std::size_t channels(std::size_t block) const noexcept {
        const std::size_t before = block % per_section * per_block * tiles.channels;
        return std::min(vectors * w, tiles.sections.channels - before);
    }
    /// Numbers of a `SelectiveResult`.
    [[nodiscard]] std::size_t result_size() const noexcept {
        return vectors * (3 * layout.state() + 2 * w) + 2 * length * layout.map();
    }
    [[nodiscard]] SelectiveResult<T> result(T* memory) const noexcept {
        SelectivePieces<T> piece(memory);
        SelectiveResult<T> r{};
        r.A = piece(vectors * layout.state());
        r.B = piece(vectors * layout.state());
        r.C = piece(vectors * layout.state());
        r.D = piece(vectors * w);
        r.delta_bias = piece(vectors * w);
        r.B_rows = piece(length * layout.map());
        r.C_rows = piece(length * layout.map());
        return r;
    }
};

}  // namespace ssm::detail
