#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <numbers>
#include <vector>

#include <Eigen/Core>

#include <ssm/core/error.hpp>
#include <ssm/init/hippo.hpp>
#include <ssm/init/nplr.hpp>

#include "support/catch.hpp"
#include "support/prebuilt_systems.hpp"

using namespace ssm;
using init::Nplr;
namespace hippo = ssm::init::hippo;

namespace {

/// Largest relative error of A and B put together again from modes.
template <class Measure>
double reconstruction_error(const Measure& measure, std::size_t modes, std::size_t rank = 0) {
    const hippo::Transition expected = measure.transition(2 * modes);
    const Eigen::MatrixXd P =
        rank == 0 ? measure.low_rank(2 * modes) : hippo::low_rank(measure, 2 * modes, rank);
    const Nplr system = init::nplr(measure, modes, rank);
    const Eigen::MatrixXd normal =
        2.0 * (system.V * system.W.asDiagonal() * system.V.adjoint()).real();
    const Eigen::MatrixXd A = normal - P.transpose() * P;
    const Eigen::VectorXd B = 2.0 * (system.V * system.B).real();
    const Eigen::MatrixXd P_again = 2.0 * (system.V * system.P.transpose()).real().transpose();
    return std::max({(A - expected.A).norm() / expected.A.norm(),
                     (B - expected.B).norm() / expected.B.norm(),
                     (P_again - P).norm() / (1.0 + P.norm())});
}

/// Distance of [V, conj V]^* [V, conj V] from the identity.
template <class Measure>
double orthonormality_error(const Measure& measure, std::size_t modes) {
    const Eigen::MatrixXcd half = init::nplr(measure, modes).V;
    Eigen::MatrixXcd V(half.rows(), 2 * half.cols());
    V << half, half.conjugate();
    return (V.adjoint() * V - Eigen::MatrixXcd::Identity(V.cols(), V.cols())).norm();
}

double distance(std::complex<double> a, std::complex<double> b) {
    return std::abs(a - b);
}

}  // namespace

TEST_CASE("HiPPO-LegS of size 4 has the published modes") {
    const Nplr system = init::nplr(hippo::LegS{}, 2);
    const double tolerance = 1e-10;  // ten digits were written down
    CHECK(distance(system.W(0), {-0.5, -4.6032930071}) < tolerance);
    CHECK(distance(system.W(1), {-0.5, -0.5565011151}) < tolerance);
    CHECK(distance(system.B(0), {0.2870198601, 2.6424730297}) < tolerance);
    CHECK(distance(system.B(1), {0.6462349417, 0.7192609314}) < tolerance);
    const std::complex<double> first[] = {{0.2870198601, 0.0},
                                          {0.4335075777, -0.1952575809},
                                          {0.1865519588, -0.5357567900},
                                          {-0.4414625087, -0.4181377034}};
    const std::complex<double> second[] = {{0.6462349417, 0.0},
                                           {-0.1925387754, -0.4866975211},
                                           {-0.0828554967, 0.4138816199},
                                           {0.1960718917, -0.3030305721}};
    for (Eigen::Index k = 0; k < 4; ++k) {
        CHECK(distance(system.V(k, 0), first[k]) < tolerance);
        CHECK(distance(system.V(k, 1), second[k]) < tolerance);
    }
}

TEST_CASE("Frequencies of larger HiPPO-LegS systems") {
    const double tolerance = 1e-9;
    const Eigen::VectorXcd eight = init::nplr(hippo::LegS{}, 4).W;
    const double expected[] = {-19.857410371, -5.354208515, -1.957794151, -0.427488712};
    for (Eigen::Index j = 0; j < 4; ++j)
        CHECK(eight(j).imag() == Approx(expected[j]).margin(tolerance));
    const Eigen::VectorXcd sixteen = init::nplr(hippo::LegS{}, 8).W;
    CHECK(sixteen(0).imag() == Approx(-80.9660809245).margin(tolerance));
    CHECK(sixteen(7).imag() == Approx(-0.3520179159).margin(tolerance));
    const Eigen::VectorXcd large = init::nplr(hippo::LegS{}, 32).W;
    CHECK(large(0).imag() == Approx(-1303.2738429812).margin(tolerance));
    CHECK(large(31).imag() == Approx(-0.2638569311).margin(tolerance));
}

TEST_CASE("A HiPPO system can be put together again from its modes") {
    for (const std::size_t modes : std::vector<std::size_t>{1, 2, 8, 32, 128}) {
        INFO("modes = " << modes);
        CHECK(reconstruction_error(hippo::LegS{}, modes) < 1e-12);
        CHECK(reconstruction_error(hippo::LegT{}, modes) < 1e-12);
        CHECK(reconstruction_error(hippo::LagT{}, modes) < 1e-12);
        CHECK(reconstruction_error(hippo::TiltedLagT{0.3}, modes) < 1e-12);
        CHECK(reconstruction_error(hippo::Fourier{}, modes) < 1e-12);
        CHECK(reconstruction_error(hippo::FourierDecay{}, modes) < 1e-12);
        CHECK(reconstruction_error(hippo::Fourier2{}, modes) < 1e-12);
    }
}

