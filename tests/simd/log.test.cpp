#include <cmath>
#include <limits>

#include <ssm/simd/log.hpp>

#include "support/catch.hpp"
#include "support/ulp.hpp"

using ssm::testing_support::Wide;

namespace {
namespace exact {

Wide log(Wide x) {
    return std::log(x);
}
Wide log1p(Wide x) {
    return std::log1p(x);
}

}  // namespace exact
}  // namespace

TEMPLATE_TEST_CASE("logarithms are accurate over the whole range", "[simd]", float, double) {
    using T = TestType;
    using L = std::numeric_limits<T>;
    const double end = static_cast<double>(L::max());
    const double start = static_cast<double>(L::min());
    CHECK_ULP(T, log, exact::log, 0.3, 3, 1);
    CHECK_ULP(T, log, exact::log, 0.99, 1.01, 1);
    CHECK_ULP(T, log, exact::log, 0, 1000, 1);
    CHECK_ULP(T, log, exact::log, 0, end, 1);
    CHECK_ULP(T, log, exact::log, start / 1000, start, 1);  // subnormal
    const double bound = sizeof(T) == 4 ? 1.6 : 1.5;
    CHECK_ULP(T, log1p, exact::log1p, -0.99, 2, bound);
    CHECK_ULP(T, log1p, exact::log1p, -1e-3, 1e-3, bound);
    CHECK_ULP(T, log1p, exact::log1p, 0, 1000, bound);
    CHECK_ULP(T, log1p, exact::log1p, 0, end, bound);
}

TEMPLATE_TEST_CASE("logarithms have the right ends", "[simd]", float, double) {
    using T = TestType;
    using L = std::numeric_limits<T>;
    constexpr T inf = L::infinity();
    constexpr T nan = L::quiet_NaN();
    CHECK_VALUE(T, log, T(0), -inf);
    CHECK_VALUE(T, log, T(-0.0), -inf);
    CHECK_VALUE(T, log, T(1), T(0));
    CHECK_VALUE(T, log, inf, inf);
    for (const T bad : {T(-1), -L::denorm_min(), -inf, nan})
        CHECK_VALUE(T, log, bad, nan);
    CHECK_VALUE(T, log1p, T(0), T(0));
    CHECK_VALUE(T, log1p, T(-0.0), T(-0.0));
    CHECK_VALUE(T, log1p, L::denorm_min(), L::denorm_min());
    CHECK_VALUE(T, log1p, T(-1), -inf);
    CHECK_VALUE(T, log1p, inf, inf);
    for (const T bad : {T(-1.5), -inf, nan})
        CHECK_VALUE(T, log1p, bad, nan);
}
