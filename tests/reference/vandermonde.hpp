#pragma once

#include <complex>
#include <cstddef>
#include <vector>

#include <ssm/discretize/modes.hpp>

namespace ssm_test {

/// The Vandermonde product of a bank of modes and its adjoint, term by term in long double.
struct VandermondeReference {
    using Number = std::complex<long double>;

    const ssm::Modes& modes;
    std::size_t length;

    [[nodiscard]] Number pole(std::size_t h, std::size_t n) const {
        const std::size_t i = modes.pole(h, n);
        return std::complex<double>(modes.pole_re[i], modes.pole_im[i]);
    }
    [[nodiscard]] Number residue(std::size_t c, std::size_t h, std::size_t n) const {
        const std::size_t i = modes.residue(c, h, n);
        return std::complex<double>(modes.residue_re[i], modes.residue_im[i]);
    }

    /// K (heads, H, L)
    [[nodiscard]] std::vector<double> kernel() const {
        const auto& [H, N, heads] = modes.shape;
        std::vector<double> K(heads * H * length);
        for (std::size_t c = 0; c < heads; ++c)
            for (std::size_t h = 0; h < H; ++h) {
                std::vector<long double> sum(length);
                for (std::size_t n = 0; n < N; ++n) {
                    Number power = residue(c, h, n);
                    for (long double& s : sum) {
                        s += power.real();
                        power *= pole(h, n);
                    }
                }
                for (std::size_t l = 0; l < length; ++l)
                    K[(c * H + h) * length + l] = static_cast<double>(sum[l]);
            }
        return K;
    }

    /// The gradient of sum(g K) for g (heads, H, L).
    template <class T>
    [[nodiscard]] ssm::Modes gradient(const std::vector<T>& g) const {
        const auto& [H, N, heads] = modes.shape;
        ssm::Modes result(modes.shape);
        for (std::size_t c = 0; c < heads; ++c)
            for (std::size_t h = 0; h < H; ++h)
                for (std::size_t n = 0; n < N; ++n) {
                    const Number z = pole(h, n);
                    Number power = 1.0L;
                    Number slope = 0.0L;  // l z^{l-1}
                    Number sum = 0.0L;
                    Number slope_sum = 0.0L;
                    for (std::size_t l = 0; l < length; ++l) {
                        const auto upstream = static_cast<long double>(g[(c * H + h) * length + l]);
                        sum += upstream * power;
                        slope_sum += upstream * slope;
                        slope = slope * z + power;
                        power *= z;
                    }
                    const Number dz = std::conj(residue(c, h, n) * slope_sum);
                    const std::size_t r = modes.residue(c, h, n);
                    const std::size_t p = modes.pole(h, n);
                    result.residue_re[r] += static_cast<double>(sum.real());
                    result.residue_im[r] -= static_cast<double>(sum.imag());
                    result.pole_re[p] += static_cast<double>(dz.real());
                    result.pole_im[p] += static_cast<double>(dz.imag());
                }
        return result;
    }
};

}  // namespace ssm_test
