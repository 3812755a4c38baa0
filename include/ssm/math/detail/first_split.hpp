#pragma once

#include <cstddef>
#include <type_traits>

#include <ssm/core/config.hpp>
#include <ssm/math/detail/quad.hpp>
#include <ssm/math/lane_rows.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/prefetch.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::math {
inline namespace SSM_ARCH {
namespace detail {

/// The first split x^n - i = prod_j (x^(n/radix) - w_j) and the last join, fused with reading and
/// writing the sequences: one dense product with the matrix of powers w_j^m for any small radix, and
/// the usual butterfly for radix 4. Real sequences cost half of complex ones.
template <class T, std::size_t radix>
class FirstSplit {
    using Pack = simd::Pack<T>;
    using Complex = LaneComplex<T>;
    static constexpr std::size_t step = point_size<T>;
    // Rows are a long stride apart, which the processor's own prefetching does not follow well: reading
    // and writing these far ahead saves 0.2 of 0.6 ns per number at L = 4096.
    static constexpr std::size_t rows_ahead = 8;

public:
    /// `points` of each factor; `powers` has w_j^m at 2 (j radix + m).
    FirstSplit(std::size_t points, const T* powers) noexcept : points_(points), powers_(powers) {}

    /// Real rows to the factors; rows from `rows.length` on are 0.
    void open(LaneRows<const T> rows, T* x) const {
        for (std::size_t k = 0; k < points_; ++k) {
            Pack a[radix];
            simd::unroll<radix>([&](auto m)
                                    SSM_INLINE_LAMBDA { a[m] = read(rows, k + m * points_); });
            if constexpr (radix == 4)
                combine<T>({a[0], Pack(T(0))}, power(0, 1) * a[1], power(0, 2) * a[2],
                           power(0, 3) * a[3])
                    .store(x + k * step, points_ * step);
            else
                simd::unroll<radix>([&](auto j) SSM_INLINE_LAMBDA {
                    Complex sum{a[0], Pack(T(0))};
                    for (std::size_t m = 1; m < radix; ++m)
                        sum = simd::fma(power(j, m), a[m], sum);
                    store_point(x + (k + j * points_) * step, sum);
                });
        }
    }

    /// The factors to real rows, times n, as far as there are rows; `add` adds to them.
    template <bool add>
    void close(const T* x, LaneRows<T> rows) const {
        for (std::size_t k = 0; k < points_ && k < rows.length; ++k)
            if constexpr (radix == 4) {
                const Quad<T> a = separate(Quad<T>::load(x + k * step, points_ * step));
                write<add>(rows, k, a.v[0].re);
                simd::unroll<3>([&](auto i) SSM_INLINE_LAMBDA {
                    constexpr std::size_t m = i() + 1;
                    const Complex root = power(0, m);
                    write<add>(rows, k + m * points_,
                               simd::fma(root.re, a.v[m].re, root.im * a.v[m].im));
                });
            } else {
                Complex a[radix];
                load(x + k * step, a);
                for (std::size_t m = 0; m < radix; ++m) {
                    Pack sum(T(0));
                    simd::unroll<radix>([&](auto j) SSM_INLINE_LAMBDA {
                        sum = simd::real_fma(simd::conj(power(j, m)), a[j], sum);
                    });
                    write<add>(rows, k + m * points_, sum);
                }
            }
    }

    /// Complex coefficients to the factors, in place.
    void open(T* x) const {
        for (std::size_t k = 0; k < points_; ++k, x += step) {
            Complex a[radix];
            load(x, a);
            for (std::size_t j = 0; j < radix; ++j) {
                Complex sum = a[0];
                simd::unroll<radix - 1>([&](auto m) SSM_INLINE_LAMBDA {
                    sum = simd::fma(power(j, m + 1), a[m + 1], sum);
                });
                store_point(x + j * points_ * step, sum);
            }
        }
    }

    /// The factors to complex coefficients, times n, in place.
    void close(T* x) const {
        for (std::size_t k = 0; k < points_; ++k, x += step) {
            Complex a[radix];
            load(x, a);
            for (std::size_t m = 0; m < radix; ++m) {
                Complex sum{Pack(T(0)), Pack(T(0))};
                simd::unroll<radix>([&](auto j) SSM_INLINE_LAMBDA {
                    sum = simd::conj_fma(power(j, m), a[j], sum);
                });
                store_point(x + m * points_ * step, sum);
            }
        }
    }

private:
    [[nodiscard]] SSM_INLINE Complex power(std::size_t j, std::size_t m) const {
        return broadcast_point(powers_ + 2 * (j * radix + m));
    }
    SSM_INLINE void load(const T* x, Complex (&a)[radix]) const {
        simd::unroll<radix>([&](auto j)
                                SSM_INLINE_LAMBDA { a[j] = load_point(x + j * points_ * step); });
    }
    [[nodiscard]] SSM_INLINE static Pack read(LaneRows<const T> rows, std::size_t l) {
        simd::prefetch(rows.first, static_cast<std::ptrdiff_t>((l + rows_ahead) * rows.stride));
        return l < rows.length ? simd::load(rows.row(l)) : Pack(T(0));
    }
    template <bool add>
    SSM_INLINE static void write(LaneRows<T> rows, std::size_t l, Pack value) {
        simd::prefetch_for_write(rows.first,
                                 static_cast<std::ptrdiff_t>((l + rows_ahead) * rows.stride));
        if (l < rows.length)
            simd::store(rows.row(l), add ? value + simd::load(rows.row(l)) : value);
    }

    std::size_t points_;
    const T* powers_;
};

/// Calls `body` with the radix as a compile-time constant.
template <class Body>
void with_first_radix(std::size_t radix, Body&& body) {
    switch (radix) {
        case 1:
            return body(std::integral_constant<std::size_t, 1>{});
        case 2:
            return body(std::integral_constant<std::size_t, 2>{});
        case 3:
            return body(std::integral_constant<std::size_t, 3>{});
        case 4:
            return body(std::integral_constant<std::size_t, 4>{});
        case 5:
            return body(std::integral_constant<std::size_t, 5>{});
        case 6:
            return body(std::integral_constant<std::size_t, 6>{});
        default:
            return body(std::integral_constant<std::size_t, 7>{});
    }
}

}  // namespace detail
}  // namespace SSM_ARCH
}  // namespace ssm::math
