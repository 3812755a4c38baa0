#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/aligned.hpp>
#include <ssm/discretize/dplr_system.hpp>
#include <ssm/math/small_matrix.hpp>
#include <ssm/scan/diagonal_state.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::detail {

/// Steps that `DplrBlocks` takes at once.
inline constexpr std::size_t dplr_block = 16;

/// Coefficients of a bank that is diagonal plus low rank, lanes across the channels of a tile.
///
/// A step adds an increment to the state, x' = x + ((z - 1) x - sum_r p_r w_r + b u), and z - 1 is what is stored,
/// rounded from double: z itself would lose the decay of slow modes.
///
/// Layout    rows of one cache line: [tile][mode][re, im of z - 1, b, (p, q) of each rank, c of each head]; and for rank
///           1 [tile][dplr_block][Re q z^l b, Re q z^l p]
template <class T>
class DplrBank {
public:
    static constexpr std::size_t lanes = line<T>;

    void reset(const DplrSystem& system) {
        shape_ = system.shape;
        data_.assign(tiles() * tile_size(), T(0));
        taps_.assign(shape_.rank == 1 ? tiles() * taps_size : 0, T(0));
        for (std::size_t h = 0; h < shape_.channels; ++h) {
            for (std::size_t n = 0; n < shape_.modes; ++n)
                fill(system, h, n);
            if (shape_.rank == 1)
                fill_taps(system, h);
        }
    }

    [[nodiscard]] const DplrShape& shape() const noexcept { return shape_; }
    [[nodiscard]] std::size_t tiles() const noexcept {
        return (shape_.channels + lanes - 1) / lanes;
    }
    [[nodiscard]] std::size_t channels_of(std::size_t tile) const noexcept {
        return std::min(lanes, shape_.channels - tile * lanes);
    }
    [[nodiscard]] const T* tile(std::size_t index) const noexcept {
        return data_.data() + index * tile_size();
    }
    /// What inputs and feedbacks of rank 1 do to later feedbacks.
    [[nodiscard]] const T* taps(std::size_t index) const noexcept {
        return taps_.data() + index * taps_size;
    }
    /// From mode to mode.
    [[nodiscard]] std::size_t stride() const noexcept {
        return 2 * (2 + 2 * shape_.rank + shape_.heads) * lanes;
    }

private:
    static constexpr std::size_t taps_size = dplr_block * 2 * lanes;

    [[nodiscard]] std::size_t tile_size() const noexcept { return shape_.modes * stride(); }

    void fill(const DplrSystem& system, std::size_t h, std::size_t n) noexcept {
        T* to = data_.data() + h / lanes * tile_size() + n * stride() + h % lanes;
        const auto put = [&to](double re, double im) {
            to[0] = static_cast<T>(re);
            to[lanes] = static_cast<T>(im);
            to += 2 * lanes;
        };
        const std::size_t k = system.pole(h, n);
        put(system.z.re[k] - 1.0, system.z.im[k]);
        put(system.b.re[k], system.b.im[k]);
        for (std::size_t r = 0; r < shape_.rank; ++r) {
            const std::size_t i = system.correction(r, h, n);
            put(system.p.re[i], system.p.im[i]);
            put(system.q.re[i], system.q.im[i]);
        }
        for (std::size_t head = 0; head < shape_.heads; ++head) {
            const std::size_t i = system.readout(head, h, n);
            put(system.c.re[i], system.c.im[i]);
        }
    }

    void fill_taps(const DplrSystem& system, std::size_t h) noexcept {
        using Number = simd::Complex<double>;
        double of_b[dplr_block] = {};
        double of_p[dplr_block] = {};
        for (std::size_t n = 0; n < shape_.modes; ++n) {
            const std::size_t k = system.pole(h, n);
            const Number z{system.z.re[k], system.z.im[k]};
            const Number b{system.b.re[k], system.b.im[k]};
            const Number p{system.p.re[k], system.p.im[k]};
            Number power{system.q.re[k], system.q.im[k]};
            for (std::size_t l = 0; l < dplr_block; ++l, power *= z) {
                of_b[l] = simd::real_fma(power, b, of_b[l]);
                of_p[l] = simd::real_fma(power, p, of_p[l]);
            }
        }
        T* const to = taps_.data() + h / lanes * taps_size + h % lanes;
        for (std::size_t l = 0; l < dplr_block; ++l) {
            to[2 * l * lanes] = static_cast<T>(of_b[l]);
            to[(2 * l + 1) * lanes] = static_cast<T>(of_p[l]);
        }
    }

    DplrShape shape_{};
    AlignedVector<T> data_, taps_;
};

template <class T>
using LaneNumber = simd::Complex<simd::Pack<T>>;

/// Real and imaginary parts one line apart.
template <class T>
SSM_INLINE LaneNumber<T> load_lanes(const T* from) noexcept {
    return {simd::load_aligned(from), simd::load_aligned(from + line<T>)};
}
template <class T>
SSM_INLINE void store_lanes(T* to, LaneNumber<T> x) noexcept {
    simd::store_aligned(to, x.re);
    simd::store_aligned(to + line<T>, x.im);
}

