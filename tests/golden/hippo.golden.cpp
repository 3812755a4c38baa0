// HiPPO matrices, their diagonalisation, initialisations of S4D and parameter transforms against the S4 code.

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <Eigen/Core>

#include <ssm/core/rng.hpp>
#include <ssm/discretize/transform.hpp>
#include <ssm/init/combination.hpp>
#include <ssm/init/diagonal.hpp>
#include <ssm/init/hippo.hpp>
#include <ssm/init/legs.hpp>
#include <ssm/init/nplr.hpp>

#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/prebuilt_systems.hpp"

namespace {

using namespace ssm;
using ssm_test::GoldenCase;
using ssm_test::GoldenReport;

constexpr double tolerance = 1e-12;  // eigenvalues of size N^2 / pi in double; the rest is exact

using Numbers = std::vector<std::complex<double>>;

/// A and B of several systems, one after the other.
struct Bank {
    Numbers A;
    Numbers B;
};

template <class Init>
Bank bank_of(const Init& init, std::size_t copies, std::size_t modes) {
    Rng rng;
    Bank bank;
    for (const init::Diagonal& system : init::diagonal_bank(init, copies, modes, rng)) {
        bank.A.insert(bank.A.end(), system.A.begin(), system.A.end());
        bank.B.insert(bank.B.end(), system.B.begin(), system.B.end());
    }
    return bank;
}

/// Sizes of real and imaginary parts: what is left when the sign of an eigenvector is free.
std::vector<double> sizes_of_parts(const Numbers& numbers) {
    std::vector<double> sizes;
    for (const std::complex<double>& number : numbers) {
        sizes.push_back(std::abs(number.real()));
        sizes.push_back(std::abs(number.imag()));
    }
    return sizes;
}

/// Compares those of A and B that the case has.
void compare_bank(GoldenCase& golden, GoldenReport& report, const std::string& name,
                  const Bank& bank) {
    if (golden.has(name + ".A"))
        report.compare(name + ".A", bank.A, tolerance);
    if (golden.has(name + ".B"))
        report.compare(name + ".B", bank.B, tolerance);
}

void compare_legs(GoldenCase& golden, GoldenReport& report, std::size_t copies, std::size_t modes) {
    const Bank bank = bank_of(init::LegS{}, copies, modes);
    report.compare("legs.A", bank.A, tolerance);
    report.compare("legs.B", sizes_of_parts(bank.B),
                   sizes_of_parts(golden.tensor("legs.B").complex()), tolerance);
    Numbers P;
    const init::Nplr nplr = init::LegS{}.nplr(modes);
    for (std::size_t copy = 0; copy < copies; ++copy)
        for (const std::complex<double>& p : nplr.P.row(0))
            P.push_back(p);
    report.compare("legs.P", sizes_of_parts(P), sizes_of_parts(golden.tensor("legs.P").complex()),
                   tolerance);
}

void compare_transforms(GoldenCase& golden, GoldenReport& report) {
    for (const Transform transform : {Transform::none, Transform::exp, Transform::relu,
                                      Transform::sigmoid, Transform::softplus}) {
        std::vector<double> weights;
        std::vector<double> values;
        for (const double x : golden.tensor("transform.x").values) {
            weights.push_back(
                initial_weight(transform, transform == Transform::sigmoid ? std::min(x, 0.9) : x));
            values.push_back(value(transform, weights.back()));
        }
        const std::string prefix = "transform." + std::string(name(transform));
        report.compare(prefix + ".inv", weights, tolerance);
        report.compare(prefix + ".fwd", values, tolerance);
    }
}

void compare_s4d_inits(GoldenCase& golden, GoldenReport& report) {
    const std::size_t modes = golden.config.at("N").get<std::size_t>() / 2;
    const std::size_t copies = golden.config.at("H");
    const auto compare = [&](const std::string& name, const auto& init) {
        compare_bank(golden, report, name, bank_of(init, copies, modes));
    };
    compare("real", init::Real{});
    compare("lin", init::Lin{});
    compare("inv", init::Inv{});
    compare("inv2", init::Inv2{});
    compare("quad", init::Quad{});
    compare("lin_alternating", init::Lin{{.B = init::InputInit::alternating}});
    compare("lin_unit-cw", init::Lin{{.B = init::InputInit::unit_cw}});
    compare("lin_unit-ccw", init::Lin{{.B = init::InputInit::unit_ccw}});
    compare("inv_scaled_normalized", init::Inv{{.real_scale = golden.config.at("real_scale"),
                                                .imag_scale = golden.config.at("imag_scale"),
                                                .B_scale = golden.config.at("B_scale"),
                                                .normalize = true}});
    compare_legs(golden, report, copies, modes);
    const auto compare_combination = [&](const std::string& name, const auto& init) {
        compare_bank(golden, report, name,
                     bank_of(init, golden.tensor(name + ".A").extent(0), modes));
    };
    compare_combination("combination_diag", init::Diag{});
    compare_combination("combination_hippo", init::Hippo{});
    compare_combination("combination_all", init::All{});
    compare_transforms(golden, report);
}

namespace hippo = ssm::init::hippo;

/// The entries of a matrix, row after row.
template <class Matrix>
auto flat(const Matrix& matrix) {
    std::vector<typename Matrix::Scalar> result;
    for (Eigen::Index n = 0; n < matrix.rows(); ++n)
        for (Eigen::Index k = 0; k < matrix.cols(); ++k)
            result.push_back(matrix(n, k));
    return result;
}

template <hippo::DenseMeasure M>
void compare_transition(GoldenCase& golden, GoldenReport& report, const std::string& name,
                        const M& measure) {
    if (!golden.has(name + ".A"))
        return;
    const hippo::Transition system = measure.transition(golden.config.at("N"));
    report.compare(name + ".A", flat(system.A), tolerance);
    report.compare(name + ".B", flat(system.B), tolerance);
}

void compare_transitions(GoldenCase& golden, GoldenReport& report) {
    const auto compare = [&](const std::string& name, const auto& measure) {
        compare_transition(golden, report, name, measure);
    };
    compare("legs", hippo::LegS{});
    compare("legsd", hippo::LegSD{});
    compare("legt", hippo::LegT{});
    compare("lmu", hippo::LMU{});
    compare("lagt", hippo::LagT{});
    compare("lagt_beta05", hippo::LagT{0.5});
    compare("tlagt_beta05", hippo::TiltedLagT{0.5});
    compare("glagt", hippo::GeneralizedLaguerre{});
    compare("glagt_a05_b02", hippo::GeneralizedLaguerre{0.5, 0.2});
    compare("fourier", hippo::Fourier{});
    compare("fourier_decay", hippo::FourierDecay{});
    compare("fourier2", hippo::Fourier2{});
    compare("fourier_diag", hippo::FourierDiag{});
}

Eigen::MatrixXcd complex_matrix(const ssm_test::GoldenTensor& tensor, Eigen::Index rows,
                                Eigen::Index columns) {
    const Numbers numbers = tensor.complex();
    Eigen::MatrixXcd result(rows, columns);
    for (Eigen::Index n = 0; n < rows; ++n)
        for (Eigen::Index k = 0; k < columns; ++k)
            result(n, k) = numbers.at(static_cast<std::size_t>(n * columns + k));
    return result;
}

/// The factors that give each column of V our phase: its first entry that is not zero is positive.
Eigen::VectorXcd phases(const Eigen::MatrixXcd& V) {
    Eigen::VectorXcd result(V.cols());
    for (Eigen::Index j = 0; j < V.cols(); ++j) {
        Eigen::Index k = 0;
        while (std::abs(V(k, j)) < 1e-10)
            ++k;
        result(j) = std::conj(V(k, j)) / std::abs(V(k, j));
    }
    return result;
}

template <hippo::Measure M>
void compare_nplr(GoldenCase& golden, GoldenReport& report, const std::string& name,
                  const M& measure) {
    if (!golden.has(name + ".A"))
        return;
    const std::size_t N = golden.config.at("N");
    const auto n = static_cast<Eigen::Index>(N / 2);
    report.compare(name + ".A", flat(measure.transition(N).A), tolerance);
    report.compare(name + ".B0", flat(measure.transition(N).B), tolerance);
    report.compare(name + ".P0", flat(measure.low_rank(N)), tolerance);
    if (golden.has(name + ".initial_C"))
        report.compare(name + ".initial_C", flat(hippo::initial_C(measure, N)), tolerance);

    const init::Nplr system = init::nplr(measure, N / 2);
    report.compare(name + ".w", flat(system.W), tolerance);
    const Eigen::MatrixXcd V = complex_matrix(golden.tensor(name + ".V"), 2 * n, n);
    const Eigen::VectorXcd phase = phases(V);
    report.compare(name + ".V", flat(system.V), flat(Eigen::MatrixXcd(V * phase.asDiagonal())),
                   tolerance);
    const Eigen::MatrixXcd P = complex_matrix(golden.tensor(name + ".P"), system.P.rows(), n);
    report.compare(name + ".P", flat(system.P),
                   flat(Eigen::MatrixXcd(P * phase.conjugate().asDiagonal())), tolerance);
    const Eigen::VectorXcd B = complex_matrix(golden.tensor(name + ".B"), n, 1);
    report.compare(name + ".B", flat(system.B),
                   flat(Eigen::VectorXcd(phase.conjugate().cwiseProduct(B))), tolerance);
    // Where it clips, the phases are signs.
    const Eigen::VectorXcd clipped = complex_matrix(golden.tensor(name + ".B_clip2"), n, 1);
    report.compare(name + ".B_clip2", flat(init::clip_input(system.B, 2.0)),
                   flat(Eigen::VectorXcd(phase.conjugate().cwiseProduct(clipped))), tolerance);
}

void compare_nplrs(GoldenCase& golden, GoldenReport& report) {
    const auto compare = [&](const std::string& name, const auto& measure) {
        compare_nplr(golden, report, name, measure);
    };
    compare("legs", hippo::LegS{});
    compare("legt", hippo::LegT{});
    compare("lagt", hippo::LagT{});
    compare("fourier", hippo::Fourier{});
    compare("fourier_decay", hippo::FourierDecay{});
    compare("fourier2", hippo::Fourier2{});
}

}  // namespace

TEST_CASE("hippo agrees with the original implementation") {
    ssm_test::run_family("hippo", [](GoldenCase& golden, GoldenReport& report) {
        if (ssm_test::matches("s4d_inits_*", golden.name))
            compare_s4d_inits(golden, report);
        else if (ssm_test::matches("transition_*", golden.name))
            compare_transitions(golden, report);
        else if (ssm_test::matches("nplr_*", golden.name))
            compare_nplrs(golden, report);
        else
            report.check(false, "unknown kind of case");
    });
}
