#pragma once

#include <ssm/simd/exp.hpp>
#include <ssm/simd/pack.hpp>

/// Activations made of straight pieces, and their close relatives. Each is a function object on
/// numbers and packs with its derivative next to it; at a kink the derivative is PyTorch's. NaN
/// gives NaN.
namespace ssm::math {
inline namespace SSM_ARCH {

/// x
struct Identity {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return x;
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V derivative(V) const noexcept {
        return V(simd::Scalar<V>(1));
    }
};

/// max(x, 0)
struct Relu {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return simd::max(V(simd::Scalar<V>(0)), x);
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V derivative(V x) const noexcept {
        using T = simd::Scalar<V>;
        return simd::select(x > V(T(0)), V(T(1)), V(T(0)));
    }
};

/// max(x, 0)^2
struct Relu2 {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        const V y = Relu{}(x);
        return y * y;
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V derivative(V x) const noexcept {
        return Relu{}(x)*V(simd::Scalar<V>(2));
    }
};

/// x for positive x, slope x otherwise.
struct LeakyRelu {
    double slope = 0.01;

    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return x * derivative(x);
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V derivative(V x) const noexcept {
        using T = simd::Scalar<V>;
        return simd::select(x > V(T(0)), V(T(1)), V(static_cast<T>(slope)));
    }
};

/// x for positive x, alpha (e^x - 1) otherwise.
struct Elu {
    double alpha = 1.0;

    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        using T = simd::Scalar<V>;
        return simd::select(x > V(T(0)), x, simd::expm1(x) * V(static_cast<T>(alpha)));
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V derivative(V x) const noexcept {
        using T = simd::Scalar<V>;
        return simd::select(x > V(T(0)), V(T(1)), simd::exp(x) * V(static_cast<T>(alpha)));
    }
};

/// x / (1 + |x|)
struct Softsign {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return x / (simd::abs(x) + V(simd::Scalar<V>(1)));
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V derivative(V x) const noexcept {
        const V one = V(simd::Scalar<V>(1));
        const V inverse = one / (simd::abs(x) + one);
        return inverse * inverse;
    }
};

/// x / 6 + 1/2, kept between 0 and 1. The derivative is PyTorch's: 1/6 rounded to float, in double
/// too.
struct HardSigmoid {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        using T = simd::Scalar<V>;
        return simd::min(V(T(1)), simd::max(V(T(0)), (x + V(T(3))) * V(T(1) / T(6))));
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V derivative(V x) const noexcept {
        using T = simd::Scalar<V>;
        return simd::select(simd::abs(x) < V(T(3)), V(T(1.0F / 6.0F)), V(T(0)));
    }
};

/// x times its hard sigmoid.
struct HardSwish {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return x * HardSigmoid{}(x);
    }
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V derivative(V x) const noexcept {
        using T = simd::Scalar<V>;
        const V outside = simd::select(x < V(T(0)), V(T(0)), V(T(1)));
        return simd::select(simd::abs(x) < V(T(3)), simd::fma(x, V(T(1) / T(3)), V(T(0.5))),
                            outside);
    }
};

}  // namespace SSM_ARCH
}  // namespace ssm::math
