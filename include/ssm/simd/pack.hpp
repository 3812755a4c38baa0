#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <type_traits>

#include <ssm/simd/fused.hpp>
#include <ssm/simd/ordered.hpp>
#include <ssm/simd/register.hpp>

/// Vectors of numbers, as wide as the processor this file is compiled for has them.
///
/// A kernel is written once, over `Pack<T>`, and compiles to AVX-512, AVX2, SSE2 or NEON, or to
/// plain T where there are no vectors (width 1):
///
///     simd::for_each_pack<T>(n, [&](auto lanes, std::size_t i) {
///         lanes.store(y + i, simd::fma(lanes.load(a + i), lanes.load(x + i), lanes.load(b + i)));
///     });
///
/// Functions whose first argument is a pack take plain numbers for the others. Call them qualified
/// (`simd::max`): they are also there for plain floating-point numbers, so that one template serves
/// both packs and scalars.
namespace ssm::simd {
inline namespace SSM_ARCH {

/// Numbers in a `Pack<T>`.
template <class T>
inline constexpr std::size_t width = detail::RegisterOf<T>::size;

/// One truth value for each lane of a `Pack<T>`.
template <class T>
struct Mask {
    using value_type = T;
    using Register = typename detail::RegisterOf<T>::MaskRegister;

    Register raw;

    SSM_INLINE friend Mask operator&&(Mask a, Mask b) { return {a.raw && b.raw}; }
    SSM_INLINE friend Mask operator||(Mask a, Mask b) { return {a.raw || b.raw}; }
    SSM_INLINE friend Mask operator!(Mask a) { return {!a.raw}; }
};

/// `width<T>` numbers of type T in one register. A value: pass it by value.
template <class T>
struct Pack {
    using value_type = T;
    using Register = typename detail::RegisterOf<T>::Register;
    static constexpr std::size_t size = width<T>;

    Register raw;

    Pack() = default;
    /// The same number in every lane.
    SSM_INLINE Pack(T value) noexcept : raw(value) {}
    SSM_INLINE static Pack of(Register r) noexcept {
        Pack p;
        p.raw = r;
        return p;
    }

    SSM_INLINE friend Pack operator+(Pack a, Pack b) noexcept { return of(a.raw + b.raw); }
    SSM_INLINE friend Pack operator-(Pack a, Pack b) noexcept { return of(a.raw - b.raw); }
    SSM_INLINE friend Pack operator*(Pack a, Pack b) noexcept { return of(a.raw * b.raw); }
    SSM_INLINE friend Pack operator/(Pack a, Pack b) noexcept { return of(a.raw / b.raw); }
    SSM_INLINE friend Pack operator-(Pack a) noexcept {
        if constexpr (detail::RegisterOf<T>::is_vector && std::is_floating_point_v<T>)
            return of(a.raw ^ Register(T(-0.0)));  // xsimd subtracts from 0 here and there
        else
            return of(-a.raw);
    }
    SSM_INLINE Pack& operator+=(Pack b) noexcept { return *this = *this + b; }
    SSM_INLINE Pack& operator-=(Pack b) noexcept { return *this = *this - b; }
    SSM_INLINE Pack& operator*=(Pack b) noexcept { return *this = *this * b; }
    SSM_INLINE Pack& operator/=(Pack b) noexcept { return *this = *this / b; }

    SSM_INLINE friend Mask<T> operator<(Pack a, Pack b) noexcept { return {a.raw < b.raw}; }
    SSM_INLINE friend Mask<T> operator<=(Pack a, Pack b) noexcept { return {a.raw <= b.raw}; }
    SSM_INLINE friend Mask<T> operator>(Pack a, Pack b) noexcept { return {a.raw > b.raw}; }
    SSM_INLINE friend Mask<T> operator>=(Pack a, Pack b) noexcept { return {a.raw >= b.raw}; }
    SSM_INLINE friend Mask<T> operator==(Pack a, Pack b) noexcept { return {a.raw == b.raw}; }
    SSM_INLINE friend Mask<T> operator!=(Pack a, Pack b) noexcept { return {a.raw != b.raw}; }
};

namespace detail {

template <class V>
inline constexpr bool is_pack = false;
template <class T>
inline constexpr bool is_pack<Pack<T>> = true;

/// `Pack<T>` in a position from which T is not deduced: takes a plain number too.
template <class T>
using Same = std::type_identity_t<Pack<T>>;

template <class T>
inline constexpr bool is_vector = RegisterOf<T>::is_vector;

}  // namespace detail

/// What a pointwise function takes: a floating-point number or a pack of them.
template <class V>
concept Numeric = std::floating_point<V> || detail::is_pack<V>;

namespace detail {
template <class V>
struct ScalarOf {
    using type = V;
};
template <class T>
struct ScalarOf<Pack<T>> {
    using type = T;
};
}  // namespace detail

/// The number type of a pack, or the type itself.
template <Numeric V>
using Scalar = typename detail::ScalarOf<V>::type;

/// Reads `width<T>` consecutive numbers; no alignment is needed.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> load(const T* p) noexcept {
    if constexpr (detail::is_vector<T>)
        return Pack<T>::of(Pack<T>::Register::load_unaligned(p));
    else
        return Pack<T>::of(*p);
}

/// As `load`; p is a multiple of the register's size (64 bytes suffice everywhere).
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> load_aligned(const T* p) noexcept {
    if constexpr (detail::is_vector<T>)
        return Pack<T>::of(Pack<T>::Register::load_aligned(p));
    else
        return Pack<T>::of(*p);
}

/// Writes `width<T>` consecutive numbers; no alignment is needed.
template <class T>
SSM_INLINE void store(T* p, detail::Same<T> x) noexcept {
    if constexpr (detail::is_vector<T>)
        x.raw.store_unaligned(p);
    else
        *p = x.raw;
}

/// As `store`; p is a multiple of the register's size (64 bytes suffice everywhere).
template <class T>
SSM_INLINE void store_aligned(T* p, detail::Same<T> x) noexcept {
    if constexpr (detail::is_vector<T>)
        x.raw.store_aligned(p);
    else
        *p = x.raw;
}

/// The same number in every lane.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> broadcast(T value) noexcept {
    return Pack<T>(value);
}

