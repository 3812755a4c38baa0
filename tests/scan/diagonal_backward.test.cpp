#include <ssm/scan/diagonal_backward.hpp>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>

#include "reference/diagonal.hpp"
#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

using ssm::Batch;
using ssm::Modes;
using ssm::Workspace;
using ssm_test::DiagonalProblem;
using Sizes = std::vector<std::size_t>;

namespace {

/// sum of y dy in double.
double loss(const DiagonalProblem<double>& problem, const Batch<double>& dy) {
    ssm_test::DiagonalReference::State state;
    const Batch<double> y = problem.answer(state);
    return std::inner_product(y.data(), y.data() + y.size(), dy.data(), 0.0);
}

double central_difference(const DiagonalProblem<double>& problem, const Batch<double>& dy,
                          double& number) {
    const double before = number;
    const double h = 1e-5;
    number = before + h;
    const double above = loss(problem, dy);
    number = before - h;
    const double below = loss(problem, dy);
    number = before;
    return (above - below) / (2.0 * h);
}

template <class T>
struct Gradient {
    Gradient(const DiagonalProblem<T>& problem, const Batch<T>& dy)
        : modes(problem.modes.shape), du(problem.u.shape()), skip(problem.skip.size(), T(0)) {
        Workspace workspace;
        run(problem, dy, workspace);
    }
    void run(const DiagonalProblem<T>& problem, const Batch<T>& dy, Workspace& workspace) {
        ssm::diagonal_backward<T>(problem.modes, problem.skip, problem.u, dy, du, modes, skip,
                                  problem.context(workspace));
    }

    Modes modes;
    Batch<T> du;
    std::vector<T> skip;
};

}  // namespace

TEST_CASE("gradients of recurrences equal central differences", "[diagonal]") {
    for (const std::size_t channels : Sizes{1, 3, 16, 17})
        for (const std::size_t modes : Sizes{1, 3, 9})
            for (const std::size_t length : Sizes{1, 2, 63, 64, 65, 150}) {
                const std::size_t heads = 1 + (channels + length) % 2;
                CAPTURE(channels, modes, heads, length);
                DiagonalProblem<double> problem({channels, modes, heads}, 3, length, true, 9);
                if (modes != 3)
                    problem.interrupt(40);
                const Batch<double> dy =
                    ssm_test::random_batch<double>(problem.output().shape(), 10);
                const Gradient<double> gradient(problem, dy);
                std::mt19937 random(5);
                // The differences lose 1e-11 to rounding and 1e-10 L^3 to the third derivative.
                const auto check = [&](auto& numbers, const auto& found) {
                    const std::size_t i = random() % numbers.size();
                    const double expected = central_difference(problem, dy, numbers.data()[i]);
                    REQUIRE(found.data()[i] == Approx(expected).epsilon(1e-5).margin(1e-5));
                };
                for (int repeat = 0; repeat < 3; ++repeat) {
                    check(problem.modes.pole_re, gradient.modes.pole_re);
                    check(problem.modes.pole_im, gradient.modes.pole_im);
                    check(problem.modes.residue_re, gradient.modes.residue_re);
                    check(problem.modes.residue_im, gradient.modes.residue_im);
                    check(problem.skip, gradient.skip);
                    check(problem.u, gradient.du);
                }
            }
}

