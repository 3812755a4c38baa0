#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/config.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/dplr_system.hpp>
#include <ssm/scan/dplr_block.hpp>
#include <ssm/scan/dplr_tile.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::detail {

/// Adjoint of `DplrKernel`. States x are computed again in blocks, from those at the blocks' starts, and met by the
/// gradients flowing back,
///
///   lambda_t = conj(c) g_t + conj(z) lambda_{t+1} - sum_r conj(q_r) omega_r      omega_r = Re sum_n conj(p_rn) lambda_n
///   G(z) = sum_t lambda_{t+1} conj(x_t)         G(c) = sum_t g_t conj(x_t)       G(b) = lambda_0
///   G(p_r) = -sum_t w_r lambda_{t+1}            G(q_r) = -sum_t omega_r conj(x_t)
///
/// First all lambda of a block, step after step; then the sums, mode after mode, in registers.
template <class T, std::size_t rank, class Arch = simd::Arch>
class DplrKernelAdjoint {
    using Pack = simd::Pack<double>;
    using Number = LaneNumber<double>;
    static constexpr std::size_t lanes = line<double>;
    static constexpr std::size_t pair = 2 * lanes;
    static constexpr std::size_t block = 16;
    static constexpr std::size_t most = rank == 0 ? 8 : rank;

public:
    /// `is_done` (H): channels of which the gradient has it all already.
    DplrKernelAdjoint(const DplrBank<double>& bank, std::size_t length, std::size_t count,
                      std::span<const T> upstream, DplrSystem& gradient,
                      std::span<const char> is_done)
        : bank_(bank),
          shape_(bank.shape()),
          row_(row_of(shape_.modes * pair)),
          length_(length),
          count_(count),
          upstream_(upstream),
          gradient_(gradient),
          is_done_(is_done) {}

    void run(Workspace& workspace) const {
        const auto frame = workspace.frame();
        const std::size_t blocks = (count_ + block - 1) / block;
        const std::size_t scratch = (blocks + 2 * block + 2) * row_ +
                                    shape_.modes * bank_.stride() +
                                    (2 * terms() + shape_.heads) * block * lanes;
        double* const memory = workspace.take<double>(threads() * scratch).data();
        parallel_for(
            bank_.tiles(),
            [&](std::size_t tile, std::size_t worker) {
                const auto done = is_done_.subspan(tile * lanes, bank_.channels_of(tile));
                if (std::find(done.begin(), done.end(), 0) != done.end())
                    run_tile(tile, Scratch(*this, blocks, memory + worker * scratch));
            },
            TaskCost{4.0 *
                     static_cast<double>(count_ * shape_.modes * (shape_.rank + shape_.heads))});
    }

private:
    struct Scratch {
        Scratch(const DplrKernelAdjoint& call, std::size_t blocks, double* memory)
            : starts(memory),
              states(starts + blocks * call.row_),
              lambdas(states + (block + 1) * call.row_),
              sums(lambdas + (block + 1) * call.row_),
              w(sums + call.shape_.modes * call.bank_.stride()),
              omega(w + call.terms() * block * lanes),
              g(omega + call.terms() * block * lanes) {}

        double* starts;  ///< [block][mode][re, im][lane]: x of each block's first step
        double* states;  ///< [step][mode][re, im][lane]: x_t
        double*
            lambdas;    ///< the same: lambda_{t+1}; one more at the front, lambda of the first step
        double* sums;   ///< gradients, laid out as the coefficients
        double* w;      ///< [step][rank][lane]
        double* omega;  ///< the same
        double* g;      ///< [head][step][lane]: upstream
    };

    /// From the state of one step to that of the next: a page less two modes, modulo pages. Then neither are the
    /// states of a mode all in one set of the cache, nor is what a step writes mistaken for what it reads next.
    [[nodiscard]] static std::size_t row_of(std::size_t numbers) noexcept {
        constexpr std::size_t page = 4096 / sizeof(double);
        const std::size_t wanted = page - 2 * pair;
        return numbers + (wanted + page - numbers % page) % page;
    }

    SSM_INLINE std::size_t terms() const noexcept { return rank == 0 ? shape_.rank : rank; }

