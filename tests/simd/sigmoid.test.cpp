#include <cmath>
#include <limits>

#include <ssm/simd/sigmoid.hpp>

#include "support/catch.hpp"
#include "support/ulp.hpp"

using ssm::testing_support::Wide;

namespace {
namespace exact {

Wide sigmoid(Wide x) {
    return 1 / (1 + std::exp(-x));
}
Wide log_sigmoid(Wide x) {
    return -std::log1p(std::exp(-x));
}
Wide softplus(Wide x) {
    return x > 20 ? x : std::log1p(std::exp(x));
}
Wide tanh(Wide x) {
    return std::tanh(x);
}

}  // namespace exact
}  // namespace

TEMPLATE_TEST_CASE("sigmoid, tanh and softplus are accurate far into their tails", "[simd]", float,
                   double) {
    using T = TestType;
    const double far = sizeof(T) == 4 ? 87 : 708;
    for (const double range : {1.0, 25.0, far}) {
        CHECK_ULP(T, sigmoid, exact::sigmoid, -range, range, 3);
        CHECK_ULP(T, log_sigmoid, exact::log_sigmoid, -range, range, 2);
        CHECK_ULP(T, softplus, exact::softplus, -range, range, 2);
        CHECK_ULP(T, tanh, exact::tanh, -range, range, 3.5);
    }
}

TEMPLATE_TEST_CASE("sigmoid, tanh and softplus have the right ends", "[simd]", float, double) {
    using T = TestType;
    using L = std::numeric_limits<T>;
    for (const T big : {T(1000), L::max(), L::infinity()}) {
        CHECK_VALUE(T, sigmoid, big, T(1));
        CHECK_VALUE(T, sigmoid, -big, T(0));
        CHECK_VALUE(T, log_sigmoid, -big, -big);
        CHECK_VALUE(T, tanh, big, T(1));
        CHECK_VALUE(T, tanh, -big, T(-1));
        CHECK_VALUE(T, softplus, big, big);
        CHECK_VALUE(T, softplus, -big, T(0));
    }
    CHECK_VALUE(T, sigmoid, T(0), T(0.5));
    CHECK_VALUE(T, tanh, T(0), T(0));
    CHECK_VALUE(T, tanh, T(-0.0), T(-0.0));
    CHECK_VALUE(T, softplus, T(20.5), T(20.5));
    for (const T nan : {L::quiet_NaN()}) {
        CHECK_VALUE(T, sigmoid, nan, nan);
        CHECK_VALUE(T, log_sigmoid, nan, nan);
        CHECK_VALUE(T, tanh, nan, nan);
        CHECK_VALUE(T, softplus, nan, nan);
    }
}