TEST_CASE("gradients in float are near those in double", "[diagonal]") {
    for (const std::size_t channels : Sizes{2, 24}) {
        DiagonalProblem<float> problem({channels, 6, 2}, 2, 700, true, 9);
        problem.interrupt(300);
        DiagonalProblem<double> exact({channels, 6, 2}, 2, 700, true, 9);
        exact.interrupt(300);
        const Batch<float> dy = ssm_test::random_batch<float>(problem.output().shape(), 10);
        const Gradient<float> gradient(problem, dy);
        const Gradient<double> expected(exact, ssm_test::converted<double>(dy));
        CHECK(ssm_test::relative_difference(gradient.du, expected.du) < 1e-5);
        const auto compare = [](const auto& found, const auto& truth) {
            const double largest =
                *std::ranges::max_element(truth, {}, [](double x) { return std::abs(x); });
            for (std::size_t i = 0; i < truth.size(); ++i)
                CHECK(std::abs(static_cast<double>(found[i]) - truth[i]) <
                      1e-4 * std::abs(largest));
        };
        compare(gradient.modes.pole_re, expected.modes.pole_re);
        compare(gradient.modes.pole_im, expected.modes.pole_im);
        compare(gradient.modes.residue_re, expected.modes.residue_re);
        compare(gradient.modes.residue_im, expected.modes.residue_im);
        compare(gradient.skip, expected.skip);
    }
}

TEST_CASE("gradients are added to what is there, and du may be left out", "[diagonal]") {
    const DiagonalProblem<double> problem({5, 3, 1}, 2, 70, true, 9);
    const Batch<double> dy = ssm_test::random_batch<double>(problem.output().shape(), 10);
    Gradient<double> gradient(problem, dy);
    const Gradient<double> once = gradient;
    Workspace workspace;
    ssm::diagonal_backward<double>(problem.modes, problem.skip, problem.u, dy, {}, gradient.modes,
                                   {}, workspace);
    for (std::size_t i = 0; i < once.modes.pole_re.size(); ++i)
        CHECK(gradient.modes.pole_re[i] == Approx(2.0 * once.modes.pole_re[i]));
    CHECK(gradient.skip == once.skip);
}

TEST_CASE("gradients are the same bits for any number of threads", "[diagonal]") {
    const DiagonalProblem<float> problem({40, 5, 2}, 11, 200, true, 9);
    const Batch<float> dy = ssm_test::random_batch<float>(problem.output().shape(), 10);
    std::vector<Gradient<float>> gradients;
    for (const std::size_t threads : Sizes{1, 2, 7}) {
        ssm::set_threads(threads);
        gradients.emplace_back(problem, dy);
    }
    ssm::set_threads(0);
    for (const Gradient<float>& other : gradients) {
        CHECK(other.du == gradients[0].du);
        CHECK(other.skip == gradients[0].skip);
        CHECK(other.modes.pole_re == gradients[0].modes.pole_re);
        CHECK(other.modes.pole_im == gradients[0].modes.pole_im);
        CHECK(other.modes.residue_re == gradients[0].modes.residue_re);
        CHECK(other.modes.residue_im == gradients[0].modes.residue_im);
    }
}

TEST_CASE("a warm backward does not allocate", "[diagonal]") {
    ssm::set_threads(1);
    const DiagonalProblem<float> problem({20, 5, 2}, 3, 200, true, 9);
    const Batch<float> dy = ssm_test::random_batch<float>(problem.output().shape(), 10);
    Gradient<float> gradient(problem, dy);
    Workspace workspace;
    gradient.run(problem, dy, workspace);
    const ssm_test::AllocationCounter allocations;
    gradient.run(problem, dy, workspace);
    CHECK(allocations.count() == 0);
    ssm::set_threads(0);
}

TEST_CASE("a gradient of another shape is refused", "[diagonal]") {
    const DiagonalProblem<float> problem({4, 3, 1}, 2, 5, false, 9);
    const Batch<float> dy(2, 5, 4);
    Batch<float> du(2, 5, 4);
    Workspace workspace;
    Modes other({4, 2, 1});
    CHECK_THROWS_AS(
        ssm::diagonal_backward<float>(problem.modes, {}, problem.u, dy, du, other, {}, workspace),
        ssm::ShapeError);
    Modes gradient({4, 3, 1});
    const Batch<float> narrow(2, 5, 3);
    CHECK_THROWS_AS(ssm::diagonal_backward<float>(problem.modes, {}, problem.u, narrow, du,
                                                  gradient, {}, workspace),
                    ssm::ShapeError);
}
