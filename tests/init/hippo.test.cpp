#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include <Eigen/Core>
#include <Eigen/Eigenvalues>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/init/hippo.hpp>

#include "support/catch.hpp"

using namespace ssm;
namespace hippo = ssm::init::hippo;

namespace {

template <class... Measures>
double largest_real_part(std::size_t N, const Measures&... measures) {
    double largest = -std::numeric_limits<double>::infinity();
    for (const Eigen::MatrixXd& A : {measures.transition(N).A...})
        largest = std::max(largest, A.eigenvalues().real().maxCoeff());
    return largest;
}

}  // namespace

TEST_CASE("A of HiPPO-LegS is the published matrix") {
    Eigen::MatrixXd expected(3, 3);
    expected << -1.0, 0.0, 0.0, -std::sqrt(3.0), -2.0, 0.0, -std::sqrt(5.0), -std::sqrt(15.0), -3.0;
    CHECK((hippo::LegS::transition(3).A - expected).norm() < 1e-15);
    CHECK((hippo::LegS::transition(3).B.array().square() - Eigen::Array3d(1.0, 3.0, 5.0))
              .abs()
              .maxCoeff() < 1e-14);
}

TEST_CASE("The Legendre memory unit is LegT at twice the speed in another basis") {
    for (const std::size_t N : std::vector<std::size_t>{1, 2, 5, 16}) {
        const hippo::Transition legt = hippo::LegT::transition(N);
        const hippo::Transition lmu = hippo::LMU::transition(N);
        const Eigen::VectorXd T = hippo::LegT::initial_C(N);  // sqrt(2n+1) (-1)^n
        const Eigen::MatrixXd A = 2.0 * T.asDiagonal() * legt.A * T.cwiseInverse().asDiagonal();
        CHECK((A - lmu.A).norm() < 1e-14 * lmu.A.norm());
        CHECK((2.0 * T.cwiseProduct(legt.B) - lmu.B).norm() < 1e-14 * lmu.B.norm());
    }
}

TEST_CASE("Generalised Laguerre measures contain the tilted one") {
    const hippo::Transition general = hippo::GeneralizedLaguerre{0.0, 0.25}.transition(6);
    const hippo::Transition tilted = hippo::TiltedLagT{0.25}.transition(6);
    CHECK((general.A - tilted.A).norm() < 1e-13);
    CHECK((general.B - 2.0 * tilted.B).norm() < 1e-13);  // sqrt(beta) instead of beta
    CHECK_THROWS_AS((hippo::GeneralizedLaguerre{1.0, 0.25}.transition(6)), ValueError);
    CHECK_THROWS_AS((hippo::GeneralizedLaguerre{0.0, 0.0}.transition(6)), ValueError);
}

TEST_CASE("All measures are stable") {
    CHECK(largest_real_part(8, hippo::LegS{}, hippo::LegT{}, hippo::LMU{}, hippo::LagT{},
                            hippo::TiltedLagT{0.5}, hippo::GeneralizedLaguerre{},
                            hippo::FourierDiag{}) < -0.01);
    // Of Fourier bases the frequency zero does not decay: its sine is not there.
    CHECK(largest_real_part(8, hippo::Fourier{}, hippo::FourierDecay{}, hippo::Fourier2{},
                            hippo::LegSD{}) < 1e-12);
}

TEST_CASE("Measures without structure come from random numbers") {
    Rng rng(3), same(3);
    const hippo::Transition dense = hippo::transition(hippo::RandomDense{}, 4, rng);
    CHECK(dense.A == hippo::transition(hippo::RandomDense{}, 4, same).A);
    CHECK(dense.A != hippo::transition(hippo::RandomDense{}, 4, rng).A);
    const hippo::Transition diagonal = hippo::transition(hippo::RandomDiagonal{}, 4, rng);
    CHECK(diagonal.A.isDiagonal(0.0));
    CHECK(diagonal.A.diagonal().maxCoeff() < 0.0);
    CHECK(hippo::transition(hippo::LegS{}, 4, rng).A == hippo::LegS::transition(4).A);
    static_assert(!hippo::DenseMeasure<hippo::RandomDense>);
}

TEST_CASE("Sines and cosines come in pairs") {
    CHECK_THROWS_AS(hippo::Fourier::transition(3), ValueError);
    CHECK_THROWS_AS(hippo::FourierDiag::transition(5), ValueError);
}
