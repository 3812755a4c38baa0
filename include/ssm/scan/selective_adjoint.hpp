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

/// What is kept of a step of one vector of channels in the level 1 cache: a vector each, next to each other, so that
/// one pointer leads to all of them.
enum SelectiveRow : std::size_t {
    row_dt,
    row_dtu,          ///< dt u
    row_dy,           ///< the gradient before the gate
    row_y,            ///< the output before the gate is added to it
    row_du_by_dt,     ///< Re sum lambda* gain B
    row_ddt_by_rate,  ///< Re sum e* A, in units of the rates
    row_ddt_by_u,     ///< Re sum lambda* a B; only with a gain, else equal to du_by_dt
    row_slope,        ///< of the time step by delta
    row_dgate,        ///< the gradient of the gate's argument but for the factor y
    selective_rows
};

/// Where the gradient of B or C is summed over channels, or over steps if it is constant: a vector for mode n + m of
/// step t, n being a multiple of the modes in registers together.
template <class T>
struct SelectiveMapSums {
    T* data;
    std::size_t mode;  ///< from one n to the next
    std::size_t step;  ///< 0 for constants

    [[nodiscard]] SSM_INLINE T* at(std::size_t t, std::size_t n) const noexcept {
        return data + n * mode + t * step;
    }
};

/// What is summed over channels or over steps.
template <class T>
struct SelectiveSums {
    T* A;
    SelectiveMapSums<T> B;
    SelectiveMapSums<T> C;
};

/// The adjoint of a stretch of steps for one vector of channels and a group of modes at a time. What a group keeps of
/// all steps fits into the level 1 cache; two vectors at a time would share their traffic to dB and dC, but not fit.
template <class Number, class Discretization, class Maps>
class SelectiveAdjoint {
    using T = RealOfNumber<Number>;
    using V = typename SelectiveVector<Number>::Vector;
    using P = simd::Pack<T>;
    static constexpr std::size_t w = simd::width<T>;
    static constexpr std::size_t vector = SelectiveLayout<Number>::vector;
    static constexpr std::size_t group = Maps::group;
    static constexpr std::size_t block = group * vector;
    static constexpr bool has_gain = Discretization::has_gain;
    // What is kept of a step: the states before it, its decays and its gains.
    static constexpr std::size_t decays = block;
    static constexpr std::size_t gains = 2 * block;
    static constexpr std::size_t kept_step = (has_gain ? 3 : 2) * block;

public:
    /// Numbers of `rows`.
    static constexpr std::size_t rows_size = selective_steps * selective_rows * w;
    /// Numbers of `kept`.
    static constexpr std::size_t kept_size = selective_steps * kept_step + block;

    SelectiveAdjoint(const SelectiveMapRows<T>& B, const SelectiveMapRows<T>& C, const T* rates,
                     T* rows, const SelectiveSums<T>& sums, std::size_t modes, T* kept) noexcept
        : B_(B), C_(C), rates_(rates), rows_(rows), sums_(sums), modes_(modes), kept_(kept) {}

    /// Row `which` of step t.
    [[nodiscard]] SSM_INLINE static std::size_t row(std::size_t t, SelectiveRow which) noexcept {
        return (t * selective_rows + which) * w;
    }

    /// Steps begin .. end - 1 of the tile, whose first states are at `first` (null: zero). `carry` is the gradient of
    /// the states behind the last step on entry and of the first states on return. `pause(n)` is called before each
    /// group of modes.
    template <class Pause>
    void run(std::size_t begin, std::size_t end, const T* first, T* carry,
             Pause&& pause) const noexcept {
        for (std::size_t n = 0; n < modes_; n += group) {
            pause(n);
            compute_states(n, begin, end, first);
            go_back(n, begin, end, carry);
        }
    }

private:
    // Both loops work on copies of the members: a store of a vector may change anything, so that members would be
    // read again behind each.

