#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/detail/affine_weights.hpp>
#include <ssm/layer/detail/column_norm.hpp>
#include <ssm/scan/segments.hpp>

namespace ssm {

/// Normalisation of each group of neighbouring channels of a sequence over the group and over time:
///
///   y = (x - mean) / sqrt(variance + epsilon) * weight + bias
///
/// As many groups as channels are instance normalisation. Not causal, hence no streaming layer; statistics are of
/// the valid steps between two resets, and the padding becomes zero.
///
/// Shapes    u (batch, L, channels) -> y the same; weight and bias (channels)
/// Initial   weight 1, bias 0
/// Errors    ValueError for zero channels, groups that do not divide them, and a negative epsilon
/// Cost      three passes over a sequence, five backward (the statistics are computed again, not kept)
/// Source    Wu and He 2018; Ulyanov et al. 2016
template <class T>
class GroupNorm : public detail::AffineWeights<T> {
    using Affine = detail::AffineWeights<T>;

public:
    using Affine::bias;
    using Affine::weight;
    using value_type = T;
    using input_type = T;
    struct Options {
        std::size_t channels = 0;
        std::size_t groups = 1;
        double epsilon = 1e-5;
        bool weight = true;
        bool bias = true;
    };
    struct Cache {};

    explicit GroupNorm(Options options)
        : Affine(options.channels, options.weight, options.bias), options_(options) {
        detail::require_groups("ssm::GroupNorm", options);
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return options_.channels; }
    [[nodiscard]] std::size_t out_channels() const noexcept { return options_.channels; }
    [[nodiscard]] const Options& options() const noexcept { return options_; }

    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward("ssm::GroupNorm", *this, u, y, context);
        const Workspace::Frame frame = context.workspace.frame();
        const std::size_t channels = options_.channels;
        const std::span<T> statistics = context.workspace.take<T>(u.batch() * 2 * channels);
        parallel_for(u.batch(), [&](std::size_t b, std::size_t) {
            T* mean = statistics.data() + b * 2 * channels;
            T* scale = mean + channels;
            fill_padding(y, b, context);
            for_each_stretch(context, b, u.length(), [&](std::size_t begin, std::size_t end) {
                measure(u.row(b, begin).data(), end - begin, mean, scale);
                for (std::size_t l = begin; l < end; ++l)
                    detail::normalise_columns(u.row(b, l).data(), channels, mean, scale,
                                              Affine::weight_at(), Affine::bias_at(),
                                              y.row(b, l).data());
            });
        });
    }
    void forward(BatchView<const T> u, BatchView<T> y, Cache&, const Context& context) const {
        forward(u, y, context);
    }
    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache&,
                  GroupNorm& gradient, const Context& context) const {
        require_backward("ssm::GroupNorm", *this, u, dy, du, context);
        const Workspace::Frame frame = context.workspace.frame();
        const std::size_t channels = options_.channels;
        // For each sequence: mean, scale, sums of a stretch and of the sequence, each for dy and dy x_hat.
        const std::span<T> scratch = context.workspace.take_zero<T>(u.batch() * 6 * channels);
        parallel_for(u.batch(), [&](std::size_t b, std::size_t) {
            if (!du.empty())
                fill_padding(du, b, context);
            for_each_stretch(context, b, u.length(), [&](std::size_t begin, std::size_t end) {
                backward_stretch(u, dy, du, b, begin, end, scratch.data() + b * 6 * channels);
            });
        });
        for (std::size_t b = 0; b < u.batch(); ++b) {
            const T* sums = scratch.data() + (b * 6 + 4) * channels;
            gradient.add_gradients(sums + channels, sums);
        }
    }

private:
    template <class Body>
    static void for_each_stretch(const Context& context, std::size_t b, std::size_t length,
                                 Body&& body) {
        detail::for_each_segment(
            context, b, 0, context.valid_length(b, length),
            [&](std::size_t begin, std::size_t end, bool) { body(begin, end); });
    }

    static void fill_padding(BatchView<T> y, std::size_t b, const Context& context) {
        for (std::size_t l = context.valid_length(b, y.length()); l < y.length(); ++l)
            std::ranges::fill(y.row(b, l), T(0));
    }

    /// Makes every channel's number the mean over its group, `count` numbers in all for a channel.
    void average_groups(T* sums, std::size_t count) const noexcept {
        const std::size_t size = options_.channels / options_.groups;
        const T share = T(1) / static_cast<T>(count * size);
        for (T* group = sums; group < sums + options_.channels; group += size) {
            T total = T(0);
            for (std::size_t h = 0; h < size; ++h)
                total += group[h];
            std::fill_n(group, size, total * share);
        }
    }

    void measure(const T* x, std::size_t steps, T* mean, T* scale) const noexcept {
        const std::size_t channels = options_.channels;
        std::fill_n(mean, channels, T(0));
        std::fill_n(scale, channels, T(0));
        for (std::size_t l = 0; l < steps; ++l)
            detail::add_row(x + l * channels, channels, mean);
        average_groups(mean, steps);
        for (std::size_t l = 0; l < steps; ++l)
            detail::add_squares(x + l * channels, channels, mean, scale);
        average_groups(scale, steps);
        for (std::size_t h = 0; h < channels; ++h)
            scale[h] = T(1) / std::sqrt(scale[h] + static_cast<T>(options_.epsilon));
    }

    void backward_stretch(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du,
                          std::size_t b, std::size_t begin, std::size_t end,
                          T* scratch) const noexcept {
        const std::size_t channels = options_.channels;
        T* mean = scratch;
        T* scale = mean + channels;
        T* sums = scale + channels;  // of dy, then of dy x_hat
        T* totals = sums + 2 * channels;
        measure(u.row(b, begin).data(), end - begin, mean, scale);
        std::fill_n(sums, 2 * channels, T(0));
        for (std::size_t l = begin; l < end; ++l)
            detail::add_adjoint_sums(u.row(b, l).data(), dy.row(b, l).data(), channels, mean, scale,
                                     sums, sums + channels);
        for (std::size_t i = 0; i < 2 * channels; ++i) {
            totals[i] += sums[i];
            if (!weight.empty())
                sums[i] *= weight[i % channels];
        }
        if (du.empty())
            return;
        average_groups(sums, end - begin);
        average_groups(sums + channels, end - begin);
        for (std::size_t l = begin; l < end; ++l)
            detail::normalise_columns_backward(u.row(b, l).data(), dy.row(b, l).data(), channels,
                                               mean, scale, Affine::weight_at(), sums,
                                               sums + channels, du.row(b, l).data());
    }

    Options options_;
};

}  // namespace ssm
