#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include <ssm/core/config.hpp>
#include <ssm/io/dtype.hpp>
#include <ssm/math/small_float.hpp>

// Numbers between the bytes of a file (little-endian, any alignment) and memory.

namespace ssm::detail {
inline namespace SSM_ARCH {

/// One byte that must be 0 or 1.
struct StoredBool {
    std::uint8_t byte;
};

/// F8_E8M0: 2^(byte - 127), a scale; 255 is NaN.
struct StoredPowerOfTwo {
    std::uint8_t byte;
    explicit operator float() const noexcept {
        constexpr std::uint32_t smallest = 0x00400000U;  // 2^-127, subnormal
        constexpr std::uint32_t nan = 0x7fc00000U;
        const std::uint32_t bits = static_cast<std::uint32_t>(byte) << 23U;
        return std::bit_cast<float>(byte == 0 ? smallest : byte == 255 ? nan : bits);
    }
    explicit operator double() const noexcept {
        return byte == 255 ? std::numeric_limits<double>::quiet_NaN() : std::ldexp(1.0, byte - 127);
    }
};

template <class T>
inline constexpr bool is_small_float = false;
template <unsigned ExponentBits, unsigned MantissaBits, int Bias, SpecialValues Specials>
inline constexpr bool is_small_float<SmallFloat<ExponentBits, MantissaBits, Bias, Specials>> = true;

template <class S>
inline constexpr bool is_stored_integer = std::integral<S> || std::same_as<S, StoredBool>;

/// Calls `function(std::type_identity<S>{})` with the type of the numbers as stored; of C64 these
/// are the floats of the pairs. False, without a call, for the packed types of 4 and 6 bits.
template <class Function>
bool with_stored_type(Dtype dtype, Function&& function) {
    // clang-format off
    switch (dtype) {
        case Dtype::f4:
        case Dtype::f6_e2m3:
        case Dtype::f6_e3m2: return false;
        case Dtype::boolean: function(std::type_identity<StoredBool>{}); return true;
        case Dtype::u8: function(std::type_identity<std::uint8_t>{}); return true;
        case Dtype::i8: function(std::type_identity<std::int8_t>{}); return true;
        case Dtype::u16: function(std::type_identity<std::uint16_t>{}); return true;
        case Dtype::i16: function(std::type_identity<std::int16_t>{}); return true;
        case Dtype::u32: function(std::type_identity<std::uint32_t>{}); return true;
        case Dtype::i32: function(std::type_identity<std::int32_t>{}); return true;
        case Dtype::u64: function(std::type_identity<std::uint64_t>{}); return true;
        case Dtype::i64: function(std::type_identity<std::int64_t>{}); return true;
        case Dtype::f8_e5m2: function(std::type_identity<Float8E5M2>{}); return true;
        case Dtype::f8_e4m3: function(std::type_identity<Float8E4M3>{}); return true;
        case Dtype::f8_e8m0: function(std::type_identity<StoredPowerOfTwo>{}); return true;
        case Dtype::f8_e4m3fnuz: function(std::type_identity<Float8E4M3Fnuz>{}); return true;
        case Dtype::f8_e5m2fnuz: function(std::type_identity<Float8E5M2Fnuz>{}); return true;
        case Dtype::f16: function(std::type_identity<Half>{}); return true;
        case Dtype::bf16: function(std::type_identity<Bfloat16>{}); return true;
        case Dtype::c64:
        case Dtype::f32: function(std::type_identity<float>{}); return true;
        case Dtype::f64: function(std::type_identity<double>{}); return true;
    }
    // clang-format on
    return false;
}

template <class S>
S load_number(const std::byte* from) noexcept {
    std::array<std::byte, sizeof(S)> bytes;
    std::memcpy(bytes.data(), from, sizeof(S));
    if constexpr (std::endian::native == std::endian::big)
        std::reverse(bytes.begin(), bytes.end());
    return std::bit_cast<S>(bytes);
}

template <class S>
void store_number(S number, std::byte* to) noexcept {
    auto bytes = std::bit_cast<std::array<std::byte, sizeof(S)>>(number);
    if constexpr (std::endian::native == std::endian::big)
        std::reverse(bytes.begin(), bytes.end());
    std::memcpy(to, bytes.data(), sizeof(S));
}

/// Whether numbers stored as `S` are read as `T` at all: integers and floats into floats, floats into small floats,
/// integers into integers.
template <class T, class S>
inline constexpr bool is_convertible = std::floating_point<T> ||
                                       (is_small_float<T> ? !is_stored_integer<S>
                                                          : is_stored_integer<S>);

template <class T, class S>
T to_number(S number) noexcept {
    if constexpr (std::same_as<S, StoredBool>)
        return static_cast<T>(number.byte);
    else if constexpr (is_small_float<T>)
        return static_cast<T>(static_cast<double>(number));
    else
        return static_cast<T>(number);
}

/// Whether `number` becomes a `T` without harm: integers exactly, finite numbers finite.
template <class T, class S>
bool fits(S number) noexcept {
    if constexpr (std::same_as<S, StoredBool>) {
        return number.byte <= 1;
    } else if constexpr (std::integral<S> && std::same_as<T, bool>) {
        return number == 0 || number == 1;
    } else if constexpr (std::integral<S> && std::integral<T>) {
        return std::in_range<T>(number);
    } else if constexpr (std::integral<S>) {
        using Unsigned = std::make_unsigned_t<S>;
        const auto bits = static_cast<Unsigned>(number);
        const auto magnitude = number < 0 ? static_cast<Unsigned>(0U - bits) : bits;
        return magnitude == 0 ||
               static_cast<int>(std::bit_width(magnitude)) - std::countr_zero(magnitude) <=
                   std::numeric_limits<T>::digits;
    } else if constexpr (std::same_as<S, double> && std::same_as<T, float>) {
        return !std::isfinite(number) || std::isfinite(static_cast<float>(number));
    } else if constexpr (is_small_float<T>) {
        return std::same_as<S, T> || !std::isfinite(static_cast<double>(number)) ||
               std::isfinite(static_cast<double>(to_number<T>(number)));
    } else {
        return true;
    }
}

/// False when every stored value fits, so that nothing needs to be looked at.
template <class T, class S>
inline constexpr bool may_misfit =
    std::same_as<S, StoredBool> || (std::same_as<S, double> && std::same_as<T, float>) ||
    (is_small_float<T> && !std::same_as<S, T>) ||
    (std::integral<S> && (std::numeric_limits<S>::digits > std::numeric_limits<T>::digits ||
                          std::is_signed_v<S> != std::is_signed_v<T>));

/// Position of the first number that does not fit into a `T`, if any.
template <class T, class S>
std::optional<std::size_t> first_misfit(std::span<const std::byte> bytes) noexcept {
    if constexpr (may_misfit<T, S>)
        for (std::size_t i = 0; i * sizeof(S) < bytes.size(); ++i)
            if (!fits<T>(load_number<S>(bytes.data() + i * sizeof(S))))
                return i;
    return std::nullopt;
}

/// Precondition: `target` has as many numbers as `bytes`, and they fit.
template <class T, class S>
void load_numbers(std::span<const std::byte> bytes, std::span<T> target) noexcept {
    if constexpr (std::same_as<T, S> && std::endian::native == std::endian::little) {
        if (!bytes.empty())
            std::memcpy(target.data(), bytes.data(), bytes.size());
    } else {
        for (std::size_t i = 0; i < target.size(); ++i)
            target[i] = to_number<T>(load_number<S>(bytes.data() + i * sizeof(S)));
    }
}

/// Whether `number` can be stored as `S` without harm: the same type, or a float as another one in
/// which a finite number stays finite.
template <class S, class T>
bool fits_stored(T number) noexcept {
    if constexpr (std::same_as<S, T>)
        return true;
    else
        return !std::isfinite(number) ||
               std::isfinite(static_cast<double>(static_cast<S>(static_cast<double>(number))));
}

template <class S, class T>
S to_stored(T number) noexcept {
    if constexpr (std::same_as<S, T>)
        return number;
    else
        return static_cast<S>(static_cast<double>(number));
}

/// The numbers as bytes of a file. Precondition: `target` has sizeof(S) bytes for each.
template <class S, class T>
void store_numbers(std::span<const T> numbers, std::byte* target) noexcept {
    for (std::size_t i = 0; i < numbers.size(); ++i)
        store_number<S>(to_stored<S>(numbers[i]), target + i * sizeof(S));
}

}  // namespace SSM_ARCH
}  // namespace ssm::detail
