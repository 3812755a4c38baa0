#pragma once

#include <cstddef>
#include <type_traits>

#include <ssm/core/batch.hpp>
#include <ssm/core/config.hpp>
#include <ssm/math/smooth_activations.hpp>
#include <ssm/scan/selective_discretization.hpp>
#include <ssm/scan/selective_number.hpp>
#include <ssm/scan/selective_system.hpp>
#include <ssm/scan/selective_tile.hpp>
#include <ssm/simd/exp.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm {

namespace detail {

/// One step of one vector of channels: moves its states on and returns sum_n C h.
template <class Number, class Discretization, class T = RealOfNumber<Number>>
[[nodiscard]] SSM_INLINE simd::Pack<T> selective_step_vector(
    const SelectiveSystem<Number>& system, const SelectiveInput<Number>& input,
    const SelectiveSections& sections, std::size_t b, std::size_t section, std::size_t channel,
    std::size_t lanes, simd::Pack<T> dt, simd::Pack<T> u, Number* state) noexcept {
    using P = simd::Pack<T>;
    using V = typename SelectiveVector<Number>::Vector;
    const P unit(static_cast<T>(Discretization::unit(V{})));
    const P dtu = dt * u;
    const auto map_at = [&](const SelectiveMap<const Number>& map, std::size_t group,
                            std::size_t n) {
        if (map.is_constant())
            return gather(map.data + n * system.channels + channel, lanes);
        const Number number = map.at(b, group, system.modes)[n];
        if constexpr (SelectiveLayout<Number>::parts == 1)
            return P(number);
        else
            return V{P(number.real()), P(number.imag())};
    };
    P sum(T(0));
    for (std::size_t n = 0; n < system.modes; ++n) {
        const std::size_t at = n * system.channels + channel;
        V rate = gather(system.A + at, lanes);
        if constexpr (SelectiveLayout<Number>::parts == 1)
            if (system.log_A)
                rate = -simd::exp(rate);
        V in = map_at(input.B, sections.B_group(section), n) * dtu;
        V decay;
        if constexpr (Discretization::has_gain) {
            const auto d = Discretization::decay_and_gain(rate * unit * dt);
            decay = d.exp;
            in *= d.phi1;
        } else {
            decay = Discretization::decay(rate * unit * dt);
        }
        const V h = simd::fma(decay, gather(state + at, lanes), in);
        scatter(state + at, h, lanes);
        sum = real_fma(map_at(input.C, sections.C_group(section), n), h, sum);
    }
    return sum;
}

}  // namespace detail

/// One step of the selective scan for `batch` streams, known as selective_state_update: see `SelectiveSystem`.
///
/// Shapes    input of length 1; y (batch, 1, channels); state (batch, modes, channels)
/// Expects   views that fit; not checked here
/// Real time no allocation, no lock, bounded time
/// Cost      as a step of `selective_forward`, and an exponential more a mode if A is a logarithm
template <class Discretization = SimplifiedZoh, class Number, class T>
void selective_step(const SelectiveSystem<Number>& system, const SelectiveInput<Number>& input,
                    BatchView<T> y, Number* state) noexcept {
    using P = simd::Pack<T>;
    const detail::SelectiveSections sections = detail::selective_sections(system, input);
    const detail::SelectiveTimestep<T> timestep{system.softplus};
    for (std::size_t b = 0; b < y.batch(); ++b)
        for (std::size_t section = 0; section < sections.count; ++section)
            for (std::size_t i = 0; i < sections.channels; i += simd::width<T>) {
                const auto run = [&](auto lanes) SSM_INLINE_LAMBDA {
                    const std::size_t channel = section * sections.channels + i;
                    const auto row = [&](const T* data, std::size_t stride) {
                        return data == nullptr ? P(T(0))
                                               : detail::gather(data + b * stride + channel, lanes);
                    };
                    const P u = row(input.u.data(), system.channels);
                    const P dt = timestep(row(input.delta.data(), system.channels) +
                                          row(system.delta_bias, 0));
                    const P sum = detail::selective_step_vector<Number, Discretization>(
                        system, input, sections, b, section, channel, lanes, dt, u,
                        state + b * system.modes * system.channels);
                    P v = simd::fma(sum, detail::SelectiveVector<Number>::weight,
                                    row(system.D, 0) * u);
                    if (!input.z.empty())
                        v *= math::Silu{}(row(input.z.data(), system.channels));
                    detail::scatter(y.data() + b * system.channels + channel, v, lanes);
                };
                // A constant number of lanes leaves no test for tails in the loop over modes.
                if (i + simd::width<T> <= sections.channels)
                    run(std::integral_constant<std::size_t, simd::width<T>>{});
                else
                    run(sections.channels - i);
            }
}

}  // namespace ssm
