#pragma once

#include <array>
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
// clang-format off
template <> struct DtypeOf<bool> : DtypeConstant<Dtype::boolean> {};
template <> struct DtypeOf<std::uint8_t> : DtypeConstant<Dtype::u8> {};
template <> struct DtypeOf<std::int8_t> : DtypeConstant<Dtype::i8> {};
template <> struct DtypeOf<std::uint16_t> : DtypeConstant<Dtype::u16> {};
template <> struct DtypeOf<std::int16_t> : DtypeConstant<Dtype::i16> {};
template <> struct DtypeOf<std::uint32_t> : DtypeConstant<Dtype::u32> {};
template <> struct DtypeOf<std::int32_t> : DtypeConstant<Dtype::i32> {};
template <> struct DtypeOf<std::uint64_t> : DtypeConstant<Dtype::u64> {};
template <> struct DtypeOf<std::int64_t> : DtypeConstant<Dtype::i64> {};
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
