#include <cmath>
#include <complex>
#include <cstddef>
#include <type_traits>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/discretize/bilinear.hpp>
#include <ssm/discretize/dirac.hpp>
#include <ssm/discretize/discretization.hpp>
#include <ssm/discretize/dss.hpp>
#include <ssm/discretize/zoh.hpp>

#include "reference/discretization.hpp"
#include "support/catch.hpp"

using namespace ssm;
using ssm_test::Discretized;
using Number = std::complex<double>;

static_assert(Discretization<Zoh> && Discretization<Bilinear> &&
              Discretization<GeneralizedBilinear> && Discretization<ForwardEuler> &&
              Discretization<BackwardEuler> && Discretization<Dirac> &&
              Discretization<DssOfLength>);
static_assert(LengthDependentDiscretization<Dss> && !LengthDependentDiscretization<Zoh> &&
              !Discretization<Dss>);
static_assert(conjugate_factor<Zoh> == 2.0 && conjugate_factor<Dss> == 1.0 &&
              conjugate_factor<DssOfLength> == 1.0);

namespace {

const std::vector<Number> some_poles = {{-0.5, 0.0},    {-0.5, -3.1}, {-1.0, -20.0}, {0.0, 0.0},
                                        {-30.0, 2.0},   {0.0, -1.0},  {0.2, -0.4},   {-2.0, 0.0},
                                        {-1e-9, -1e-9}, {-0.1, -0.2}, {-3.0, 0.5}};
const std::vector<double> some_steps = {0.1, 0.2, 0.05, 0.3, 0.1, 0.7, 0.4, 1.0, 0.1, 0.01, 0.2};

/// Compares the adjoint of a method with central differences of a random linear functional.
template <class Method>
void check_adjoint(const Method& method, std::vector<Number> poles,
                   const std::vector<double>& steps) {
    Rng rng(4);
    const std::size_t n = poles.size();
    std::vector<double> g[4];  // upstream of Re z, Im z, Re b, Im b
    for (auto& part : g)
        for (std::size_t i = 0; i < n; ++i)
            part.push_back(rng.normal());
    Discretized modes(poles, steps);
    std::vector<double> d_re(n, 9.0);
    std::vector<double> d_im(n, 9.0);
    std::vector<double> d_dt(n, 9.0);
    method.adjoint(modes.lambda_re, modes.lambda_im, modes.dt, g[0], g[1], g[2], g[3], d_re, d_im,
                   d_dt);

    const auto loss = [&](std::size_t i) {
        modes.forward(method);
        return g[0][i] * modes.z_re[i] + g[1][i] * modes.z_im[i] + g[2][i] * modes.b_re[i] +
               g[3][i] * modes.b_im[i];
    };
    const auto difference = [&](double& value, std::size_t i) {
        const double step = 1e-6;
        const double kept = value;
        value = kept + step;
        const double above = loss(i);
        value = kept - step;
        const double below = loss(i);
        value = kept;
        return (above - below) / (2.0 * step);
    };
    for (std::size_t i = 0; i < n; ++i) {
        INFO("lambda = " << poles[i] << ", dt = " << steps[i]);
        CHECK(d_re[i] == Approx(difference(modes.lambda_re[i], i)).epsilon(1e-6).margin(1e-7));
        CHECK(d_im[i] == Approx(difference(modes.lambda_im[i], i)).epsilon(1e-6).margin(1e-7));
        CHECK(d_dt[i] == Approx(difference(modes.dt[i], i)).epsilon(1e-6).margin(1e-7));
    }
}

template <class Method, class Formula>
void check_formula(const Method& method, const Formula& z_and_b) {
    Discretized modes(some_poles, some_steps);
    modes.forward(method);
    for (std::size_t i = 0; i < some_poles.size(); ++i) {
        const auto [z, b] = z_and_b(some_poles[i], some_steps[i]);
        INFO("lambda = " << some_poles[i] << ", dt = " << some_steps[i]);
        CHECK(std::abs(modes.z(i) - z) < 1e-14 * (1.0 + std::abs(z)));
        CHECK(std::abs(modes.b(i) - b) < 1e-14 * (1.0 + std::abs(b)));
    }
}

struct Pair {
    Number z;
    Number b;
};

}  // namespace

