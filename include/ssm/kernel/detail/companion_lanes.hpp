#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/discretize/companion.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// The kernels of as many companion systems as a register has lanes, and their adjoint. All arrays are interleaved:
/// one register for each index.
///
/// `evaluate` is K[l] = c A^l b up to l = d - 1 and then the recurrence of the characteristic polynomial. `adjoint` runs
/// the same two parts backward: lambda[l] = d loss / d K[l] as a free number, first through the recurrence, then
/// mu[l] = d loss / d (A^l b).
template <class Arch>
class CompanionLanes {
    using Pack = simd::Pack<double>;

public:
    static constexpr std::size_t lanes = simd::width<double>;

    /// Numbers of scratch memory for systems of `state` numbers and kernels of `length`.
    [[nodiscard]] static constexpr std::size_t numbers(std::size_t state,
                                                       std::size_t length) noexcept {
        return lanes * (9 * state + 2 * length);
    }

    CompanionLanes(std::size_t state, std::size_t length, double* memory) noexcept
        : d_(state), length_(length), head_(std::min(state, length)) {
        for (double** array : {&a_, &b_, &c_, &x_, &last_, &da_, &db_, &dc_, &mu_}) {
            *array = memory;
            memory += lanes * d_;
        }
        kernel_ = memory;
        upstream_ = memory + lanes * length_;
    }

    void load_dynamics(const CompanionSystem& system, std::size_t first,
                       std::size_t count) noexcept {
        interleave(system.a.data() + first * d_, count, a_);
        interleave(system.b.data() + first * d_, count, b_);
        recursive_ = std::any_of(a_, a_ + lanes * d_, [](double a) { return a != 0.0; });
        std::fill(da_, da_ + lanes * d_, 0.0);
        std::fill(db_, db_ + lanes * d_, 0.0);
    }
    void load_output(const CompanionSystem& system, std::size_t head, std::size_t first,
                     std::size_t count) noexcept {
        interleave(system.c.data() + (head * system.shape.kernels + first) * d_, count, c_);
    }

    void evaluate() noexcept {
        std::copy(b_, b_ + lanes * d_, x_);
        for (std::size_t l = 0; l < head_; ++l) {
            Pack sum(0.0);
            for (std::size_t i = 0; i < d_; ++i)
                sum = simd::fma(at(c_, i), at(x_, i), sum);
            set(kernel_, l, sum);
            set(last_, l, at(x_, d_ - 1));
            advance();
        }
        if (recursive_)
            recur();
        else
            std::fill(kernel_ + lanes * head_, kernel_ + lanes * length_, 0.0);
    }

    void clear_upstream() noexcept { std::fill(upstream_, upstream_ + lanes * length_, 0.0); }
    template <class T>
    void add_upstream(std::size_t lane, const T* dkernel) noexcept {
        for (std::size_t l = 0; l < length_; ++l)
            upstream_[l * lanes + lane] += static_cast<double>(dkernel[l]);
    }
    template <class T>
    void copy_lane(std::size_t lane, T* kernel) const noexcept {
        for (std::size_t l = 0; l < length_; ++l)
            kernel[l] = static_cast<T>(kernel_[l * lanes + lane]);
    }

    /// Adds to the gradients of a and b, and sets that of c. `evaluate` came before.
    void adjoint() noexcept {
        adjoint_of_recurrence();
        adjoint_of_output();
        adjoint_of_powers();
    }

    void add_output_gradient(CompanionSystem& gradient, std::size_t head, std::size_t first,
                             std::size_t count) const noexcept {
        add(dc_, count, gradient.c.data() + (head * gradient.shape.kernels + first) * d_);
    }
    void add_dynamics_gradient(CompanionSystem& gradient, std::size_t first,
                               std::size_t count) const noexcept {
        add(da_, count, gradient.a.data() + first * d_);
        add(db_, count, gradient.b.data() + first * d_);
    }

private:
    [[nodiscard]] SSM_INLINE static Pack at(const double* array, std::size_t i) noexcept {
        return simd::load(array + i * lanes);
    }
    SSM_INLINE static void set(double* array, std::size_t i, Pack value) noexcept {
        simd::store(array + i * lanes, value);
    }
    SSM_INLINE static void add_product(double* array, std::size_t i, Pack x, Pack y) noexcept {
        set(array, i, simd::fma(x, y, at(array, i)));
    }

    void interleave(const double* rows, std::size_t count, double* array) const noexcept {
        std::fill(array, array + lanes * d_, 0.0);
        for (std::size_t k = 0; k < count; ++k)
            for (std::size_t i = 0; i < d_; ++i)
                array[i * lanes + k] = rows[k * d_ + i];
    }
    void add(const double* array, std::size_t count, double* rows) const noexcept {
        for (std::size_t k = 0; k < count; ++k)
            for (std::size_t i = 0; i < d_; ++i)
                rows[k * d_ + i] += array[i * lanes + k];
    }

