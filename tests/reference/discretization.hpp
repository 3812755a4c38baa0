#pragma once

#include <cmath>
#include <complex>
#include <cstddef>
#include <vector>

namespace ssm_test {

/// Zero-order hold of one mode in long double: pole and input weight.
struct ZohReference {
    using Number = std::complex<long double>;

    Number z;
    Number b;

    ZohReference(std::complex<double> lambda, double dt) {
        const Number x = static_cast<long double>(dt) * Number(lambda);
        z = std::exp(x);
        b = static_cast<long double>(dt) * phi1(x);
    }

    static Number phi1(Number x) {
        if (std::abs(x) > 0.5L)
            return (std::exp(x) - 1.0L) / x;
        Number sum = 0.0L;
        for (int k = 25; k >= 0; --k)  // (1 + x/2 (1 + x/3 (1 + ...)))
            sum = 1.0L + sum * x / static_cast<long double>(k + 2);
        return sum;
    }
};

/// Discretises through a policy that works on arrays, number by number for a test.
struct Discretized {
    std::vector<double> lambda_re, lambda_im, dt;
    std::vector<double> z_re, z_im, b_re, b_im;

    Discretized(const std::vector<std::complex<double>>& lambda, const std::vector<double>& steps)
        : dt(steps), z_re(dt.size()), z_im(dt.size()), b_re(dt.size()), b_im(dt.size()) {
        for (const std::complex<double>& l : lambda) {
            lambda_re.push_back(l.real());
            lambda_im.push_back(l.imag());
        }
    }

    template <class Method>
    void forward(const Method& method) {
        method.forward(lambda_re, lambda_im, dt, z_re, z_im, b_re, b_im);
    }
    [[nodiscard]] std::complex<double> z(std::size_t i) const { return {z_re[i], z_im[i]}; }
    [[nodiscard]] std::complex<double> b(std::size_t i) const { return {b_re[i], b_im[i]}; }
};

}  // namespace ssm_test
