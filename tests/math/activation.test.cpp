#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include <ssm/math/activation.hpp>
#include <ssm/math/pointwise.hpp>

#include "support/catch.hpp"

namespace math = ssm::math;
namespace simd = ssm::simd;

namespace {

// Straightforward definitions in extended precision.
using Wide = long double;

Wide sigmoid(Wide x) {
    return 1 / (1 + std::exp(-x));
}
Wide softplus(Wide x) {
    return x > 20 ? x : std::log1p(std::exp(x));
}
Wide normal_cdf(Wide x) {
    return std::erfc(-x * std::sqrt(Wide(0.5))) / 2;
}
Wide inner(Wide x) {
    return std::sqrt(2 / std::acos(Wide(-1))) * (x + Wide(0.044715) * x * x * x);
}
Wide hard_sigmoid(Wide x) {
    return std::clamp(x / 6 + Wide(0.5), Wide(0), Wide(1));
}

/// Largest error of `got` over -30...30, relative to the value where it is above `floor`, and largest
/// difference of the derivative from central differences of the definition.
struct Errors {
    double value = 0;
    double derivative = 0;
};

template <class T, class F>
Errors errors(const F& f, Wide (*definition)(Wide), const std::vector<Wide>& kinks) {
    Errors worst;
    std::vector<T> x;
    for (int i = -3000; i <= 3000; ++i)
        x.push_back(static_cast<T>(i) / T(100) + T(0.001234));
    std::vector<T> y(x.size());
    std::vector<T> slope(x.size());
    const std::vector<T> ones(x.size(), T(1));
    math::apply(f, x.data(), y.data(), x.size());
    math::apply_adjoint(f, x.data(), ones.data(), slope.data(), x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
        const Wide at = static_cast<Wide>(x[i]);
        const Wide want = definition(at);
        const Wide scale = std::max(std::abs(want), Wide(1e-30));
        worst.value = std::max(
            worst.value, static_cast<double>(std::abs(static_cast<Wide>(y[i]) - want) / scale));
        const bool smooth = std::none_of(kinks.begin(), kinks.end(),
                                         [&](Wide k) { return std::abs(at - k) < Wide(1e-3); });
        if (!smooth)
            continue;
        const Wide h = Wide(1e-5);
        const Wide difference = (definition(at + h) - definition(at - h)) / (2 * h);
        worst.derivative =
            std::max(worst.derivative,
                     static_cast<double>(std::abs(static_cast<Wide>(slope[i]) - difference)));
        // One number at a time agrees with the packs.
        const T allowed = 500 * std::numeric_limits<T>::epsilon() * std::abs(y[i]) + T(1e-30);
        REQUIRE(std::abs(f(x[i]) - y[i]) <= allowed);
    }
    return worst;
}

struct Case {
    std::string name;
    Errors in_float;
    Errors in_double;
};

template <class F>
Case measure(const std::string& name, const F& f, Wide (*definition)(Wide),
             const std::vector<Wide>& kinks = {}) {
    static_assert(math::Activation<F, float> && math::Activation<F, double>);
    return {name, errors<float>(f, definition, kinks), errors<double>(f, definition, kinks)};
}

}  // namespace

