#pragma once

#include <complex>
#include <cstddef>
#include <vector>

namespace ssm_test {

/// x[t] = a[t] x[t-1] + b[t] for one column, written for clarity; where `reset[t]`, x[t] = b[t].
inline std::vector<std::complex<double>> linear_scan_reference(
    const std::vector<std::complex<double>>& a, const std::vector<std::complex<double>>& b,
    const std::vector<bool>& reset, std::complex<double> state) {
    std::vector<std::complex<double>> x;
    for (std::size_t t = 0; t < b.size(); ++t) {
        if (reset[t])
            state = 0.0;
        state = a[t] * state + b[t];
        x.push_back(state);
    }
    return x;
}

/// What the gradients `d` of all x say about the others.
struct LinearScanGradient {
    std::vector<std::complex<double>> a, b;
    std::complex<double> state = 0.0;
};

inline LinearScanGradient linear_scan_gradient_reference(
    const std::vector<std::complex<double>>& a, const std::vector<std::complex<double>>& x,
    const std::vector<bool>& reset, std::complex<double> state,
    const std::vector<std::complex<double>>& d) {
    LinearScanGradient result;
    result.a.resize(x.size());
    result.b.resize(x.size());
    std::complex<double> g = 0.0;
    for (std::size_t t = x.size(); t-- > 0;) {
        g += d[t];
        result.b[t] = g;
        const std::complex<double> before = t > 0 ? x[t - 1] : state;
        result.a[t] = reset[t] ? 0.0 : std::conj(before) * g;
        g = reset[t] ? 0.0 : std::conj(a[t]) * g;
    }
    result.state = g;
    return result;
}

}  // namespace ssm_test
