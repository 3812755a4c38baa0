#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/scan/selective_number.hpp>
#include <ssm/scan/selective_system.hpp>
#include <ssm/scan/selective_tile.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::detail {

/// Hands out pieces of a task's scratch memory.
template <class T>
class SelectivePieces {
public:
    explicit SelectivePieces(T* memory) noexcept : memory_(memory) {}
    [[nodiscard]] T* operator()(std::size_t numbers) noexcept {
        T* piece = memory_;
        memory_ += numbers;
        return piece;
    }

private:
    T* memory_;
};

/// Neighbouring channels of one section, as many as a task has.
struct SelectiveChannels {
    std::size_t first;
    std::size_t count;
    std::size_t section;
};

/// A, B and C for the channels of one task, copied into its scratch memory: rates and constant maps once, maps that
/// vary for the steps of a tile.
template <class Number, class Discretization>
class SelectiveCoefficients {
    using T = RealOfNumber<Number>;
    using V = typename SelectiveVector<Number>::Vector;
    using Layout = SelectiveLayout<Number>;
    static constexpr std::size_t w = simd::width<T>;
    static constexpr T weight = SelectiveVector<Number>::weight;

public:
    /// Scratch numbers for so many vectors of channels.
    [[nodiscard]] static std::size_t scratch(const Layout& layout, std::size_t vectors) noexcept {
        return 3 * vectors * layout.state() + 2 * selective_steps * layout.map();
    }

    SelectiveCoefficients(const SelectiveSystem<Number>& system,
                          const SelectiveInput<Number>& input, const Layout& layout,
                          const SelectiveSections& sections, const SelectiveChannels& channels,
                          std::size_t vectors, SelectivePieces<T>& piece) noexcept
        : system_(system),
          input_(input),
          layout_(layout),
          channels_(channels),
          B_group_(sections.B_group(channels.section)),
          C_group_(sections.C_group(channels.section)),
          rates_(piece(vectors * layout.state())),
          B_vectors_(piece(vectors * layout.state())),
          C_vectors_(piece(vectors * layout.state())),
          B_rows_(piece(selective_steps * layout.map())),
          C_rows_(piece(selective_steps * layout.map())) {
        for_each_vector([&](std::size_t p, std::size_t channel, std::size_t lanes) {
            const std::size_t at = p * layout_.state();
            pack_rates(system_, channel, lanes, layout_, static_cast<T>(Discretization::unit(V{})),
                       rates_ + at);
            if (input_.B.is_constant())
                pack_vectors<Number>(
                    input_.B.data + channel, system_.channels, system_.modes, lanes, layout_,
                    [](V x) { return x; }, B_vectors_ + at);
            if (input_.C.is_constant())
                pack_vectors<Number>(
                    input_.C.data + channel, system_.channels, system_.modes, lanes, layout_,
                    [](V x) { return x * simd::Pack<T>(weight); }, C_vectors_ + at);
        });
    }

    /// body(vector, its first channel, its channels)
    template <class Body>
    void for_each_vector(Body&& body) const noexcept {
        for (std::size_t p = 0; p * w < channels_.count; ++p)
            body(p, channels_.first + p * w, std::min(w, channels_.count - p * w));
    }

    /// Maps that vary, for the steps from row `row` on.
    void load_maps(std::size_t row, std::size_t steps) noexcept {
        if (!input_.B.is_constant())
            pack_map<Number>(input_.B, row, steps, B_group_, system_.modes, layout_, T(1), B_rows_);
        if (!input_.C.is_constant())
            pack_map<Number>(input_.C, row, steps, C_group_, system_.modes, layout_, weight,
                             C_rows_);
    }

    /// Of vector `p`.
    [[nodiscard]] const T* rates(std::size_t p) const noexcept {
        return rates_ + p * layout_.state();
    }
    [[nodiscard]] SelectiveMapRows<T> B(std::size_t p) const noexcept {
        return rows_of(input_.B, B_rows_, B_vectors_, p);
    }
    [[nodiscard]] SelectiveMapRows<T> C(std::size_t p) const noexcept {
        return rows_of(input_.C, C_rows_, C_vectors_, p);
    }

    /// The numbers (modes, channels) of one sequence's state, or zeros for null, as vectors; and back.
    void load_state(const Number* from, T* to) const noexcept {
        for_each_vector([&](std::size_t p, std::size_t channel, std::size_t lanes) {
            pack_vectors<Number>(
                from == nullptr ? nullptr : from + channel, system_.channels, system_.modes, lanes,
                layout_, [](V x) { return x; }, to + p * layout_.state());
        });
    }
    void store_state(const T* from, Number* to) const noexcept {
        for_each_vector([&](std::size_t p, std::size_t channel, std::size_t lanes) {
            for (std::size_t n = 0; n < system_.modes; ++n)
                scatter(to + n * system_.channels + channel,
                        load_vector<V>(from + p * layout_.state() + n * Layout::vector), lanes);
        });
    }

private:
    [[nodiscard]] SelectiveMapRows<T> rows_of(const SelectiveMap<const Number>& map, const T* rows,
                                              const T* vectors, std::size_t p) const noexcept {
        if (map.is_constant())
            return {vectors + p * layout_.state(), 0, 0, true};
        return {rows, layout_.map(), layout_.modes, false};
    }

    const SelectiveSystem<Number>& system_;
    const SelectiveInput<Number>& input_;
    const Layout& layout_;
    SelectiveChannels channels_;
    std::size_t B_group_;
    std::size_t C_group_;
    T* rates_;
    T* B_vectors_;
    T* C_vectors_;
    T* B_rows_;
    T* C_rows_;
};

}  // namespace ssm::detail
