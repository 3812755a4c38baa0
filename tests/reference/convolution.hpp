#pragma once

#include <cmath>
#include <cstddef>
#include <random>
#include <span>
#include <vector>

#include <ssm/convolution/kernel.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>

namespace ssm_test {

/// A bank of convolution kernels with storage, and plain double convolution by direct sums.
struct ConvolutionReference {
    ssm::KernelShape shape;
    std::vector<double> causal{}, anticausal{}, skip{};

    enum class Direction { causal, bidirectional };

    /// Random taps of about unit norm.
    [[nodiscard]] static ConvolutionReference random(ssm::KernelShape shape, Direction direction,
                                                     std::mt19937_64& engine) {
        ConvolutionReference kernel{shape};
        std::normal_distribution<double> normal(
            0.0, 1.0 / std::sqrt(static_cast<double>(shape.length + 1)));
        const auto fill = [&](std::vector<double>& values, std::size_t count) {
            values.resize(count);
            for (double& value : values)
                value = static_cast<double>(static_cast<float>(normal(engine)));
        };
        fill(kernel.causal, shape.taps());
        if (direction == Direction::bidirectional)
            fill(kernel.anticausal, shape.taps());
        fill(kernel.skip, shape.heads * shape.channels);
        return kernel;
    }
    /// Zeros of the same shape: a gradient.
    [[nodiscard]] ConvolutionReference zeros() const {
        return {shape, std::vector<double>(causal.size()), std::vector<double>(anticausal.size()),
                std::vector<double>(skip.size())};
    }

    /// The same kernel with its taps squared: convolving squares tells the size of the terms of a sum.
    [[nodiscard]] ConvolutionReference squared() const {
        ConvolutionReference result = *this;
        for (std::vector<double>* values : {&result.causal, &result.anticausal, &result.skip})
            for (double& value : *values)
                value *= value;
        return result;
    }

    /// Calls `term(b, l, out, weight, j, h)` for every product weight * u(b, j, h) of the output (b, l, out);
    /// `weight` refers to a number of `self`.
    template <class Self, class Term>
    static void for_each_term(Self& self, std::size_t batch, std::size_t length,
                              const ssm::Context& context, Term&& term) {
        const auto& [heads, channels, taps] = self.shape;
        for (std::size_t b = 0; b < batch; ++b) {
            const std::size_t valid = context.valid_length(b, length);
            for (std::size_t l = 0; l < valid; ++l) {
                std::size_t begin = l;
                while (begin > 0 && !context.resets_at(b, begin))
                    --begin;
                std::size_t end = l + 1;
                while (end < valid && !context.resets_at(b, end))
                    ++end;
                for (std::size_t c = 0; c < heads; ++c)
                    for (std::size_t h = 0; h < channels; ++h) {
                        const std::size_t first = self.shape.first(c, h);
                        const std::size_t out = c * channels + h;
                        if (!self.skip.empty())
                            term(b, l, out, self.skip[out], l, h);
                        for (std::size_t j = begin; j <= l; ++j)
                            if (l - j < taps && !self.causal.empty())
                                term(b, l, out, self.causal[first + l - j], j, h);
                        for (std::size_t j = l + 1; j < end; ++j)
                            if (j - l - 1 < taps && !self.anticausal.empty())
                                term(b, l, out, self.anticausal[first + j - l - 1], j, h);
                    }
            }
        }
    }

    [[nodiscard]] ssm::Batch<double> forward(const ssm::Batch<double>& u,
                                             const ssm::Context& context) const {
        ssm::Batch<double> y(u.batch(), u.length(), shape.heads * shape.channels);
        for_each_term(*this, u.batch(), u.length(), context,
                      [&](std::size_t b, std::size_t l, std::size_t out, double weight,
                          std::size_t j, std::size_t h) { y(b, l, out) += weight * u(b, j, h); });
        return y;
    }
    /// Adjoint of `forward` with respect to the input.
    [[nodiscard]] ssm::Batch<double> adjoint(const ssm::Batch<double>& dy,
                                             const ssm::Context& context) const {
        ssm::Batch<double> du(dy.batch(), dy.length(), shape.channels);
        for_each_term(*this, dy.batch(), dy.length(), context,
                      [&](std::size_t b, std::size_t l, std::size_t out, double weight,
                          std::size_t j, std::size_t h) { du(b, j, h) += weight * dy(b, l, out); });
        return du;
    }
    /// Gradient with respect to the kernel.
    [[nodiscard]] ConvolutionReference gradient(const ssm::Batch<double>& u,
                                                const ssm::Batch<double>& dy,
                                                const ssm::Context& context) const {
        ConvolutionReference result = zeros();
        for_each_term(result, u.batch(), u.length(), context,
                      [&](std::size_t b, std::size_t l, std::size_t out, double& weight,
                          std::size_t j, std::size_t h) { weight += dy(b, l, out) * u(b, j, h); });
        return result;
    }
};

}  // namespace ssm_test
