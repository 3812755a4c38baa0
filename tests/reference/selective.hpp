#pragma once

#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ssm/core/rng.hpp>

namespace ssm_test {

/// Sizes and options of a selective scan; 0 groups: constant.
struct SelectiveCase {
    std::size_t batch = 2;
    std::size_t length = 21;
    std::size_t channels = 6;
    std::size_t modes = 3;
    std::size_t B_groups = 1;
    std::size_t C_groups = 1;
    bool is_complex = false;
    bool exact = false;  ///< zero-order hold
    bool softplus = true;
    bool gate = true;
    bool cut = true;  ///< with resets and lengths
};

/// Numbers of a selective scan, all complex so that one plain loop serves real and complex poles.
///
/// Shapes    u, delta, z, y (batch, L, channels); A (modes, channels); state (batch, modes, channels);
///           B, C (modes, channels) or (batch, L, groups, modes)
struct SelectiveReference {
    using Complex = std::complex<double>;

    explicit SelectiveReference(const SelectiveCase& c, ssm::Rng rng = ssm::Rng(11)) : sizes(c) {
        const std::size_t rows = c.batch * c.length;
        const auto real = [&](std::size_t count, double low, double high) {
            std::vector<double> values(count);
            for (double& value : values)
                value = rng.uniform(low, high);
            return values;
        };
        const auto numbers = [&](std::size_t count, double low, double high) {
            std::vector<Complex> values(count);
            for (Complex& value : values)
                value = {rng.uniform(low, high), c.is_complex ? rng.uniform(-2.0, 2.0) : 0.0};
            return values;
        };
        u = real(rows * c.channels, -1.5, 1.5);
        delta = c.softplus ? real(rows * c.channels, -2.0, 1.0) : real(rows * c.channels, 0.0, 0.3);
        z = real(rows * c.channels, -2.0, 2.0);
        D = real(c.channels, -1.0, 1.0);
        bias = c.softplus ? real(c.channels, -3.0, 0.0) : real(c.channels, 0.0, 0.2);
        A = numbers(c.modes * c.channels, -4.0, -0.1);
        const std::size_t size = c.modes * c.channels;
        B = numbers(c.B_groups == 0 ? size : rows * c.B_groups * c.modes, -1.0, 1.0);
        C = numbers(c.C_groups == 0 ? size : rows * c.C_groups * c.modes, -1.0, 1.0);
        first = numbers(c.batch * size, -1.0, 1.0);
        resets.assign(rows, 0);
        lengths.assign(c.batch, c.length);
        if (c.cut) {
            for (std::uint8_t& reset : resets)
                reset = rng.below(6) == 0;
            for (std::size_t& length : lengths)
                length -= rng.below(3);
        }
    }

    /// y, and the states behind the last valid steps in `last`.
    [[nodiscard]] std::vector<double> forward(std::vector<Complex>& last) const {
        const auto& [batch, L, H, N, B_groups, C_groups, is_complex, exact, softplus, gate, cut] =
            sizes;
        std::vector<double> y(u.size());
        last = first;
        for (std::size_t b = 0; b < batch; ++b)
            for (std::size_t l = 0; l < lengths[b]; ++l)
                for (std::size_t h = 0; h < H; ++h) {
                    const std::size_t row = b * L + l;
                    const std::size_t at = row * H + h;
                    const double raw = delta[at] + bias[h];
                    const double dt = softplus ? std::log1p(std::exp(raw)) : raw;
                    double v = D[h] * u[at];
                    for (std::size_t n = 0; n < N; ++n) {
                        const Complex pole = A[n * H + h];
                        const Complex gain = exact ? (std::exp(dt * pole) - 1.0) / pole : dt;
                        Complex& x = last[(b * N + n) * H + h];
                        x = (resets[row] != 0 ? 0.0 : std::exp(dt * pole) * x) +
                            gain * map(B, B_groups, row, h, n) * u[at];
                        v += (is_complex ? 2.0 : 1.0) * (map(C, C_groups, row, h, n) * x).real();
                    }
                    y[at] = gate ? v * z[at] / (1.0 + std::exp(-z[at])) : v;
                }
        return y;
    }

    SelectiveCase sizes;
    std::vector<double> u, delta, z, D, bias;
    std::vector<Complex> A, B, C, first;
    std::vector<std::uint8_t> resets;
    std::vector<std::size_t> lengths;

private:
    [[nodiscard]] Complex map(const std::vector<Complex>& numbers, std::size_t groups,
                              std::size_t row, std::size_t h, std::size_t n) const {
        if (groups == 0)
            return numbers[n * sizes.channels + h];
        const std::size_t group = h / (sizes.channels / groups);
        return numbers[(row * groups + group) * sizes.modes + n];
    }
};

}  // namespace ssm_test
