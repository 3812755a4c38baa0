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

/// Vectors of channels that go through the adjoint together: what they add to dB and dC is summed in registers.
template <class Maps>
inline constexpr std::size_t selective_pair = 1;
template <>
inline constexpr std::size_t selective_pair<SharedMaps> = simd::registers >= 32 ? 2 : 1;

/// The steps of `packs` vectors of channels in the level 1 cache: one vector a step, `selective_steps` steps of one
/// after those of the other.
template <class T>
struct SelectiveAdjointRows {
    T* dt;
    T* dtu;          ///< dt u
    T* dy;           ///< the gradient before the gate
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
    std::size_t
        B_step;  ///< from one step to the next: 0 for constants, which are summed over steps
    std::size_t C_step;
};

/// The adjoint of a stretch of steps for `packs` vectors of channels and a group of modes at a time.
template <std::size_t packs, class Number, class Discretization, class Maps>
class SelectiveAdjoint {
    using T = RealOfNumber<Number>;
    using V = typename SelectiveVector<Number>::Vector;
    using P = simd::Pack<T>;
    static constexpr std::size_t w = simd::width<T>;
    static constexpr std::size_t vector = SelectiveLayout<Number>::vector;
    static constexpr std::size_t group = Maps::group;
    static constexpr std::size_t many = packs * group;
    static constexpr std::size_t block = many * vector;
    static constexpr bool has_gain = Discretization::has_gain;

public:
    /// Numbers of `kept`: states before and behind each step, decays and gains.
    static constexpr std::size_t kept_size = ((has_gain ? 3 : 2) * selective_steps + 1) * block;

    SelectiveAdjoint(const SelectiveMapRows<T>& B, const SelectiveMapRows<T>& C, const T* rates,
                     const SelectiveAdjointRows<T>& rows, const SelectiveSums<T>& sums,
                     std::size_t modes, T* kept) noexcept
        : B_(B),
          C_(C),
          rates_(rates),
          rows_(rows),
          sums_(sums),
          modes_(modes),
          states_(kept),
          decays_(states_ + (selective_steps + 1) * block),
          gains_(decays_ + selective_steps * block) {}

    /// Steps begin .. end - 1 of the tile, whose first states are at `first` (null: zero). `carry` is the gradient of
    /// the states behind the last step on entry and of the first states on return.
    void run(std::size_t begin, std::size_t end, const T* first, T* carry) const noexcept {
        for (std::size_t n = 0; n < modes_; n += group) {
            compute_states(n, begin, end, first);
            go_back(n, begin, end, carry);
        }
    }

private:
    /// Vector i = (pack, mode) of a (pack, modes) array.
    [[nodiscard]] SSM_INLINE std::size_t of(std::size_t n, std::size_t i) const noexcept {
        return (i / group * modes_ + n + i % group) * vector;
    }
    [[nodiscard]] SSM_INLINE static std::size_t row(std::size_t p, std::size_t t) noexcept {
        return (p * selective_steps + t) * w;
    }

    void compute_states(std::size_t n, std::size_t begin, std::size_t end,
                        const T* first) const noexcept {
        V h[many];
        simd::unroll<many>([&](auto i) SSM_INLINE_LAMBDA {
            h[i] = first == nullptr ? zero_vector<V>() : load_vector<V>(first + of(n, i));
        });
        for (std::size_t t = begin; t < end; ++t)
            simd::unroll<packs>([&](auto p) SSM_INLINE_LAMBDA {
                const P dt = simd::load_aligned(rows_.dt + row(p, t));
                const P dtu = simd::load_aligned(rows_.dtu + row(p, t));
                P sum[2] = {simd::load_aligned(rows_.y + row(p, t)), P(T(0))};
                simd::unroll<group>([&](auto m) SSM_INLINE_LAMBDA {
                    constexpr std::size_t i = p * group + m;
                    const std::size_t at = t * block + i * vector;
                    const V rate = load_vector<V>(rates_ + of(n, i));
                    V input = Maps::template at<V>(B_, t, n + m) * dtu;
                    V decay;
                    if constexpr (has_gain) {
                        const auto d = Discretization::decay_and_gain(rate * dt);
                        decay = d.exp;
                        input *= d.phi1;
                        store_vector(gains_ + at, d.phi1);
                    } else {
                        decay = Discretization::decay(rate * dt);
                    }
                    store_vector(states_ + at, h[i]);
                    store_vector(decays_ + at, decay);
                    h[i] = simd::fma(decay, h[i], input);
                    sum[m % 2] = real_fma(Maps::template at<V>(C_, t, n + m), h[i], sum[m % 2]);
                });
                simd::store_aligned(rows_.y + row(p, t), sum[0] + sum[1]);
            });
        simd::unroll<many>([&](auto i) SSM_INLINE_LAMBDA {
            store_vector(states_ + end * block + i * vector, h[i]);
        });
    }