    void run_tile(std::size_t tile, const Scratch& at) const noexcept {
        const double* const of_tile = bank_.tile(tile);
        std::fill_n(at.sums, shape_.modes * bank_.stride(), 0.0);
        for (std::size_t n = 0; n < shape_.modes; ++n)
            std::copy_n(of_tile + n * bank_.stride() + pair, pair, at.starts + n * pair);
        const std::size_t blocks = (count_ + block - 1) / block;
        for (std::size_t k = 0; k + 1 < blocks; ++k) {
            std::copy_n(at.starts + k * row_, row_, at.starts + (k + 1) * row_);
            for (std::size_t t = 0; t < block; ++t)
                advance(of_tile, at.starts + (k + 1) * row_, at.starts + (k + 1) * row_, at.w);
        }
        // lambdas[block] holds what flows into the last step of a block.
        std::fill_n(at.lambdas + block * row_, row_, 0.0);
        for (std::size_t k = blocks; k-- > 0;)
            run_block(tile, k * block, std::min(block, count_ - k * block), at.starts + k * row_,
                      at);
        for (std::size_t n = 0; n < shape_.modes; ++n)
            std::copy_n(at.lambdas + block * row_ + n * pair, pair,
                        at.sums + n * bank_.stride() + pair);
        add_sums(tile, at.sums);
    }

    void run_block(std::size_t tile, std::size_t first, std::size_t steps, const double* start,
                   const Scratch& at) const noexcept {
        const double* const of_tile = bank_.tile(tile);
        gather(tile, first, steps, at.g);
        std::copy_n(start, row_, at.states);
        for (std::size_t t = 0; t < steps; ++t)
            advance(of_tile, at.states + t * row_, at.states + (t + 1) * row_,
                    at.w + t * terms() * lanes);
        std::copy_n(at.lambdas + block * row_, row_, at.lambdas + steps * row_);
        for (std::size_t t = steps; t-- > 0;)
            retreat(of_tile, at.lambdas + (t + 1) * row_, at.g + t * lanes,
                    at.omega + t * terms() * lanes, at.lambdas + t * row_);
        for (std::size_t n = 0; n < shape_.modes; ++n)
            add_mode(n, steps, at);
        std::copy_n(at.lambdas, row_, at.lambdas + block * row_);
    }

    /// x' = A_bar x and the feedback w in it. `next` may be x.
    void advance(const double* of_tile, const double* x, double* next, double* w) const noexcept {
        for (std::size_t lane = 0; lane < lanes; lane += simd::width<double>) {
            Pack feedback[most];
            for (std::size_t r = 0; r < terms(); ++r) {
                feedback[r] = sum_over_modes([&](std::size_t n, Pack sum) SSM_INLINE_LAMBDA {
                    return simd::real_fma(load_lanes(q(of_tile, n, r) + lane),
                                          load_lanes(x + n * pair + lane), sum);
                });
                simd::store_aligned(w + r * lanes + lane, feedback[r]);
            }
            for (std::size_t n = 0; n < shape_.modes; ++n) {
                const Number state = load_lanes(x + n * pair + lane);
                Number change = load_lanes(of_tile + n * bank_.stride() + lane) * state;
                for (std::size_t r = 0; r < terms(); ++r)
                    change = minus(change, load_lanes(p(of_tile, n, r) + lane), feedback[r]);
                store_lanes(next + n * pair + lane, state + change);
            }
        }
    }

    /// lambda_t from lambda_{t+1}, and the omega in it.
    void retreat(const double* of_tile, const double* lambda, const double* g, double* omega,
                 double* before) const noexcept {
        for (std::size_t lane = 0; lane < lanes; lane += simd::width<double>) {
            Pack feedback[most];
            for (std::size_t r = 0; r < terms(); ++r) {
                feedback[r] = sum_over_modes([&](std::size_t n, Pack sum) SSM_INLINE_LAMBDA {
                    const Number a = load_lanes(p(of_tile, n, r) + lane);
                    const Number b = load_lanes(lambda + n * pair + lane);
                    return simd::fma(a.im, b.im, simd::fma(a.re, b.re, sum));
                });
                simd::store_aligned(omega + r * lanes + lane, feedback[r]);
            }
            for (std::size_t n = 0; n < shape_.modes; ++n) {
                const double* const of_mode = of_tile + n * bank_.stride() + lane;
                const Number after = load_lanes(lambda + n * pair + lane);
                Number result = after + simd::conj_mul(load_lanes(of_mode), after);
                for (std::size_t r = 0; r < terms(); ++r)
                    result =
                        minus(result, simd::conj(load_lanes(q(of_tile, n, r) + lane)), feedback[r]);
                for (std::size_t head = 0; head < shape_.heads; ++head)
                    result =
                        simd::fma(simd::conj(load_lanes(of_mode + (2 + 2 * terms() + head) * pair)),
                                  simd::load_aligned(g + head * block * lanes + lane), result);
                store_lanes(before + n * pair + lane, result);
            }
        }
    }