/// 0, 1, 2, ... in lane order.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> iota() noexcept {
    T lane[width<T>];
    for (std::size_t i = 0; i < width<T>; ++i)
        lane[i] = static_cast<T>(i);
    return load(lane);
}

/// a b + c, with one rounding where the processor fuses (`has_fma`), with two elsewhere.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> fma(Pack<T> a, detail::Same<T> b, detail::Same<T> c) noexcept {
    if constexpr (detail::fuses_itself<T>)
        return Pack<T>::of(detail::multiply_add(a.raw, b.raw, c.raw));
    else if constexpr (detail::is_vector<T>)
        return Pack<T>::of(xsimd::fma(a.raw, b.raw, c.raw));
    else
        return a * b + c;
}

/// a b - c, rounded as `fma`.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> fms(Pack<T> a, detail::Same<T> b, detail::Same<T> c) noexcept {
    if constexpr (detail::fuses_itself<T>)
        return Pack<T>::of(detail::multiply_sub(a.raw, b.raw, c.raw));
    else if constexpr (detail::is_vector<T>)
        return Pack<T>::of(xsimd::fms(a.raw, b.raw, c.raw));
    else
        return a * b - c;
}

/// c - a b, rounded as `fma`.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> fnma(Pack<T> a, detail::Same<T> b, detail::Same<T> c) noexcept {
    if constexpr (detail::fuses_itself<T>)
        return Pack<T>::of(detail::sub_product(a.raw, b.raw, c.raw));
    else if constexpr (detail::is_vector<T>)
        return Pack<T>::of(xsimd::fnma(a.raw, b.raw, c.raw));
    else
        return c - a * b;
}

/// The smaller of two. If b is NaN the result is NaN; if only a is, processors differ: so the
/// number that may be NaN goes second.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> min(Pack<T> a, detail::Same<T> b) noexcept {
    if constexpr (detail::orders_itself<T>)
        return Pack<T>::of(detail::minimum(a.raw.data, b.raw.data));
    else if constexpr (detail::is_vector<T>)
        return Pack<T>::of(xsimd::min(a.raw, b.raw));
    else
        return a < b ? a : b;
}

