#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <ssm/simd/intrinsics.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/pieces.hpp>

/// Reading and writing fewer numbers than a register holds: the tails of arrays. Nothing past the
/// n-th number is touched, on any processor: AVX has masked moves that do not fault and AVX-512 moves
/// pieces, elsewhere the numbers go through a small buffer.
namespace ssm::simd {
inline namespace SSM_ARCH {

namespace detail {

template <class T>
SSM_INLINE Pack<T> load_partial_buffered(const T* p, std::size_t n) noexcept {
    T buffer[width<T>] = {};
    for (std::size_t i = 0; i < n; ++i)
        buffer[i] = p[i];
    return load(buffer);
}

template <class T>
SSM_INLINE void store_partial_buffered(T* p, Pack<T> x, std::size_t n) noexcept {
    T buffer[width<T>];
    store(buffer, x);
    for (std::size_t i = 0; i < n; ++i)
        p[i] = buffer[i];
}

#if defined(__AVX__)
/// All bits set in the first n lanes, none in the others: a window on a row of ones and zeros.
template <class T>
SSM_INLINE __m256i first_lanes(std::size_t n) noexcept {
    alignas(64) static constexpr std::int32_t row[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    const std::size_t words = n * (sizeof(T) / 4);
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + (8 - words)));
}
#endif

}  // namespace detail

/// The first n numbers at p, and zeros. Precondition: n <= width.
template <class T>
[[nodiscard]] SSM_INLINE Pack<T> load_partial(const T* p, std::size_t n) noexcept {
#if defined(__AVX512F__)
    if (n == width<T>)
        return load(p);
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>)
        return Pack<T>::of(detail::load_pieces(p, n));
    else
        return detail::load_partial_buffered(p, n);
#elif defined(__AVX__)
    if constexpr (std::is_same_v<T, float>)
        return Pack<T>::of(_mm256_maskload_ps(p, detail::first_lanes<T>(n)));
    else if constexpr (std::is_same_v<T, double>)
        return Pack<T>::of(_mm256_maskload_pd(p, detail::first_lanes<T>(n)));
    else
        return detail::load_partial_buffered(p, n);
#else
    return detail::load_partial_buffered(p, n);
#endif
}

/// Writes the first n lanes to p and nothing else. Precondition: n <= width.
template <class T>
SSM_INLINE void store_partial(T* p, detail::Same<T> x, std::size_t n) noexcept {
#if defined(__AVX__)
    if (n == width<T>)
        store(p, x);
    else if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>)
        detail::store_pieces(p, x.raw, n);
    else
        detail::store_partial_buffered(p, x, n);
#else
    detail::store_partial_buffered(p, x, n);
#endif
}

/// All lanes of a pack: how the body of `for_each_pack` moves its numbers in the full part.
template <class T>
struct AllLanes {
    [[nodiscard]] SSM_INLINE Pack<T> load(const T* p) const noexcept { return simd::load(p); }
    SSM_INLINE void store(T* p, Pack<T> x) const noexcept { simd::store(p, x); }
    [[nodiscard]] static constexpr std::size_t count() noexcept { return width<T>; }
};

/// The first `count()` lanes of a pack, the others read as zero and are not written.
template <class T>
class FirstLanes {
public:
    SSM_INLINE explicit FirstLanes(std::size_t n) noexcept : n_(n) {}
    [[nodiscard]] SSM_INLINE Pack<T> load(const T* p) const noexcept { return load_partial(p, n_); }
    SSM_INLINE void store(T* p, Pack<T> x) const noexcept { store_partial(p, x, n_); }
    [[nodiscard]] SSM_INLINE std::size_t count() const noexcept { return n_; }

private:
    std::size_t n_;
};

/// The first half of the lanes of a pack, as `FirstLanes`. Their number is known to the compiler, which with AVX-512
/// makes one plain move of them.
template <class T>
struct HalfLanes {
    [[nodiscard]] SSM_INLINE Pack<T> load(const T* p) const noexcept {
        return load_partial(p, count());
    }
    SSM_INLINE void store(T* p, Pack<T> x) const noexcept { store_partial(p, x, count()); }
    [[nodiscard]] static constexpr std::size_t count() noexcept { return width<T> / 2; }
};

/// Calls `body(lanes)` with the lanes for the first n of a pack: for loops that move the same lanes in each of many
/// rows, and so had better know how many there are. Precondition: 0 < n < width.
template <class T, class Body>
SSM_INLINE void with_first_lanes(std::size_t n, Body&& body) {
    if constexpr (sizeof(Pack<T>) == 64)
        if (2 * n == width<T>)
            return body(HalfLanes<T>{});
    body(FirstLanes<T>(n));
}

/// Runs `body(lanes, i)` for i = 0, width, 2 width, ...: with `AllLanes<T>` while whole packs fit
/// into n, then once with `FirstLanes<T>` for what is left. The body reads and writes with
/// `lanes.load(p + i)` and `lanes.store(p + i, x)`, and so is right for any n. Give the body
/// `SSM_INLINE_LAMBDA`: it is instantiated twice.
template <class T, class Body>
SSM_INLINE void for_each_pack(std::size_t n, Body&& body) {
    std::size_t i = 0;
    for (; i + width<T> <= n; i += width<T>)
        body(AllLanes<T>{}, i);
    if (i < n)
        body(FirstLanes<T>(n - i), i);
}

}  // namespace SSM_ARCH
}  // namespace ssm::simd
