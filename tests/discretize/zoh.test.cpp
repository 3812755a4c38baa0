#include <cmath>
#include <complex>
#include <cstddef>
#include <vector>

#include <ssm/discretize/zoh.hpp>

#include "reference/discretization.hpp"
#include "support/catch.hpp"

using namespace ssm;
using ssm_test::Discretized;
using ssm_test::ZohReference;

namespace {

/// Poles of every size and direction in the left half plane, and a few right of it.
Discretized modes_of_every_size() {
    std::vector<std::complex<double>> lambda;
    std::vector<double> dt;
    for (double size = 1e-18; size < 1e4; size *= 3.7)
        for (double angle = 1.4; angle < 4.9; angle += 0.1) {
            lambda.push_back(std::polar(size, angle));
            dt.push_back(size > 1.0 ? 0.01 : 0.3);
        }
    return {lambda, dt};
}

}  // namespace

TEST_CASE("Zero-order hold is accurate for every dt lambda") {
    Discretized modes = modes_of_every_size();
    modes.forward(Zoh{});
    for (std::size_t i = 0; i < modes.dt.size(); ++i) {
        const std::complex<double> lambda(modes.lambda_re[i], modes.lambda_im[i]);
        const ZohReference expected(lambda, modes.dt[i]);
        INFO("lambda = " << lambda << ", dt = " << modes.dt[i]);
        // dt lambda is rounded before the exponential, which turns its size into relative error of z.
        const double tolerance = 1e-15 + 2.3e-16 * std::abs(modes.dt[i] * lambda);
        const std::complex<double> z(expected.z);
        const std::complex<double> b(expected.b);
        CHECK(std::abs(modes.z(i) - z) <= tolerance * std::abs(z));
        CHECK(std::abs(modes.b(i) - b) <= (tolerance + 1e-15) * std::abs(b));
    }
}

TEST_CASE("Zero-order hold of an integrator is its limit") {
    Discretized modes({0.0, 0.0}, {0.25, 0.0});
    modes.forward(Zoh{});
    CHECK(modes.z(0) == 1.0);
    CHECK(modes.b(0) == 0.25);
    CHECK(modes.z(1) == 1.0);
    CHECK(modes.b(1) == 0.0);
}

TEST_CASE("Gradients of zero-order hold are accurate for every dt lambda") {
    const Discretized modes = modes_of_every_size();
    const std::size_t count = modes.dt.size();
    const std::vector<double> zero(count, 0.0);
    const std::vector<double> one(count, 1.0);
    std::vector<double> re(count);
    std::vector<double> im(count);
    std::vector<double> dt(count);
    Zoh::adjoint(modes.lambda_re, modes.lambda_im, modes.dt, zero, zero, one, zero, re, im, dt);
    for (std::size_t i = 0; i < count; ++i) {
        // G(lambda) = conj(dt^2 phi1'), and phi1'(x) = (e^x - phi1(x)) / x, or its series.
        const std::complex<long double> lambda(
            std::complex<double>(modes.lambda_re[i], modes.lambda_im[i]));
        const auto step = static_cast<long double>(modes.dt[i]);
        const auto x = step * lambda;
        std::complex<long double> slope = (std::exp(x) - ZohReference::phi1(x)) / x;
        if (std::abs(x) < 0.5L) {
            slope = 0.0L;
            for (int k = 25; k >= 0; --k)
                slope = slope * x + static_cast<long double>(k + 1) /
                                        std::tgamma(static_cast<long double>(k + 3));
        }
        const std::complex<double> expected(step * step * std::conj(slope));
        INFO("dt lambda = " << std::complex<double>(x));
        CHECK(std::abs(std::complex<double>(re[i], im[i]) - expected) <=
              (1e-14 + 4e-16 * std::abs(std::complex<double>(x))) * std::abs(expected));
    }
}
