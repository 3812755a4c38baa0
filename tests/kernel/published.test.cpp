// Kernels whose numbers were computed independently, from parameters to K.

#include <cmath>
#include <complex>
#include <cstddef>
#include <vector>

#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/bilinear.hpp>
#include <ssm/discretize/dss.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/discretize/zoh.hpp>
#include <ssm/init/diagonal.hpp>
#include <ssm/init/nplr.hpp>
#include <ssm/kernel/vandermonde.hpp>

#include "support/catch.hpp"
#include "support/prebuilt_bank.hpp"
#include "support/prebuilt_systems.hpp"

using namespace ssm;

namespace {

using Numbers = std::vector<std::complex<double>>;

/// K of one channel: modes A, input B, output C, step dt.
template <class Method>
std::vector<double> kernel_of(const Method& method, const Numbers& A, const Numbers& B,
                              const Numbers& C, double dt, std::size_t length) {
    const std::size_t n = A.size();
    std::vector<double> lambda_re;
    std::vector<double> lambda_im;
    for (const auto& a : A) {
        lambda_re.push_back(a.real());
        lambda_im.push_back(a.imag());
    }
    const std::vector<double> steps(n, dt);
    std::vector<double> b_re(n);
    std::vector<double> b_im(n);
    Modes modes(ModeShape{1, n, 1});
    at_length(method, length)
        .forward(lambda_re, lambda_im, steps, modes.pole_re, modes.pole_im, b_re, b_im);
    for (std::size_t i = 0; i < n; ++i) {
        const auto r =
            conjugate_factor<Method> * C[i] * B[i] * std::complex<double>(b_re[i], b_im[i]);
        modes.residue_re[i] = r.real();
        modes.residue_im[i] = r.imag();
    }
    Workspace workspace;
    std::vector<double> K(length);
    vandermonde<double>(modes, length, K, workspace);
    return K;
}

void check_close(const std::vector<double>& found, const std::vector<double>& expected) {
    REQUIRE(found.size() == expected.size());
    for (std::size_t l = 0; l < found.size(); ++l)
        CHECK(found[l] == Approx(expected[l]).margin(1e-10));  // ten digits were written down
}

}  // namespace

TEST_CASE("S4D-LegS kernels of zero-order hold and bilinear transform") {
    const init::Nplr system = init::nplr(init::hippo::LegS{}, 2);
    const Eigen::RowVector4cd C0 =
        Eigen::RowVector4d(1.0, -0.5, 0.25, 2.0).cast<std::complex<double>>();
    const Eigen::RowVectorXcd C = C0 * system.V;
    const Numbers A(system.W.begin(), system.W.end());
    const Numbers B(system.B.begin(), system.B.end());
    const Numbers CV(C.begin(), C.end());
    check_close(kernel_of(Zoh{}, A, B, CV, 0.1, 8),
                {0.4734928464, 0.2077569985, -0.0397274512, -0.2217717029, -0.3089091460,
                 -0.2935990557, -0.1896369466, -0.0273458929});
    check_close(kernel_of(Bilinear{}, A, B, CV, 0.1, 8),
                {0.4726605958, 0.2156909821, -0.0263817528, -0.2085251907, -0.3015437019,
                 -0.2963006046, -0.2036616584, -0.0505585621});
}

TEST_CASE("S4D-Lin kernel of zero-order hold") {
    Rng rng;
    const init::Diagonal system = init::Lin{}(2, rng);
    check_close(kernel_of(Zoh{}, system.A, system.B, {{1.0, 0.0}, {0.5, -0.25}}, 0.1, 8),
                {0.2835115915, 0.2470335616, 0.2077160507, 0.1687410639, 0.1329961894, 0.1028248709,
                 0.0798525042, 0.0648977435});
}

TEST_CASE("DSS kernel, softmax without epsilon") {
    check_close(kernel_of(Dss{.epsilon = 0.0}, {{-0.5, 4.6032904}, {-0.5, 0.5565}},
                          {{1.0, 0.0}, {1.0, 0.0}}, {{1.0, 2.0}, {-0.5, 0.5}}, 0.1, 8),
                {0.0813404632, 0.1349015517, 0.1824214129, 0.2137387353, 0.2228893232, 0.2089101564,
                 0.1755639055, 0.1301418758});
}
