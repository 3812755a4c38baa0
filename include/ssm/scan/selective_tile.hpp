#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/aligned.hpp>
#include <ssm/core/config.hpp>
#include <ssm/scan/selective_number.hpp>
#include <ssm/scan/selective_system.hpp>
#include <ssm/simd/exp.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/sigmoid.hpp>

/// What the selective scan and its adjoint share: a tile of a few steps and a few vectors of channels, copied into
/// the level 1 cache and padded there to whole vectors and to whole groups of modes, so that the loops over modes
/// know of no tails, strides or layouts.
namespace ssm::detail {

/// Steps of a tile, and from one checkpoint of the state to the next.
inline constexpr std::size_t selective_steps = 16;
template <class Number>
struct SelectiveLayout {
    using T = RealOfNumber<Number>;
    static constexpr std::size_t w = simd::width<T>;
    static constexpr std::size_t parts = SelectiveVector<Number>::parts;
    static constexpr std::size_t vector = w * parts;  ///< numbers of type T of a vector of Numbers

    std::size_t modes;  ///< padded to whole groups

    SelectiveLayout(std::size_t unpadded, std::size_t group)
        : modes((unpadded + group - 1) / group * group) {}

    /// Numbers of type T of all modes of one vector of channels.
    [[nodiscard]] std::size_t state() const noexcept { return modes * vector; }
    /// The same rounded up to whole cache lines, of B or C of one step.
    [[nodiscard]] std::size_t map() const noexcept {
        constexpr std::size_t line = alignment / sizeof(T);
        return (modes * parts + line - 1) / line * line;
    }
};

/// What one vector of channels reads of B or C: `step` numbers further with each step.
template <class T>
struct SelectiveMapRows {
    const T* data = nullptr;
    std::size_t step = 0;
    std::size_t plane = 0;     ///< from real to imaginary parts
    bool is_constant = false;  ///< vectors of channels instead of one number for all
};

/// B or C at step t for mode n, when both are the same for all channels.
struct SharedMaps {
    /// Modes whose states are in registers together.
    static constexpr std::size_t group = 4;

    template <class V, class T>
    [[nodiscard]] SSM_INLINE static V at(const SelectiveMapRows<T>& rows, std::size_t t,
                                         std::size_t n) noexcept {
        return spread(V{}, rows.data + t * rows.step + n, rows.plane);
    }
};
/// The same when one or both may be constant; also for complex numbers and exact zero-order hold, whose functions are
/// so large that one mode at a time keeps the processor busy and the compiler quick.
struct AnyMaps {
    static constexpr std::size_t group = 1;