TEST_CASE("Measures without a correction are normal, and rows beyond the rank are zero") {
    for (const std::size_t modes : std::vector<std::size_t>{1, 3, 16}) {
        INFO("modes = " << modes);
        CHECK(reconstruction_error(hippo::FourierDiag{}, modes, 1) < 1e-12);
        CHECK(reconstruction_error(hippo::LegSD{}, modes, 2) < 1e-12);
        CHECK(init::nplr(hippo::FourierDiag{}, modes).P.rows() == 0);
    }
    const Nplr system = init::nplr(hippo::LegS{}, 4, 3);
    CHECK(system.P.rows() == 3);
    CHECK(system.P.topRows(1) == init::nplr(hippo::LegS{}, 4).P);
    CHECK(system.P.bottomRows(2).isZero(0.0));
    CHECK_THROWS_AS(init::nplr(hippo::LegT{}, 4, 1), ValueError);
}

TEST_CASE(
    "The stored modes and their conjugates are orthonormal, several zero frequencies included") {
    /// K rotates two of many dimensions, so that all others have the frequency zero.
    struct OneRotation {
        static hippo::Transition transition(std::size_t N) {
            const auto size = static_cast<Eigen::Index>(N);
            Eigen::MatrixXd A = Eigen::MatrixXd::Zero(size, size);
            A(0, size - 1) = 2.0;
            A(size - 1, 0) = -2.0;
            return {A, Eigen::VectorXd::LinSpaced(size, 1.0, 2.0)};
        }
        static Eigen::MatrixXd low_rank(std::size_t N) {
            return Eigen::MatrixXd::Zero(1, static_cast<Eigen::Index>(N));
        }
    };
    CHECK(reconstruction_error(OneRotation{}, 4) < 1e-14);
    CHECK(orthonormality_error(OneRotation{}, 4) < 1e-14);
    CHECK(orthonormality_error(hippo::Fourier{}, 8) < 1e-13);
    CHECK(orthonormality_error(hippo::LegT{}, 8) < 1e-13);
}

TEST_CASE(
    "In the phase of a positive first row, B of LegS is P times the root of 2 and its real part "
    "V's first row") {
    const Nplr system = init::nplr(hippo::LegS{}, 16);
    for (Eigen::Index j = 0; j < 16; ++j) {
        CHECK(system.V(0, j).real() > 0.0);
        CHECK(std::abs(system.V(0, j).imag()) < 1e-14);
        CHECK(system.B(j).real() == Approx(system.V(0, j).real()).epsilon(1e-9));
        CHECK(system.B(j).imag() > 0.0);
        CHECK(distance(system.P(0, j) * std::numbers::sqrt2, system.B(j)) < 1e-11);
    }
}

TEST_CASE("Clipping cuts imaginary parts alone") {
    Eigen::VectorXcd B(3);
    B << std::complex<double>(5.0, 3.0), std::complex<double>(-5.0, -3.0),
        std::complex<double>(1.0, 0.5);
    const Eigen::VectorXcd clipped = init::clip_input(B, 2.0);
    CHECK(clipped(0) == std::complex<double>(5.0, 2.0));
    CHECK(clipped(1) == std::complex<double>(-5.0, -2.0));
    CHECK(clipped(2) == B(2));
}

namespace {

/// A decaying rotation with a rank 1 perturbation, as a user may write it.
struct Rotation {
    static hippo::Transition transition(std::size_t N) {
        const auto size = static_cast<Eigen::Index>(N);
        Eigen::MatrixXd A = -Eigen::MatrixXd::Identity(size, size);
        for (Eigen::Index k = 0; k + 1 < size; ++k) {
            A(k, k + 1) = static_cast<double>(k + 1);
            A(k + 1, k) = -A(k, k + 1);
        }
        return {A - low_rank(N).transpose() * low_rank(N), Eigen::VectorXd::Ones(size)};
    }
    static Eigen::MatrixXd low_rank(std::size_t N) {
        return 0.3 * Eigen::MatrixXd::Ones(1, static_cast<Eigen::Index>(N));
    }
};

struct WithoutCorrection {
    static hippo::Transition transition(std::size_t N) { return hippo::LegS::transition(N); }
    static Eigen::MatrixXd low_rank(std::size_t N) {
        return Eigen::MatrixXd::Zero(1, static_cast<Eigen::Index>(N));
    }
};

}  // namespace

TEST_CASE("A user's own measure is diagonalised, if its correction makes it normal") {
    static_assert(hippo::Measure<Rotation>);
    CHECK(reconstruction_error(Rotation{}, 6) < 1e-12);
    CHECK_THROWS_AS(init::nplr(WithoutCorrection{}, 4), ValueError);
    CHECK_THROWS_AS(init::nplr(hippo::LegS{}, 0), ValueError);
}
