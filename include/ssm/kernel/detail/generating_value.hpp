#pragma once

#include <cstddef>
#include <span>

#include <ssm/core/config.hpp>
#include <ssm/math/small_matrix.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::detail {

template <simd::Numeric V>
[[nodiscard]] SSM_INLINE simd::Complex<V> divide(simd::Complex<V> a, simd::Complex<V> b) noexcept {
    return simd::conj_mul(b, a) * (V(1) / simd::norm(b));
}

/// The generating function at one node (or one in each lane) from sums over the modes,
///
///   K^ = e [ h_cb - f sum_r h_cp_r X_r ]      (I + f h_qp) X = h_qb      e = e^{i theta / 2}, f = conj(e)
///
/// and its adjoint. Sums come in the order of products
///
///   c_head b (heads), then c_head p_r (heads, R), q_r b (R), q_r p_s (R, R)
template <simd::Numeric V>
class GeneratingValue {
    using Number = simd::Complex<V>;
    static constexpr std::size_t most = math::SmallMatrix::most;

public:
    [[nodiscard]] static std::size_t products(std::size_t heads, std::size_t rank) noexcept {
        return heads * (1 + rank) + rank * (1 + rank);
    }

    /// `sum(j)` gives product j.
    template <class Sum>
    SSM_INLINE GeneratingValue(std::size_t heads, std::size_t rank, Number e, Sum&& sum) noexcept
        : heads_(heads), rank_(rank), e_(e), f_(simd::conj(e)) {
        for (std::size_t r = 0; r < rank; ++r) {
            X_[r] = sum(of_qb(r));
            for (std::size_t s = 0; s < rank; ++s)
                W_[r][s] = f_ * sum(of_qp(r, s));
            W_[r][r].re += V(1);
        }
        solve(W_, X_, rank_);
    }

    template <class Sum>
    [[nodiscard]] SSM_INLINE Number of_head(std::size_t head, Sum&& sum) const noexcept {
        Number feedback{V(0), V(0)};
        for (std::size_t r = 0; r < rank_; ++r)
            feedback = simd::fma(sum(of_cp(head, r)), X_[r], feedback);
        return e_ * (sum(head) - f_ * feedback);
    }

    /// `upstream(head)` is the gradient of K^; calls `put(j, gradient)` for each product.
    template <class Sum, class Upstream, class Put>
    SSM_INLINE void adjoint(Sum&& sum, Upstream&& upstream, Put&& put) const noexcept {
        Number of_X[most];
        for (std::size_t r = 0; r < rank_; ++r)
            of_X[r] = {V(0), V(0)};
        for (std::size_t head = 0; head < heads_; ++head) {
            const Number g = f_ * upstream(head);  // conj(e) = f
            put(head, g);
            const Number of_feedback = -(e_ * g);  // conj(f) = e
            for (std::size_t r = 0; r < rank_; ++r) {
                put(of_cp(head, r), simd::conj_mul(X_[r], of_feedback));
                of_X[r] = simd::conj_fma(sum(of_cp(head, r)), of_feedback, of_X[r]);
            }
        }
        Number W[most][most];
        for (std::size_t r = 0; r < rank_; ++r) {
            for (std::size_t s = 0; s < rank_; ++s)
                W[r][s] = simd::conj(f_ * sum(of_qp(s, r)));
            W[r][r].re += V(1);
        }
        solve(W, of_X, rank_);
        for (std::size_t r = 0; r < rank_; ++r) {
            put(of_qb(r), of_X[r]);
            for (std::size_t s = 0; s < rank_; ++s)
                put(of_qp(r, s), e_ * -simd::conj_mul(X_[s], of_X[r]));
        }
    }

private:
    [[nodiscard]] std::size_t of_cp(std::size_t head, std::size_t r) const noexcept {
        return heads_ + head * rank_ + r;
    }
    [[nodiscard]] std::size_t of_qb(std::size_t r) const noexcept {
        return heads_ * (1 + rank_) + r;
    }
    [[nodiscard]] std::size_t of_qp(std::size_t r, std::size_t s) const noexcept {
        return heads_ * (1 + rank_) + rank_ + r * rank_ + s;
    }

    /// x := W^{-1} x by elimination. No pivots: I + f h_qp is that of a passive feedback, with positive real part.
    SSM_INLINE static void solve(Number (&W)[most][most], Number (&x)[most],
                                 std::size_t rank) noexcept {
        for (std::size_t column = 0; column < rank; ++column)
            for (std::size_t i = column + 1; i < rank; ++i) {
                const Number factor = divide(W[i][column], W[column][column]);
                for (std::size_t j = column + 1; j < rank; ++j)
                    W[i][j] -= factor * W[column][j];
                x[i] -= factor * x[column];
            }
        for (std::size_t i = rank; i-- > 0;) {
            for (std::size_t j = i + 1; j < rank; ++j)
                x[i] -= W[i][j] * x[j];
            x[i] = divide(x[i], W[i][i]);
        }
    }

    std::size_t heads_, rank_;
    Number e_, f_;
    Number W_[most][most];
    Number X_[most];
};

}  // namespace ssm::detail