    template <class V, class T>
    [[nodiscard]] SSM_INLINE static V at(const SelectiveMapRows<T>& rows, std::size_t t,
                                         std::size_t n) noexcept {
        if (rows.is_constant)
            return load_vector<V>(rows.data + n * (sizeof(V) / sizeof(T)));
        return SharedMaps::at<V>(rows, t, n);
    }
};

/// Copies B or C of steps first .. first + steps - 1 of a section, scaled, modes padded with zeros.
template <class Number, class T = RealOfNumber<Number>>
void pack_map(const SelectiveMap<const Number>& map, std::size_t row, std::size_t steps,
              std::size_t group, std::size_t modes, const SelectiveLayout<Number>& layout, T scale,
              T* to) noexcept {
    for (std::size_t t = 0; t < steps; ++t) {
        const Number* from = map.at(row + t, group, modes);
        T* target = to + t * layout.map();
        for (std::size_t part = 0; part < layout.parts; ++part)
            for (std::size_t n = 0; n < layout.modes; ++n)
                target[part * layout.modes + n] = n < modes ? scale * part_of(from[n], part) : T(0);
    }
}

/// Copies `count` channels of (modes, channels) numbers into a vector for each mode, zeros elsewhere; `f` is applied.
template <class Number, class F, class T = RealOfNumber<Number>>
void pack_vectors(const Number* from, std::size_t channels, std::size_t modes, std::size_t count,
                  const SelectiveLayout<Number>& layout, F&& f, T* to) noexcept {
    using V = typename SelectiveVector<Number>::Vector;
    for (std::size_t n = 0; n < layout.modes; ++n)
        store_vector(to + n * layout.vector, n < modes && from != nullptr
                                                 ? f(gather(from + n * channels, count))
                                                 : zero_vector<V>());
}

/// A of the system as the kernels want it: times `unit`, and minus the exponential of a logarithm.
template <class Number, class T = RealOfNumber<Number>>
void pack_rates(const SelectiveSystem<Number>& system, std::size_t channel, std::size_t count,
                const SelectiveLayout<Number>& layout, T unit, T* to) noexcept {
    using V = typename SelectiveVector<Number>::Vector;
    pack_vectors<Number>(
        system.A + channel, system.channels, system.modes, count, layout,
        [&](V a) {
            if constexpr (SelectiveLayout<Number>::parts == 1)
                return (system.log_A ? -simd::exp(a) : a) * V(unit);
            else
                return a * simd::Pack<T>(unit);
        },
        to);
}

/// How channels are cut into tiles: at the borders of sections, and every `packs` vectors.
template <class Number>
struct SelectiveTiles {
    using T = RealOfNumber<Number>;
    static constexpr std::size_t w = simd::width<T>;
    /// Vectors of a tile: a tile reads some cache lines of each row.
    static constexpr std::size_t packs = std::max<std::size_t>(1, 256 / sizeof(T) / w);
    static constexpr std::size_t channels = packs * w;

    SelectiveSections sections;
    std::size_t per_section;

    explicit SelectiveTiles(const SelectiveSections& s)
        : sections(s), per_section((s.channels + channels - 1) / channels) {}

    [[nodiscard]] std::size_t count() const noexcept { return sections.count * per_section; }
    [[nodiscard]] std::size_t section(std::size_t tile) const noexcept {
        return tile / per_section;
    }
    /// First channel of a tile.
    [[nodiscard]] std::size_t begin(std::size_t tile) const noexcept {
        return section(tile) * sections.channels + tile % per_section * channels;
    }
    /// Channels of a tile.
    [[nodiscard]] std::size_t width(std::size_t tile) const noexcept {
        return std::min(channels, sections.channels - tile % per_section * channels);
    }
};

/// dt_t of x = delta_t + delta_bias and of e = e^-|x|.
template <class T>
struct SelectiveTimestep {
    using P = simd::Pack<T>;
    bool softplus;

    [[nodiscard]] SSM_INLINE P operator()(P x) const noexcept {
        return softplus ? simd::softplus(x) : x;
    }
    [[nodiscard]] SSM_INLINE P operator()(P x, P e) const noexcept {
        return softplus ? simd::softplus(x, e) : x;
    }
    [[nodiscard]] SSM_INLINE P derivative(P x, P e) const noexcept {
        return softplus ? simd::select(x > P(T(20)), P(T(1)), simd::sigmoid(x, e)) : P(T(1));
    }
};

/// The gate z sigmoid(z) of z and of e = e^-|z|, as `math::Silu`.
template <class T>
class SelectiveGate {
    using P = simd::Pack<T>;

public:
    SSM_INLINE SelectiveGate(P z, P e) noexcept
        : z_(simd::max(P(T(-800)), z)), sigmoid_(simd::sigmoid(z, e)) {}

    [[nodiscard]] SSM_INLINE P value() const noexcept { return z_ * sigmoid_; }
    [[nodiscard]] SSM_INLINE P derivative() const noexcept {
        return simd::fma(sigmoid_ * simd::min(P(T(800)), z_), P(T(1)) - sigmoid_, sigmoid_);
    }

private:
    P z_;  ///< not so low that its product with zero is none
    P sigmoid_;
};

}  // namespace ssm::detail
