#include <cmath>
#include <limits>

#include <ssm/simd/exp.hpp>

#include "support/catch.hpp"
#include "support/ulp.hpp"

using ssm::testing_support::Wide;

namespace {
namespace exact {

Wide exp(Wide x) {
    return std::exp(x);
}
Wide exp2(Wide x) {
    return std::exp2(x);
}
Wide expm1(Wide x) {
    return std::expm1(x);
}

}  // namespace exact
}  // namespace

TEMPLATE_TEST_CASE("exponentials are accurate over the whole range", "[simd]", float, double) {
    using T = TestType;
    const double end = sizeof(T) == 4 ? 88.7 : 709.7;    // of overflow
    const double low = sizeof(T) == 4 ? -87.3 : -708.3;  // of normal results
    CHECK_ULP(T, exp, exact::exp, low, end, 1.1);
    CHECK_ULP(T, exp, exact::exp, -1, 1, 1.1);
    CHECK_ULP(T, exp, exact::exp, low - 30, low, 1.6);  // subnormal
    const double end2 = sizeof(T) == 4 ? 127.9 : 1023.9;
    CHECK_ULP(T, exp2, exact::exp2, -end2 + 2, end2, 1.1);
    CHECK_ULP(T, exp2, exact::exp2, -1, 1, 1.1);
    CHECK_ULP(T, exp2, exact::exp2, -end2 - 30, -end2, 1.6);
    const double bound = sizeof(T) == 4 ? 1.7 : 2.3;
    CHECK_ULP(T, expm1, exact::expm1, low, end, bound);
    CHECK_ULP(T, expm1, exact::expm1, -2, 2, bound);
    CHECK_ULP(T, expm1, exact::expm1, -1e-3, 1e-3, 1.1);
}

TEMPLATE_TEST_CASE("exponentials have the right ends", "[simd]", float, double) {
    using T = TestType;
    using L = std::numeric_limits<T>;
    constexpr T inf = L::infinity();
    for (const T big : {T(90) * T(sizeof(T)), T(1e30), L::max(), inf}) {
        CHECK_VALUE(T, exp, big * T(2.1), inf);
        CHECK_VALUE(T, exp, -big * T(2.1), T(0));
        CHECK_VALUE(T, exp2, big * T(2.9), inf);
        CHECK_VALUE(T, exp2, -big * T(2.9), T(0));
        CHECK_VALUE(T, expm1, big * T(2.1), inf);
        CHECK_VALUE(T, expm1, -big * T(2.1), T(-1));
        CHECK_VALUE(T, exp2_fast, big * T(2.9), inf);
        CHECK_VALUE(T, exp2_fast, -big * T(2.9), T(0));
    }
    for (const T zero : {T(0), T(-0.0)}) {
        CHECK_VALUE(T, exp, zero, T(1));
        CHECK_VALUE(T, exp2, zero, T(1));
        CHECK_VALUE(T, expm1, zero, zero);
    }
    CHECK_VALUE(T, exp2, T(-3), T(0.125));
    CHECK_VALUE(T, exp2, L::min_exponent - T(1), L::min());
    CHECK_VALUE(T, expm1, L::min(), L::min());
    CHECK_VALUE(T, exp, L::quiet_NaN(), L::quiet_NaN());
    CHECK_VALUE(T, exp2, L::quiet_NaN(), L::quiet_NaN());
    CHECK_VALUE(T, expm1, L::quiet_NaN(), L::quiet_NaN());
    CHECK_VALUE(T, exp2_fast, L::quiet_NaN(), L::quiet_NaN());
}

TEMPLATE_TEST_CASE("the fast power of two keeps its relative error", "[simd]", float, double) {
    using T = TestType;
    const double end = sizeof(T) == 4 ? 125.0 : 1021.0;
    const double bound =
        sizeof(T) == 4 ? 3.5 : 125.0;  // 2.2e-7 and 1.4e-14 are 2 to 4 and 63 to 126 ULP
    CHECK_ULP(T, exp2_fast, exact::exp2, -end, end, bound);
    CHECK_ULP(T, exp2_fast, exact::exp2, -1, 1, bound);
}

TEMPLATE_TEST_CASE("exp and expm1 together are exp and expm1", "[simd]", float, double) {
    using T = TestType;
    namespace simd = ssm::simd;
    for (const T x : {T(-300), T(-20), T(-0.3), T(1e-20), T(0.4), T(50), T(2000)}) {
        const auto pair = simd::exp_expm1(simd::Pack<T>(x));
        CHECK(simd::all(pair.exp == simd::exp(simd::Pack<T>(x))));
        CHECK(simd::all(pair.expm1 == simd::expm1(simd::Pack<T>(x))));
    }
}
