#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <vector>

#include <Eigen/Core>
#include <Eigen/LU>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/discretize/zoh.hpp>
#include <ssm/init/hippo.hpp>
#include <ssm/init/hippo_blocks.hpp>
#include <ssm/init/legs.hpp>
#include <ssm/init/ptd.hpp>
#include <ssm/init/system.hpp>
#include <ssm/layer/structure/continuous_modes.hpp>

#include "support/catch.hpp"
#include "support/prebuilt_systems.hpp"

using namespace ssm;
using init::PerturbedModes;
namespace hippo = ssm::init::hippo;
using Number = std::complex<double>;

namespace {

/// Largest difference of the transfer functions C (s - A)^-1 B on the imaginary axis, relative to the largest.
template <class Transfer>
double transfer_error(const hippo::Transition& system, const Transfer& transfer) {
    Rng rng(1);
    Eigen::VectorXd C(system.B.size());
    for (double& c : C)
        c = rng.normal();
    double size = 0.0;
    double difference = 0.0;
    for (double w = 0.0; w < 1e4; w = 1.3 * w + 0.1) {
        Eigen::MatrixXcd left = -system.A.cast<Number>();
        left.diagonal().array() += Number(0.0, w);
        const Number expected =
            (C.cast<Number>().transpose() * left.partialPivLu().solve(system.B.cast<Number>()))(0);
        size = std::max(size, std::abs(expected));
        difference = std::max(difference, std::abs(expected - transfer(C, Number(0.0, w))));
    }
    return difference / size;
}

/// Sum of partial fractions of modes, real ones with half the weight.
Number partial_fractions(const PerturbedModes& modes, const Eigen::VectorXd& C, Number s) {
    Number sum = 0.0;
    const Eigen::RowVectorXcd outputs = C.cast<Number>().transpose() * modes.V;
    for (Eigen::Index j = 0; j < modes.W.size(); ++j) {
        const Number residue = outputs(j) * modes.B(j);
        sum += 0.5 * modes.weight(j) *
               (residue / (s - modes.W(j)) + std::conj(residue) / (s - std::conj(modes.W(j))));
    }
    return sum;
}

double ptd_error(const PerturbedModes& modes, const hippo::Transition& system) {
    return transfer_error(
        system, [&](const Eigen::VectorXd& C, Number s) { return partial_fractions(modes, C, s); });
}

}  // namespace

TEST_CASE(
    "a small share of the correction gives the transfer function of HiPPO, with usable modes") {
    const hippo::Transition legs = hippo::LegS::transition(32);
    for (const double share : {0.02, 0.1, 0.3}) {
        CAPTURE(share);
        const PerturbedModes modes = init::Ptd<>{share}.modes(32);
        CHECK(ptd_error(modes, legs) < share);
        CHECK(init::condition(modes) < 5.0 / share);
        CHECK(modes.W.real().maxCoeff() < -0.5);
        CHECK(modes.W.size() == 16);
    }
}

TEST_CASE("the whole correction is the normal part, exactly") {
    const PerturbedModes modes = init::Ptd<>{1.0}.modes(16);
    const init::Nplr normal = init::nplr(hippo::LegS{}, 8);
    CHECK(init::condition(modes) == Approx(1.0).epsilon(1e-9));
    CHECK((modes.W - normal.W).norm() < 1e-10 * normal.W.norm());
    CHECK((modes.B - normal.B).norm() < 1e-10 * normal.B.norm());
}

TEST_CASE("real eigenvalues count once, and do not fit into a bank of pairs") {
    const init::Ptd<> ptd{1e-4};
    const PerturbedModes modes = ptd.modes(16);
    CHECK(modes.W.size() == 9);
    CHECK(std::count(modes.weight.begin(), modes.weight.end(), 1.0) == 2);
    CHECK(init::condition(modes) > 100.0);
    CHECK((modes.inverse * modes.V - Eigen::MatrixXcd::Identity(9, 9)).norm() < 1e-10);
    CHECK(ptd_error(modes, hippo::LegS::transition(16)) < 2e-4);
    Rng rng;
    CHECK_THROWS_AS(ptd(8, rng), ValueError);
}

TEST_CASE("perturbations without structure destroy stability, and that is said") {
    Rng rng(0);
    const hippo::Transition legs = hippo::LegS::transition(64);
    const Eigen::MatrixXd E = init::gaussian_perturbation(legs.A, 0.1, rng);
    CHECK_THROWS_AS(init::perturb_then_diagonalize(legs, E), ValueError);
    const PerturbedModes cut = init::perturb_then_diagonalize(legs, E, -1e-2);
    CHECK(cut.W.real().maxCoeff() == -1e-2);
    CHECK(E.norm() == Approx(0.1 * legs.A.norm()));
    CHECK_THROWS_AS(init::perturb_then_diagonalize(legs, E.topRows(3)), ShapeError);
    CHECK_THROWS_AS(init::Ptd<>{0.0}.modes(8), ValueError);
    CHECK_THROWS_AS(init::Ptd<>{1.5}.modes(8), ValueError);
}

TEST_CASE("blocks for S5 have the inverse of their modes") {
    const init::HippoBlocks blocks = init::hippo_blocks(init::Ptd<>{0.1}, 16, 2);
    CHECK(blocks.modes() == 8);
    // Of a real G, what comes back out of the basis is G again, twice its real part.
    const Eigen::MatrixXd G = Eigen::MatrixXd::Random(16, 3);
    const Eigen::MatrixXcd in = blocks.into_basis(G.cast<Number>());
    const Eigen::MatrixXcd out = blocks.out_of_basis(Eigen::MatrixXcd::Identity(16, 16));
    CHECK((2.0 * (out * in).real() - G).norm() < 1e-12);
    CHECK_THROWS_AS(init::hippo_blocks(init::Ptd<>{}, 10, 5 + 1), ValueError);
    using Bank = ContinuousModes<Zoh, init::Ptd<>>::Bank<double>;
    Rng rng;
    const Bank bank({3, 16}, {.init = {0.1}, .blocks = 2}, rng);
    CHECK(bank.Lambda[0] == Approx(blocks.W(0).real()));
    CHECK(bank.initial_input({3, 16}, rng).rows() == 8);
    CHECK_THROWS_AS(Bank({3, 16}, {.conjugate = false}, rng), ValueError);
}

TEST_CASE("it starts a diagonal bank") {
    static_assert(init::DiagonalInit<init::Ptd<>> && init::DiagonalBankInit<init::Ptd<>>);
    Rng rng;
    const std::vector<init::Diagonal> bank = init::diagonal_bank(init::Ptd<>{}, 2, 8, rng);
    CHECK(bank[1].A.size() == 8);
    CHECK(bank[0].A == bank[1].A);
    CHECK(std::is_sorted(bank[0].A.begin(), bank[0].A.end(),
                         [](Number a, Number b) { return a.imag() < b.imag(); }));
}
