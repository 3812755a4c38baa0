#pragma once

#include <concepts>
#include <cstddef>
#include <span>

#include <ssm/core/workspace.hpp>
#include <ssm/discretize/discretization.hpp>
#include <ssm/discretize/dplr_system.hpp>
#include <ssm/math/small_matrix.hpp>

namespace ssm {

/// A discretisation that is made of one resolvent, (I - alpha dt A)^{-1}, and so keeps a matrix diagonal plus low
/// rank: the bilinear ones and both Euler methods.
///
/// Zero-order hold is not one: the exponential of such a matrix is dense.
template <class D>
concept ResolventDiscretization = Discretization<D> && requires(const D& method) {
    { method.alpha } -> std::convertible_to<double>;
};

/// A bank of continuous systems x' = A x + B u with A = diag(lambda) - sum_r P_r P_r^*, P_r^* over the full set of
/// conjugate pairs, and a time step for each channel (repeated for each of its modes).
///
/// Shapes    lambda, B, dt (H, n); P (R, H, n)
struct DplrContinuous {
    struct Numbers {
        std::span<double> re, im;
    };
    DplrShape shape;
    Numbers lambda, P, B;
    std::span<double> dt;

    /// Zeros in memory of the workspace's innermost frame.
    [[nodiscard]] static DplrContinuous take_zero(const DplrShape& shape, Workspace& workspace) {
        const auto numbers = [&workspace](std::size_t count) {
            return Numbers{workspace.take_zero<double>(count), workspace.take_zero<double>(count)};
        };
        const std::size_t poles = shape.poles();
        return {shape, numbers(poles), numbers(shape.corrections()), numbers(poles),
                workspace.take_zero<double>(poles)};
    }
};

namespace detail {

/// Some modes of one channel, to be written.
struct DplrRow {
    double* re;
    double* im;
};
/// The same, to be read.
struct ConstDplrRow {
    ConstDplrRow(const double* real, const double* imaginary) noexcept : re(real), im(imaginary) {}
    ConstDplrRow(DplrRow row) noexcept : re(row.re), im(row.im) {}
    const double* re;
    const double* im;
};

/// Re sum_n a_n b_n
[[nodiscard]] inline double real_dot(ConstDplrRow a, ConstDplrRow b, std::size_t n) noexcept {
    double sum = 0.0;
    for (std::size_t k = 0; k < n; ++k)
        sum += a.re[k] * b.re[k] - a.im[k] * b.im[k];
    return sum;
}
/// Re sum_n conj(a_n) b_n
[[nodiscard]] inline double inner_product(ConstDplrRow a, ConstDplrRow b, std::size_t n) noexcept {
    double sum = 0.0;
    for (std::size_t k = 0; k < n; ++k)
        sum += a.re[k] * b.re[k] + a.im[k] * b.im[k];
    return sum;
}
/// y += s x
inline void add_scaled(DplrRow y, double s, ConstDplrRow x, std::size_t n) noexcept {
    for (std::size_t k = 0; k < n; ++k) {
        y.re[k] += s * x.re[k];
        y.im[k] += s * x.im[k];
    }
}
/// y += s conj(x)
inline void add_scaled_conj(DplrRow y, double s, ConstDplrRow x, std::size_t n) noexcept {
    for (std::size_t k = 0; k < n; ++k) {
        y.re[k] += s * x.re[k];
        y.im[k] -= s * x.im[k];
    }
}
/// y += s a b
inline void add_product(DplrRow y, double s, ConstDplrRow a, ConstDplrRow b,
                        std::size_t n) noexcept {
    for (std::size_t k = 0; k < n; ++k) {
        y.re[k] += s * (a.re[k] * b.re[k] - a.im[k] * b.im[k]);
        y.im[k] += s * (a.re[k] * b.im[k] + a.im[k] * b.re[k]);
    }
}
/// y += s conj(a) b
inline void add_conj_product(DplrRow y, double s, ConstDplrRow a, ConstDplrRow b,
                             std::size_t n) noexcept {
    for (std::size_t k = 0; k < n; ++k) {
        y.re[k] += s * (a.re[k] * b.re[k] + a.im[k] * b.im[k]);
        y.im[k] += s * (a.re[k] * b.im[k] - a.im[k] * b.re[k]);
    }
}

/// Woodbury's identity for one channel. With g = dt / (1 - alpha dt lambda), which `method` gives as its input
/// weight:
///
///   (I - alpha dt A)^{-1} dt = g - alpha g P M^{-1} P^* g      M = I + alpha P^* g P
///   A_bar = z - p q^T     q_r = 2 conj(P_r) g     p = (1/dt) (g P) M^{-1}
///   b = g B - alpha dt sum_r p_r beta_r           beta_r = Re sum_n q_rn B_n
///
/// M is real: its sums are over conjugate pairs.
class DplrDiscretizer {
public:
    DplrDiscretizer(double alpha, const DplrShape& shape, Workspace& workspace)
        : alpha_(alpha),
          n_(shape.modes),
          rank_(shape.rank),
          products_(workspace.take<double>(2 * shape.rank * shape.modes)),
          sums_(workspace.take<double>(2 * shape.modes)) {}