/// `steps` steps of the channels of one tile. With `has_input` x' = A_bar x + b u, without it x' = A_bar x.
///
///   u [steps][line]   y [head][y_stride], each [steps][line]   state [mode][re, im][line]
///
/// The feedback w of a step needs all modes of the state before it, so it is summed up while that state is made.
/// `rank` is that of the system, or 0 for one known at run time.
template <class T, std::size_t rank, bool has_input, class Arch = simd::Arch>
class DplrSteps {
    using Pack = simd::Pack<T>;
    static constexpr std::size_t most = rank == 0 ? math::SmallMatrix::most : rank;

public:
    DplrSteps(const DplrShape& shape, const T* coefficients, std::size_t stride) noexcept
        : modes_(shape.modes),
          rank_at_run_time_(shape.rank),
          heads_(shape.heads),
          coefficients_(coefficients),
          stride_(stride) {}

    /// All of it, one register of lanes after the other.
    void run(const T* u, std::size_t steps, T* y, std::size_t y_stride, T* state) const noexcept {
        for (std::size_t lane = 0; lane < line<T>; lane += simd::width<T>)
            run_lanes(coefficients_ + lane, has_input ? u + lane : nullptr, steps, y + lane,
                      y_stride, state + lane);
    }

private:
    static constexpr std::size_t pair = 2 * line<T>;

    SSM_INLINE std::size_t terms() const noexcept { return rank == 0 ? rank_at_run_time_ : rank; }

    SSM_INLINE void run_lanes(const T* coefficients, const T* u, std::size_t steps, T* y,
                              std::size_t y_stride, T* state) const noexcept {
        Pack w[most];
        for (std::size_t r = 0; r < terms(); ++r)
            w[r] = Pack(T(0));
        for (std::size_t n = 0; n < modes_; ++n)
            for (std::size_t r = 0; r < terms(); ++r)
                w[r] = simd::real_fma(load_lanes(q(coefficients, n, r)),
                                      load_lanes(state + n * pair), w[r]);
        for (std::size_t t = 0; t < steps; ++t) {
            step(coefficients, has_input ? simd::load_aligned(u + t * line<T>) : Pack(T(0)), w,
                 y + t * line<T>, state);
            for (std::size_t head = 1; head < heads_; ++head)
                simd::store_aligned(y + head * y_stride + t * line<T>,
                                    read(coefficients, head, state));
        }
    }

    /// The next state, its feedback in `w`, and the output of head 0. Two sums of each kind: one would be a chain
    /// as long as the arithmetic.
    SSM_INLINE void step(const T* coefficients, Pack u, Pack (&w)[most], T* y,
                         T* state) const noexcept {
        Pack even[most], odd[most];
        for (std::size_t r = 0; r < terms(); ++r)
            even[r] = odd[r] = Pack(T(0));
        Pack y_even(T(0)), y_odd(T(0));
        std::size_t n = 0;
        for (; n + 2 <= modes_; n += 2) {
            advance(coefficients + n * stride_, u, w, state + n * pair, even, y_even);
            advance(coefficients + (n + 1) * stride_, u, w, state + (n + 1) * pair, odd, y_odd);
        }
        if (n < modes_)
            advance(coefficients + n * stride_, u, w, state + n * pair, even, y_even);
        for (std::size_t r = 0; r < terms(); ++r)
            w[r] = even[r] + odd[r];
        simd::store_aligned(y, y_even + y_odd);
    }

    SSM_INLINE void advance(const T* of_mode, Pack u, const Pack (&w)[most], T* state,
                            Pack (&sum)[most], Pack& y) const noexcept {
        LaneNumber<T> x = load_lanes(state);
        LaneNumber<T> change = load_lanes(of_mode) * x;
        if constexpr (has_input)
            change = simd::fma(load_lanes(of_mode + pair), u, change);
        for (std::size_t r = 0; r < terms(); ++r) {
            const LaneNumber<T> p = load_lanes(of_mode + (2 + 2 * r) * pair);
            change.re = simd::fnma(p.re, w[r], change.re);
            change.im = simd::fnma(p.im, w[r], change.im);
        }
        x += change;
        store_lanes(state, x);
        for (std::size_t r = 0; r < terms(); ++r)
            sum[r] = simd::real_fma(load_lanes(of_mode + (3 + 2 * r) * pair), x, sum[r]);
        y = simd::real_fma(load_lanes(of_mode + (2 + 2 * terms()) * pair), x, y);
    }

    SSM_INLINE Pack read(const T* coefficients, std::size_t head, const T* state) const noexcept {
        Pack even(T(0)), odd(T(0));
        const T* const c = coefficients + (2 + 2 * terms() + head) * pair;
        std::size_t n = 0;
        for (; n + 2 <= modes_; n += 2) {
            even = simd::real_fma(load_lanes(c + n * stride_), load_lanes(state + n * pair), even);
            odd = simd::real_fma(load_lanes(c + (n + 1) * stride_),
                                 load_lanes(state + (n + 1) * pair), odd);
        }
        if (n < modes_)
            even = simd::real_fma(load_lanes(c + n * stride_), load_lanes(state + n * pair), even);
        return even + odd;
    }

    SSM_INLINE const T* q(const T* coefficients, std::size_t n, std::size_t r) const noexcept {
        return coefficients + n * stride_ + (3 + 2 * r) * pair;
    }

    std::size_t modes_, rank_at_run_time_, heads_;
    const T* coefficients_;
    std::size_t stride_;
};

}  // namespace ssm::detail
