// Initialisations of S4D and parameter transforms against the S4 code.

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <ssm/core/rng.hpp>
#include <ssm/discretize/transform.hpp>
#include <ssm/init/combination.hpp>
#include <ssm/init/diagonal.hpp>
#include <ssm/init/legs.hpp>

#include "support/catch.hpp"
#include "support/golden.hpp"

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
    for (std::size_t copy = 0; copy < copies; ++copy)
        for (const std::complex<double>& p : init::LegS{}.nplr(modes).P.row(0))
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

}  // namespace

TEST_CASE("hippo agrees with the original implementation") {
    ssm_test::run_family("hippo", [](GoldenCase& golden, GoldenReport& report) {
        if (ssm_test::matches("s4d_inits_*", golden.name))
            compare_s4d_inits(golden, report);
        else
            report.check(false, "unknown kind of case");
    });
}
