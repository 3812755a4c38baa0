#pragma once

#include <cstddef>

#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>

/// Normalisation with statistics that belong to channels, for norms over batch and time: each function
/// handles one row of n channels, vectorised across them.
namespace ssm::detail {

/// sums += x
template <class T>
void add_row(const T* x, std::size_t n, T* sums) noexcept {
    simd::for_each_pack<T>(n, [&](auto lanes, std::size_t h) {
        lanes.store(sums + h, lanes.load(sums + h) + lanes.load(x + h));
    });
}

/// sums += (x - mean)^2
template <class T>
void add_squares(const T* x, std::size_t n, const T* mean, T* sums) noexcept {
    simd::for_each_pack<T>(n, [&](auto lanes, std::size_t h) {
        const simd::Pack<T> d = lanes.load(x + h) - lanes.load(mean + h);
        lanes.store(sums + h, simd::fma(d, d, lanes.load(sums + h)));
    });
}

/// y = (x - mean) scale w + b; w and b may be null (1 and 0), y may be x.
template <class T>
void normalise_columns(const T* x, std::size_t n, const T* mean, const T* scale, const T* w,
                       const T* b, T* y) noexcept {
    simd::for_each_pack<T>(n, [&](auto lanes, std::size_t h) {
        simd::Pack<T> value = (lanes.load(x + h) - lanes.load(mean + h)) * lanes.load(scale + h);
        if (w != nullptr)
            value *= lanes.load(w + h);
        if (b != nullptr)
            value += lanes.load(b + h);
        lanes.store(y + h, value);
    });
}

/// sums += dy and sums_x_hat += dy x_hat, with x_hat = (x - mean) scale.
template <class T>
void add_adjoint_sums(const T* x, const T* dy, std::size_t n, const T* mean, const T* scale,
                      T* sums, T* sums_x_hat) noexcept {
    simd::for_each_pack<T>(n, [&](auto lanes, std::size_t h) {
        const simd::Pack<T> d = lanes.load(dy + h);
        const simd::Pack<T> x_hat =
            (lanes.load(x + h) - lanes.load(mean + h)) * lanes.load(scale + h);
        lanes.store(sums + h, lanes.load(sums + h) + d);
        lanes.store(sums_x_hat + h, simd::fma(d, x_hat, lanes.load(sums_x_hat + h)));
    });
}

/// dx = scale (w dy - mean_g - x_hat mean_g_x_hat): the adjoint of normalising, given the means of g = w dy and of
/// g x_hat over all that was normalised together. w may be null, dx may be dy.
template <class T>
void normalise_columns_backward(const T* x, const T* dy, std::size_t n, const T* mean,
                                const T* scale, const T* w, const T* mean_g, const T* mean_g_x_hat,
                                T* dx) noexcept {
    simd::for_each_pack<T>(n, [&](auto lanes, std::size_t h) {
        const simd::Pack<T> factor = lanes.load(scale + h);
        const simd::Pack<T> x_hat = (lanes.load(x + h) - lanes.load(mean + h)) * factor;
        simd::Pack<T> g = lanes.load(dy + h);
        if (w != nullptr)
            g *= lanes.load(w + h);
        g = simd::fnma(x_hat, lanes.load(mean_g_x_hat + h), g - lanes.load(mean_g + h));
        lanes.store(dx + h, g * factor);
    });
}

}  // namespace ssm::detail
