#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include <ssm/simd/pack.hpp>

#include "support/catch.hpp"
#include "support/ulp.hpp"

namespace simd = ssm::simd;
using ssm::testing_support::same;

namespace {

/// Applies f to packs with lanes a_i = i - 1.5, b_i = 2 i + 0.25, c_i = 3 - i and the same f to the
/// plain numbers.
template <class T, class F>
bool agrees(F f) {
    constexpr std::size_t w = simd::width<T>;
    T a[w];
    T b[w];
    T c[w];
    T got[w];
    for (std::size_t i = 0; i < w; ++i) {
        a[i] = static_cast<T>(i) - T(1.5);
        b[i] = T(2) * static_cast<T>(i) + T(0.25);
        c[i] = T(3) - static_cast<T>(i);
    }
    simd::store(got, f(simd::load(a), simd::load(b), simd::load(c)));
    bool all = true;
    for (std::size_t i = 0; i < w; ++i)
        all = all && same(got[i], f(a[i], b[i], c[i]));
    return all;
}

}  // namespace

TEMPLATE_TEST_CASE("arithmetic on packs is arithmetic on their lanes", "[simd]", float, double) {
    using T = TestType;
    CHECK(agrees<T>([](auto a, auto b, auto c) { return a + b - c; }));
    CHECK(agrees<T>([](auto a, auto b, auto c) { return a * b / c; }));
    CHECK(agrees<T>([](auto a, auto, auto) { return -a; }));
    CHECK(agrees<T>([](auto a, auto b, auto c) { return simd::fma(a, b, c); }));
    CHECK(agrees<T>([](auto a, auto b, auto c) { return simd::fms(a, b, c); }));
    CHECK(agrees<T>([](auto a, auto b, auto c) { return simd::fnma(a, b, c); }));
    CHECK(agrees<T>([](auto a, auto, auto c) { return simd::min(a, c); }));
    CHECK(agrees<T>([](auto a, auto, auto c) { return simd::max(a, c); }));
    CHECK(agrees<T>([](auto a, auto, auto) { return simd::abs(a); }));
    CHECK(agrees<T>([](auto, auto b, auto) { return simd::sqrt(b); }));
    CHECK(agrees<T>([](auto a, auto, auto) { return simd::round(a); }));  // ties to even
    CHECK(agrees<T>([](auto a, auto b, auto c) { return simd::select(a < c, a, b); }));
    CHECK(agrees<T>([](auto a, auto b, auto c) { return simd::select(a >= c, a, b); }));
    CHECK(agrees<T>([](auto a, auto b, auto c) { return simd::select(a == c, a, b); }));
    CHECK(agrees<T>([](auto a, auto b, auto c) { return simd::select(a != c && a > b, a, b); }));
    CHECK(agrees<T>([](auto a, auto b, auto c) { return simd::select(!(a <= c) || a > b, a, b); }));
    CHECK(agrees<T>([](auto a, auto b, auto c) {
        a += b;
        a *= c;
        a -= b;
        a /= b;
        return a;
    }));
}

TEMPLATE_TEST_CASE("plain numbers join packs as if broadcast", "[simd]", float, double) {
    using T = TestType;
    const simd::Pack<T> x = simd::iota<T>();
    CHECK(simd::all(x * T(2) + T(1) == simd::fma(x, T(2), T(1))));
    CHECK(simd::all(T(2) * x == x + x));
    CHECK(simd::all(simd::max(x, T(1)) >= T(1)));
    CHECK(simd::all(simd::select(x < T(0), T(1), T(2)) == simd::broadcast(T(2))));
}

TEMPLATE_TEST_CASE("negation changes the sign of zero and of NaN's neighbours alike", "[simd]",
                   float, double) {
    using T = TestType;
    CHECK_VALUE(T, abs, T(-0.0), T(0));
    T lane[simd::width<T>];
    simd::store(lane, -simd::Pack<T>(T(0)));
    CHECK(std::signbit(lane[0]));
}

TEMPLATE_TEST_CASE("minimum and maximum return a NaN that comes second", "[simd]", float, double) {
    using T = TestType;
    constexpr T nan = std::numeric_limits<T>::quiet_NaN();
    T lane[simd::width<T>];
    simd::store(lane, simd::min(simd::Pack<T>(T(1)), nan));
    CHECK(std::isnan(lane[0]));
    simd::store(lane, simd::max(simd::Pack<T>(T(1)), nan));
    CHECK(std::isnan(lane[0]));
    CHECK(std::isnan(simd::min(T(1), nan)));
    CHECK(std::isnan(simd::max(T(1), nan)));
}

TEMPLATE_TEST_CASE("products and sums are fused where has_fma says so", "[simd]", float, double) {
    using T = TestType;
    constexpr T eps = std::numeric_limits<T>::epsilon();
    // (1 + eps)(1 - eps) = 1 - eps^2 rounds to 1.
    const simd::Pack<T> a(T(1) + eps);
    const simd::Pack<T> b(T(1) - eps);
    const T expected = simd::has_fma && simd::width<T> > 1 ? -eps * eps : T(0);
    CHECK(simd::all(simd::fma(a, b, T(-1)) == expected));
    CHECK(simd::all(simd::fms(a, b, T(1)) == expected));
    CHECK(simd::all(simd::fnma(a, b, T(1)) == -expected));
}

TEMPLATE_TEST_CASE("reductions take every lane", "[simd]", float, double) {
    using T = TestType;
    constexpr auto w = static_cast<T>(simd::width<T>);
    CHECK(simd::reduce_add(simd::iota<T>()) == w * (w - 1) / 2);
    CHECK(simd::reduce_max(simd::iota<T>() - w) == T(-1));
    CHECK(simd::any(simd::iota<T>() == w - 1));
    CHECK_FALSE(simd::any(simd::iota<T>() == w));
    CHECK(simd::all(simd::iota<T>() < w));
    CHECK(simd::all(simd::iota<T>() == T(0)) == (simd::width<T> == 1));
}

TEMPLATE_TEST_CASE("aligned loads and stores move the same numbers", "[simd]", float, double) {
    using T = TestType;
    alignas(64) std::array<T, simd::width<T>> from{};
    alignas(64) std::array<T, simd::width<T>> to{};
    from.back() = T(7);
    simd::store_aligned(to.data(), simd::load_aligned(from.data()));
    CHECK(from == to);
}
