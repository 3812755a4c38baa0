#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <ssm/simd/intrinsics.hpp>

#if __has_include(<xsimd/xsimd.hpp>)
#include <xsimd/xsimd.hpp>
#endif

#include <ssm/core/config.hpp>

#if defined(XSIMD_VERSION_MAJOR) && !defined(XSIMD_NO_SUPPORTED_ARCHITECTURE)
#define SSM_HAS_VECTORS 1
#else
#define SSM_HAS_VECTORS 0
#endif

/// The differences between versions of xsimd (8.1 to 14) and the absence of vectors end in this
/// file. Without a vector register for T a "register" is one T, and all above works unchanged.
namespace ssm::simd {
inline namespace SSM_ARCH {

/// Tag type of this translation unit's instruction set: a template argument for kernels that may
/// be compiled several times for one program.
struct Arch {};

namespace detail {

/// One lane: what a register is where the processor or xsimd has none for T.
template <class T>
struct Lane {
    using Register = T;
    using MaskRegister = bool;
    static constexpr std::size_t size = 1;
    static constexpr bool is_vector = false;
};

#if SSM_HAS_VECTORS
template <class T>
struct Lanes {
    using Register = xsimd::batch<T, xsimd::default_arch>;
    using MaskRegister = typename Register::batch_bool_type;
    static constexpr std::size_t size = Register::size;
    static constexpr bool is_vector = true;
};

template <class T>
using RegisterOf =
    typename std::conditional_t<xsimd::has_simd_register<T, xsimd::default_arch>::value,
                                std::type_identity<Lanes<T>>, std::type_identity<Lane<T>>>::type;
#else
template <class T>
using RegisterOf = Lane<T>;
#endif

/// Unsigned integer as wide as T.
template <class T>
using BitsOf = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;

}  // namespace detail
}  // namespace SSM_ARCH
}  // namespace ssm::simd
