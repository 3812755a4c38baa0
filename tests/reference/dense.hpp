#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include <ssm/discretize/dense_system.hpp>

namespace ssm_test {

/// K[c, h, l] = C A^l B, one step after the other.
inline std::vector<double> dense_kernel(const ssm::DenseSystem& system, std::size_t length) {
    const auto [H, N, heads] = system.shape;
    std::vector<double> kernel(heads * H * length);
    for (std::size_t h = 0; h < H; ++h) {
        const double* A = system.A.data() + h * N * N;
        std::vector<double> x(system.B.data() + h * N, system.B.data() + (h + 1) * N);
        for (std::size_t l = 0; l < length; ++l) {
            for (std::size_t c = 0; c < heads; ++c)
                for (std::size_t n = 0; n < N; ++n)
                    kernel[(c * H + h) * length + l] += system.C[(c * H + h) * N + n] * x[n];
            std::vector<double> next(N, 0.0);
            for (std::size_t n = 0; n < N; ++n)
                for (std::size_t k = 0; k < N; ++k)
                    next[n] += A[n * N + k] * x[k];
            x = next;
        }
    }
    return kernel;
}

/// Largest difference, relative to the largest expected number.
template <class Found, class Expected>
double relative_error(const Found& found, const Expected& expected) {
    if (found.size() != expected.size())
        return std::numeric_limits<double>::infinity();
    double difference = 0.0;
    double size = 0.0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const double gap =
            std::abs(static_cast<double>(found[i]) - static_cast<double>(expected[i]));
        difference =
            std::isnan(gap) ? std::numeric_limits<double>::infinity() : std::max(difference, gap);
        size = std::max(size, std::abs(static_cast<double>(expected[i])));
    }
    return size > 0.0 ? difference / size : difference;
}

}  // namespace ssm_test
