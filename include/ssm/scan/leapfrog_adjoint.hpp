#pragma once

#include <algorithm>
#include <complex>
#include <cstddef>
#include <type_traits>

#include <ssm/discretize/modes.hpp>
#include <ssm/scan/leapfrog.hpp>
#include <ssm/simd/bits.hpp>
#include <ssm/simd/convert.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/unroll.hpp>

/// Backward of the leapfrog recurrence. With V and D for the gradients of v and d, from the last
/// step to the first:
///
///   V_t = b dy_t + V_{t+1} - q D_{t+1}            du_t = D_t
///   D_t = c dy_t + V_t + D_{t+1} - p D_{t+1}
///   G(p) = - sum D_t d_{t-1}     G(q) = - sum D_t v_{t-1}
///   G(b) = sum dy_t v_t          G(c) = sum dy_t d_t
///
/// and from the four real numbers of a mode to its pole and residue by the chain rule, in double.
namespace ssm::detail {

/// Steps between checkpoints of the state.
inline constexpr std::size_t adjoint_steps = 64;

/// Runs `count` slots of one register's lanes; with `keeps`, v and d before and after each step go
/// to `path`, [steps + 1][count][v, d][width].
template <std::size_t count, bool keeps, class T, class Arch = simd::Arch>
void leapfrog_states(const T* dynamics, const T* u, std::size_t steps, T* state, T* path) noexcept {
    using Pack = simd::Pack<T>;
    constexpr std::size_t lanes = line<T>;
    constexpr std::size_t width = simd::width<T>;
    Pack v[count], d[count];
    const auto keep = [&](auto k, std::size_t t) SSM_INLINE_LAMBDA {
        if constexpr (keeps) {
            simd::store_aligned(path + (t * count + k) * 2 * width, v[k]);
            simd::store_aligned(path + ((t * count + k) * 2 + 1) * width, d[k]);
        }
    };
    const auto flip = [&](auto k, Pack x) SSM_INLINE_LAMBDA {
        return simd::detail::flip_sign(
            x, simd::detail::bits(simd::load_aligned(dynamics + (3 * k + 2) * lanes)));
    };
    simd::unroll<count>([&](auto k) SSM_INLINE_LAMBDA {
        v[k] = simd::load_aligned(state + 2 * k * lanes);
        d[k] = simd::load_aligned(state + (2 * k + 1) * lanes);
        keep(k, 0);
    });
    for (std::size_t t = 0; t < steps; ++t) {
        const Pack input = simd::load_aligned(u + t * lanes);
        simd::unroll<count>([&](auto k) SSM_INLINE_LAMBDA {
            const Pack p = simd::load_aligned(dynamics + 3 * k * lanes);
            const Pack q = simd::load_aligned(dynamics + (3 * k + 1) * lanes);
            const Pack force = t % 2 == 0 ? flip(k, input) : input;
            d[k] += simd::fnma(q, v[k], simd::fnma(p, d[k], force));
            v[k] += d[k];
            keep(k, t + 1);
        });
    }
    simd::unroll<count>([&](auto k) SSM_INLINE_LAMBDA {
        simd::store_aligned(state + 2 * k * lanes, steps % 2 == 0 ? v[k] : flip(k, v[k]));
        simd::store_aligned(state + (2 * k + 1) * lanes, steps % 2 == 0 ? d[k] : flip(k, d[k]));
    });
}

/// total += x, in double.
template <class T, class Arch = simd::Arch>
SSM_INLINE void add_widened(simd::Pack<T> x, double* total) noexcept {
    alignas(alignment) T numbers[simd::width<T>];
    simd::store_aligned(numbers, x);
    for (std::size_t i = 0; i < simd::width<T>; i += simd::width<double>)
        simd::store(total + i, simd::load(total + i) + simd::load_widened(numbers + i));
}

/// Where the gradients of `count` slots are added: rows of one line for p and q, and for b and c of
/// one head.
struct LeapfrogTotals {
    double* dynamics;
    double* readout;
    std::size_t stride;  ///< from slot to slot
};

/// Goes back over `steps` steps whose path was kept. `adjoint`, [slot][v, d][line], holds the
/// gradient of the state after the last step and receives that of the state before the first; adds
/// to du.
template <std::size_t count, class T, class Arch = simd::Arch>
void leapfrog_adjoint(const T* dynamics, const T* readout, const T* path, const T* dy, T* du,
                      std::size_t steps, T* adjoint, LeapfrogTotals totals) noexcept {
    using Pack = simd::Pack<T>;
    constexpr std::size_t lanes = line<T>;
    constexpr std::size_t width = simd::width<T>;
    Pack v[count], d[count], of_p[count], of_q[count], of_b[count], of_c[count];
    const auto flip = [&](auto k, Pack x) SSM_INLINE_LAMBDA {
        return simd::detail::flip_sign(
            x, simd::detail::bits(simd::load_aligned(dynamics + (3 * k + 2) * lanes)));
    };
    simd::unroll<count>([&](auto k) SSM_INLINE_LAMBDA {
        v[k] = simd::load_aligned(adjoint + 2 * k * lanes);
        d[k] = simd::load_aligned(adjoint + (2 * k + 1) * lanes);
        if (steps % 2 != 0) {
            v[k] = flip(k, v[k]);
            d[k] = flip(k, d[k]);
        }
        of_p[k] = of_q[k] = of_b[k] = of_c[k] = Pack(T(0));
    });
    const auto step = [&](auto is_flipped, std::size_t t) SSM_INLINE_LAMBDA {
        const Pack upstream = simd::load_aligned(dy + t * lanes);
        Pack sum = simd::load_aligned(du + t * lanes);
        simd::unroll<count>([&](auto k) SSM_INLINE_LAMBDA {
            const T* const before = path + (t * count + k) * 2 * width;
            const T* const after = before + count * 2 * width;
            const Pack g = is_flipped ? flip(k, upstream) : upstream;
            of_b[k] = simd::fma(g, simd::load_aligned(after), of_b[k]);
            of_c[k] = simd::fma(g, simd::load_aligned(after + width), of_c[k]);
            const Pack to_v = simd::fma(g, simd::load_aligned(readout + 4 * k * lanes), v[k]);
            const Pack to_d =
                simd::fma(g, simd::load_aligned(readout + (4 * k + 1) * lanes), d[k]) + to_v;
            of_p[k] = simd::fnma(to_d, simd::load_aligned(before + width), of_p[k]);
            of_q[k] = simd::fnma(to_d, simd::load_aligned(before), of_q[k]);
            d[k] = simd::fnma(to_d, simd::load_aligned(dynamics + 3 * k * lanes), to_d);
            v[k] = simd::fnma(to_d, simd::load_aligned(dynamics + (3 * k + 1) * lanes), to_v);
            sum += is_flipped ? flip(k, to_d) : to_d;
        });
        simd::store_aligned(du + t * lanes, sum);
    };
    std::size_t t = steps;
    if (t % 2 != 0)
        step(std::true_type{}, --t);
    while (t > 0) {
        step(std::false_type{}, --t);
        step(std::true_type{}, --t);
    }
    simd::unroll<count>([&](auto k) SSM_INLINE_LAMBDA {
        simd::store_aligned(adjoint + 2 * k * lanes, v[k]);
        simd::store_aligned(adjoint + (2 * k + 1) * lanes, d[k]);
        add_widened(of_p[k], totals.dynamics + k * totals.stride);
        add_widened(of_q[k], totals.dynamics + k * totals.stride + lanes);
        add_widened(of_b[k], totals.readout + k * totals.stride);
        add_widened(of_c[k], totals.readout + k * totals.stride + lanes);
    });
}

/// Adds what the totals of a tile, [slot][p, q, (b, c) of each head][line], say of poles and
/// residues.
template <class T>
void leapfrog_chain_rule(const LeapfrogTile& tile, const double* totals, const Modes& modes,
                         Modes& gradient) {
    using Complex = std::complex<double>;
    const std::size_t heads = modes.shape.heads;
    const std::size_t stride = (2 + 2 * heads) * line<T>;
    for (std::size_t lane = 0; lane < line<T>; ++lane)
        for (std::size_t slot = 0; slot < tile.slots; ++slot) {
            const std::size_t n = tile.mode(lane, slot);
            if (tile.channel(lane) >= tile.channels || n >= modes.shape.modes)
                continue;
            const double* const total = totals + slot * stride + lane;
            const std::size_t h = tile.first + tile.channel(lane);
            const std::size_t pole = modes.pole(h, n);
            const double sign = modes.pole_re[pole] < 0.0 ? -1.0 : 1.0;
            const Complex z(sign * modes.pole_re[pole], sign * modes.pole_im[pole]);
            Complex to_z = -2.0 * (z * total[0] + (1.0 - z) * total[line<T>]);
            for (std::size_t c = 0; c < heads; ++c) {
                const double of_b = total[(2 + 2 * c) * line<T>];
                const double of_c = total[(3 + 2 * c) * line<T>];
                const std::size_t r = modes.residue(c, h, n);
                const Complex to_r = (1.0 - z) * of_b + z * of_c;
                to_z += (of_c - of_b) * Complex(modes.residue_re[r], modes.residue_im[r]);
                gradient.residue_re[r] += to_r.real();
                gradient.residue_im[r] += to_r.imag();
            }
            gradient.pole_re[pole] += sign * to_z.real();
            gradient.pole_im[pole] += sign * to_z.imag();
        }
}

}  // namespace ssm::detail
