#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace reference {

/// Cross-entropy of one row against target masses a_c, sum_c a_c (-log softmax(z)_c), in double.
inline double cross_entropy(const std::vector<double>& z, const std::vector<double>& a) {
    double max = z[0];
    for (const double value : z)
        max = value > max ? value : max;
    double sum = 0.0;
    for (const double value : z)
        sum += std::exp(value - max);
    double loss = 0.0;
    for (std::size_t c = 0; c < z.size(); ++c)
        if (a[c] != 0.0)
            loss -= a[c] * (z[c] - max - std::log(sum));
    return loss;
}

}  // namespace reference
