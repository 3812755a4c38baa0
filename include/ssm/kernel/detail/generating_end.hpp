#pragma once

#include <cstddef>

#include <ssm/discretize/dplr_system.hpp>
#include <ssm/kernel/detail/generating_products.hpp>
#include <ssm/kernel/detail/generating_value.hpp>
#include <ssm/simd/complex.hpp>

namespace ssm::detail {

/// The generating function of channel `h` at one node, in double, from sums whose denominators may vanish elsewhere:
///
///   h_j = sum_n (v / d + conj(v) / d') / 2      d = cos(theta / 2) (1 - z) + i sin(theta / 2) (1 + z)
///
/// with d' that of the conjugate partner. For theta = 0 and pi; see `GeneratingNodes`.
class GeneratingEnd {
    using Number = GeneratingProducts::Number;

public:
    /// With cos and sin of theta / 2.
    GeneratingEnd(const GeneratingProducts& products, std::size_t h, double cos,
                  double sin) noexcept
        : products_(products),
          h_(h),
          cos_(cos),
          sin_(sin),
          value_(products.shape().heads, products.shape().rank, {cos, sin},
                 [this](std::size_t j) { return sum(j); }) {}

    [[nodiscard]] Number of_head(std::size_t head) const noexcept {
        return value_.of_head(head, [this](std::size_t j) { return sum(j); });
    }

    /// `upstream(head)` is the gradient of `of_head`.
    template <class Upstream>
    void adjoint(Upstream&& upstream, DplrSystem& gradient) const noexcept {
        value_.adjoint([this](std::size_t j) { return sum(j); }, upstream,
                       [&](std::size_t j, Number g) { sum_adjoint(j, g, gradient); });
    }

private:
    [[nodiscard]] Number sum(std::size_t j) const noexcept {
        const auto of = products_.factors(h_, j);
        Number result{0.0, 0.0};
        for (std::size_t n = 0; n < products_.shape().modes; ++n) {
            const Number v = products_.product(of, n) * 0.5;
            result += v * reciprocal(n) + simd::conj(v) * partner(n);
        }
        return result;
    }
    void sum_adjoint(std::size_t j, Number g, DplrSystem& gradient) const noexcept {
        const auto of = products_.factors(h_, j);
        for (std::size_t n = 0; n < products_.shape().modes; ++n) {
            const Number v = products_.product(of, n);
            const Number a = reciprocal(n);
            const Number b = partner(n);
            const Number of_v = simd::conj_mul(a, g) + simd::conj(g) * b;
            products_.add_product(of, n, of_v * 0.5, gradient);
            // dd/dz = i sin - cos, and so for the partner of conj(z).
            const Number slope{-cos_, sin_};
            const Number along = simd::conj_mul(v * a * a * slope, g) +
                                 simd::conj(g) * (simd::conj(v) * b * b * slope);
            products_.add_pole(h_, n, along * -0.5, gradient);
        }
    }

    /// 1 / d
    [[nodiscard]] Number reciprocal(std::size_t n) const noexcept {
        const Number z = products_.pole(h_, n);
        return divide(Number{1.0, 0.0},
                      Number{cos_ * (1.0 - z.re) - sin_ * z.im, sin_ * (1.0 + z.re) - cos_ * z.im});
    }
    /// The same for the conjugate partner.
    [[nodiscard]] Number partner(std::size_t n) const noexcept {
        const Number z = products_.pole(h_, n);
        return divide(Number{1.0, 0.0},
                      Number{cos_ * (1.0 - z.re) + sin_ * z.im, sin_ * (1.0 + z.re) + cos_ * z.im});
    }

    const GeneratingProducts& products_;
    std::size_t h_;
    double cos_, sin_;
    GeneratingValue<double> value_;
};

}  // namespace ssm::detail
