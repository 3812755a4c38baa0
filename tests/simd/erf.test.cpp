#include <cmath>
#include <limits>

#include <ssm/simd/erf.hpp>

#include "support/catch.hpp"
#include "support/ulp.hpp"

using ssm::testing_support::Wide;
namespace simd = ssm::simd;

namespace {
namespace exact {

Wide erf(Wide x) {
    return std::erf(x);
}
Wide erfc(Wide x) {
    return std::erfc(x);
}
Wide cumulative(Wide x) {
    return std::erfc(-x * std::sqrt(Wide(0.5))) / 2;
}
Wide density(Wide x) {
    return std::exp(-x * x / 2) / std::sqrt(2 * std::acos(Wide(-1)));
}

}  // namespace exact
}  // namespace

TEMPLATE_TEST_CASE("the error function and its complement are accurate", "[simd]", float, double) {
    using T = TestType;
    const double far = sizeof(T) == 4 ? 9 : 26;  // where the complement becomes subnormal
    for (const double range : {0.01, 1.0, 3.0, far}) {
        CHECK_ULP(T, erf, exact::erf, -range, range, sizeof(T) == 4 ? 3.5 : 2.5);
        CHECK_ULP(T, erfc, exact::erfc, -range, range, 8);
    }
}

TEMPLATE_TEST_CASE("the normal distribution is relatively accurate far into its tail", "[simd]",
                   float, double) {
    using T = TestType;
    const double far = sizeof(T) == 4 ? 12.5 : 37;
    for (const double range : {0.01, 1.0, 5.0, far}) {
        const auto in_cumulative = ssm::testing_support::largest_error<T>(
            [](simd::Pack<T> x) { return simd::normal(x).cumulative; }, exact::cumulative, -range,
            range);
        INFO("cumulative: " << in_cumulative.text());
        CHECK(in_cumulative.ulp <= 8);
        const auto in_density = ssm::testing_support::largest_error<T>(
            [](simd::Pack<T> x) { return simd::normal(x).density; }, exact::density, -range, range);
        INFO("density: " << in_density.text());
        CHECK(in_density.ulp <= 3.5);
    }
}

TEMPLATE_TEST_CASE("the error function has the right ends", "[simd]", float, double) {
    using T = TestType;
    using L = std::numeric_limits<T>;
    for (const T big : {T(40), L::max(), L::infinity()}) {
        CHECK_VALUE(T, erf, big, T(1));
        CHECK_VALUE(T, erf, -big, T(-1));
        CHECK_VALUE(T, erfc, big, T(0));
        CHECK_VALUE(T, erfc, -big, T(2));
        CHECK(simd::all(simd::normal(simd::Pack<T>(big)).cumulative == T(1)));
        CHECK(simd::all(simd::normal(simd::Pack<T>(-big)).cumulative == T(0)));
        CHECK(simd::all(simd::normal(simd::Pack<T>(big)).density == T(0)));
    }
    CHECK_VALUE(T, erf, T(0), T(0));
    CHECK_VALUE(T, erf, T(-0.0), T(-0.0));
    CHECK_VALUE(T, erf, L::quiet_NaN(), L::quiet_NaN());
    CHECK_VALUE(T, erfc, L::quiet_NaN(), L::quiet_NaN());
}
