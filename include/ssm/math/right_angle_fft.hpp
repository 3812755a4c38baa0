#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>

#include <ssm/core/aligned.hpp>
#include <ssm/core/config.hpp>
#include <ssm/core/error.hpp>
#include <ssm/math/detail/first_split.hpp>
#include <ssm/math/detail/quad.hpp>
#include <ssm/math/lane_rows.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::math {
inline namespace SSM_ARCH {

/// What `RightAngleFft::walk` does with an array on its way down and up the tree.
enum class FftPass {
    split,  ///< coefficients to spectrum
    join,   ///< spectrum to coefficients
    both    ///< there and back
};

/// Transform of real sequences for convolution: polynomials of degree below n modulo x^n - i, one in
/// each lane of a register, evaluated at the n roots of x^n = i.
///
/// Two real sequences u and k of up to n numbers have the product
///
///   u(x) k(x) = low(x) + x^n high(x)   =   low(x) + i high(x)   mod x^n - i
///
/// so the real part of a complex convolution of size n is the causal convolution: nothing wraps
/// around, and no zeros are stored or transformed ("right-angle" convolution). Negative powers fold as
/// x^-j = -i x^(n-j): an anticausal kernel is the imaginary part of the same polynomial.
///
/// The transform splits the ring instead of reordering time,
///
///   x^n - c = prod_j (x^(n/4) - r i^j),      r^4 = c,      j = 0 .. 3
///
/// and every factor is a problem of its own with one set of twiddle factors, which stay in registers
/// during a pass. A convolution runs depth first: split, convolve in each of the four factors, join.
/// All below a few hundred points happens in the first-level cache, and the product of the spectra is
/// taken between the last split and the first join, in registers. The first split may have any radix
/// up to 7, so that sizes are close to the length.
///
/// Storage   coefficients and spectra x[n][2][W], aligned to `ssm::alignment`: real parts, imaginary
///           parts, W = simd::width<T> lanes; spectra in the order of the tree
/// Cost      7 vector operations for a point and split; n is at most 1.5 times the length, 8 or more
/// Accuracy  twiddle factors are rounded from double; the error grows as epsilon log(n)
/// Errors    ValueError for a size that is not one of `size_for`
/// Threads   const: any number of threads, arrays of their own each
/// Source    R. Crandall, B. Fagin, Discrete weighted transforms and large-integer arithmetic, Math.
///           Comp. 62 (1994); D. Bernstein, Multidigit multiplication for mathematicians (2001)
template <class T>
class RightAngleFft {
public:
    static constexpr std::size_t lanes = simd::width<T>;

    /// The smallest size R 4^k, 1 <= R <= 7, k >= 1, that is not below `length`.
    [[nodiscard]] static std::size_t size_for(std::size_t length) {
        require<ValueError>(length <= std::numeric_limits<std::size_t>::max() / 1024,
                            "ssm::RightAngleFft: ", length, " steps do not fit into memory");
        std::size_t points = 4;
        while (max_radix * points < length)
            points *= 4;
        return length <= points ? points : (length + points - 1) / points * points;
    }

    /// Plan for sequences of up to `size` steps, a value of `size_for`. Makes the tables of twiddle
    /// factors, about 2 n numbers.
    explicit RightAngleFft(std::size_t size) : size_(size) {
        require<ValueError>(size_for(size) == size, "ssm::RightAngleFft: size ", size,
                            " is not R 4^k with R from 1 to 7 and k > 0");
        while (points_ * max_radix < size)
            points_ *= 4;
        radix_ = size_ / points_;
        for (std::size_t j = 0; j < radix_; ++j)
            for (std::size_t m = 0; m < radix_; ++m)
                push_root(powers_, m * angle(j, radix_), 4 * radix_);
        for (std::size_t factors = radix_; factors < size_; factors *= 4)
            for (std::size_t factor = 0; factor < factors; ++factor)
                for (std::size_t m = 1; m < 4; ++m)
                    push_root(twiddles_, m * angle(factor, factors), 16 * factors);
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    /// Numbers in an array of coefficients or a spectrum: n * 2 * lanes.
    [[nodiscard]] std::size_t numbers() const noexcept { return size_ * step; }

    /// Complex coefficients to their spectrum, in place.
    void forward(T* x) const {
        open(x);
        finish(x, x);
    }
    /// A spectrum to its complex coefficients, times n, in place.
    void inverse(T* x) const {
        walk<FftPass::join>(
            [x](std::size_t point, auto& v) {
                simd::unroll<4>([&](auto j) SSM_INLINE_LAMBDA {
                    v[j] = detail::load_point(x + (point + j) * step);
                });
            },
            x);
        with_radix([&](auto first) { first.close(x); });
    }

    /// The first split of real sequences: row l has the coefficients of x^l, 0 from `rows.length` on.
    /// Precondition: rows.length <= size().
    void open(LaneRows<const T> rows, T* x) const {
        with_radix([&](auto first) { first.open(rows, x); });
    }
    /// The first split of complex coefficients, in place.
    void open(T* x) const {
        with_radix([&](auto first) { first.open(x); });
    }
    /// All splits after `open`: x is used up, `spectrum` may be the same array.
    void finish(T* x, T* spectrum) const {
        walk<FftPass::split>(
            [spectrum](std::size_t point, const auto& v) {
                simd::unroll<4>([&](auto j) SSM_INLINE_LAMBDA {
                    detail::store_point(spectrum + (point + j) * step, v[j]);
                });
            },
            x);
    }
    /// The last join: the real parts of the first `rows.length` coefficients, times n, are written to
    /// `rows`, or added to what is there.
    template <bool add = false>
    void close(const T* x, LaneRows<T> rows) const {
        with_radix([&](auto first) { first.template close<add>(x, rows); });
    }
    /// All splits and joins between `open` and `close`, depth first, for one or several arrays with
    /// their `FftPass` each. In the middle `leaf(point, values...)` is called for each run of 4 points
    /// from `point` on, with a `simd::Complex (&)[4]` for each array: there it finds the spectra of
    /// arrays that were split and leaves those of arrays that are to be joined.
    template <FftPass... passes, class Leaf, class... Arrays>
    requires(sizeof...(passes) == sizeof...(Arrays)) void walk(Leaf&& leaf, Arrays*... x) const {
        for (std::size_t factor = 0; factor < radix_; ++factor)
            if (points_ == 4)
                visit_points<passes...>(leaf, twiddles_.data(), factor, (x + factor * 4 * step)...);
            else
                visit<passes...>(leaf, twiddles_.data(), radix_, factor, points_ / 4,
                                 (x + factor * points_ * step)...);
    }

private:
    using Quad = detail::Quad<T>;
    using Twiddles = detail::QuadTwiddles<T>;

    static constexpr std::size_t max_radix = 7;
    static constexpr std::size_t step = detail::point_size<T>;

    /// Appends exp(2 pi i numerator / denominator).
    static void push_root(AlignedVector<T>& table, std::size_t numerator, std::size_t denominator) {
        const double turns =
            static_cast<double>(numerator % denominator) / static_cast<double>(denominator);
        table.push_back(static_cast<T>(std::cos(2.0 * std::numbers::pi * turns)));
        table.push_back(static_cast<T>(std::sin(2.0 * std::numbers::pi * turns)));
    }

    /// Factor `factor` of a level is x^m - exp(2 pi i angle / (4 factors)): its parent's angle, and as
    /// many turns as it is its parent's child. The root x^n - i has angle 1.
    [[nodiscard]] std::size_t angle(std::size_t factor, std::size_t factors) const {
        return factors == radix_ ? 1 + 4 * factor
                                 : angle(factor / 4, factors / 4) + factors * (factor % 4);
    }

    template <class Body>
    void with_radix(const Body& body) const {
        detail::with_first_radix(radix_, [&](auto radix) {
            body(detail::FirstSplit<T, radix()>(points_, powers_.data()));
        });
    }

    /// One factor of 4 * quarter points; `level` is the table of all `factors` of this size.
    template <FftPass... passes, class Leaf, class... Arrays>
    static void visit(Leaf& leaf, const T* level, std::size_t factors, std::size_t factor,
                      std::size_t quarter, Arrays*... x) {
        const T* const w = level + factor * Twiddles::numbers;
        const T* const next = level + factors * Twiddles::numbers;
        ((passes != FftPass::join ? detail::split_all(x, quarter, w) : void()), ...);
        if (quarter == 4)
            for (std::size_t j = 0; j < 4; ++j)
                visit_points<passes...>(leaf, next, 4 * factor + j, (x + j * 4 * step)...);
        else
            for (std::size_t j = 0; j < 4; ++j)
                visit<passes...>(leaf, next, 4 * factors, 4 * factor + j, quarter / 4,
                                 (x + j * quarter * step)...);
        ((passes != FftPass::split ? detail::join_all(x, quarter, w) : void()), ...);
    }

    struct Points {
        Quad quad;
        T* target;
    };

    /// The last split, the leaf and the first join of the 4 points of a factor, in registers.
    template <FftPass... passes, class Leaf, class... Arrays>
    SSM_INLINE static void visit_points(Leaf& leaf, const T* level, std::size_t factor,
                                        Arrays*... x) {
        const Twiddles w(level + factor * Twiddles::numbers);
        finish_points<passes...>(leaf, factor, w, begin_points<passes>(x, w)...);
    }
    template <FftPass pass>
    [[nodiscard]] SSM_INLINE static Points begin_points(T* x, const Twiddles& w) {
        if constexpr (pass == FftPass::join)
            return {Quad{}, x};
        else
            return {detail::split(Quad::load(x, step), w), x};
    }
    template <FftPass... passes, class Leaf, class... P>
    SSM_INLINE static void finish_points(Leaf& leaf, std::size_t factor, const Twiddles& w,
                                         P... points) {
        leaf(4 * factor, points.quad.v...);
        (end_points<passes>(points, w), ...);
    }
    template <FftPass pass>
    SSM_INLINE static void end_points(const Points& points, const Twiddles& w) {
        if constexpr (pass != FftPass::split)
            detail::join(points.quad, w).store(points.target, step);
    }

    std::size_t size_;
    std::size_t points_ = 4;  // of each factor after the first split
    std::size_t radix_ = 1;   // of the first split
    AlignedVector<T> powers_;
    AlignedVector<T> twiddles_;
};

}  // namespace SSM_ARCH
}  // namespace ssm::math
