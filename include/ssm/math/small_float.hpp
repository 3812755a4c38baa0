#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <ssm/core/config.hpp>

namespace ssm {

/// Which bit patterns of a small float are not finite numbers.
enum class SpecialValues {
    ieee,           ///< the largest exponent is infinity (mantissa 0) or NaN
    only_nan,       ///< no infinity; all bits but the sign set are NaN
    unsigned_zero,  ///< no infinity, no -0; the pattern of -0 is the one NaN
};

/// A floating-point number of 8 or 16 bits, for storage: 1 sign bit, then exponent, then mantissa.
///
///   value = (-1)^sign 2^(exponent - bias) (1 + mantissa / 2^MantissaBits)
///   value = (-1)^sign 2^(1 - bias) mantissa / 2^MantissaBits                    exponent = 0
///
/// From double (and float) it rounds to the nearest, ties to even, once. What is too large becomes
/// infinity, or NaN in formats without infinity. To float and double it is exact. Only integer
/// operations and exact products: the same bits under any rounding mode, flush-to-zero included.
template <unsigned ExponentBits, unsigned MantissaBits, int Bias = (1 << (ExponentBits - 1U)) - 1,
          SpecialValues Specials = SpecialValues::ieee>
class SmallFloat {
    static_assert(ExponentBits + MantissaBits == 7 || ExponentBits + MantissaBits == 15,
                  "ssm: a small float has 8 or 16 bits");

public:
    using Bits = std::conditional_t<ExponentBits + MantissaBits == 7, std::uint8_t, std::uint16_t>;

    SmallFloat() = default;
    SSM_INLINE constexpr explicit SmallFloat(double value) noexcept : bits_(encode(value)) {}

    [[nodiscard]] SSM_INLINE static constexpr SmallFloat from_bits(Bits bits) noexcept {
        SmallFloat result;
        result.bits_ = bits;
        return result;
    }
    [[nodiscard]] SSM_INLINE constexpr Bits bits() const noexcept { return bits_; }

    SSM_INLINE constexpr explicit operator float() const noexcept { return decode<float>(); }
    SSM_INLINE constexpr explicit operator double() const noexcept { return decode<double>(); }

private:
    static constexpr std::uint64_t sign_bit = std::uint64_t{1} << (ExponentBits + MantissaBits);
    static constexpr std::uint64_t hidden_bit = std::uint64_t{1} << MantissaBits;
    static constexpr std::uint64_t infinity = sign_bit - hidden_bit;  // in formats that have one
    static constexpr std::uint64_t largest = Specials == SpecialValues::ieee       ? infinity - 1
                                             : Specials == SpecialValues::only_nan ? sign_bit - 2
                                                                                   : sign_bit - 1;
    static constexpr std::uint64_t nan = Specials == SpecialValues::ieee
                                             ? infinity | hidden_bit >> 1U
                                         : Specials == SpecialValues::only_nan ? sign_bit - 1
                                                                               : sign_bit;
    static constexpr std::uint64_t overflow = Specials == SpecialValues::ieee ? infinity : nan;

    SSM_INLINE static constexpr Bits encode(double value) noexcept {
        const auto bits = std::bit_cast<std::uint64_t>(value);
        const std::uint64_t magnitude = bits & ~(std::uint64_t{1} << 63U);
        const std::uint64_t sign = bits >> 63U != 0 ? sign_bit : 0;
        if (magnitude > 0x7ff0000000000000U)
            return static_cast<Bits>(Specials == SpecialValues::unsigned_zero ? nan : sign | nan);

        // Below exponent 1 the mantissa loses further bits instead: gradual underflow.
        const int exponent = static_cast<int>(magnitude >> 52U) - 1023 + Bias;
        const unsigned lost =
            52U - MantissaBits + (exponent < 1 ? static_cast<unsigned>(1 - exponent) : 0U);
        const unsigned shift = lost < 63U ? lost : 63U;
        const std::uint64_t significand = (magnitude & 0xfffffffffffffU) | 0x10000000000000U;
        const std::uint64_t rest = significand & ((std::uint64_t{1} << shift) - 1);
        const std::uint64_t half = std::uint64_t{1} << (shift - 1U);
        std::uint64_t rounded = significand >> shift;
        rounded += rest > half || (rest == half && (rounded & 1U) != 0) ? 1U : 0U;
        // A carry out of the mantissa is the next exponent, as it should be.
        if (exponent > 1)
            rounded += static_cast<std::uint64_t>(exponent - 1) << MantissaBits;
        if (rounded > largest)
            rounded = overflow;
        if (Specials == SpecialValues::unsigned_zero && (rounded == 0 || rounded == nan))
            return static_cast<Bits>(rounded);
        return static_cast<Bits>(sign | rounded);
    }

    template <std::floating_point T>
    SSM_INLINE constexpr T decode() const noexcept {
        using Word = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
        constexpr unsigned wide_mantissa = std::numeric_limits<T>::digits - 1;
        constexpr int wide_bias = std::numeric_limits<T>::max_exponent - 1;
        const Word magnitude = bits_ & static_cast<Word>(sign_bit - 1);
        const Word sign = static_cast<Word>(bits_ != magnitude) << (8 * sizeof(T) - 1);

        if constexpr (ExponentBits + MantissaBits == 15 && wide_bias == Bias) {
            return std::bit_cast<T>(
                static_cast<Word>(sign | magnitude << (wide_mantissa - MantissaBits)));
        } else {
            constexpr T smallest = power_of_two<T>(1 - Bias - static_cast<int>(MantissaBits));
            constexpr Word special = ((Word{1} << (8 * sizeof(T) - 1)) - 1) >> wide_mantissa
                                                                                   << wide_mantissa;
            Word wide = (magnitude << (wide_mantissa - MantissaBits)) +
                        (static_cast<Word>(wide_bias - Bias) << wide_mantissa);
            if (magnitude < hidden_bit)
                wide = std::bit_cast<Word>(static_cast<T>(static_cast<int>(magnitude)) * smallest);
            if (Specials == SpecialValues::ieee && magnitude >= infinity)
                wide = special | magnitude << (wide_mantissa - MantissaBits);
            if (Specials != SpecialValues::ieee &&
                nan == (Specials == SpecialValues::only_nan ? magnitude : bits_))
                wide = special | Word{1} << (wide_mantissa - 1U);
            return std::bit_cast<T>(static_cast<Word>(sign | wide));
        }
    }

    template <class T>
    static constexpr T power_of_two(int exponent) noexcept {
        T result = 1;
        for (; exponent < 0; ++exponent)
            result /= 2;
        return result;
    }

    Bits bits_ = 0;
};

/// The upper half of a float: its range, 8 bits of precision.
using Bfloat16 = SmallFloat<8, 7>;
/// IEEE binary16: 11 bits of precision, largest 65504.
using Half = SmallFloat<5, 10>;
/// 4 bits of precision, largest 448, no infinity.
using Float8E4M3 = SmallFloat<4, 3, 7, SpecialValues::only_nan>;
/// 3 bits of precision, largest 57344; the upper half of a Half.
using Float8E5M2 = SmallFloat<5, 2>;
/// 4 bits of precision, largest 240, neither infinity nor -0.
using Float8E4M3Fnuz = SmallFloat<4, 3, 8, SpecialValues::unsigned_zero>;
/// 3 bits of precision, largest 57344, neither infinity nor -0.
using Float8E5M2Fnuz = SmallFloat<5, 2, 16, SpecialValues::unsigned_zero>;

}  // namespace ssm
