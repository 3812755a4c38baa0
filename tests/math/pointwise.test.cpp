#include <cmath>
#include <complex>
#include <limits>
#include <span>
#include <vector>

#include <ssm/math/pointwise.hpp>

#include "support/catch.hpp"

namespace math = ssm::math;

TEMPLATE_TEST_CASE("pointwise functions map arrays of any length and nothing past their end",
                   "[math]", float, double) {
    using T = TestType;
    constexpr T guard = T(-77);
    for (std::size_t n = 0; n <= 3 * ssm::simd::width<T> + 1; ++n) {
        std::vector<T> x(n);
        for (std::size_t i = 0; i < n; ++i)
            x[i] = T(0.37) * static_cast<T>(i) - T(3);
        std::vector<T> y(n + 1, guard);
        math::softplus(x, std::span(y).first(n));
        for (std::size_t i = 0; i < n; ++i)
            REQUIRE(y[i] == Approx(std::log1p(std::exp(x[i]))).epsilon(1e-6));
        REQUIRE(y[n] == guard);

        const std::vector<T> before = x;
        math::exp(x, x);  // in place
        for (std::size_t i = 0; i < n; ++i)
            REQUIRE(x[i] == Approx(std::exp(before[i])).epsilon(1e-6));
    }
}

TEST_CASE("pointwise functions refuse arrays of different lengths", "[math]") {
    const std::vector<float> x(3, 1.0F);
    std::vector<float> y(4, 7.0F);
    REQUIRE_THROWS_AS(math::exp(x, y), ssm::ShapeError);
    REQUIRE(y == std::vector<float>(4, 7.0F));
}

TEST_CASE("log_expm1 undoes softplus", "[math]") {
    for (const double x : {-30.0, -3.0, -0.1, 0.0, 1e-3, 2.0, 19.9, 20.1, 500.0})
        REQUIRE(math::log_expm1(math::softplus(x)) == Approx(x).epsilon(1e-12).margin(1e-14));
    REQUIRE(math::softplus(20.5) == 20.5);
}

TEST_CASE("phi1 has its limit at zero and no cancellation near it", "[math]") {
    using Complex = std::complex<double>;
    REQUIRE(math::phi1(0.0) == 1.0);
    REQUIRE(math::phi1(Complex{}) == Complex(1.0, 0.0));
    REQUIRE(math::phi1(std::complex<float>{}) == std::complex<float>(1.0F, 0.0F));
    for (const double size : {1e-320, 1e-200, 1e-16, 1e-8, 1e-3, 0.1}) {
        const Complex z(-size, 0.7 * size);
        // Eight terms of the series sum z^k / (k + 1)!
        Complex series = 1.0;
        for (int k = 12; k >= 1; --k)
            series = 1.0 + series * z / static_cast<double>(k + 1);
        REQUIRE(std::abs(math::phi1(z) - series) <= 1e-15);
        REQUIRE(math::phi1(-size) == Approx(math::phi1(Complex(-size, 0.0)).real()).epsilon(1e-15));
    }
}

TEST_CASE("complex expm1 is accurate for small and for large arguments", "[math]") {
    using Complex = std::complex<double>;
    REQUIRE(math::expm1(Complex(1e-20, -2e-20)) == Complex(1e-20, -2e-20));
    const Complex z(-2.0, 40.0);
    REQUIRE(std::abs(math::expm1(z) - (std::exp(z) - 1.0)) <= 1e-15);
    REQUIRE(std::abs(math::exp(z) - std::exp(z)) <= 1e-16);
}
