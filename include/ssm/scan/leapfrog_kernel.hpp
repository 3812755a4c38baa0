#pragma once

#include <cstddef>
#include <type_traits>

#include <ssm/scan/leapfrog.hpp>
#include <ssm/simd/bits.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// Leapfrog steps of `count` slots whose v and d stay in registers, of one register's lanes.
/// u, y       [steps][line]; adds to y
/// state      [slot][v, d][line]
template <std::size_t count, class T, class Arch = simd::Arch>
void leapfrog_slots(const T* dynamics, const T* readout, const T* u, T* y, std::size_t steps,
                    T* state) noexcept {
    using Pack = simd::Pack<T>;
    constexpr std::size_t lanes = line<T>;
    Pack v[count], d[count], p[count], q[count];
    simd::unroll<count>([&](auto k) SSM_INLINE_LAMBDA {
        v[k] = simd::load_aligned(state + 2 * k * lanes);
        d[k] = simd::load_aligned(state + (2 * k + 1) * lanes);
        p[k] = simd::load_aligned(dynamics + 3 * k * lanes);
        q[k] = simd::load_aligned(dynamics + (3 * k + 1) * lanes);
    });
    const auto sign = [&](std::size_t k) SSM_INLINE_LAMBDA {
        return simd::detail::bits(simd::load_aligned(dynamics + (3 * k + 2) * lanes));
    };
    // The first, third, ... step sees the input of modes near -1 with its sign changed.
    const auto step = [&](auto is_flipped, std::size_t t) SSM_INLINE_LAMBDA {
        const Pack input = simd::load_aligned(u + t * lanes);
        Pack from_v = simd::load_aligned(y + t * lanes);
        Pack from_d(T(0));
        simd::unroll<count>([&](auto k) SSM_INLINE_LAMBDA {
            Pack force = input;
            if constexpr (is_flipped)
                force = simd::detail::flip_sign(input, sign(k));
            d[k] += simd::fnma(q[k], v[k], simd::fnma(p[k], d[k], force));
            v[k] += d[k];
            const T* const weights = readout + (4 * k + (is_flipped ? 2 : 0)) * lanes;
            from_v = simd::fma(v[k], simd::load_aligned(weights), from_v);
            from_d = simd::fma(d[k], simd::load_aligned(weights + lanes), from_d);
        });
        simd::store_aligned(y + t * lanes, from_v + from_d);
    };
    std::size_t t = 0;
    for (; t + 2 <= steps; t += 2) {
        step(std::true_type{}, t);
        step(std::false_type{}, t + 1);
    }
    if (t < steps) {
        step(std::true_type{}, t);
        simd::unroll<count>([&](auto k) SSM_INLINE_LAMBDA {
            v[k] = simd::detail::flip_sign(v[k], sign(k));
            d[k] = simd::detail::flip_sign(d[k], sign(k));
        });
    }
    simd::unroll<count>([&](auto k) SSM_INLINE_LAMBDA {
        simd::store_aligned(state + 2 * k * lanes, v[k]);
        simd::store_aligned(state + (2 * k + 1) * lanes, d[k]);
    });
}

/// Leapfrog steps of all slots of a tile, in groups of 4: enough independent chains to hide the
/// latency of a step, few enough for their numbers to stay in 16 or 32 registers.
template <class T, class Arch = simd::Arch>
void leapfrog_tile(const T* dynamics, const T* readout, std::size_t slots, const T* u, T* y,
                   std::size_t steps, T* state) noexcept {
    constexpr std::size_t lanes = line<T>;
    for (std::size_t lane = 0; lane < lanes; lane += simd::width<T>) {
        std::size_t slot = 0;
        const auto run = [&](auto count) SSM_INLINE_LAMBDA {
            leapfrog_slots<count>(dynamics + 3 * slot * lanes + lane,
                                  readout + 4 * slot * lanes + lane, u + lane, y + lane, steps,
                                  state + 2 * slot * lanes + lane);
            slot += count;
        };
        while (slot + 4 <= slots)
            run(std::integral_constant<std::size_t, 4>{});
        if (slot + 2 <= slots)
            run(std::integral_constant<std::size_t, 2>{});
        if (slot < slots)
            run(std::integral_constant<std::size_t, 1>{});
    }
}

/// From s = (re, im), given in v and d, to v and d: v_{t-1} = Im s / Im z, d = v - v_{t-1}.
/// For a real pole s is real and any v will do; 0 for v_{t-1} is taken.
template <class T, class Arch = simd::Arch>
void leapfrog_enter(const T* basis, std::size_t slots, T* state) noexcept {
    constexpr std::size_t lanes = line<T>;
    for (std::size_t i = 0; i < slots * lanes; i += simd::width<T>) {
        T* const at = state + i / lanes * 2 * lanes + i % lanes;
        const T* const row = basis + i / lanes * 3 * lanes + i % lanes;
        const simd::Pack<T> before =
            simd::load_aligned(at + lanes) * simd::load_aligned(row + 2 * lanes);
        const simd::Pack<T> d = simd::fnma(simd::load_aligned(row), before, simd::load_aligned(at));
        simd::store_aligned(at, before + d);
        simd::store_aligned(at + lanes, d);
    }
}

/// Back: Re s = d + (1 - Re z) v_{t-1}, Im s = Im z v_{t-1}.
template <class T, class Arch = simd::Arch>
void leapfrog_leave(const T* basis, std::size_t slots, T* state) noexcept {
    constexpr std::size_t lanes = line<T>;
    for (std::size_t i = 0; i < slots * lanes; i += simd::width<T>) {
        T* const at = state + i / lanes * 2 * lanes + i % lanes;
        const T* const row = basis + i / lanes * 3 * lanes + i % lanes;
        const simd::Pack<T> d = simd::load_aligned(at + lanes);
        const simd::Pack<T> before = simd::load_aligned(at) - d;
        simd::store_aligned(at, simd::fma(simd::load_aligned(row), before, d));
        simd::store_aligned(at + lanes, simd::load_aligned(row + lanes) * before);
    }
}

}  // namespace ssm::detail
