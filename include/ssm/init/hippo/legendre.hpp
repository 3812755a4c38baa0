#pragma once

#include <cmath>
#include <cstddef>

#include <Eigen/Core>

#include <ssm/init/hippo/measure.hpp>

namespace ssm::init::hippo {

/// Scaled Legendre: polynomials on the whole history.
///
///   A_nk = -sqrt(2n+1) sqrt(2k+1) for n > k, -(n+1) for n = k, 0 above     B_n = sqrt(2n+1)
///   P_n = sqrt(n + 1/2)
struct LegS {
    [[nodiscard]] static Transition transition(std::size_t N) {
        const Eigen::VectorXd B = (2.0 * detail::numbers(N) + 1.0).sqrt();
        Eigen::MatrixXd A = Eigen::MatrixXd::Zero(B.size(), B.size());
        for (Eigen::Index n = 0; n < B.size(); ++n) {
            A.row(n).head(n) = -B(n) * B.head(n).transpose();
            A(n, n) = -static_cast<double>(n + 1);
        }
        return {A, B};
    }
    [[nodiscard]] static Eigen::MatrixXd low_rank(std::size_t N) {
        return (detail::numbers(N) + 0.5).sqrt().matrix().transpose();
    }
};

/// The normal part of LegS, A + P P^T, with half its B: what S4D-LegS approximates LegS by.
struct LegSD {
    [[nodiscard]] static Transition transition(std::size_t N) {
        Transition legs = LegS::transition(N);
        legs.A += 0.5 * legs.B * legs.B.transpose();
        return {legs.A, 0.5 * legs.B};
    }
    [[nodiscard]] static Eigen::MatrixXd low_rank(std::size_t N) {
        return detail::no_correction(N);
    }
};

/// Translated Legendre: polynomials on a sliding window of length 2.
///
///   A_nk = -1/2 sqrt(2n+1) sqrt(2k+1) {1 for k <= n, (-1)^{n-k} above}     B_n = 1/2 sqrt(2n+1)
///   P_1, P_2: sqrt(n + 1/2) on odd and on even n
///
/// The factor 1/2 is that of the released S4 code; the HiPPO paper has the window [t - 1, t].
struct LegT {
    [[nodiscard]] static Transition transition(std::size_t N) {
        const Eigen::VectorXd R = (2.0 * detail::numbers(N) + 1.0).sqrt();
        Eigen::MatrixXd A = -0.5 * R * R.transpose();
        for (Eigen::Index n = 0; n < A.rows(); ++n)
            for (Eigen::Index k = n + 1; k < A.cols(); k += 2)
                A(n, k) = -A(n, k);
        return {A, 0.5 * R};
    }
    [[nodiscard]] static Eigen::MatrixXd low_rank(std::size_t N) {
        const Eigen::ArrayXd even = 0.5 * (1.0 + detail::signs(N));
        const Eigen::ArrayXd size = (detail::numbers(N) + 0.5).sqrt();
        Eigen::MatrixXd P(2, even.size());
        P.row(0) = (size * (1.0 - even)).matrix().transpose();
        P.row(1) = (size * even).matrix().transpose();
        return P;
    }
    [[nodiscard]] static Eigen::VectorXd initial_C(std::size_t N) {
        return (2.0 * detail::numbers(N) + 1.0).sqrt() * detail::signs(N);
    }
};

/// Legendre memory unit: LegT on a window of length 1, in polynomials without normalisation.
///
///   A_nk = (2n+1) {-1 for n < k, (-1)^{n-k+1} for n >= k}     B_n = (2n+1) (-1)^n
///
/// It has no low-rank correction in this basis: use LegT, to which it is similar.
///
/// Source  Voelker, Kajic, Eliasmith: "Legendre Memory Units", NeurIPS 2019
struct LMU {
    [[nodiscard]] static Transition transition(std::size_t N) {
        const Eigen::VectorXd R = 2.0 * detail::numbers(N) + 1.0;
        Eigen::MatrixXd A = -R * Eigen::RowVectorXd::Ones(R.size());
        for (Eigen::Index n = 0; n < A.rows(); ++n)
            for (Eigen::Index k = n - 1; k >= 0; k -= 2)
                A(n, k) = -A(n, k);
        return {A, R.cwiseProduct(detail::signs(N).matrix())};
    }
};

}  // namespace ssm::init::hippo