    void compute_states(std::size_t n, std::size_t begin, std::size_t end,
                        const T* first) const noexcept {
        const SelectiveMapRows<T> B = B_;
        const SelectiveMapRows<T> C = C_;
        const T* const rates = rates_ + n * vector;
        T* const rows = rows_;
        T* const kept = kept_;
        V h[group];
        simd::unroll<group>([&](auto m) SSM_INLINE_LAMBDA {
            h[m] = first == nullptr ? zero_vector<V>() : load_vector<V>(first + (n + m) * vector);
        });
        for (std::size_t t = begin; t < end; ++t) {
            const P dt = simd::load_aligned(rows + row(t, row_dt));
            const P dtu = simd::load_aligned(rows + row(t, row_dtu));
            P sum[2] = {simd::load_aligned(rows + row(t, row_y)), P(T(0))};
            simd::unroll<group>([&](auto m) SSM_INLINE_LAMBDA {
                T* const step = kept + t * kept_step + m * vector;
                const V rate = load_vector<V>(rates + m * vector);
                V input = Maps::template at<V>(B, t, n + m) * dtu;
                V decay;
                if constexpr (has_gain) {
                    const auto d = Discretization::decay_and_gain(rate * dt);
                    decay = d.exp;
                    input *= d.phi1;
                    store_vector(step + gains, d.phi1);
                } else {
                    decay = Discretization::decay(rate * dt);
                }
                store_vector(step, h[m]);
                store_vector(step + decays, decay);
                h[m] = simd::fma(decay, h[m], input);
                sum[m % 2] = real_fma(Maps::template at<V>(C, t, n + m), h[m], sum[m % 2]);
            });
            simd::store_aligned(rows + row(t, row_y), sum[0] + sum[1]);
        }
        simd::unroll<group>([&](auto m) SSM_INLINE_LAMBDA {
            store_vector(kept + end * kept_step + m * vector, h[m]);
        });
    }

    void go_back(std::size_t n, std::size_t begin, std::size_t end, T* carry) const noexcept {
        const SelectiveMapRows<T> B = B_;
        const SelectiveMapRows<T> C = C_;
        const SelectiveSums<T> sums = sums_;
        const T* const rates = rates_ + n * vector;
        T* const rows = rows_;
        const T* const kept = kept_;
        V lambda[group];
        V dA[group];
        simd::unroll<group>([&](auto m) SSM_INLINE_LAMBDA {
            lambda[m] = load_vector<V>(carry + (n + m) * vector);
            dA[m] = load_vector<V>(sums.A + (n + m) * vector);
        });
        for (std::size_t t = end; t-- > begin;) {
            const P dt = simd::load_aligned(rows + row(t, row_dt));
            const P dtu = simd::load_aligned(rows + row(t, row_dtu));
            const P dy = simd::load_aligned(rows + row(t, row_dy));
            P du = simd::load_aligned(rows + row(t, row_du_by_dt));
            P by_rate = simd::load_aligned(rows + row(t, row_ddt_by_rate));
            P by_u(T(0));
            if constexpr (has_gain)
                by_u = simd::load_aligned(rows + row(t, row_ddt_by_u));
            simd::unroll<group>([&](auto m) SSM_INLINE_LAMBDA {
                const T* const step = kept + t * kept_step + m * vector;
                T* const to_B = sums.B.at(t, n) + m * vector;
                T* const to_C = sums.C.at(t, n) + m * vector;
                V dB = load_vector<V>(to_B);
                V dC = load_vector<V>(to_C);
                const V b = Maps::template at<V>(B, t, n + m);
                const V c = Maps::template at<V>(C, t, n + m);
                const V rate = load_vector<V>(rates + m * vector);
                const V decay = load_vector<V>(step + decays);
                dC = dual_fma(load_vector<V>(step + kept_step), dy, dC);
                lambda[m] = dual_fma(c, dy, lambda[m]);
                const V passed = dual_mul(decay, lambda[m]);
                V e = dual_mul(load_vector<V>(step), passed);
                by_rate = real_dual_fma(rate, e, by_rate);
                if constexpr (has_gain) {
                    const V gain = load_vector<V>(step + gains);
                    const V slope = Discretization::gain_derivative(rate * dt, {decay, gain});
                    dB = simd::fma(dual_mul(gain, lambda[m]), dtu, dB);
                    du = real_dual_fma(gain * b, lambda[m], du);
                    by_u = real_dual_fma(decay * b, lambda[m], by_u);
                    e += dual_mul(slope * b, lambda[m]) * dtu;
                } else {
                    dB = simd::fma(lambda[m], dtu, dB);
                    du = real_dual_fma(b, lambda[m], du);
                }
                dA[m] = simd::fma(e, dt, dA[m]);
                lambda[m] = passed;
                store_vector(to_B, dB);
                store_vector(to_C, dC);
            });
            simd::store_aligned(rows + row(t, row_du_by_dt), du);
            simd::store_aligned(rows + row(t, row_ddt_by_rate), by_rate);
            if constexpr (has_gain)
                simd::store_aligned(rows + row(t, row_ddt_by_u), by_u);
        }
        simd::unroll<group>([&](auto m) SSM_INLINE_LAMBDA {
            store_vector(carry + (n + m) * vector, lambda[m]);
            store_vector(sums.A + (n + m) * vector, dA[m]);
        });
    }

    SelectiveMapRows<T> B_;
    SelectiveMapRows<T> C_;
    const T* rates_;
    T* rows_;
    SelectiveSums<T> sums_;
    std::size_t modes_;
    T* kept_;
};

}  // namespace ssm::detail
