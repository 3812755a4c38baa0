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
/// mu[l] = d loss / d (A^l b). The upstream has d more places, for zeros behind the end.
template <class Arch>
class CompanionLanes {
    using Pack = simd::Pack<double>;

public:
    static constexpr std::size_t lanes = simd::width<double>;

    /// Numbers of scratch memory for systems of `state` numbers and kernels of `length`.
    [[nodiscard]] static constexpr std::size_t numbers(std::size_t state,
                                                       std::size_t length) noexcept {
        return lanes * (10 * state + 2 * length);
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
        std::fill(kernel_ + lanes * head_, kernel_ + lanes * length_, 0.0);
        if (recursive_ && length_ > d_)
            filter(kernel_ + lanes * d_, static_cast<std::ptrdiff_t>(lanes), length_ - d_);
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

    /// v[i] += sum_m a_{d-m} v[i-m] for `count` numbers, v[i] at first + i stride. Some at a time share the
    /// coefficients; the terms among themselves, which are the youngest, come last.
    void filter(double* first, std::ptrdiff_t stride, std::size_t count) noexcept {
        constexpr std::size_t at_once = 4;
        const auto place = [&](std::size_t i, std::size_t back) SSM_INLINE_LAMBDA {
            return first +
                   stride * (static_cast<std::ptrdiff_t>(i) - static_cast<std::ptrdiff_t>(back));
        };
        std::size_t i = 0;
        for (; d_ >= at_once && i + at_once <= count; i += at_once) {
            Pack sum[at_once];
            simd::unroll<at_once>([&](auto s)
                                      SSM_INLINE_LAMBDA { sum[s] = simd::load(place(i + s, 0)); });
            for (std::size_t m = d_; m >= at_once; --m) {
                const Pack factor = coefficient(m);
                simd::unroll<at_once>([&](auto s) SSM_INLINE_LAMBDA {
                    sum[s] = simd::fma(factor, simd::load(place(i + s, m)), sum[s]);
                });
            }
            for (std::size_t s = 0; s < at_once; ++s) {
                for (std::size_t m = at_once - 1; m > 0; --m)
                    sum[s] = simd::fma(coefficient(m), simd::load(place(i + s, m)), sum[s]);
                simd::store(place(i + s, 0), sum[s]);
            }
        }
        for (; i < count; ++i) {
            Pack sum = simd::load(place(i, 0));
            for (std::size_t m = d_; m > 0; --m)
                sum = simd::fma(coefficient(m), simd::load(place(i, m)), sum);
            simd::store(place(i, 0), sum);
        }
    }

    /// Turns the upstream of each K[l] into lambda[l], which counts also what K[l] does to later ones. Those before d
    /// act on the ones from d on only.
    void adjoint_of_recurrence() noexcept {
        if (length_ <= d_)
            return;
        if (recursive_) {
            std::fill(upstream_ + lanes * length_, upstream_ + lanes * (length_ + d_), 0.0);
            filter(upstream_ + lanes * (length_ - 1), -static_cast<std::ptrdiff_t>(lanes),
                   length_ - d_);
            for (std::size_t l = 0; l < d_; ++l) {
                Pack sum = at(upstream_, l);
                for (std::size_t m = d_ - l; m <= d_; ++m)
                    sum = simd::fma(coefficient(m), at(upstream_, l + m), sum);
                set(upstream_, l, sum);
            }
        }
        correlate();
    }

    /// G(a_{d-m}) = sum_{l >= d} lambda[l] K[l-m], for some m at a time. Without feedback K has ended by 2 d.
    void correlate() noexcept {
        constexpr std::size_t at_once = 8;
        const std::size_t end = recursive_ ? length_ : std::min(length_, 2 * d_);
        std::size_t m = 1;
        for (; m + at_once <= d_ + 1; m += at_once) {
            Pack sum[at_once];
            simd::unroll<at_once>([&](auto j) SSM_INLINE_LAMBDA { sum[j] = Pack(0.0); });
            for (std::size_t l = d_; l < end; ++l) {
                const Pack lambda = at(upstream_, l);
                simd::unroll<at_once>([&](auto j) SSM_INLINE_LAMBDA {
                    sum[j] = simd::fma(lambda, at(kernel_, l - m - j), sum[j]);
                });
            }
            simd::unroll<at_once>([&](auto j) SSM_INLINE_LAMBDA {
                set(da_, d_ - m - j, at(da_, d_ - m - j) + sum[j]);
            });
        }
        for (; m <= d_; ++m) {
            Pack sum(0.0);
            for (std::size_t l = d_; l < end; ++l)
                sum = simd::fma(at(upstream_, l), at(kernel_, l - m), sum);
            set(da_, d_ - m, at(da_, d_ - m) + sum);
        }
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
