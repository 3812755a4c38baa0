#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string_view>

#include <ssm/math/small_float.hpp>

namespace ssm {

/// Number types of safetensors files, under the names of the format in lower case.
enum class Dtype : std::uint8_t {
    boolean,
    f4,
    f6_e2m3,
    f6_e3m2,
    u8,
    i8,
    f8_e5m2,
    f8_e4m3,
    f8_e8m0,
    f8_e4m3fnuz,
    f8_e5m2fnuz,
    i16,
    u16,
    f16,
    bf16,
    i32,
    u32,
    f32,
    c64,
    f64,
    i64,
    u64,
};

namespace detail {

struct DtypeRow {
    std::string_view name;
    std::size_t bits;
};
inline constexpr std::array<DtypeRow, 22> dtype_rows{{
    {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
    {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
    {"I64", 64},        {"U64", 64},
}};

template <class T>
struct DtypeOf;
template <Dtype D>
struct DtypeConstant {
    static constexpr Dtype value = D;
};
/// Integers by size and sign, so that types of equal representation are one dtype.
template <class T>
requires std::signed_integral<T> || std::unsigned_integral<T>
struct DtypeOf<T> {
    static constexpr Dtype value = std::signed_integral<T>
                                       ? std::array{Dtype::i8, Dtype::i16, Dtype::i32,
                                                    Dtype::i64}[std::bit_width(sizeof(T)) - 1]
                                       : std::array{Dtype::u8, Dtype::u16, Dtype::u32,
                                                    Dtype::u64}[std::bit_width(sizeof(T)) - 1];
};
// clang-format off
template <> struct DtypeOf<bool> : DtypeConstant<Dtype::boolean> {};
template <> struct DtypeOf<Float8E5M2> : DtypeConstant<Dtype::f8_e5m2> {};
template <> struct DtypeOf<Float8E4M3> : DtypeConstant<Dtype::f8_e4m3> {};
template <> struct DtypeOf<Float8E4M3Fnuz> : DtypeConstant<Dtype::f8_e4m3fnuz> {};
template <> struct DtypeOf<Float8E5M2Fnuz> : DtypeConstant<Dtype::f8_e5m2fnuz> {};
template <> struct DtypeOf<Half> : DtypeConstant<Dtype::f16> {};
template <> struct DtypeOf<Bfloat16> : DtypeConstant<Dtype::bf16> {};
template <> struct DtypeOf<float> : DtypeConstant<Dtype::f32> {};
template <> struct DtypeOf<double> : DtypeConstant<Dtype::f64> {};
// clang-format on

}  // namespace detail

/// The dtype whose stored numbers are values of `T`.
template <class T>
inline constexpr Dtype dtype_of = detail::DtypeOf<T>::value;

/// Name in the file, such as "BF16".
[[nodiscard]] constexpr std::string_view name_of(Dtype dtype) noexcept {
    return detail::dtype_rows[static_cast<std::size_t>(dtype)].name;
}

/// Bits of one number; 4 and 6 bit numbers are packed without gaps.
[[nodiscard]] constexpr std::size_t bits_of(Dtype dtype) noexcept {
    return detail::dtype_rows[static_cast<std::size_t>(dtype)].bits;
}

/// The dtype of that name; none for a name the format does not know.
[[nodiscard]] constexpr std::optional<Dtype> parse_dtype(std::string_view name) noexcept {
    for (std::size_t row = 0; row < detail::dtype_rows.size(); ++row)
        if (detail::dtype_rows[row].name == name)
            return static_cast<Dtype>(row);
    return std::nullopt;
}

inline std::ostream& operator<<(std::ostream& out, Dtype dtype) {
    return out << name_of(dtype);
}

}  // namespace ssm
