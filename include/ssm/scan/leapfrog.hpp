#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <vector>

#include <ssm/core/aligned.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/scan/diagonal_state.hpp>

/// A real recurrence for complex modes that takes 4 multiply-adds a step where s' = z s + u,
/// y = Re(r s) takes 6.
///
/// For real input, s_t = v_t - conj(z) v_{t-1} where v follows the real second-order recurrence of
/// the pole pair z, conj(z). Carried as v and its increment d it is the leapfrog integration of an
/// oscillator:
///
///   d' = d - (p d + q v) + u        v' = v + d'          p = 1 - |z|^2       q = |1 - z|^2
///   Re(r s) = b v' + c d'           b = Re(r (1 - conj z))     c = Re(r conj z)
///
/// Each step rounds v and d relative to their own size, and that is an error of s relative to |s|,
/// as in the complex form; and p holds the decay of a mode to full relative accuracy, whatever its
/// frequency. (The direct form v' = 2 Re z v - |z|^2 v'' + u holds neither for z near 1, and float
/// ruins it.)
///
/// Near z = -1 the roles of sum and difference change. There the recurrence runs on (-1)^t s, for
/// which the pole is -z near 1: every other input and output changes its sign. `sign` marks these
/// modes.
namespace ssm::detail {

/// The lanes of one tile of channels: a cache line of them, or fewer channels with the modes of
/// each dealt out to several lanes, so that even a single channel fills the registers.
struct LeapfrogTile {
    std::size_t first = 0;     ///< its first channel
    std::size_t channels = 0;  ///< how many
    std::size_t group = 0;     ///< lanes that hold different channels; a power of two
    std::size_t slots = 0;     ///< modes in a lane
    std::size_t offset = 0;    ///< of its first slot, counted over all tiles

    /// The channel in `lane`, counted from the first; it exists if below `channels`.
    [[nodiscard]] std::size_t channel(std::size_t lane) const noexcept {
        return lane & (group - 1);
    }
    /// The mode in `slot` of `lane`; it exists if below n.
    [[nodiscard]] std::size_t mode(std::size_t lane, std::size_t slot) const noexcept {
        return lane / group * slots + slot;
    }
    [[nodiscard]] bool is_split(std::size_t lanes) const noexcept { return group < lanes; }
};

/// Coefficients of the leapfrog recurrence, lanes across channels.
///
/// Layout    rows of one cache line: [tile][slot][p, q, sign],
///           [tile][slot][1 - Re z, Im z, 1 / Im z] of the pole +-z with positive real part, and
///           [head][tile][slot][b, c, b, c with the sign]
template <class T>
class LeapfrogBank {
public:
    static constexpr std::size_t lanes = line<T>;

    void reset(const Modes& modes) {
        shape_ = modes.shape;
        plan();
        dynamics_.assign(slots_ * 3 * lanes, T(0));
        basis_.assign(slots_ * 3 * lanes, T(0));
        readout_.assign(shape_.heads * slots_ * 4 * lanes, T(0));
        for (const LeapfrogTile& tile : tiles_)
            for (std::size_t lane = 0; lane < lanes; ++lane)
                for (std::size_t slot = 0; slot < tile.slots; ++slot)
                    fill(modes, tile, slot, lane);
    }

    [[nodiscard]] const ModeShape& shape() const noexcept { return shape_; }
    [[nodiscard]] const std::vector<LeapfrogTile>& tiles() const noexcept { return tiles_; }
    [[nodiscard]] const T* dynamics(const LeapfrogTile& tile) const noexcept {
        return dynamics_.data() + tile.offset * 3 * lanes;
    }
    [[nodiscard]] const T* basis(const LeapfrogTile& tile) const noexcept {
        return basis_.data() + tile.offset * 3 * lanes;
    }
    [[nodiscard]] const T* readout(std::size_t c, const LeapfrogTile& tile) const noexcept {
        return readout_.data() + (c * slots_ + tile.offset) * 4 * lanes;
    }
    /// Most slots of a tile.
    [[nodiscard]] std::size_t most_slots() const noexcept { return most_slots_; }

private:
    void plan() {
        tiles_.clear();
        slots_ = most_slots_ = 0;
        for (std::size_t first = 0; first < shape_.channels; first += lanes) {
            LeapfrogTile tile;
            tile.first = first;
            tile.channels = std::min(lanes, shape_.channels - first);
            tile.group = std::bit_ceil(tile.channels);
            const std::size_t parts = lanes / tile.group;
            tile.slots = (shape_.modes + parts - 1) / parts;
            tile.offset = slots_;
            slots_ += tile.slots;
            most_slots_ = std::max(most_slots_, tile.slots);
            tiles_.push_back(tile);
        }
    }

    void fill(const Modes& modes, const LeapfrogTile& tile, std::size_t slot, std::size_t lane) {
        T* const dynamics = dynamics_.data() + (tile.offset + slot) * 3 * lanes + lane;
        T* const basis = basis_.data() + (tile.offset + slot) * 3 * lanes + lane;
        const std::size_t n = tile.mode(lane, slot);
        if (tile.channel(lane) >= tile.channels || n >= shape_.modes) {
            dynamics[0] = dynamics[lanes] = basis[0] = T(1);  // z = 0
            return;
        }
        const std::size_t h = tile.first + tile.channel(lane);
        const std::size_t pole = modes.pole(h, n);
        const double sign = modes.pole_re[pole] < 0.0 ? -1.0 : 1.0;
        const double re = sign * modes.pole_re[pole];
        const double im = sign * modes.pole_im[pole];
        const double gap = 1.0 - re;
        dynamics[0] = static_cast<T>(gap * (1.0 + re) - im * im);
        dynamics[lanes] = static_cast<T>(gap * gap + im * im);
        dynamics[2 * lanes] = static_cast<T>(sign < 0.0 ? -0.0 : 0.0);
        basis[0] = static_cast<T>(gap);
        if (std::abs(im) > std::max(1e-12 * std::abs(gap), 1e-30)) {
            basis[lanes] = static_cast<T>(im);
            basis[2 * lanes] = static_cast<T>(1.0 / im);
        }
        for (std::size_t c = 0; c < shape_.heads; ++c) {
            T* const readout =
                readout_.data() + (c * slots_ + tile.offset + slot) * 4 * lanes + lane;
            const double r_re = modes.residue_re[modes.residue(c, h, n)];
            const double r_im = modes.residue_im[modes.residue(c, h, n)];
            const double of_v = r_re * gap - r_im * im;
            const double of_d = r_re * re + r_im * im;
            readout[0] = static_cast<T>(of_v);
            readout[lanes] = static_cast<T>(of_d);
            readout[2 * lanes] = static_cast<T>(sign * of_v);
            readout[3 * lanes] = static_cast<T>(sign * of_d);
        }
    }

    ModeShape shape_{};
    std::vector<LeapfrogTile> tiles_;
    std::size_t slots_ = 0;
    std::size_t most_slots_ = 0;
    AlignedVector<T> dynamics_, basis_, readout_;
};

}  // namespace ssm::detail
