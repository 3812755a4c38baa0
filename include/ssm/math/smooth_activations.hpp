#pragma once

#include <ssm/simd/erf.hpp>
#include <ssm/simd/exp.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/sigmoid.hpp>

/// Smooth activations as function objects on numbers and packs, each with its derivative. Limits are
/// right at both infinities; NaN gives NaN.
///
/// Accuracy  a few ULP of the value, also where it is nearly zero, because nothing is computed as 1
///           minus almost 1; |z| / 2 ULP more where an exponential takes a rounded product z
///           (QuickGelu, GeluTanh); tests/math/activation.test.cpp
namespace ssm::math {
inline namespace SSM_ARCH {

/// 1 / (1 + e^-x)
struct Sigmoid {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return simd::sigmoid(x);
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V derivative(V x) const noexcept {
        const V e = simd::exp(-simd::abs(x));
        const V inverse = V(simd::Scalar<V>(1)) / (e + V(simd::Scalar<V>(1)));
        return e * inverse * inverse;
    }
};

/// log of the sigmoid, -log(1 + e^-x)
struct LogSigmoid {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return simd::log_sigmoid(x);
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V derivative(V x) const noexcept {
        return simd::sigmoid(-x);
    }
};

/// Hyperbolic tangent
struct Tanh {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return simd::tanh(x);
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V derivative(V x) const noexcept {
        using T = simd::Scalar<V>;
        return Sigmoid{}.derivative(x * V(T(2))) * V(T(4));
    }
};

/// log(1 + e^x), and x above 20, as in PyTorch.
struct Softplus {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return simd::softplus(x);
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V derivative(V x) const noexcept {
        using T = simd::Scalar<V>;
        return simd::select(x > V(T(20)), V(T(1)), simd::sigmoid(x));
    }
};

namespace swish {

/// x sigmoid(slope x). Below -800 the product is zero to all digits of double; the bound keeps
/// infinity out of it.
template <simd::Numeric V>
[[nodiscard]] SSM_INLINE V value(V x, simd::Scalar<V> slope) noexcept {
    using T = simd::Scalar<V>;
    return simd::max(V(T(-800)), x) * simd::sigmoid(x * V(slope));
}

/// s (1 + slope x (1 - s)) with s = sigmoid(slope x).
template <simd::Numeric V>
[[nodiscard]] SSM_INLINE V derivative(V x, simd::Scalar<V> slope) noexcept {
    using T = simd::Scalar<V>;
    const V z = simd::max(V(T(-800)), simd::min(V(T(800)), x * V(slope)));
    const V s = simd::sigmoid(z);
    return simd::fma(s * z, simd::sigmoid(-z), s);
}

}  // namespace swish

/// x sigmoid(x), also called swish.
struct Silu {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return swish::value(x, simd::Scalar<V>(1));
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V derivative(V x) const noexcept {
        return swish::derivative(x, simd::Scalar<V>(1));
    }
};

/// x sigmoid(1.702 x), the crudest of the GELU approximations.
struct QuickGelu {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return swish::value(x, simd::Scalar<V>(1.702));
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V derivative(V x) const noexcept {
        return swish::derivative(x, simd::Scalar<V>(1.702));
    }
};

/// x Phi(x) with the normal distribution Phi(x) = (1 + erf(x / sqrt 2)) / 2.
struct Gelu {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        using T = simd::Scalar<V>;
        return simd::max(V(T(-40)), x) * simd::normal(x).cumulative;
    }
    /// Phi(x) + x phi(x)
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V derivative(V x) const noexcept {
        using T = simd::Scalar<V>;
        const simd::Normal<V> n = simd::normal(x);
        const V bounded = simd::max(V(T(-40)), simd::min(V(T(40)), x));
        return simd::fma(bounded, n.density, n.cumulative);
    }
};

/// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, computed as x sigmoid(2 ...).
struct GeluTanh {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        using T = simd::Scalar<V>;
        const V z = simd::max(V(T(-40)), x);
        return z * simd::sigmoid(twice_inner(z));
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V derivative(V x) const noexcept {
        using T = simd::Scalar<V>;
        const V z = simd::max(V(T(-40)), simd::min(V(T(40)), x));
        const V u = twice_inner(z);
        const V s = simd::sigmoid(u);
        const V inner_derivative = simd::fma(z * z, V(T(3 * slope * cubic)), V(T(slope)));
        return simd::fma(s * z, simd::sigmoid(-u) * inner_derivative, s);
    }

private:
    static constexpr double slope = 1.5957691216057308;  // 2 sqrt(2 / pi)
    static constexpr double cubic = 0.044715;

    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE static V twice_inner(V x) noexcept {
        using T = simd::Scalar<V>;
        return x * simd::fma(x * x, V(T(slope * cubic)), V(T(slope)));
    }
};

/// x tanh(log(1 + e^x)), computed as x n / (n + 2) with n = e^x (e^x + 2).
struct Mish {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        using T = simd::Scalar<V>;
        const V n = numerator(bounded_exp(x));
        return simd::max(V(T(-800)), x) * (n / (n + V(T(2))));
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V derivative(V x) const noexcept {
        using T = simd::Scalar<V>;
        const V e = bounded_exp(x);
        const V n = numerator(e);
        const V inverse = V(T(1)) / (n + V(T(2)));
        const V z = simd::max(V(T(-800)), simd::min(V(T(25)), x));
        const V slope = V(T(4)) * e * (e + V(T(1))) * inverse * inverse;
        return simd::fma(z, slope, n * inverse);
    }

private:
    /// At 25 the factor of x and the derivative are 1 to all digits of double.
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE static V bounded_exp(V x) noexcept {
        return simd::exp(simd::min(V(simd::Scalar<V>(25)), x));
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE static V numerator(V e) noexcept {
        return e * (e + V(simd::Scalar<V>(2)));
    }
};

}  // namespace SSM_ARCH
}  // namespace ssm::math