/// The larger of two. NaN as with `min`.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> max(Pack<T> a, detail::Same<T> b) noexcept {
    if constexpr (detail::orders_itself<T>)
        return Pack<T>::of(detail::maximum(a.raw.data, b.raw.data));
    else if constexpr (detail::is_vector<T>)
        return Pack<T>::of(xsimd::max(a.raw, b.raw));
    else
        return a > b ? a : b;
}

/// |a|
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> abs(Pack<T> a) noexcept {
    if constexpr (detail::is_vector<T>)
        return Pack<T>::of(xsimd::abs(a.raw));
    else
        return std::abs(a.raw);
}

/// Square root, correctly rounded.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> sqrt(Pack<T> a) noexcept {
#if defined(__aarch64__)
    if constexpr (detail::fuses_itself<T> && sizeof(T) == 4)
        return Pack<T>::of(vsqrtq_f32(a.raw));
    else
#endif
        if constexpr (detail::is_vector<T>)
        return Pack<T>::of(xsimd::sqrt(a.raw));
    else
        return std::sqrt(a.raw);
}

/// The nearest whole number; ties go to the even one.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> round(Pack<T> a) noexcept {
    if constexpr (detail::is_vector<T>)
        return Pack<T>::of(xsimd::nearbyint(a.raw));
    else
        return std::nearbyint(a.raw);
}

/// `yes` in the lanes where `mask` holds, `no` in the others.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> select(Mask<T> mask, detail::Same<T> yes,
                                        detail::Same<T> no) noexcept {
    if constexpr (detail::is_vector<T>)
        return Pack<T>::of(xsimd::select(mask.raw, yes.raw, no.raw));
    else
        return mask.raw ? yes : no;
}

/// Whether the mask holds in any lane.
template <class T>
[[nodiscard]] SSM_INLINE bool any(Mask<T> mask) noexcept {
    if constexpr (detail::is_vector<T>)
        return xsimd::any(mask.raw);
    else
        return mask.raw;
}

/// Whether the mask holds in all lanes.
template <class T>
[[nodiscard]] SSM_INLINE bool all(Mask<T> mask) noexcept {
    if constexpr (detail::is_vector<T>)
        return xsimd::all(mask.raw);
    else
        return mask.raw;
}

/// The sum over the lanes; the order of the additions is the processor's.
template <class T>
[[nodiscard]] SSM_INLINE T reduce_add(Pack<T> a) noexcept {
    if constexpr (!detail::is_vector<T>)
        return a.raw;
    else
#if SSM_HAS_VECTORS && XSIMD_VERSION_MAJOR < 9
        return xsimd::hadd(a.raw);
#else
        return xsimd::reduce_add(a.raw);
#endif
}

/// The largest lane; no lane may be NaN.
template <class T>
[[nodiscard]] SSM_INLINE T reduce_max(Pack<T> a) noexcept {
    T lane[width<T>];
    store(lane, a);
    T largest = lane[0];
    for (std::size_t i = 1; i < width<T>; ++i)
        largest = largest < lane[i] ? lane[i] : largest;
    return largest;
}

// The same words for plain numbers.

template <std::floating_point T>
[[nodiscard]] SSM_INLINE T fma(T a, T b, T c) noexcept {
    return a * b + c;
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T fms(T a, T b, T c) noexcept {
    return a * b - c;
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T fnma(T a, T b, T c) noexcept {
    return c - a * b;
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T min(T a, T b) noexcept {
    return a < b ? a : b;
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T max(T a, T b) noexcept {
    return a > b ? a : b;
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T abs(T a) noexcept {
    return std::abs(a);
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T sqrt(T a) noexcept {
    return std::sqrt(a);
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T round(T a) noexcept {
    return std::nearbyint(a);
}
template <std::floating_point T>
[[nodiscard]] SSM_INLINE T select(bool mask, T yes, std::type_identity_t<T> no) noexcept {
    return mask ? yes : no;
}

}  // namespace SSM_ARCH
}  // namespace ssm::simd
