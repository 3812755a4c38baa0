// LRU against a plain reference and its promises.

#include <cmath>
#include <complex>
#include <cstddef>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/init/ring.hpp>
#include <ssm/layer/lru.hpp>

#include "reference/mimo.hpp"
#include "support/catch.hpp"
#include "support/conformance.hpp"
#include "support/prebuilt_scan.hpp"

using namespace ssm;

namespace {
using Unit = LRU<double>;
static_assert(StreamingLayer<Unit> && TrainableLayer<Unit>);
static_assert(!Unit::has_time_step);
}  // namespace

TEST_CASE("LRU keeps the promises of a layer") {
    ssm_test::check_conformance(ssm_test::with_noise(
        Unit({.channels = 5, .state = 7, .dynamics = {.ring = {.r_min = 0.3, .r_max = 0.9}}})));
}

TEST_CASE("LRU is its formulae") {
    const Unit layer({.channels = 3, .state = 6}, Rng(4));
    const auto z = [&](std::size_t, std::size_t p) {
        return std::exp(std::complex<double>(-std::exp(layer.bank.nu_log[p]),
                                             std::exp(layer.bank.theta_log[p])));
    };
    const auto b = [&](std::size_t, std::size_t p) {
        return std::complex<double>(std::exp(layer.bank.gamma_log[p]));
    };
    const auto system = ssm_test::reference_of(layer, 1.0, z, b);
    Rng rng(1);
    Batch<double> u(1, 40, 3), y(u.shape());
    for (std::size_t i = 0; i < u.size(); ++i)
        u.data()[i] = rng.normal();
    Workspace workspace;
    layer.forward(u, y, workspace);
    std::vector<std::complex<double>> x(6);
    const auto expected = system.run({u.view().flat().begin(), u.view().flat().end()}, x);
    for (std::size_t i = 0; i < expected.size(); ++i)
        CHECK(std::abs(y.data()[i] - expected[i]) < 1e-12);
}

TEST_CASE("poles start on the ring, uniform by area, and states with unit variance") {
    const Unit layer(
        {.channels = 1, .state = 4000, .dynamics = {.ring = {.r_min = 0.5, .r_max = 0.9}}});
    double mean = 0.0;
    for (const auto z : layer.poles()) {
        CHECK(std::abs(z) >= 0.5 - 1e-12);
        CHECK(std::abs(z) <= 0.9 + 1e-12);
        mean += std::norm(z) / 4000.0;
    }
    // |z|^2 uniform between 0.25 and 0.81: its mean over 4000 draws has deviation 0.003
    CHECK(std::abs(mean - 0.53) < 0.012);
    // where 1 - |z|^2 would cancel
    CHECK(init::Ring::gamma_log(-30.0) == Approx(0.5 * (std::log(2.0) - 30.0)));
}

TEST_CASE("LRU says what is wrong") {
    CHECK_THROWS_AS(Unit({.channels = 2, .dynamics = {.ring = {.r_min = 1.0, .r_max = 0.5}}}),
                    ValueError);
    CHECK_THROWS_AS(Unit({.channels = 2, .rate = 2.0}), ValueError);
    const Unit layer({.channels = 2, .state = 4});
    Workspace workspace;
    const Batch<double> u(1, 3, 2), intervals(1, 3, 1);
    Batch<double> y(1, 3, 2);
    CHECK_THROWS_AS(layer.forward(u, y, Context(workspace).with_intervals(intervals)), ValueError);
}
