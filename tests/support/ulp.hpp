#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <sstream>
#include <string>

#include <ssm/simd/pack.hpp>

namespace ssm::testing_support {

/// What reference values are computed in: wider than double on x86 and 64-bit ARM Linux.
using Wide = long double;

/// Distance of `got` from the exact value in units of the last place of the exact value rounded to T.
/// An overflow one way and the largest finite number the other way are 1 apart.
template <class T>
double ulp_distance(T got, Wide exact) {
    using L = std::numeric_limits<T>;
    constexpr double huge = 1e30;
    const T rounded = static_cast<T>(exact);
    if (std::isnan(rounded) || std::isnan(got))
        return std::isnan(rounded) && std::isnan(got) ? 0 : huge;
    if (std::isinf(rounded) || std::isinf(got)) {
        if (rounded == got)
            return 0;
        const bool at_the_edge = std::abs(rounded) == L::max() || std::abs(got) == L::max();
        return at_the_edge && (rounded > 0) == (got > 0) ? 1 : huge;
    }
    const T size = std::fmax(std::abs(rounded), L::min());
    const T place = std::nextafter(size, L::infinity()) - size;
    const Wide difference = std::abs(static_cast<Wide>(got) - exact);
    return static_cast<double>(difference / static_cast<Wide>(place));
}

/// The largest error found, and where.
struct LargestError {
    double ulp = 0;
    Wide at = 0;

    [[nodiscard]] std::string text() const {
        std::ostringstream out;
        out.precision(21);
        out << ulp << " ULP at " << at;
        return out.str();
    }
};

/// Compares f on packs with a reference on random numbers from low to high: half of them uniform, half
/// uniform in the logarithm of their distance from zero.
template <class T, class F, class Reference>
LargestError largest_error(F f, Reference reference, double low, double high,
                           std::size_t samples = 20000) {
    constexpr std::size_t w = simd::width<T>;
    std::mt19937_64 bits(20240229);
    std::uniform_real_distribution<double> unit(0.0, 1.0);
    LargestError worst;
    for (std::size_t i = 0; i < samples; i += w) {
        T x[w];
        T y[w];
        for (std::size_t lane = 0; lane < w; ++lane) {
            const double end = unit(bits) * (high - low) + low;
            const double shrink = (i / w) % 2 == 0 ? 1.0 : std::exp2(-30.0 * unit(bits));
            const double inside = low > 0 || high < 0 ? end : end * shrink;
            x[lane] = static_cast<T>(inside);
        }
        simd::store(y, f(simd::load(x)));
        for (std::size_t lane = 0; lane < w; ++lane) {
            const double ulp = ulp_distance(y[lane], reference(static_cast<Wide>(x[lane])));
            if (ulp > worst.ulp)
                worst = {ulp, static_cast<Wide>(x[lane])};
        }
    }
    return worst;
}

/// f of one number by way of a pack of copies.
template <class T, class F>
T on_pack(F f, T x) {
    T lane[simd::width<T>];
    simd::store(lane, f(simd::Pack<T>(x)));
    return lane[simd::width<T> - 1];
}

/// Equal, and zeros of the same sign; NaN equals NaN.
template <class T>
bool same(T a, T b) {
    return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

}  // namespace ssm::testing_support

/// Checks `name` of ssm::simd, on packs, against a reference over a range.
#define CHECK_ULP(T, name, reference, low, high, bound)                                     \
    do {                                                                                    \
        const auto error = ssm::testing_support::largest_error<T>(                          \
            [](ssm::simd::Pack<T> x) { return ssm::simd::name(x); }, reference, low, high); \
        INFO(#name << " from " << (low) << " to " << (high) << ": " << error.text());       \
        CHECK(error.ulp <= (bound));                                                        \
    } while (false)

/// Checks one value of `name` of ssm::simd, on a pack, including the sign of zero.
#define CHECK_VALUE(T, name, x, want)                                             \
    do {                                                                          \
        const T got = ssm::testing_support::on_pack<T>(                           \
            [](ssm::simd::Pack<T> p) { return ssm::simd::name(p); }, x);          \
        INFO(#name << " of " << (x) << " is " << got << ", expected " << (want)); \
        CHECK(ssm::testing_support::same<T>(got, want));                          \
    } while (false)
