#pragma once

#include <complex>
#include <cstddef>
#include <functional>
#include <vector>

namespace ssm_test {

/// One diagonal system with many inputs and outputs, written for clarity: x[t] = z[t] o x[t-1] + b[t] o (B u[t]),
/// y[t] = factor Re(C x[t]) + D o u[t].
struct MimoReference {
    using Complex = std::complex<double>;

    std::size_t P = 0;
    std::size_t H = 0;
    std::vector<Complex> B;  ///< (P, H)
    std::vector<Complex> C;  ///< (H, P)
    std::vector<double> D;   ///< (H)
    double factor = 1.0;
    /// z and b of mode p at step t.
    std::function<Complex(std::size_t, std::size_t)> z, b;

    /// u (L, H) -> y (L, H); x (P) goes through the states.
    [[nodiscard]] std::vector<double> run(const std::vector<double>& u,
                                          std::vector<Complex>& x) const {
        std::vector<double> y(u.size());
        for (std::size_t t = 0; t < u.size() / H; ++t) {
            for (std::size_t p = 0; p < P; ++p) {
                Complex input = 0.0;
                for (std::size_t h = 0; h < H; ++h)
                    input += B[p * H + h] * u[t * H + h];
                x[p] = z(t, p) * x[p] + b(t, p) * input;
            }
            for (std::size_t h = 0; h < H; ++h) {
                Complex output = 0.0;
                for (std::size_t p = 0; p < P; ++p)
                    output += C[h * P + p] * x[p];
                y[t * H + h] = factor * output.real() + D[h] * u[t * H + h];
            }
        }
        return y;
    }
};

/// The pairs of a complex weight.
template <class Tensor>
std::vector<std::complex<double>> pairs_of(const Tensor& tensor) {
    std::vector<std::complex<double>> result;
    for (std::size_t i = 0; i < tensor.size(); i += 2)
        result.emplace_back(tensor[i], tensor[i + 1]);
    return result;
}

/// A causal layer with these z and b.
template <class L>
MimoReference reference_of(const L& layer, double factor,
                           std::function<std::complex<double>(std::size_t, std::size_t)> z,
                           std::function<std::complex<double>(std::size_t, std::size_t)> b) {
    return {layer.modes(),
            layer.in_channels(),
            pairs_of(layer.B),
            pairs_of(layer.C),
            {layer.D.flat().begin(), layer.D.flat().end()},
            factor,
            std::move(z),
            std::move(b)};
}

}  // namespace ssm_test