    /// Takes the numbers of channel `h`; `g` is (H, n).
    void set_channel(std::size_t h, const DplrContinuous& in,
                     const DplrContinuous::Numbers& g) noexcept {
        h_ = h;
        channels_ = in.shape.channels;
        dt_ = in.dt[h * n_];
        g_ = row(g);
        B_ = row(in.B);
        P_ = in.P;
        for (std::size_t r = 0; r < rank_; ++r) {
            zero(gP(r));
            add_product(gP(r), 1.0, g_, P(r), n_);
        }
    }

    void forward(DplrSystem& out) noexcept {
        for (std::size_t r = 0; r < rank_; ++r) {
            zero(row(out.q, r));
            add_conj_product(row(out.q, r), 2.0, P(r), g_, n_);
        }
        const math::SmallMatrix M_inverse = math::inverse(feedback(out));
        const DplrRow b = row(out.b);
        add_product(b, 1.0, g_, B_, n_);
        for (std::size_t r = 0; r < rank_; ++r) {
            zero(row(out.p, r));
            for (std::size_t s = 0; s < rank_; ++s)
                add_scaled(row(out.p, r), M_inverse(s, r) / dt_, gP(s), n_);
            add_scaled(b, -alpha_ * dt_ * real_dot(row(out.q, r), B_, n_), row(out.p, r), n_);
        }
    }

    /// Of d loss / d (p, q, b) in `upstream`, which is used up; adds to the gradients of P, B and g and
    /// returns that of dt.
    double adjoint(const DplrSystem& system, DplrSystem& upstream, const DplrContinuous& gradient,
                   const DplrContinuous::Numbers& g_of_g) noexcept {
        const math::SmallMatrix M_inverse = math::inverse(feedback(system));
        const DplrRow db = row(upstream.b);
        const DplrRow dB = row(gradient.B);
        const DplrRow dg = row(g_of_g);
        double ddt = 0.0;
        add_conj_product(dg, 1.0, B_, db, n_);
        add_conj_product(dB, 1.0, g_, db, n_);
        math::SmallMatrix dM_inverse{rank_, {}};
        for (std::size_t r = 0; r < rank_; ++r) {
            const ConstDplrRow p = row(system.p, r);
            const ConstDplrRow q = row(system.q, r);
            const DplrRow dp = row(upstream.p, r);
            const double beta = real_dot(q, B_, n_);
            const double along = inner_product(p, db, n_);
            const double dbeta = -alpha_ * dt_ * along;
            ddt -= alpha_ * beta * along;
            add_scaled(dp, -alpha_ * dt_ * beta, db, n_);
            add_scaled_conj(row(upstream.q, r), dbeta, B_, n_);
            add_scaled_conj(dB, dbeta, q, n_);
            ddt -= inner_product(p, dp, n_) / dt_;
            for (std::size_t s = 0; s < rank_; ++s)
                dM_inverse(s, r) = inner_product(gP(s), dp, n_) / dt_;
        }
        const math::SmallMatrix dM = math::inverse_adjoint(M_inverse, dM_inverse);
        for (std::size_t s = 0; s < rank_; ++s)
            add_to_correction(s, M_inverse, dM, system, upstream, gradient, dg);
        for (std::size_t r = 0; r < rank_; ++r) {
            const DplrRow dq = row(upstream.q, r);
            add_product(dg, 2.0, P(r), dq, n_);
            const DplrRow dP = row(gradient.P, r);
            for (std::size_t k = 0; k < n_; ++k) {  // += 2 conj(dq) g
                dP.re[k] += 2.0 * (dq.re[k] * g_.re[k] + dq.im[k] * g_.im[k]);
                dP.im[k] += 2.0 * (dq.re[k] * g_.im[k] - dq.im[k] * g_.re[k]);
            }
        }
        return ddt;
    }

private:
    void zero(DplrRow y) const noexcept {
        for (std::size_t k = 0; k < n_; ++k)
            y.re[k] = y.im[k] = 0.0;
    }
    [[nodiscard]] DplrRow gP(std::size_t r) const noexcept {
        return {products_.data() + 2 * r * n_, products_.data() + (2 * r + 1) * n_};
    }
    /// Term r of the low-rank part; r = 0 for what has one row a channel.
    template <class Numbers>
    [[nodiscard]] DplrRow row(Numbers& numbers, std::size_t r = 0) const noexcept {
        const std::size_t at = (r * channels_ + h_) * n_;
        return {numbers.re.data() + at, numbers.im.data() + at};
    }
    [[nodiscard]] ConstDplrRow row(const ComplexNumbers& numbers, std::size_t r) const noexcept {
        const std::size_t at = (r * channels_ + h_) * n_;
        return {numbers.re.data() + at, numbers.im.data() + at};
    }
    [[nodiscard]] ConstDplrRow P(std::size_t r) const noexcept { return row(P_, r); }