TEST_CASE("activations and their derivatives follow their definitions", "[math]") {
    const std::vector<Case> cases = {
        measure(
            "identity", math::Identity{}, +[](Wide x) { return x; }),
        measure("relu", math::Relu{}, +[](Wide x) { return std::max(x, Wide(0)); }, {0}),
        measure("relu2", math::Relu2{}, +[](Wide x) { return x > 0 ? x * x : 0; }, {0}),
        measure("leaky_relu", math::LeakyRelu{0.125}, +[](Wide x) { return x > 0 ? x : x / 8; },
                {0}),
        measure("elu", math::Elu{0.5}, +[](Wide x) { return x > 0 ? x : std::expm1(x) / 2; }, {0}),
        measure("softsign", math::Softsign{}, +[](Wide x) { return x / (1 + std::abs(x)); }, {0}),
        measure("hard sigmoid", math::HardSigmoid{}, hard_sigmoid, {-3, 3}),
        measure("hard swish", math::HardSwish{}, +[](Wide x) { return x * hard_sigmoid(x); },
                {-3, 3}),
        measure("sigmoid", math::Sigmoid{}, sigmoid),
        measure(
            "log sigmoid", math::LogSigmoid{}, +[](Wide x) { return -std::log1p(std::exp(-x)); }),
        measure(
            "tanh", math::Tanh{}, +[](Wide x) { return std::tanh(x); }),
        measure("softplus", math::Softplus{}, softplus, {20}),
        measure(
            "silu", math::Silu{}, +[](Wide x) { return x * sigmoid(x); }),
        measure(
            "quick gelu", math::QuickGelu{}, +[](Wide x) { return x * sigmoid(Wide(1.702) * x); }),
        measure(
            "gelu", math::Gelu{}, +[](Wide x) { return x * normal_cdf(x); }),
        measure(
            "gelu tanh", math::GeluTanh{}, +[](Wide x) { return x * sigmoid(2 * inner(x)); }),
        measure(
            "mish", math::Mish{}, +[](Wide x) { return x * std::tanh(std::log1p(std::exp(x))); }),
    };
    for (const Case& c : cases) {
        INFO(c.name << ": value " << c.in_float.value << ", " << c.in_double.value
                    << "; derivative " << c.in_float.derivative << ", " << c.in_double.derivative);
        // Some ULP, times |x| <= 30 where the argument of an exponential is itself rounded.
        CHECK(c.in_float.value <= 1.5e-5);
        CHECK(c.in_double.value <= 2.5e-14);
        CHECK(c.in_float.derivative <= 2e-5);
        CHECK(c.in_double.derivative <= 1e-8);  // the central differences' own error
    }
}

TEMPLATE_TEST_CASE("activations take their limits at infinity and pass NaN on", "[math]", float,
                   double) {
    using T = TestType;
    constexpr T inf = std::numeric_limits<T>::infinity();
    // Slopes of 1 are products that one rounding may miss on a machine without exact division.
    const auto is_near = [](T found, T expected) {
        return std::abs(found - expected) <= 2 * std::numeric_limits<T>::epsilon();
    };
    const auto check = [&](const auto& f, T low, T high, T low_slope, T high_slope) {
        const T x[] = {-inf, inf, std::numeric_limits<T>::quiet_NaN(),
                       std::numeric_limits<T>::lowest()};
        const T one[] = {1, 1, 1, 1};
        T y[4];
        T slope[4];
        math::apply(f, x, y, 4);
        math::apply_adjoint(f, x, one, slope, 4);
        CHECK(y[0] == low);
        CHECK(y[1] == high);
        CHECK(std::isnan(y[2]));
        CHECK(y[3] == low);
        CHECK(is_near(slope[0], low_slope));
        CHECK(is_near(slope[1], high_slope));
        CHECK(f(x[0]) == low);
        CHECK(f(x[1]) == high);
        CHECK(std::isnan(f(x[2])));
        CHECK(is_near(f.derivative(x[0]), low_slope));
        CHECK(is_near(f.derivative(x[1]), high_slope));
    };
    check(math::Relu{}, 0, inf, 0, 1);
    check(math::Elu{}, -1, inf, 0, 1);
    check(math::HardSigmoid{}, 0, 1, 0, 0);
    check(math::Sigmoid{}, 0, 1, 0, 0);
    check(math::Tanh{}, -1, 1, 0, 0);
    check(math::Softplus{}, 0, inf, 0, 1);
    check(math::Silu{}, 0, inf, 0, 1);
    check(math::QuickGelu{}, 0, inf, 0, 1);
    check(math::Gelu{}, 0, inf, 0, 1);
    check(math::GeluTanh{}, 0, inf, 0, 1);
    check(math::Mish{}, 0, inf, 0, 1);
}
