#pragma once

#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/scan/selective_number.hpp>
#include <ssm/scan/selective_tile.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/unroll.hpp>

/// Adjoint of the steps of one vector of channels: the states again from a checkpoint, then backwards through them.
///
///   lambda_t = weight C_t* gv_t + a_{t+1}* lambda_{t+1}                the gradient of h_t
///   dC_t = weight gv_t h_t*         dB_t = lambda_t (gain dt u)*        du_t  = dt Re(lambda_t* gain B_t)
///   e_t  = lambda_t (a_t h_{t-1})*  dA   = sum_t dt e_t                 d dt_t = Re(e_t A*) + u Re(lambda_t* B_t)
namespace ssm::detail {

/// The steps of one vector of channels in the level 1 cache, one vector a step.
template <class T>
struct SelectiveAdjointRows {
    const T* dt;
    const T* dtu;    ///< dt u
    const T* dy;     ///< the gradient before the gate
    T* y;            ///< the output before the gate is added to it
    T* du_by_dt;     ///< Re sum lambda* gain B
    T* ddt_by_rate;  ///< Re sum e* A, in units of the rates
    T* ddt_by_u;     ///< Re sum lambda* a B; only with a gain, else equal to du_by_dt
};

/// What is summed over channels or over steps.
template <class T>
struct SelectiveSums {
    T* A;
    T* B;
    T* C;
    std::size_t B_step;  ///< from one step to the next: 0 for constants, which are summed over steps
    std::size_t C_step;
};

/// Vectors that `selective_adjoint` keeps between its two directions.
template <class Number, class Discretization>
[[nodiscard]] constexpr std::size_t selective_kept() noexcept {
    return (Discretization::has_gain ? 3 : 2) * selective_steps * selective_modes *
           SelectiveLayout<Number>::vector;
}

/// Steps begin .. end - 1 of a tile, whose first state is `first` (null: zero). `carry` is the gradient of the state
/// behind the last step on entry and of the first state on return.
template <class Number, class Discretization, class Maps, class T>
void selective_adjoint(const SelectiveMapRows<T>& B, const SelectiveMapRows<T>& C, const T* rates,
                       const SelectiveAdjointRows<T>& rows, const SelectiveSums<T>& sums,
                       std::size_t begin, std::size_t end, std::size_t modes, const T* first,
                       T* carry, T* kept) noexcept {
    using V = typename SelectiveVector<Number>::Vector;
    using P = simd::Pack<T>;
    constexpr std::size_t w = simd::width<T>;
    constexpr std::size_t vector = SelectiveLayout<Number>::vector;
    constexpr std::size_t group = selective_modes;
    constexpr std::size_t block = group * vector;
    T* const states = kept;  // h_{t-1} at t
    T* const decays = states + selective_steps * block;
    T* const gains = decays + selective_steps * block;
    const auto at = [](std::size_t t, std::size_t i) { return t * block + i * vector; };

    for (std::size_t n = 0; n < modes; n += group) {
        V h[group];
        V rate[group];
        simd::unroll<group>([&](auto i) SSM_INLINE_LAMBDA {
            h[i] = first == nullptr ? zero_vector<V>() : load_vector<V>(first + (n + i) * vector);
            rate[i] = load_vector<V>(rates + (n + i) * vector);
        });
        for (std::size_t t = begin; t < end; ++t) {
            const P dt = simd::load_aligned(rows.dt + t * w);
            const P dtu = simd::load_aligned(rows.dtu + t * w);
            P sum[2] = {simd::load_aligned(rows.y + t * w), P(T(0))};
            simd::unroll<group>([&](auto i) SSM_INLINE_LAMBDA {
                store_vector(states + at(t, i), h[i]);
                V input = Maps::template at<V>(B, t, n + i) * dtu;
                V decay;
                if constexpr (Discretization::has_gain) {
                    const auto d = Discretization::decay_and_gain(rate[i] * dt);
                    decay = d.exp;
                    input *= d.phi1;
                    store_vector(gains + at(t, i), d.phi1);
                } else {
                    decay = Discretization::decay(rate[i] * dt);
                }
                store_vector(decays + at(t, i), decay);
                h[i] = simd::fma(decay, h[i], input);
                sum[i % 2] = real_fma(Maps::template at<V>(C, t, n + i), h[i], sum[i % 2]);
            });
            simd::store_aligned(rows.y + t * w, sum[0] + sum[1]);
        }

        V lambda[group];
        V dA[group];
        simd::unroll<group>([&](auto i) SSM_INLINE_LAMBDA {
            lambda[i] = load_vector<V>(carry + (n + i) * vector);
            dA[i] = load_vector<V>(sums.A + (n + i) * vector);
        });
        for (std::size_t t = end; t-- > begin;) {
            const P dt = simd::load_aligned(rows.dt + t * w);
            const P dtu = simd::load_aligned(rows.dtu + t * w);
            const P dy = simd::load_aligned(rows.dy + t * w);
            P du = simd::load_aligned(rows.du_by_dt + t * w);
            P by_rate = simd::load_aligned(rows.ddt_by_rate + t * w);
            P by_u(T(0));
            if constexpr (Discretization::has_gain)
                by_u = simd::load_aligned(rows.ddt_by_u + t * w);
            simd::unroll<group>([&](auto i) SSM_INLINE_LAMBDA {
                T* const dB = sums.B + t * sums.B_step + (n + i) * vector;
                T* const dC = sums.C + t * sums.C_step + (n + i) * vector;
                const V b = Maps::template at<V>(B, t, n + i);
                const V before = load_vector<V>(states + at(t, i));
                const V decay = load_vector<V>(decays + at(t, i));
                lambda[i] = dual_fma(Maps::template at<V>(C, t, n + i), dy, lambda[i]);
                store_vector(dC, dual_fma(h[i], dy, load_vector<V>(dC)));
                const V passed = dual_mul(decay, lambda[i]);
                V e = dual_mul(before, passed);
                if constexpr (Discretization::has_gain) {
                    const V gain = load_vector<V>(gains + at(t, i));
                    const V slope = Discretization::gain_derivative(rate[i] * dt, {decay, gain});
                    store_vector(dB, simd::fma(dual_mul(gain, lambda[i]), dtu, load_vector<V>(dB)));
                    du = real_dual_fma(gain * b, lambda[i], du);
                    by_u = real_dual_fma(decay * b, lambda[i], by_u);
                    by_rate = real_dual_fma(rate[i], e, by_rate);
                    e += dual_mul(slope * b, lambda[i]) * dtu;
                } else {
                    store_vector(dB, simd::fma(lambda[i], dtu, load_vector<V>(dB)));
                    du = real_dual_fma(b, lambda[i], du);
                    by_rate = real_dual_fma(rate[i], e, by_rate);
                }
                dA[i] = simd::fma(e, dt, dA[i]);
                lambda[i] = passed;
                h[i] = before;
            });
            simd::store_aligned(rows.du_by_dt + t * w, du);
            simd::store_aligned(rows.ddt_by_rate + t * w, by_rate);
            if constexpr (Discretization::has_gain)
                simd::store_aligned(rows.ddt_by_u + t * w, by_u);
        }
        simd::unroll<group>([&](auto i) SSM_INLINE_LAMBDA {
            store_vector(carry + (n + i) * vector, lambda[i]);
            store_vector(sums.A + (n + i) * vector, dA[i]);
        });
    }
}

}  // namespace ssm::detail
