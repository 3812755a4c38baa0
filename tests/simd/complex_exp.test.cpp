#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <limits>
#include <random>

#include <ssm/simd/complex_exp.hpp>

#include "support/catch.hpp"
#include "support/ulp.hpp"

using ssm::testing_support::Wide;
namespace simd = ssm::simd;

namespace {

using WideComplex = std::complex<Wide>;

namespace exact {

WideComplex expm1(WideComplex z) {
    const Wide half = std::sin(z.imag() / 2);
    return {std::expm1(z.real()) * std::cos(z.imag()) - 2 * half * half,
            std::exp(z.real()) * std::sin(z.imag())};
}
WideComplex phi1(WideComplex z) {
    return expm1(z) / z;
}
Wide phi1(Wide x) {
    return std::expm1(x) / x;
}

}  // namespace exact

/// Largest |got - want| / |want| in units of epsilon over random z with -re < Re z <= 0 and
/// |Im z| < im: where stable poles lie.
template <class T, class F, class Reference>
double largest_error(F f, Reference reference, double re, double im) {
    constexpr std::size_t w = simd::width<T>;
    std::mt19937_64 bits(7);
    std::uniform_real_distribution<double> unit(0.0, 1.0);
    double worst = 0;
    for (std::size_t i = 0; i < 4000; i += w) {
        T lane[4][w];
        for (std::size_t k = 0; k < w; ++k) {
            lane[0][k] = static_cast<T>(-re * unit(bits));
            lane[1][k] = static_cast<T>(im * (2 * unit(bits) - 1));
        }
        const auto y = f(simd::Complex<simd::Pack<T>>{simd::load(lane[0]), simd::load(lane[1])});
        simd::store(lane[2], y.re);
        simd::store(lane[3], y.im);
        for (std::size_t k = 0; k < w; ++k) {
            const WideComplex z(static_cast<Wide>(lane[0][k]), static_cast<Wide>(lane[1][k]));
            const WideComplex got(static_cast<Wide>(lane[2][k]), static_cast<Wide>(lane[3][k]));
            const WideComplex want = reference(z);
            const Wide relative = std::abs(got - want) / std::abs(want);
            worst = std::max(worst, static_cast<double>(relative) /
                                        static_cast<double>(std::numeric_limits<T>::epsilon()));
        }
    }
    return worst;
}

}  // namespace

TEMPLATE_TEST_CASE("complex exponentials are accurate for small and large poles", "[simd]", float,
                   double) {
    using T = TestType;
    const double sizes[][2] = {{1e-20, 1e-20}, {1e-8, 1e-8}, {1e-3, 1e-3}, {1, 1},   {10, 10},
                               {80, 80},       {1e-6, 1},    {1, 1e-6},    {1, 1e4}, {0, 1e-12}};
    for (const auto& [re, im] : sizes) {
        INFO("up to " << re << " and " << im);
        const double in_exp = largest_error<T>([](auto z) { return simd::exp(z); },
                                               [](WideComplex z) { return std::exp(z); }, re, im);
        CHECK(in_exp <= 3);
        const double in_expm1 =
            largest_error<T>([](auto z) { return simd::expm1(z); }, exact::expm1, re, im);
        CHECK(in_expm1 <= 4);
        const double in_phi1 =
            largest_error<T>([](auto z) { return simd::phi1(z); },
                             [](WideComplex z) { return exact::phi1(z); }, re, im);
        CHECK(in_phi1 <= 8);
        const double in_pair =
            largest_error<T>([](auto z) { return simd::exp_phi1(z).phi1; },
                             [](WideComplex z) { return exact::phi1(z); }, re, im);
        CHECK(in_pair <= 8);
    }
}

TEMPLATE_TEST_CASE("real phi1 is accurate and 1 at zero", "[simd]", float, double) {
    using T = TestType;
    for (const double range : {1e-6, 1.0, 50.0}) {
        const auto error = ssm::testing_support::largest_error<T>(
            [](simd::Pack<T> x) { return simd::phi1(x); }, [](Wide x) { return exact::phi1(x); },
            -range, range);
        INFO(error.text());
        CHECK(error.ulp <= 3);
    }
    CHECK_VALUE(T, phi1, T(0), T(1));
    CHECK_VALUE(T, phi1, T(-0.0), T(1));
    CHECK_VALUE(T, phi1, std::numeric_limits<T>::denorm_min(), T(1));
    CHECK_VALUE(T, phi1, -std::numeric_limits<T>::infinity(), T(0));
    const auto pair = simd::exp_phi1(simd::Pack<T>(T(-0.75)));
    CHECK(simd::all(pair.exp == simd::exp(simd::Pack<T>(T(-0.75)))));
    CHECK(simd::all(pair.phi1 == simd::phi1(simd::Pack<T>(T(-0.75)))));
}

TEMPLATE_TEST_CASE("complex phi1 is 1 at zero and next to it, and finite for huge poles", "[simd]",
                   float, double) {
    using T = TestType;
    using V = simd::Pack<T>;
    using Complex = simd::Complex<V>;
    using L = std::numeric_limits<T>;
    for (const T tiny : {T(0), L::denorm_min(), L::min(), T(1e-30)}) {
        const Complex y = simd::phi1(Complex{V(-tiny), V(tiny)});
        CHECK(simd::all(y.re == T(1)));
        CHECK(simd::all(simd::abs(y.im) <= T(2) * tiny));
    }
    const T huge = L::max() / T(4);
    const Complex y = simd::phi1(Complex{V(-huge), V(T(3))});
    CHECK(simd::all(y.re == T(1) / huge));
    const auto number = simd::phi1(simd::Complex<T>{T(0), T(0)});
    CHECK(number.re == T(1));
    CHECK(number.im == T(0));
}
