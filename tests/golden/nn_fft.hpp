#pragma once

#include <complex>
#include <cstddef>
#include <string>
#include <vector>

#include <ssm/convolution/fft.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/math/fft.hpp>

#include "support/golden.hpp"

namespace ssm_test {

/// Transforms and causal convolutions of many lengths against torch.fft.
inline void check_fft(GoldenCase& golden, GoldenReport& report) {
    using Complex = std::complex<double>;
    constexpr double tolerance = 1e-12;
    ssm::math::Fft<double> transform;
    ssm::Workspace workspace;

    for (const std::size_t n : golden.config.at("ns").get<std::vector<std::size_t>>()) {
        const std::string key = "n" + std::to_string(n) + ".";
        const std::vector<Complex> x = golden.tensor(key + "x").complex();
        std::vector<Complex> full(n);
        transform.fft(x, full);
        report.compare(key + "fft", full, tolerance);
        transform.ifft(x, full);
        report.compare(key + "ifft", full, tolerance);

        std::vector<Complex> half(n / 2 + 1);
        transform.rfft(golden.tensor(key + "r").values, half);
        report.compare(key + "rfft", half, tolerance);
        std::vector<double> real(n);
        transform.irfft(golden.tensor(key + "h").complex(), real);
        report.compare(key + "irfft", real, tolerance);

        const std::vector<double>& taps = golden.tensor(key + "conv_k").values;
        const GoldenTensor& u = golden.tensor(key + "conv_u");
        const std::size_t batch = u.size() / n;
        ssm::Batch<double> y(batch, n, 1);
        const ssm::KernelSpectrum<double> kernel({.shape = {1, 1, n}, .causal = taps}, n,
                                                 workspace);
        ssm::fft_convolution<double>({u.values.data(), y.shape()}, kernel, y, workspace);
        report.compare(key + "conv_y", y.view().flat(), tolerance);
    }
}

}  // namespace ssm_test
