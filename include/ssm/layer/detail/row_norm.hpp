#pragma once

#include <cmath>
#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>

/// Normalisation of one row of numbers, vectorised along the row, and its adjoint.
namespace ssm::detail {

/// The lanes of `x` that `lanes` reads, zero in the others.
template <class T>
[[nodiscard]] SSM_INLINE simd::Pack<T> only(simd::AllLanes<T>, simd::Pack<T> x) noexcept {
    return x;
}
template <class T>
[[nodiscard]] SSM_INLINE simd::Pack<T> only(simd::FirstLanes<T> lanes, simd::Pack<T> x) noexcept {
    const simd::Pack<T> count(static_cast<T>(lanes.count()));
    return simd::select(simd::iota<T>() < count, x, T(0));
}

/// What a row is shifted and scaled by: x_hat = (x - mean) * scale, scale = 1 / sqrt(variance + epsilon).
template <class T>
struct RowStatistics {
    T mean;
    T scale;
};

/// Statistics of n numbers. Not centered: mean 0, variance = mean of squares.
template <bool centered, class T>
RowStatistics<T> row_statistics(const T* x, std::size_t n, T epsilon) noexcept {
    using simd::Pack;
    const T count = static_cast<T>(n);
    T mean = T(0);
    if constexpr (centered) {
        Pack<T> sum(T(0));
        simd::for_each_pack<T>(n, [&](auto lanes, std::size_t i) { sum += lanes.load(x + i); });
        mean = simd::reduce_add(sum) / count;
    }
    Pack<T> squares(T(0));
    simd::for_each_pack<T>(n, [&](auto lanes, std::size_t i) {
        Pack<T> deviation = lanes.load(x + i);
        if constexpr (centered)
            deviation = only<T>(lanes, deviation - mean);
        squares = simd::fma(deviation, deviation, squares);
    });
    return {mean, T(1) / std::sqrt(simd::reduce_add(squares) / count + epsilon)};
}

/// y = x_hat w + b; w and b may be null (1 and 0). y may be x.
template <bool centered, class T>
void normalise_row(const T* x, std::size_t n, RowStatistics<T> statistics, const T* w, const T* b,
                   T* y) noexcept {
    using simd::Pack;
    const Pack<T> scale(statistics.scale);
    const Pack<T> mean(statistics.mean);
    simd::for_each_pack<T>(n, [&](auto lanes, std::size_t i) {
        Pack<T> value = lanes.load(x + i);
        if constexpr (centered)
            value -= mean;
        value *= scale;
        if (b != nullptr)
            value = simd::fma(value, w != nullptr ? lanes.load(w + i) : Pack<T>(T(1)),
                              lanes.load(b + i));
        else if (w != nullptr)
            value *= lanes.load(w + i);
        lanes.store(y + i, value);
    });
}

/// Adjoint of `normalise_row` with its statistics: adds to dw and db, overwrites dx; each may be null, and dx
/// may be dy.
template <bool centered, class T>
void normalise_row_backward(const T* x, const T* dy, std::size_t n, RowStatistics<T> statistics,
                            const T* w, T* dx, T* dw, T* db) noexcept {
    using simd::Pack;
    const Pack<T> scale(statistics.scale);
    const Pack<T> mean(statistics.mean);
    const auto x_hat = [&](auto lanes, std::size_t i) {
        Pack<T> value = lanes.load(x + i);
        if constexpr (centered)
            value -= mean;
        return value * scale;
    };
    const auto weighted = [&](auto lanes, std::size_t i, Pack<T> d) {
        return w != nullptr ? d * lanes.load(w + i) : d;
    };
    Pack<T> sum(T(0));
    Pack<T> sum_x_hat(T(0));
    simd::for_each_pack<T>(n, [&](auto lanes, std::size_t i) {
        const Pack<T> d = lanes.load(dy + i);
        const Pack<T> hat = x_hat(lanes, i);
        const Pack<T> g = weighted(lanes, i, d);
        if constexpr (centered)
            sum += g;
        sum_x_hat = simd::fma(g, hat, sum_x_hat);
        if (dw != nullptr)
            lanes.store(dw + i, simd::fma(d, hat, lanes.load(dw + i)));
        if (db != nullptr)
            lanes.store(db + i, lanes.load(db + i) + d);
    });
    if (dx == nullptr)
        return;
    const T count = static_cast<T>(n);
    const Pack<T> mean_g(centered ? simd::reduce_add(sum) / count : T(0));
    const Pack<T> mean_g_x_hat(simd::reduce_add(sum_x_hat) / count);
    simd::for_each_pack<T>(n, [&](auto lanes, std::size_t i) {
        Pack<T> g = weighted(lanes, i, lanes.load(dy + i));
        if constexpr (centered)
            g -= mean_g;
        lanes.store(dx + i, simd::fnma(x_hat(lanes, i), mean_g_x_hat, g) * scale);
    });
}

}  // namespace ssm::detail
