#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/init/normal.hpp>
#include <ssm/init/timescale.hpp>

#include "support/catch.hpp"

using namespace ssm;

static_assert(init::TimescaleInit<init::LogUniform> && init::TimescaleInit<init::Geometric>);

TEST_CASE("Time steps are uniform in their logarithm") {
    Rng rng(1);
    const std::vector<double> dt = init::LogUniform{.min = 1e-4, .max = 1e-1}(20000, rng);
    CHECK(*std::min_element(dt.begin(), dt.end()) >= 1e-4);
    CHECK(*std::max_element(dt.begin(), dt.end()) < 1e-1);
    for (const double bound : {1e-3, 1e-2}) {  // a third of the logarithms each
        const auto below = std::count_if(dt.begin(), dt.end(), [&](double x) { return x < bound; });
        CHECK(static_cast<double>(below) / 20000.0 ==
              Approx(std::log10(bound / 1e-4) / 3.0).margin(0.02));
    }
}

TEST_CASE("Geometric time steps have a constant ratio and both ends") {
    Rng rng;
    const std::vector<double> dt = init::Geometric{.min = 1e-3, .max = 1.0}(4, rng);
    const double expected[] = {1e-3, 1e-2, 1e-1, 1.0};
    for (std::size_t i = 0; i < 4; ++i)
        CHECK(dt[i] == Approx(expected[i]).epsilon(1e-12));
    CHECK(init::Geometric{}(1, rng) == std::vector<double>{1e-3});
    CHECK(init::Geometric{}(0, rng).empty());
}

TEST_CASE("Impossible ranges of time steps are refused") {
    Rng rng;
    CHECK_THROWS_AS((init::LogUniform{.min = 0.0, .max = 1.0}(1, rng)), ValueError);
    CHECK_THROWS_AS((init::LogUniform{.min = 1.0, .max = 0.1}(1, rng)), ValueError);
    CHECK_THROWS_AS((init::Geometric{.min = 0.1, .max = std::nan("")}(1, rng)), ValueError);
}

TEST_CASE("Complex normal numbers have unit variance, half in each part") {
    Rng rng(2);
    double re = 0.0;
    double im = 0.0;
    double mixed = 0.0;
    const int count = 40000;
    for (int i = 0; i < count; ++i) {
        const std::complex<double> x = init::complex_normal(rng);
        re += x.real() * x.real() / count;
        im += x.imag() * x.imag() / count;
        mixed += x.real() * x.imag() / count;
    }
    CHECK(re == Approx(0.5).margin(0.02));  // five standard deviations
    CHECK(im == Approx(0.5).margin(0.02));
    CHECK(mixed == Approx(0.0).margin(0.015));
}