    /// M
    [[nodiscard]] math::SmallMatrix feedback(const DplrSystem& system) const noexcept {
        math::SmallMatrix M = math::SmallMatrix::identity(rank_);
        for (std::size_t r = 0; r < rank_; ++r)
            for (std::size_t s = 0; s < rank_; ++s)
                M(r, s) += alpha_ * real_dot(row(system.q, r), P(s), n_);
        return M;
    }

    /// What p = (g P) M^{-1} / dt and M = I + alpha q^T P say about P_s, g and q.
    void add_to_correction(std::size_t s, const math::SmallMatrix& M_inverse,
                           const math::SmallMatrix& dM, const DplrSystem& system,
                           DplrSystem& upstream, const DplrContinuous& gradient,
                           DplrRow dg) noexcept {
        const DplrRow dgP{sums_.data(), sums_.data() + n_};
        zero(dgP);
        const DplrRow dP = row(gradient.P, s);
        for (std::size_t r = 0; r < rank_; ++r) {
            add_scaled(dgP, M_inverse(s, r) / dt_, row(upstream.p, r), n_);
            add_scaled_conj(dP, alpha_ * dM(r, s), row(system.q, r), n_);
            add_scaled_conj(row(upstream.q, r), alpha_ * dM(r, s), P(s), n_);
        }
        add_conj_product(dg, 1.0, P(s), dgP, n_);
        add_conj_product(dP, 1.0, g_, dgP, n_);
    }

    double alpha_;
    std::size_t n_;
    std::size_t rank_;
    std::size_t h_ = 0;
    std::size_t channels_ = 0;
    double dt_ = 0.0;
    DplrRow g_{}, B_{};
    DplrContinuous::Numbers P_{};
    std::span<double> products_, sums_;
};

}  // namespace detail

/// Discretises a bank: z, p, q and b of `system`, which has the shape of the continuous one; c is left alone.
///
/// Cost      O(H n R^2)
/// Source    arXiv:2111.00396, appendix C.2, for any alpha and rank
template <ResolventDiscretization Method>
void discretize_dplr(const Method& method, const DplrContinuous& continuous, DplrSystem& system,
                     Workspace& workspace) {
    const auto frame = workspace.frame();
    const std::size_t poles = system.shape.poles();
    DplrContinuous::Numbers g{workspace.take<double>(poles), workspace.take<double>(poles)};
    method.forward(continuous.lambda.re, continuous.lambda.im, continuous.dt, system.z.re,
                   system.z.im, g.re, g.im);
    system.b.reset(poles);
    detail::DplrDiscretizer channel(method.alpha, system.shape, workspace);
    for (std::size_t h = 0; h < system.shape.channels; ++h) {
        channel.set_channel(h, continuous, g);
        channel.forward(system);
    }
}

/// Adjoint of `discretize_dplr`: adds to `gradient` what `upstream` (used up) says about the continuous system. `system`
/// is what was computed there. dt gets its gradient at the first mode of each channel and at each for its pole.
template <ResolventDiscretization Method>
void discretize_dplr_adjoint(const Method& method, const DplrContinuous& continuous,
                             const DplrSystem& system, DplrSystem& upstream,
                             const DplrContinuous& gradient, Workspace& workspace) {
    const auto frame = workspace.frame();
    const std::size_t poles = system.shape.poles();
    const auto take = [&] {
        return DplrContinuous::Numbers{workspace.take_zero<double>(poles),
                                       workspace.take_zero<double>(poles)};
    };
    DplrContinuous::Numbers z = take(), g = take(), g_of_g = take(), of_lambda = take();
    const std::span<double> of_dt = workspace.take<double>(poles);
    method.forward(continuous.lambda.re, continuous.lambda.im, continuous.dt, z.re, z.im, g.re,
                   g.im);
    detail::DplrDiscretizer channel(method.alpha, system.shape, workspace);
    for (std::size_t h = 0; h < system.shape.channels; ++h) {
        channel.set_channel(h, continuous, g);
        gradient.dt[h * system.shape.modes] += channel.adjoint(system, upstream, gradient, g_of_g);
    }
    method.adjoint(continuous.lambda.re, continuous.lambda.im, continuous.dt, upstream.z.re,
                   upstream.z.im, g_of_g.re, g_of_g.im, of_lambda.re, of_lambda.im, of_dt);
    for (std::size_t i = 0; i < poles; ++i) {
        gradient.lambda.re[i] += of_lambda.re[i];
        gradient.lambda.im[i] += of_lambda.im[i];
        gradient.dt[i] += of_dt[i];
    }
}

}  // namespace ssm
