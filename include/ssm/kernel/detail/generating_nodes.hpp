#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>

#include <ssm/core/aligned.hpp>
#include <ssm/math/right_angle_fft.hpp>
#include <ssm/scan/diagonal_state.hpp>

namespace ssm::detail {

/// The roots of unity e^{-i theta_k}, theta_k = 2 pi k / L, between those at 0 and pi: where a generating function of
/// length L is evaluated in numbers of type T. Computed in double.
///
/// At theta = 0, and at pi when L is even, it is evaluated in double: modes that hardly decay or turn make it cancel
/// at 0, and tan(theta / 2) is infinite at pi.
template <class T>
struct GeneratingNodes {
    explicit GeneratingNodes(std::size_t length)
        : count((length - 1) / 2),
          stride(padded<T>(count)),
          y(stride, T(0)),
          inverse_cos(stride, T(1)),
          cos(stride, T(1)),
          sin(stride, T(0)) {
        for (std::size_t k = 0; k < count; ++k) {
            const double half =
                std::numbers::pi * static_cast<double>(k + 1) / static_cast<double>(length);
            y[k] = static_cast<T>(std::tan(half));
            inverse_cos[k] = static_cast<T>(1.0 / std::cos(half));
            cos[k] = static_cast<T>(std::cos(half));
            sin[k] = static_cast<T>(std::sin(half));
        }
    }

    std::size_t count;   ///< nodes k = 1 .. count
    std::size_t stride;  ///< of arrays over nodes: whole cache lines
    AlignedVector<T> y;  ///< tan(theta / 2)
    AlignedVector<T> inverse_cos;
    AlignedVector<T> cos, sin;  ///< of theta / 2
};

/// How a `RightAngleFft`, whose points are the roots of x^n = i, transforms between numbers K_l and their values at
/// the roots of unity: as the polynomial with coefficients K_l e^{-i pi l / (2 n)}.
template <class T>
struct UnityTransform {
    using Fft = math::RightAngleFft<T>;

    [[nodiscard]] static bool has_size(std::size_t length) {
        return length > 0 && Fft::size_for(length) == length;
    }

    explicit UnityTransform(std::size_t length) : node(length), turn_re(length), turn_im(length) {
        // The transform of the polynomial x is its points.
        const math::RightAngleFft<double> fft(length);
        constexpr std::size_t lanes = math::RightAngleFft<double>::lanes;
        AlignedVector<double> points(fft.numbers(), 0.0);
        points[2 * lanes] = 1.0;
        fft.forward(points.data());
        const auto n = static_cast<double>(length);
        for (std::size_t p = 0; p < length; ++p) {
            // x = e^{i pi / (2 n)} e^{-i theta_k}
            const double angle = std::atan2(points[(2 * p + 1) * lanes], points[2 * p * lanes]);
            const double k = std::round(0.25 - angle * n / (2.0 * std::numbers::pi));
            node[p] = static_cast<std::size_t>(k < 0.0 ? k + n : k) % length;
        }
        for (std::size_t l = 0; l < length; ++l) {
            const double angle = 0.5 * std::numbers::pi * static_cast<double>(l) / n;
            turn_re[l] = static_cast<T>(std::cos(angle));
            turn_im[l] = static_cast<T>(-std::sin(angle));
        }
    }

    AlignedVector<std::size_t> node;    ///< k of each point
    AlignedVector<T> turn_re, turn_im;  ///< e^{-i pi l / (2 n)}
};

}  // namespace ssm::detail
