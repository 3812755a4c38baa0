#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/companion.hpp>
#include <ssm/kernel/companion.hpp>

#include "reference/companion.hpp"
#include "support/catch.hpp"

using namespace ssm;
using ssm_test::CompanionReference;

namespace {

/// A bank with sum |a_i| = `decay` for each kernel.
CompanionSystem bank(const CompanionShape& shape, double decay) {
    CompanionSystem system(shape);
    Rng rng(7 * shape.state + shape.kernels);
    for (auto* values : {&system.a, &system.b, &system.c})
        for (double& value : *values)
            value = rng.normal();
    for (std::size_t k = 0; k < shape.kernels; ++k) {
        double sum = 0.0;
        for (std::size_t i = 0; i < shape.state; ++i)
            sum += std::abs(system.a[k * shape.state + i]);
        for (std::size_t i = 0; i < shape.state; ++i)
            system.a[k * shape.state + i] *= decay / sum;
    }
    return system;
}

/// Largest difference relative to the largest expected number.
double error(std::span<const double> found, const std::vector<double>& expected) {
    double difference = 0.0, scale = 1e-300;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        difference = std::max(difference, std::abs(found[i] - expected[i]));
        scale = std::max(scale, std::abs(expected[i]));
    }
    return difference / scale;
}

void check_kernel_and_adjoint(const CompanionShape& shape, double decay, std::size_t length) {
    INFO("d = " << shape.state << ", L = " << length << ", kernels = " << shape.kernels
                << ", decay = " << decay);
    const CompanionSystem system = bank(shape, decay);
    Workspace workspace;
    std::vector<double> kernel(shape.heads * shape.channels * length), upstream(kernel.size());
    companion_kernel<double>(system, length, kernel, workspace);
    Rng rng(3);
    for (double& g : upstream)
        g = rng.normal();
    CompanionSystem gradient(shape);
    companion_kernel_adjoint<double>(system, length, upstream, gradient, workspace);

    CompanionSystem expected(shape);
    for (std::size_t c = 0; c < shape.heads; ++c)
        for (std::size_t k = 0; k < shape.kernels; ++k) {
            const CompanionReference reference(system, c, k);
            const std::vector<double> K = reference.kernel(length);
            std::vector<double> g(length);
            for (std::size_t h = 0; h < shape.channels; ++h) {
                if (shape.kernel_of(h) != k)
                    continue;
                const std::size_t first = (c * shape.channels + h) * length;
                CHECK(error(std::span(kernel).subspan(first, length), K) < 1e-12);
                for (std::size_t l = 0; l < length; ++l)
                    g[l] += upstream[first + l];
            }
            const auto of = reference.gradient(g);
            for (std::size_t i = 0; i < shape.state; ++i) {
                expected.a[k * shape.state + i] += static_cast<double>(of.a[i]);
                expected.b[k * shape.state + i] += static_cast<double>(of.b[i]);
                expected.c[(c * shape.kernels + k) * shape.state + i] =
                    static_cast<double>(of.c[i]);
            }
        }
    CHECK(error(gradient.a, {expected.a.begin(), expected.a.end()}) < 1e-11);
    CHECK(error(gradient.b, {expected.b.begin(), expected.b.end()}) < 1e-11);
    CHECK(error(gradient.c, {expected.c.begin(), expected.c.end()}) < 1e-11);
}

}  // namespace

TEST_CASE("companion kernels and their adjoints are those of the matrix written out") {
    // Kernels shorter, as long, and longer than the state; tails of registers; shared kernels.
    for (const std::size_t length : {1UL, 3UL, 5UL, 6UL, 64UL, 301UL})
        for (const double decay : {1.0, 0.5, 0.0})
            check_kernel_and_adjoint({.channels = 3, .state = 5, .kernels = 3}, decay, length);
    check_kernel_and_adjoint({.channels = 12, .state = 64, .heads = 2, .kernels = 3, .group = 2},
                             1.0, 500);
    check_kernel_and_adjoint({.channels = 18, .state = 3, .kernels = 9}, 1.0, 40);
    check_kernel_and_adjoint({.channels = 1, .state = 1}, 0.9, 20);
}

TEST_CASE("the published companion and shift kernels") {
    CompanionSystem system({.channels = 1, .state = 3});
    system.a = {0.2, -0.3, 0.5};
    system.b = {1.0, 0.5, -0.25};
    system.c = {0.3, -0.2, 0.7};
    Workspace workspace;
    std::vector<double> kernel(6);
    companion_kernel<double>(system, 6, kernel, workspace);
    const std::vector<double> expected = {0.025, 0.0325, 0.93875, 0.464625, -0.0428125, 0.02695625};
    CHECK(error(kernel, expected) < 1e-14);

    CompanionSystem shift({.channels = 1, .state = 4});
    shift.b = {1.0, 0.5, 0.0, 0.0};
    shift.c = {0.2, -0.1, 0.4, 0.3};
    companion_kernel<double>(shift, 6, kernel, workspace);
    CHECK(error(kernel, {0.15, 0.1, 0.55, 0.3, 0.0, 0.0}) < 1e-14);
}

TEST_CASE("companion kernels stay exact for long sequences at the border of stability") {
    const CompanionSystem system = bank({.channels = 1, .state = 16}, 1.0);
    Workspace workspace;
    std::vector<double> kernel(10000);
    companion_kernel<double>(system, kernel.size(), kernel, workspace);
    CHECK(error(kernel, CompanionReference(system, 0, 0).kernel(kernel.size())) < 1e-13);
}

TEST_CASE("companion kernels of another size are refused") {
    const CompanionSystem system = bank({.channels = 2, .state = 3, .kernels = 2}, 1.0);
    Workspace workspace;
    std::vector<double> kernel(7);
    CompanionSystem other({.channels = 2, .state = 4, .kernels = 2});
    CHECK_THROWS_AS(companion_kernel<double>(system, 4, kernel, workspace), ShapeError);
    CHECK_THROWS_AS(companion_kernel_adjoint<double>(system, 4, kernel, other, workspace),
                    ShapeError);
    kernel.resize(8);
    CHECK_THROWS_AS(companion_kernel_adjoint<double>(system, 4, kernel, other, workspace),
                    ShapeError);
}
