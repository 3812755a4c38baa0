#include <cmath>
#include <limits>

#include <ssm/simd/trig.hpp>

#include "support/catch.hpp"
#include "support/ulp.hpp"

using ssm::testing_support::Wide;
namespace simd = ssm::simd;

namespace {
namespace exact {

Wide sin(Wide x) {
    return std::sin(x);
}
Wide cos(Wide x) {
    return std::cos(x);
}
Wide cosm1(Wide x) {
    const Wide half = std::sin(x / 2);
    return -2 * half * half;
}

}  // namespace exact
}  // namespace

TEMPLATE_TEST_CASE("sine and cosine are accurate in and beyond the fast range", "[simd]", float,
                   double) {
    using T = TestType;
    const double limit = sizeof(T) == 4 ? 1e5 : 1e9;
    for (const double range : {0.5, 4.0, 100.0, 3e4, limit, 100 * limit}) {
        CHECK_ULP(T, sin, exact::sin, -range, range, 1.6);
        CHECK_ULP(T, cos, exact::cos, -range, range, 1.6);
        const auto error = ssm::testing_support::largest_error<T>(
            [](simd::Pack<T> x) { return simd::sincos(x).cosm1; }, exact::cosm1, -range, range);
        INFO("cosm1 up to " << range << ": " << error.text());
        if (range <= 4)  // further out the cosine comes near 1 only by chance
            CHECK(error.ulp <= 3);
    }
}

TEMPLATE_TEST_CASE("sine and cosine are accurate next to their zeros", "[simd]", float, double) {
    using T = TestType;
    const Wide half_pi = std::acos(Wide(0));
    for (const double n : {1.0, 2.0, 3.0, 101.0, 5000.0, 60001.0}) {
        const T x = static_cast<T>(half_pi * static_cast<Wide>(n));
        const Wide exact_sin = std::sin(static_cast<Wide>(x));
        const Wide exact_cos = std::cos(static_cast<Wide>(x));
        const auto y = simd::sincos(simd::Pack<T>(x));
        INFO("near " << n << " pi / 2");
        CHECK(ssm::testing_support::ulp_distance(simd::reduce_max(y.sin), exact_sin) <= 1.6);
        CHECK(ssm::testing_support::ulp_distance(simd::reduce_max(y.cos), exact_cos) <= 1.6);
    }
}

TEMPLATE_TEST_CASE("sine and cosine treat lanes apart and ends right", "[simd]", float, double) {
    using T = TestType;
    using L = std::numeric_limits<T>;
    CHECK_VALUE(T, sin, T(0), T(0));
    CHECK_VALUE(T, sin, T(-0.0), T(-0.0));
    CHECK_VALUE(T, cos, T(-0.0), T(1));
    CHECK_VALUE(T, sin, L::denorm_min(), L::denorm_min());
    for (const T bad : {L::infinity(), -L::infinity(), L::quiet_NaN()}) {
        CHECK_VALUE(T, sin, bad, L::quiet_NaN());
        CHECK_VALUE(T, cos, bad, L::quiet_NaN());
    }
    // One lane far away does not change the others.
    T lane[simd::width<T>];
    for (std::size_t i = 0; i < simd::width<T>; ++i)
        lane[i] = static_cast<T>(i);
    const auto near = simd::sincos(simd::load(lane));
    lane[simd::width<T> - 1] = T(1e20);
    const auto far = simd::sincos(simd::load(lane));
    T want[simd::width<T>];
    T got[simd::width<T>];
    simd::store(want, near.sin);
    simd::store(got, far.sin);
    for (std::size_t i = 0; i + 1 < simd::width<T>; ++i)
        CHECK(got[i] == want[i]);
    CHECK(got[simd::width<T> - 1] == std::sin(T(1e20)));
}
