#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <limits>
#include <numbers>
#include <span>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/init/legs.hpp>
#include <ssm/kernel/cauchy.hpp>

#include "support/catch.hpp"
#include "support/prebuilt_systems.hpp"

using namespace ssm;

namespace {

using Complex = std::complex<double>;
using Numbers = std::vector<Complex>;

struct Problem {
    Numbers poles, numerators;
    std::vector<double> nodes;
};

/// Poles of HiPPO-LegS at a time step, random numerators, and the nodes of sequences of 2 (nodes + 1) steps.
Problem legs_problem(std::size_t modes, std::size_t products, std::size_t nodes, double dt) {
    Problem problem;
    Rng rng(3);
    for (const Complex& lambda : init::LegS{}.nplr(modes).W)
        problem.poles.push_back(-0.5 * dt * lambda);
    for (std::size_t i = 0; i < products * modes; ++i)
        problem.numerators.emplace_back(dt * rng.normal(), dt * rng.normal());
    for (std::size_t k = 1; k <= nodes; ++k)
        problem.nodes.push_back(std::tan(0.5 * std::numbers::pi * static_cast<double>(k) /
                                         static_cast<double>(nodes + 1)));
    return problem;
}

/// The definition, and the sum of the sizes of its terms.
struct Sum {
    Complex value;
    double size = 0.0;
};
Sum plain_sum(const Problem& problem, std::size_t product, double y) {
    Sum sum;
    const std::size_t modes = problem.poles.size();
    for (std::size_t n = 0; n < modes; ++n) {
        const Complex v = problem.numerators[product * modes + n];
        for (const Complex& term :
             {v / (problem.poles[n] + Complex(0.0, y)),
              std::conj(v) / (std::conj(problem.poles[n]) + Complex(0.0, y))}) {
            sum.value += term;
            sum.size += std::abs(term);
        }
    }
    return sum;
}

/// Largest error relative to the largest sum, with nodes as T has them.
template <class T>
double largest_error(Problem problem, std::size_t products) {
    std::vector<T> nodes(problem.nodes.begin(), problem.nodes.end());
    problem.nodes.assign(nodes.begin(), nodes.end());
    std::vector<std::complex<T>> sums(products * nodes.size());
    Workspace workspace;
    cauchy<T>(problem.poles, problem.numerators, nodes, sums, workspace);
    double error = 0.0, size = 0.0;
    for (std::size_t i = 0; i < sums.size(); ++i) {
        const Sum expected = plain_sum(problem, i / nodes.size(), problem.nodes[i % nodes.size()]);
        error = std::max(error, std::abs(Complex(sums[i]) - expected.value));
        size = std::max(size, expected.size);
    }
    return error / size;
}

double loss(const Problem& problem, std::span<const Complex> upstream) {
    double sum = 0.0;
    for (std::size_t i = 0; i < upstream.size(); ++i) {
        const Complex h =
            plain_sum(problem, i / problem.nodes.size(), problem.nodes[i % problem.nodes.size()])
                .value;
        sum += upstream[i].real() * h.real() + upstream[i].imag() * h.imag();
    }
    return sum;
}

}  // namespace

TEST_CASE(
    "Cauchy sums are the sums of their definition, for any numbers of modes, products and nodes") {
    for (const std::size_t products : {1U, 2U, 3U, 4U, 7U})
        for (const std::size_t nodes : {1U, 5U, 16U, 67U}) {
            CHECK(largest_error<double>(legs_problem(5, products, nodes, 0.03), products) < 1e-14);
            CHECK(largest_error<float>(legs_problem(5, products, nodes, 0.03), products) < 2e-6);
        }
    CHECK(largest_error<double>(legs_problem(32, 4, 511, 1e-3), 4) < 1e-14);
}

TEST_CASE("in float Cauchy sums are exact to 4e-7 of the largest at the time steps of S4") {
    // Coefficients are rounded once, and next to a resonance |m|^2 - y^2 keeps |m| / Re m fewer units.
    CHECK(largest_error<float>(legs_problem(4, 1, 511, 0.1), 1) < 4e-7);
    CHECK(largest_error<float>(legs_problem(32, 4, 511, 0.1), 4) < 1e-5);
    CHECK(largest_error<float>(legs_problem(32, 4, 511, 1e-3), 4) < 4e-7);
}

TEST_CASE("gradients of Cauchy sums are their differences") {
    Problem problem = legs_problem(4, 3, 21, 0.2);
    Rng rng(9);
    Numbers upstream;
    for (std::size_t i = 0; i < 3 * 21; ++i)
        upstream.emplace_back(rng.normal(), rng.normal());
    Numbers of_poles(4, 1.0), of_numerators(12, 2.0);
    Workspace workspace;
    cauchy_adjoint<double>(problem.poles, problem.numerators, problem.nodes, upstream, of_poles,
                           of_numerators, workspace);
    const auto check = [&](Numbers& numbers, const Numbers& gradient, double before) {
        double size = 0.0;
        for (const Complex& g : gradient)
            size = std::max(size, std::abs(g));
        for (std::size_t i = 0; i < numbers.size(); ++i)
            for (const Complex& direction : {Complex(1.0, 0.0), Complex(0.0, 1.0)}) {
                const Complex at = numbers[i];
                const auto along = [&](double step) {
                    numbers[i] = at + step * direction;
                    const double value = loss(problem, upstream);
                    numbers[i] = at;
                    return value;
                };
                const double h = 1e-3 * std::abs(at);
                const double expected =
                    (8.0 * (along(h) - along(-h)) - along(2.0 * h) + along(-2.0 * h)) / (12.0 * h);
                const Complex found = gradient[i] - before;
                CHECK(found.real() * direction.real() + found.imag() * direction.imag() ==
                      Approx(expected).margin(1e-7 * size));
            }
    };
    check(problem.poles, of_poles, 1.0);
    check(problem.numerators, of_numerators, 2.0);
}

TEST_CASE("Cauchy sums of shapes that do not fit are refused") {
    const Numbers poles(3, 1.0), numerators(6, 1.0);
    const std::vector<double> nodes(4, 1.0);
    Numbers sums(7);
    Workspace workspace;
    CHECK_THROWS_AS(cauchy<double>(poles, numerators, nodes, sums, workspace), ShapeError);
    CHECK_THROWS_AS(cauchy<double>(poles, Numbers(5), nodes, sums, workspace), ShapeError);
}