    /// What the steps of a block say about the coefficients of mode `n`.
    void add_mode(std::size_t n, std::size_t steps, const Scratch& at) const noexcept {
        for (std::size_t lane = 0; lane < lanes; lane += simd::width<double>) {
            double* const sums = at.sums + n * bank_.stride() + lane;
            const double* const x = at.states + n * pair + lane;
            const double* const lambda = at.lambdas + row_ + n * pair + lane;
            Number of_z = load_lanes(sums);
            for (std::size_t t = 0; t < steps; ++t)
                of_z =
                    simd::conj_fma(load_lanes(x + t * row_), load_lanes(lambda + t * row_), of_z);
            store_lanes(sums, of_z);
            for (std::size_t r = 0; r < terms(); ++r) {
                Number of_p = load_lanes(sums + (2 + 2 * r) * pair);
                Number of_q = load_lanes(sums + (3 + 2 * r) * pair);
                for (std::size_t t = 0; t < steps; ++t) {
                    const std::size_t i = (t * terms() + r) * lanes + lane;
                    of_p = minus(of_p, load_lanes(lambda + t * row_), simd::load_aligned(at.w + i));
                    of_q = minus(of_q, simd::conj(load_lanes(x + t * row_)),
                                 simd::load_aligned(at.omega + i));
                }
                store_lanes(sums + (2 + 2 * r) * pair, of_p);
                store_lanes(sums + (3 + 2 * r) * pair, of_q);
            }
            for (std::size_t head = 0; head < shape_.heads; ++head) {
                double* const to = sums + (2 + 2 * terms() + head) * pair;
                Number of_c = load_lanes(to);
                for (std::size_t t = 0; t < steps; ++t)
                    of_c = simd::fma(simd::conj(load_lanes(x + t * row_)),
                                     simd::load_aligned(at.g + (head * block + t) * lanes + lane),
                                     of_c);
                store_lanes(to, of_c);
            }
        }
    }

    /// a - b s
    SSM_INLINE static Number minus(Number a, Number b, Pack s) noexcept {
        return {simd::fnma(b.re, s, a.re), simd::fnma(b.im, s, a.im)};
    }

    /// Two chains of additions, to hide their latency.
    template <class Term>
    SSM_INLINE Pack sum_over_modes(Term&& term) const noexcept {
        Pack even(0.0), odd(0.0);
        std::size_t n = 0;
        for (; n + 2 <= shape_.modes; n += 2) {
            even = term(n, even);
            odd = term(n + 1, odd);
        }
        return (n < shape_.modes ? term(n, even) : even) + odd;
    }

    [[nodiscard]] const double* p(const double* of_tile, std::size_t n,
                                  std::size_t r) const noexcept {
        return of_tile + n * bank_.stride() + (2 + 2 * r) * pair;
    }
    [[nodiscard]] const double* q(const double* of_tile, std::size_t n,
                                  std::size_t r) const noexcept {
        return p(of_tile, n, r) + pair;
    }

    void gather(std::size_t tile, std::size_t first, std::size_t steps, double* g) const noexcept {
        std::fill_n(g, shape_.heads * block * lanes, 0.0);
        for (std::size_t head = 0; head < shape_.heads; ++head)
            for (std::size_t i = 0; i < bank_.channels_of(tile); ++i) {
                const T* const from = upstream_.data() +
                                      (head * shape_.channels + tile * lanes + i) * length_ + first;
                for (std::size_t t = 0; t < steps; ++t)
                    g[(head * block + t) * lanes + i] = static_cast<double>(from[t]);
            }
    }

    void add_sums(std::size_t tile, const double* sums) const noexcept {
        for (std::size_t i = 0; i < bank_.channels_of(tile); ++i) {
            const std::size_t h = tile * lanes + i;
            if (is_done_[h] != 0)
                continue;
            for (std::size_t n = 0; n < shape_.modes; ++n) {
                const double* from = sums + n * bank_.stride() + i;
                const auto add = [&from](ComplexNumbers& to, std::size_t at) {
                    to.re[at] += from[0];
                    to.im[at] += from[lanes];
                    from += pair;
                };
                add(gradient_.z, gradient_.pole(h, n));
                add(gradient_.b, gradient_.pole(h, n));
                for (std::size_t r = 0; r < terms(); ++r) {
                    add(gradient_.p, gradient_.correction(r, h, n));
                    add(gradient_.q, gradient_.correction(r, h, n));
                }
                for (std::size_t head = 0; head < shape_.heads; ++head)
                    add(gradient_.c, gradient_.readout(head, h, n));
            }
        }
    }

    const DplrBank<double>& bank_;
    const DplrShape& shape_;
    std::size_t row_;
    std::size_t length_;
    std::size_t count_;
    std::span<const T> upstream_;
    DplrSystem& gradient_;
    std::span<const char> is_done_;
};

}  // namespace ssm::detail