    /// x <- A x
    void advance() noexcept {
        const Pack last = at(x_, d_ - 1);
        for (std::size_t i = d_ - 1; i > 0; --i)
            set(x_, i, simd::fma(at(a_, i), last, at(x_, i - 1)));
        set(x_, 0, at(a_, 0) * last);
    }

    /// a_{d-m}: the coefficient of K[l-m].
    [[nodiscard]] SSM_INLINE Pack coefficient(std::size_t m) const noexcept {
        return at(a_, d_ - m);
    }

    /// K[l] = sum_m a_{d-m} K[l-m] from l = d on. Some steps at a time share the coefficients; the terms among
    /// themselves, which are the youngest, come last.
    void recur() noexcept {
        constexpr std::size_t at_once = 4;
        std::size_t l = d_;
        for (; d_ >= at_once && l + at_once <= length_; l += at_once) {
            Pack sum[at_once];
            simd::unroll<at_once>([&](auto s) SSM_INLINE_LAMBDA { sum[s] = Pack(0.0); });
            for (std::size_t m = d_; m >= at_once; --m) {
                const Pack factor = coefficient(m);
                simd::unroll<at_once>([&](auto s) SSM_INLINE_LAMBDA {
                    sum[s] = simd::fma(factor, at(kernel_, l + s - m), sum[s]);
                });
            }
            for (std::size_t s = 0; s < at_once; ++s) {
                for (std::size_t m = at_once - 1; m > 0; --m)
                    sum[s] = simd::fma(coefficient(m), at(kernel_, l + s - m), sum[s]);
                set(kernel_, l + s, sum[s]);
            }
        }
        for (; l < length_; ++l) {
            Pack sum(0.0);
            for (std::size_t m = d_; m > 0; --m)
                sum = simd::fma(coefficient(m), at(kernel_, l - m), sum);
            set(kernel_, l, sum);
        }
    }

    /// Turns the upstream of each K[l] into lambda[l], which counts also what K[l] does to later ones, and adds
    /// G(a_{d-m}) = sum_{l >= d} lambda[l] K[l-m].
    void adjoint_of_recurrence() noexcept {
        if (!recursive_) {
            adjoint_of_silence();
            return;
        }
        for (std::size_t l = length_; l-- > d_;) {
            const Pack lambda = at(upstream_, l);
            for (std::size_t m = 1; m <= d_; ++m) {
                add_product(upstream_, l - m, coefficient(m), lambda);
                add_product(da_, d_ - m, at(kernel_, l - m), lambda);
            }
        }
    }

    /// The same for a = 0, where K ends at d and nothing is passed on. In steps of d behind it, the slope of K with
    /// respect to a is K itself.
    void adjoint_of_silence() noexcept {
        for (std::size_t l = d_; l < std::min(length_, 2 * d_); ++l)
            for (std::size_t m = l - d_ + 1; m <= d_; ++m)
                add_product(da_, d_ - m, at(kernel_, l - m), at(upstream_, l));
    }

    /// G(c) = sum_{l < d} lambda[l] A^l b
    void adjoint_of_output() noexcept {
        std::fill(dc_, dc_ + lanes * d_, 0.0);
        std::copy(b_, b_ + lanes * d_, x_);
        for (std::size_t l = 0; l < head_; ++l) {
            for (std::size_t i = 0; i < d_; ++i)
                add_product(dc_, i, at(upstream_, l), at(x_, i));
            advance();
        }
    }

    /// mu[l] = lambda[l] c + A^T mu[l+1], G(b) = mu[0], G(a) = sum_l mu[l+1] (A^l b)_{d-1}.
    void adjoint_of_powers() noexcept {
        std::fill(mu_, mu_ + lanes * d_, 0.0);
        for (std::size_t l = head_; l-- > 0;) {
            Pack into_last(0.0);
            const Pack last = at(last_, l);
            const Pack lambda = at(upstream_, l);
            for (std::size_t i = 0; i < d_; ++i) {
                const Pack mu = at(mu_, i);
                into_last = simd::fma(at(a_, i), mu, into_last);
                add_product(da_, i, mu, last);
            }
            for (std::size_t i = 0; i + 1 < d_; ++i)
                set(mu_, i, simd::fma(lambda, at(c_, i), at(mu_, i + 1)));
            set(mu_, d_ - 1, simd::fma(lambda, at(c_, d_ - 1), into_last));
        }
        for (std::size_t i = 0; i < d_; ++i)
            set(db_, i, at(db_, i) + at(mu_, i));
    }

    std::size_t d_, length_, head_;
    bool recursive_ = true;
    double *a_, *b_, *c_, *x_, *last_, *da_, *db_, *dc_, *mu_;
    double *kernel_, *upstream_;
};

}  // namespace ssm::detail