    void go_back(std::size_t n, std::size_t begin, std::size_t end, T* carry) const noexcept {
        V lambda[many];
        V dA[many];
        simd::unroll<many>([&](auto i) SSM_INLINE_LAMBDA {
            lambda[i] = load_vector<V>(carry + of(n, i));
            dA[i] = load_vector<V>(sums_.A + of(n, i));
        });
        for (std::size_t t = end; t-- > begin;) {
            P du[packs];
            P by_rate[packs];
            P by_u[packs];
            simd::unroll<packs>([&](auto p) SSM_INLINE_LAMBDA {
                du[p] = simd::load_aligned(rows_.du_by_dt + row(p, t));
                by_rate[p] = simd::load_aligned(rows_.ddt_by_rate + row(p, t));
                if constexpr (has_gain)
                    by_u[p] = simd::load_aligned(rows_.ddt_by_u + row(p, t));
            });
            simd::unroll<group>([&](auto m) SSM_INLINE_LAMBDA {
                T* const to_B = sums_.B + t * sums_.B_step + (n + m) * vector;
                T* const to_C = sums_.C + t * sums_.C_step + (n + m) * vector;
                V dB = load_vector<V>(to_B);
                V dC = load_vector<V>(to_C);
                const V b = Maps::template at<V>(B_, t, n + m);
                const V c = Maps::template at<V>(C_, t, n + m);
                simd::unroll<packs>([&](auto p) SSM_INLINE_LAMBDA {
                    constexpr std::size_t i = p * group + m;
                    const std::size_t at = t * block + i * vector;
                    const P dt = simd::load_aligned(rows_.dt + row(p, t));
                    const P dtu = simd::load_aligned(rows_.dtu + row(p, t));
                    const P dy = simd::load_aligned(rows_.dy + row(p, t));
                    const V rate = load_vector<V>(rates_ + of(n, i));
                    const V decay = load_vector<V>(decays_ + at);
                    dC = dual_fma(load_vector<V>(states_ + at + block), dy, dC);
                    lambda[i] = dual_fma(c, dy, lambda[i]);
                    const V passed = dual_mul(decay, lambda[i]);
                    V e = dual_mul(load_vector<V>(states_ + at), passed);
                    by_rate[p] = real_dual_fma(rate, e, by_rate[p]);
                    if constexpr (has_gain) {
                        const V gain = load_vector<V>(gains_ + at);
                        const V slope = Discretization::gain_derivative(rate * dt, {decay, gain});
                        dB = simd::fma(dual_mul(gain, lambda[i]), dtu, dB);
                        du[p] = real_dual_fma(gain * b, lambda[i], du[p]);
                        by_u[p] = real_dual_fma(decay * b, lambda[i], by_u[p]);
                        e += dual_mul(slope * b, lambda[i]) * dtu;
                    } else {
                        dB = simd::fma(lambda[i], dtu, dB);
                        du[p] = real_dual_fma(b, lambda[i], du[p]);
                    }
                    dA[i] = simd::fma(e, dt, dA[i]);
                    lambda[i] = passed;
                });
                store_vector(to_B, dB);
                store_vector(to_C, dC);
            });
            simd::unroll<packs>([&](auto p) SSM_INLINE_LAMBDA {
                simd::store_aligned(rows_.du_by_dt + row(p, t), du[p]);
                simd::store_aligned(rows_.ddt_by_rate + row(p, t), by_rate[p]);
                if constexpr (has_gain)
                    simd::store_aligned(rows_.ddt_by_u + row(p, t), by_u[p]);
            });
        }
        simd::unroll<many>([&](auto i) SSM_INLINE_LAMBDA {
            store_vector(carry + of(n, i), lambda[i]);
            store_vector(sums_.A + of(n, i), dA[i]);
        });
    }

    const SelectiveMapRows<T>& B_;
    const SelectiveMapRows<T>& C_;
    const T* rates_;
    const SelectiveAdjointRows<T>& rows_;
    const SelectiveSums<T>& sums_;
    std::size_t modes_;
    T* states_;
    T* decays_;
    T* gains_;
};

}  // namespace ssm::detail
