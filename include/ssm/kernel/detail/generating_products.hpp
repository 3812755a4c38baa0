#pragma once

#include <cstddef>

#include <ssm/discretize/dplr_system.hpp>
#include <ssm/kernel/detail/generating_value.hpp>
#include <ssm/simd/complex.hpp>

namespace ssm::detail {

/// The products of a system's rows whose sums over modes its generating function takes, in the order of
/// `GeneratingValue`: c b, c p, q b, q p.
class GeneratingProducts {
public:
    using Number = simd::Complex<double>;

    explicit GeneratingProducts(const DplrSystem& system) noexcept
        : system_(system),
          count_(GeneratingValue<double>::products(system.shape.heads, system.shape.rank)) {}

    [[nodiscard]] const DplrShape& shape() const noexcept { return system_.shape; }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }

    /// The factors of a product: rows of c or q, and of b or p.
    struct Factors {
        const ComplexNumbers* left;
        std::size_t left_at;
        const ComplexNumbers* right;
        std::size_t right_at;
    };
    /// Of product `j` of channel `h`.
    [[nodiscard]] Factors factors(std::size_t h, std::size_t j) const noexcept {
        const std::size_t heads = shape().heads;
        const std::size_t rank = shape().rank;
        const std::size_t b = system_.pole(h, 0);
        if (j < heads)
            return {&system_.c, system_.readout(j, h, 0), &system_.b, b};
        j -= heads;
        if (j < heads * rank)
            return {&system_.c, system_.readout(j / rank, h, 0), &system_.p,
                    system_.correction(j % rank, h, 0)};
        j -= heads * rank;
        if (j < rank)
            return {&system_.q, system_.correction(j, h, 0), &system_.b, b};
        j -= rank;
        return {&system_.q, system_.correction(j / rank, h, 0), &system_.p,
                system_.correction(j % rank, h, 0)};
    }

    [[nodiscard]] Number product(const Factors& of, std::size_t n) const noexcept {
        return number(*of.left, of.left_at + n) * number(*of.right, of.right_at + n);
    }
    [[nodiscard]] Number pole(std::size_t h, std::size_t n) const noexcept {
        return number(system_.z, system_.pole(h, n));
    }

    /// From the gradient of a product to its factors.
    void add_product(const Factors& of, std::size_t n, Number g,
                     DplrSystem& gradient) const noexcept {
        ComplexNumbers& left = of.left == &system_.c ? gradient.c : gradient.q;
        ComplexNumbers& right = of.right == &system_.b ? gradient.b : gradient.p;
        add(left, of.left_at + n, simd::conj_mul(number(*of.right, of.right_at + n), g));
        add(right, of.right_at + n, simd::conj_mul(number(*of.left, of.left_at + n), g));
    }
    void add_pole(std::size_t h, std::size_t n, Number g, DplrSystem& gradient) const noexcept {
        add(gradient.z, system_.pole(h, n), g);
    }

private:
    [[nodiscard]] static Number number(const ComplexNumbers& from, std::size_t at) noexcept {
        return {from.re[at], from.im[at]};
    }
    static void add(ComplexNumbers& to, std::size_t at, Number x) noexcept {
        to.re[at] += x.re;
        to.im[at] += x.im;
    }

    const DplrSystem& system_;
    std::size_t count_;
};

}  // namespace ssm::detail
