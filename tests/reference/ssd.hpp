#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <ssm/core/context.hpp>
#include <ssm/scan/ssd_system.hpp>

namespace ssm_test {

/// The state space dual scan as its recurrence says, in double: fills y (rows of heads * channels) and moves
/// `state` (batch, heads, modes, channels) on.
template <class T>
void reference_ssd(const ssm::SsdSystem<T>& system, const ssm::SsdInput<T>& input,
                   std::vector<double>& y, std::vector<double>& state,
                   const ssm::Context& context) {
    const std::size_t size = system.modes * system.channels;
    y.assign(input.batch * input.length * system.width(), 0.0);
    for (std::size_t b = 0; b < input.batch; ++b)
        for (std::size_t h = 0; h < system.heads; ++h) {
            double* s = state.data() + (b * system.heads + h) * size;
            const double a = static_cast<double>(system.A[h]);
            const std::size_t map = h / (system.heads / system.groups) * system.modes;
            for (std::size_t l = 0; l < context.valid_length(b, input.length); ++l) {
                const std::size_t row = b * input.length + l;
                if (context.resets_at(b, l))
                    for (std::size_t i = 0; i < size; ++i)
                        s[i] = system.rest == nullptr
                                   ? 0.0
                                   : static_cast<double>(system.rest[h * size + i]);
                double dt = static_cast<double>(input.delta.at(row)[h]);
                if (system.dt_bias != nullptr)
                    dt += static_cast<double>(system.dt_bias[h]);
                if (system.softplus)
                    dt = std::log1p(std::exp(dt));
                dt = std::clamp(dt, system.dt_min, system.dt_max);
                const double decay = std::exp(dt * (system.log_A ? -std::exp(a) : a));
                for (std::size_t p = 0; p < system.channels; ++p) {
                    const std::size_t channel = h * system.channels + p;
                    const double x = static_cast<double>(input.x.at(row)[channel]);
                    double sum = 0.0;
                    for (std::size_t n = 0; n < system.modes; ++n) {
                        double& state_np = s[n * system.channels + p];
                        state_np = decay * state_np +
                                   dt * x * static_cast<double>(input.B.at(row)[map + n]);
                        sum += state_np * static_cast<double>(input.C.at(row)[map + n]);
                    }
                    if (system.D != nullptr)
                        sum +=
                            x * static_cast<double>(system.D[system.D_per_channel ? channel : h]);
                    y[row * system.width() + channel] = sum;
                }
            }
        }
}

}  // namespace ssm_test
