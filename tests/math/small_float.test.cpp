#include <ssm/math/small_float.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "support/catch.hpp"

namespace {

/// The formats again, in the words of their definitions.
struct Format {
    int exponent_bits;
    int mantissa_bits;
    int bias;
    ssm::SpecialValues specials;
};
template <class F>
Format format_of();
// clang-format off
template <> Format format_of<ssm::Bfloat16>() { return {8, 7, 127, ssm::SpecialValues::ieee}; }
template <> Format format_of<ssm::Half>() { return {5, 10, 15, ssm::SpecialValues::ieee}; }
template <> Format format_of<ssm::Float8E4M3>() { return {4, 3, 7, ssm::SpecialValues::only_nan}; }
template <> Format format_of<ssm::Float8E5M2>() { return {5, 2, 15, ssm::SpecialValues::ieee}; }
template <> Format format_of<ssm::Float8E4M3Fnuz>() { return {4, 3, 8, ssm::SpecialValues::unsigned_zero}; }
template <> Format format_of<ssm::Float8E5M2Fnuz>() { return {5, 2, 16, ssm::SpecialValues::unsigned_zero}; }
// clang-format on

double value_of(const Format& format, unsigned bits) {
    const unsigned sign = bits >> (format.exponent_bits + format.mantissa_bits);
    const unsigned magnitude = bits & ((1U << (format.exponent_bits + format.mantissa_bits)) - 1);
    const int exponent = static_cast<int>(magnitude >> format.mantissa_bits);
    const int mantissa = static_cast<int>(magnitude & ((1U << format.mantissa_bits) - 1));
    const int last = (1 << format.exponent_bits) - 1;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    if (format.specials == ssm::SpecialValues::ieee && exponent == last)
        return mantissa != 0
                   ? nan
                   : std::copysign(std::numeric_limits<double>::infinity(), sign != 0 ? -1.0 : 1.0);
    if (format.specials == ssm::SpecialValues::only_nan && exponent == last &&
        mantissa == (1 << format.mantissa_bits) - 1)
        return nan;
    if (format.specials == ssm::SpecialValues::unsigned_zero && sign != 0 && magnitude == 0)
        return nan;
    const double fraction = std::ldexp(mantissa, -format.mantissa_bits);
    const double absolute = exponent == 0 ? std::ldexp(fraction, 1 - format.bias)
                                          : std::ldexp(1.0 + fraction, exponent - format.bias);
    return sign != 0 ? -absolute : absolute;
}

/// Whether the bits are the same; all NaN are.
bool is_same(double a, double b) {
    return std::isnan(a) ? std::isnan(b)
                         : std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

constexpr double infinity = std::numeric_limits<double>::infinity();

}  // namespace

#define SSM_SMALL_FLOATS                                                             \
    ssm::Bfloat16, ssm::Half, ssm::Float8E4M3, ssm::Float8E5M2, ssm::Float8E4M3Fnuz, \
        ssm::Float8E5M2Fnuz

TEMPLATE_TEST_CASE("every small float has the value of its definition, and gives its bits back", "",
                   SSM_SMALL_FLOATS) {
    using Bits = typename TestType::Bits;
    const Format format = format_of<TestType>();
    bool values_agree = true;
    bool bits_agree = true;
    for (unsigned bits = 0; bits <= std::numeric_limits<Bits>::max(); ++bits) {
        const TestType number = TestType::from_bits(static_cast<Bits>(bits));
        const double expected = value_of(format, bits);
        values_agree = values_agree && is_same(static_cast<double>(number), expected) &&
                       is_same(static_cast<double>(static_cast<float>(number)), expected);
        if (!std::isnan(expected))
            bits_agree = bits_agree && TestType(expected).bits() == bits;
        else
            bits_agree = bits_agree && std::isnan(static_cast<double>(TestType(expected)));
    }
    CHECK(values_agree);
    CHECK(bits_agree);
}

TEMPLATE_TEST_CASE("rounding to a small float goes to the nearest, ties to even", "",
                   SSM_SMALL_FLOATS) {
    using Bits = typename TestType::Bits;
    // Positive neighbours follow each other as integers. The midpoint is exact in double.
    bool agrees = true;
    for (unsigned bits = 0; bits < std::numeric_limits<Bits>::max() / 2U; ++bits) {
        const double low = static_cast<double>(TestType::from_bits(static_cast<Bits>(bits)));
        const double high = static_cast<double>(TestType::from_bits(static_cast<Bits>(bits + 1)));
        if (!std::isfinite(low) || !std::isfinite(high))
            continue;
        const double middle = low + (high - low) / 2;
        const unsigned even = bits % 2 == 0 ? bits : bits + 1;
        agrees = agrees && TestType(middle).bits() == even &&
                 TestType(std::nextafter(middle, 0.0)).bits() == bits &&
                 TestType(std::nextafter(middle, infinity)).bits() == bits + 1;
        if (even != 0)
            agrees = agrees && static_cast<double>(TestType(-middle)) ==
                                   -static_cast<double>(TestType(middle));
    }
    CHECK(agrees);
}

TEST_CASE("small floats overflow where half a step above the largest begins") {
    CHECK(static_cast<double>(ssm::Half(65504.0)) == 65504.0);
    CHECK(static_cast<double>(ssm::Half(std::nextafter(65520.0, 0.0))) == 65504.0);
    CHECK(static_cast<double>(ssm::Half(65520.0)) == infinity);
    CHECK(static_cast<double>(ssm::Half(-1e300)) == -infinity);
    CHECK(static_cast<double>(ssm::Float8E5M2(57344.0)) == 57344.0);
    CHECK(static_cast<double>(ssm::Float8E5M2(61440.0)) == infinity);
    CHECK(static_cast<double>(ssm::Float8E4M3(448.0)) == 448.0);
    CHECK(static_cast<double>(ssm::Float8E4M3(464.0)) == 448.0);
    CHECK(std::isnan(static_cast<double>(ssm::Float8E4M3(464.1))));
    CHECK(std::isnan(static_cast<double>(ssm::Float8E4M3(infinity))));
    CHECK(static_cast<double>(ssm::Float8E4M3Fnuz(240.0)) == 240.0);
    CHECK(std::isnan(static_cast<double>(ssm::Float8E4M3Fnuz(-256.0))));
    CHECK(static_cast<double>(ssm::Bfloat16(3.3895313892515355e38)) == 3.3895313892515355e38);
    CHECK(static_cast<double>(ssm::Bfloat16(3.4028235677973366e38)) == infinity);
}

TEST_CASE("small floats underflow gradually, and keep the sign of zero where there is one") {
    CHECK(static_cast<double>(ssm::Half(0x1p-24)) == 0x1p-24);
    CHECK(static_cast<double>(ssm::Half(0x1p-25)) == 0.0);
    CHECK(static_cast<double>(ssm::Half(0x1.8p-25)) == 0x1p-24);
    CHECK(ssm::Half(-0.0).bits() == 0x8000);
    CHECK(ssm::Bfloat16(-5e-324).bits() == 0x8000);
    CHECK(ssm::Float8E4M3Fnuz(-0.0).bits() == 0);
    CHECK(ssm::Float8E5M2Fnuz(-1e-30).bits() == 0);
}

TEST_CASE("a double is rounded once, not by way of float") {
    // Just above the middle of 1 and the next Half; as a float it would be the middle, a tie.
    CHECK(static_cast<double>(ssm::Half(1.0 + 0x1p-11 + 0x1p-40)) == 1.0 + 0x1p-10);
    CHECK(static_cast<double>(ssm::Bfloat16(1.0 + 0x1p-8 + 0x1p-40)) == 1.0 + 0x1p-7);
}

TEST_CASE("small floats are constants of the compiler too") {
    static_assert(ssm::Half(1.5).bits() == 0x3e00);
    static_assert(static_cast<float>(ssm::Bfloat16(-2.0)) == -2.0F);
    static_assert(static_cast<double>(ssm::Float8E4M3::from_bits(0x01)) == 0x1p-9);
    CHECK(sizeof(ssm::Half) == 2);
    CHECK(sizeof(ssm::Float8E5M2) == 1);
}
