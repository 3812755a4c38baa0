#pragma once

#include <cstddef>
#include <span>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/detail/affine_weights.hpp>
#include <ssm/layer/detail/row_norm.hpp>
#include <ssm/layer/detail/row_sums.hpp>
#include <ssm/layer/stateless.hpp>

namespace ssm {

/// Normalisation of each step over its channels, or over each group of neighbouring channels:
///
///   y = (x - mean) / sqrt(variance + epsilon) * weight + bias       centered: LayerNorm
///   y = x / sqrt(mean of x^2 + epsilon) * weight + bias             not centered: RMSNorm
///
/// Shapes    u (batch, L, channels) -> y the same; weight and bias (channels)
/// Initial   weight 1, bias 0
/// Aliasing  y may be u exactly, du may be dy exactly
/// Errors    ValueError for zero channels, groups that do not divide them, and a negative epsilon
/// Cost      one pass over memory; the backward recomputes the statistics' products, not the statistics
/// Source    Ba et al. 2016; Zhang and Sennrich 2019; variance is the biased one, as in PyTorch
template <class T, bool centered>
class FeatureNorm : public StatelessLayer<FeatureNorm<T, centered>, T>,
                    public detail::AffineWeights<T> {
    using Base = StatelessLayer<FeatureNorm<T, centered>, T>;
    using Affine = detail::AffineWeights<T>;
    static constexpr const char* name = centered ? "ssm::LayerNorm" : "ssm::RMSNorm";

public:
    using Affine::bias;
    using Affine::visit_weights;
    using Affine::weight;
    using typename Base::State;
    static constexpr bool runs_in_place = true;
    struct Options {
        std::size_t channels = 0;
        std::size_t groups = 1;
        double epsilon = 1e-5;
        bool weight = true;
        bool bias = centered;
    };
    /// Statistics of each row and group.
    struct Cache {
        AlignedVector<detail::RowStatistics<T>> statistics;
    };

    explicit FeatureNorm(Options options)
        : Affine(options.channels, options.weight, options.bias), options_(options) {
        detail::require_groups(name, options);
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return options_.channels; }
    [[nodiscard]] std::size_t out_channels() const noexcept { return options_.channels; }
    [[nodiscard]] const Options& options() const noexcept { return options_; }

    using Base::forward;
    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward(name, *this, u, y, context);
        for_each_group(u.shape(), [&](std::size_t offset, std::size_t channel, std::size_t) {
            normalise(u.data() + offset, channel, y.data() + offset);
        });
    }
    void forward(BatchView<const T> u, BatchView<T> y, Cache& cache, const Context& context) const {
        require_forward(name, *this, u, y, context);
        cache.statistics.resize(u.shape().rows() * options_.groups);
        for_each_group(u.shape(), [&](std::size_t offset, std::size_t channel, std::size_t group) {
            cache.statistics[group] = normalise(u.data() + offset, channel, y.data() + offset);
        });
    }
    void step(std::span<const T> u, std::span<T> y, State&) const noexcept {
        for (std::size_t row = 0; row < u.size(); row += options_.channels)
            for (std::size_t channel = 0; channel < options_.channels; channel += group_size())
                normalise(u.data() + row + channel, channel, y.data() + row + channel);
    }
    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache& cache,
                  FeatureNorm& gradient, const Context& context) const {
        require_backward(name, *this, u, dy, du, context);
        require<ShapeError>(cache.statistics.size() == u.shape().rows() * options_.groups, name,
                            ": the cache is not of this input");
        const std::size_t channels = options_.channels;
        const Workspace::Frame frame = context.workspace.frame();
        const std::span<T> sums = context.workspace.take_zero<T>(2 * channels);
        detail::sum_over_rows<T>(u.shape().rows(), 2 * channels, context.workspace, sums.data(),
                                 [&](std::size_t begin, std::size_t end, T* partial, std::size_t) {
                                     for (std::size_t row = begin; row < end; ++row)
                                         backward_row(
                                             u.data() + row * channels, dy.data() + row * channels,
                                             du.empty() ? nullptr : du.data() + row * channels,
                                             &cache.statistics[row * options_.groups], partial);
                                 });
        gradient.add_gradients(sums.data(), sums.data() + channels);
    }

private:
    using Affine::bias_at;
    using Affine::weight_at;
    [[nodiscard]] std::size_t group_size() const noexcept {
        return options_.channels / options_.groups;
    }

    detail::RowStatistics<T> normalise(const T* x, std::size_t channel, T* y) const noexcept {
        const std::size_t n = group_size();
        const auto statistics =
            detail::row_statistics<centered>(x, n, static_cast<T>(options_.epsilon));
        detail::normalise_row<centered>(x, n, statistics, weight_at(channel), bias_at(channel), y);
        return statistics;
    }

    /// Calls `body(offset of the group's first number, its first channel, index of row and group)`.
    template <class Body>
    void for_each_group(const Shape& shape, Body&& body) const {
        parallel_ranges(shape.rows(), detail::row_grain(options_.channels),
                        [&](std::size_t begin, std::size_t end, std::size_t) {
                            for (std::size_t row = begin; row < end; ++row)
                                for (std::size_t g = 0; g < options_.groups; ++g)
                                    body(row * options_.channels + g * group_size(),
                                         g * group_size(), row * options_.groups + g);
                        });
    }

    /// `sums` are those of the weight, then those of the bias.
    void backward_row(const T* x, const T* dy, T* dx, const detail::RowStatistics<T>* statistics,
                      T* sums) const noexcept {
        const std::size_t n = group_size();
        for (std::size_t g = 0; g < options_.groups; ++g) {
            const std::size_t channel = g * n;
            detail::normalise_row_backward<centered>(
                x + channel, dy + channel, n, statistics[g], weight_at(channel),
                dx == nullptr ? nullptr : dx + channel, weight.empty() ? nullptr : sums + channel,
                bias.empty() ? nullptr : sums + options_.channels + channel);
        }
    }

    Options options_;
};

/// Layer normalisation, the centered FeatureNorm; epsilon 1e-5, with weight and bias unless told otherwise.
template <class T>
using LayerNorm = FeatureNorm<T, true>;

/// Root mean square normalisation, the FeatureNorm that does not center; without bias unless told otherwise.
template <class T>
using RMSNorm = FeatureNorm<T, false>;

}  // namespace ssm