TEST_CASE("The bilinear transforms have their formulas") {
    const auto formula = [](double alpha) {
        return [alpha](Number lambda, double dt) {
            const Number w = 1.0 - alpha * dt * lambda;
            return Pair{(1.0 + (1.0 - alpha) * dt * lambda) / w, dt / w};
        };
    };
    check_formula(Bilinear{}, formula(0.5));
    check_formula(ForwardEuler{}, formula(0.0));
    check_formula(BackwardEuler{}, formula(1.0));
    check_formula(GeneralizedBilinear{0.3}, formula(0.3));
}

TEST_CASE("Impulses have their formula") {
    check_formula(Dirac{}, [](Number lambda, double dt) {
        return Pair{std::exp(dt * lambda), 1.0};
    });
}

TEST_CASE("Adjoints of all discretisations agree with central differences") {
    check_adjoint(Zoh{}, some_poles, some_steps);
    check_adjoint(Bilinear{}, some_poles, some_steps);
    check_adjoint(GeneralizedBilinear{0.3}, some_poles, some_steps);
    check_adjoint(ForwardEuler{}, some_poles, some_steps);
    check_adjoint(BackwardEuler{}, some_poles, some_steps);
    check_adjoint(Dirac{}, some_poles, some_steps);
}

TEST_CASE("The adjoint of DSS agrees with central differences") {
    std::vector<Number> poles = some_poles;
    poles[3] = {-0.05,
                0.1};  // not at the jump of the sign, and not where epsilon makes a narrow peak
    poles[5] = {-0.01, -1.0};
    poles[8] = {-0.3, 0.2};
    const Dss exact{.constant_maximum = false};
    check_adjoint(exact.with_length(20), poles, some_steps);
    check_adjoint(exact.with_length(1), poles, some_steps);
    check_adjoint(Dss{.epsilon = 0.01, .constant_maximum = false}.with_length(7), poles,
                  some_steps);
}

TEST_CASE("DSS normalises each mode over the sequence, for decaying and growing modes alike") {
    const std::vector<Number> poles = {
        {-0.5, 4.6}, {-0.5, 0.5}, {0.3, 2.0}, {2.0, -1.0}, {-4.0, 0.0}};
    const std::size_t length = 50;
    Discretized modes(poles, std::vector<double>(poles.size(), 0.2));
    modes.forward(Dss{.epsilon = 0.0}.with_length(length));
    for (std::size_t i = 0; i < poles.size(); ++i) {
        Number sum = 0.0;
        for (std::size_t l = 0; l < length; ++l)
            sum += std::exp(0.2 * poles[i] * static_cast<double>(l));
        const Number expected = 1.0 / (poles[i] * sum);
        INFO("lambda = " << poles[i]);
        CHECK(std::abs(modes.b(i) - expected) < 1e-13 * std::abs(expected));
    }
}

TEST_CASE("The constant maximum of DSS changes the gradient of growing modes alone") {
    const std::vector<Number> poles = {{-0.5, 1.0}, {0.5, 1.0}};
    Discretized modes(poles, {0.1, 0.1});
    const std::vector<double> one(2, 1.0);
    const auto gradient = [&](bool constant) {
        std::vector<double> re(2);
        std::vector<double> im(2);
        std::vector<double> dt(2);
        Dss{.constant_maximum = constant}.with_length(10).adjoint(
            modes.lambda_re, modes.lambda_im, modes.dt, one, one, one, one, re, im, dt);
        return dt;
    };
    CHECK(gradient(true)[0] == gradient(false)[0]);
    CHECK(gradient(true)[1] != gradient(false)[1]);
}

TEST_CASE("DSS refuses modes that outgrow a number") {
    Discretized modes({{1.0, 0.0}}, {0.1});
    CHECK_NOTHROW(modes.forward(Dss{}.with_length(7001)));
    CHECK_THROWS_AS(modes.forward(Dss{}.with_length(7003)), ValueError);
}

TEST_CASE("A discretisation for a length is itself, unless it depends on the length") {
    static_assert(std::is_same_v<decltype(at_length(Zoh{}, 5)), Zoh>);
    CHECK(at_length(Dss{.epsilon = 0.5}, 5).length == 5);
    CHECK(at_length(Dss{.epsilon = 0.5}, 5).epsilon == 0.5);
    CHECK(at_length(GeneralizedBilinear{0.7}, 5).alpha == 0.7);
}
