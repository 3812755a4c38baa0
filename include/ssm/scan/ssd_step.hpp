#pragma once

#include <cmath>
#include <cstddef>
#include <type_traits>

#include <ssm/core/config.hpp>
#include <ssm/scan/ssd_decay.hpp>
#include <ssm/scan/ssd_system.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm {

namespace detail {

/// What a head does in one step.
template <class T>
struct SsdHeadStep {
    std::size_t channels;
    std::size_t modes;
    T decay;
    T dt;
    const T* B;
    const T* C;
};

/// `packs` packs of channels: moves their states on, and calls `finish(pack index, S^T C, x)`.
template <std::size_t packs, class T, class Lanes, class Finish>
SSM_INLINE void ssd_step_channels(const SsdHeadStep<T>& head, Lanes lanes, const T* x, T* state,
                                  Finish&& finish) noexcept {
    using P = simd::Pack<T>;
    constexpr std::size_t w = simd::width<T>;
    P in[packs];
    P input[packs];
    P sum[packs];
    simd::unroll<packs>([&](auto p) SSM_INLINE_LAMBDA {
        in[p] = lanes.load(x + p * w);
        input[p] = in[p] * head.dt;
        sum[p] = P(T(0));
    });
    for (std::size_t n = 0; n < head.modes; ++n, state += head.channels) {
        const P b(head.B[n]);
        const P c(head.C[n]);
        simd::unroll<packs>([&](auto p) SSM_INLINE_LAMBDA {
            const P s = simd::fma(lanes.load(state + p * w), head.decay, b * input[p]);
            lanes.store(state + p * w, s);
            sum[p] = simd::fma(s, c, sum[p]);
        });
    }
    simd::unroll<packs>([&](auto p) SSM_INLINE_LAMBDA { finish(p, sum[p], in[p]); });
}

}  // namespace detail

/// One step of an SSD scan for `input.batch` streams: see `SsdSystem`. input.length is 1.
///
/// Shapes    state (batch, heads, modes, channels)
/// Expects   rows that fit; not checked here
/// Real time no allocation, no lock, bounded time
/// Cost      3 multiply-adds for each state, which is read and written once
template <class T>
void ssd_step(const SsdSystem<T>& system, const SsdInput<T>& input, StridedRows<T> y,
              T* state) noexcept {
    using P = simd::Pack<T>;
    constexpr std::size_t w = simd::width<T>;
    const std::size_t per_group = system.heads / system.groups;
    for (std::size_t b = 0; b < input.batch; ++b)
        for (std::size_t head = 0; head < system.heads; ++head) {
            const double bias =
                system.dt_bias == nullptr ? 0.0 : static_cast<double>(system.dt_bias[head]);
            const double dt =
                detail::ssd_timestep(system, bias + static_cast<double>(input.delta.at(b)[head]));
            const std::size_t map = head / per_group * system.modes;
            const detail::SsdHeadStep<T> step{
                system.channels,
                system.modes,
                static_cast<T>(std::exp(dt * detail::ssd_rate(system, head))),
                static_cast<T>(dt),
                input.B.at(b) + map,
                input.C.at(b) + map};
            const std::size_t channel = head * system.channels;
            T* states = state + (b * system.heads + head) * system.modes * system.channels;
            const auto run = [&](auto packs, auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
                detail::ssd_step_channels<packs>(
                    step, lanes, input.x.at(b) + channel + i, states + i,
                    [&](auto p, P sum, P x) SSM_INLINE_LAMBDA {
                        lanes.store(
                            y.at(b) + channel + i + p * w,
                            simd::fma(detail::ssd_skip(system, lanes, head, i + p * w), x, sum));
                    });
            };
            std::size_t i = 0;
            for (; i + 4 * w <= system.channels; i += 4 * w)
                run(std::integral_constant<std::size_t, 4>{}, simd::AllLanes<T>{}, i);
            simd::for_each_pack<T>(system.channels - i,
                                   [&](auto lanes, std::size_t j) SSM_INLINE_LAMBDA {
                                       run(std::integral_constant<std::size_t, 1>{}, lanes, i + j);
                                   });
        }
}

}  // namespace ssm
