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
#include <ssm/layer/detail/row_sums.hpp>
#include <ssm/layer/stateless.hpp>

namespace ssm {

/// Normalisation of each channel over batch and time:
///
///   y = (x - mean) / sqrt(variance + epsilon) * weight + bias
///
/// The training forward uses mean and (biased) variance of the valid steps of the batch; inference uses the
/// running statistics. They are weights of role `statistic`: backward adds "value of the batch minus running
/// value" (variance unbiased) to their gradient, and an optimiser moves them by `momentum` times that.
///
/// Shapes    u (batch, L, channels) -> y the same; all weights (channels)
/// Initial   weight 1, bias 0, running mean 0, running variance 1
/// Aliasing  y may be u exactly, du may be dy exactly
/// Errors    ValueError for zero channels, a momentum outside [0, 1], a negative epsilon, and for a training
///           batch of a single step, whose variance is not defined
/// Cost      inference one pass over memory, training three, backward two
/// Source    Ioffe and Szegedy 2015; momentum and variances as in PyTorch
template <class T>
class BatchNorm : public StatelessLayer<BatchNorm<T>, T>, public detail::AffineWeights<T> {
    using Base = StatelessLayer<BatchNorm<T>, T>;
    using Affine = detail::AffineWeights<T>;

public:
    using Affine::bias;
    using Affine::weight;
    using typename Base::State;
    static constexpr bool runs_in_place = true;
    struct Options {
        std::size_t channels = 0;
        double epsilon = 1e-5;
        double momentum = 0.1;
        bool weight = true;
        bool bias = true;
    };
    /// Statistics of the batch.
    struct Cache {
        std::size_t count = 0;  ///< valid steps
        Tensor<T> mean;
        Tensor<T> variance;  ///< biased
        Tensor<T> scale;     ///< 1 / sqrt(variance + epsilon)
    };

    explicit BatchNorm(Options options)
        : Affine(options.channels, options.weight, options.bias),
          running_mean({options.channels}),
          running_variance({options.channels}, T(1)),
          options_(options) {
        require<ValueError>(options.channels > 0, "ssm::BatchNorm: channels must be positive");
        require<ValueError>(options.epsilon >= 0.0, "ssm::BatchNorm: epsilon = ", options.epsilon,
                            " is negative");
        require<ValueError>(options.momentum >= 0.0 && options.momentum <= 1.0,
                            "ssm::BatchNorm: momentum = ", options.momentum, ", expected 0 to 1");
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return options_.channels; }
    [[nodiscard]] std::size_t out_channels() const noexcept { return options_.channels; }
    [[nodiscard]] const Options& options() const noexcept { return options_; }

    using Base::forward;
    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward("ssm::BatchNorm", *this, u, y, context);
        const Workspace::Frame frame = context.workspace.frame();
        const std::span<T> scale = context.workspace.take<T>(options_.channels);
        for (std::size_t h = 0; h < options_.channels; ++h)
            scale[h] = scale_of(running_variance[h]);
        normalise(u, y, running_mean.data(), scale.data());
    }
    void forward(BatchView<const T> u, BatchView<T> y, Cache& cache, const Context& context) const {
        require_forward("ssm::BatchNorm", *this, u, y, context);
        cache.count = valid_steps(u, context);
        require<ValueError>(cache.count != 1,
                            "ssm::BatchNorm: one step has no variance; train with two or more");
        measure(u, cache, context);
        normalise(u, y, cache.mean.data(), cache.scale.data());
    }
    void step(std::span<const T> u, std::span<T> y, State&) const noexcept {
        const std::size_t channels = options_.channels;
        for (std::size_t i = 0; i < u.size(); ++i) {
            const std::size_t h = i % channels;
            const T hat = (u[i] - running_mean[h]) * scale_of(running_variance[h]);
            y[i] = hat * (weight.empty() ? T(1) : weight[h]) + (bias.empty() ? T(0) : bias[h]);
        }
    }
    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache& cache,
                  BatchNorm& gradient, const Context& context) const {
        require_backward("ssm::BatchNorm", *this, u, dy, du, context);
        require<ShapeError>(
            cache.mean.size() == options_.channels && cache.count == valid_steps(u, context),
            "ssm::BatchNorm: the cache has statistics of ", cache.mean.size(), " channels over ",
            cache.count, " steps, expected ", options_.channels, " over ", valid_steps(u, context));
        if (cache.count == 0)
            return fill_zero(du);
        const std::size_t channels = options_.channels;
        const Workspace::Frame frame = context.workspace.frame();
        const std::span<T> sums = context.workspace.take_zero<T>(2 * channels);
        detail::sum_over_rows<T>(u.shape().rows(), 2 * channels, context.workspace, sums.data(),
                                 [&](std::size_t begin, std::size_t end, T* partial, std::size_t) {
                                     for (std::size_t r = begin; r < end; ++r)
                                         detail::add_adjoint_sums(
                                             u.data() + r * channels, dy.data() + r * channels,
                                             channels, cache.mean.data(), cache.scale.data(),
                                             partial, partial + channels);
                                 });
        add_to_gradient(sums, cache, gradient);
        if (!du.empty())
            backward_input(u, dy, du, cache, sums, context);
    }

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&& visitor, Layers&... layers) {
        Affine::visit_weights(visitor, layers...);
        const WeightTraits statistic{.role = WeightRole::statistic,
                                     .momentum = momentum_of(layers...)};
        visitor("running_mean", statistic, layers.running_mean...);
        visitor("running_var", statistic, layers.running_variance...);
    }

    Tensor<T> running_mean;
    Tensor<T> running_variance;

private:
    template <class... Others>
    static double momentum_of(const BatchNorm& first, const Others&...) noexcept {
        return first.options_.momentum;
    }
    [[nodiscard]] T scale_of(T variance) const noexcept {
        return T(1) / std::sqrt(variance + static_cast<T>(options_.epsilon));
    }
    static std::size_t valid_steps(BatchView<const T> u, const Context& context) noexcept {
        std::size_t count = 0;
        for (std::size_t b = 0; b < u.batch(); ++b)
            count += context.valid_length(b, u.length());
        return count;
    }
    static void fill_zero(BatchView<T> du) {
        if (!du.empty())
            std::ranges::fill(du.flat(), T(0));
    }
    static bool is_valid(std::size_t row, std::size_t length, const Context& context) noexcept {
        return row % length < context.valid_length(row / length, length);
    }

    void normalise(BatchView<const T> u, BatchView<T> y, const T* mean, const T* scale) const {
        const std::size_t channels = options_.channels;
        parallel_ranges(u.shape().rows(), detail::row_grain(channels),
                        [&](std::size_t begin, std::size_t end, std::size_t) {
                            for (std::size_t r = begin; r < end; ++r)
                                detail::normalise_columns(u.data() + r * channels, channels, mean,
                                                          scale, Affine::weight_at(),
                                                          Affine::bias_at(),
                                                          y.data() + r * channels);
                        });
    }

    /// Mean and variance of the valid steps, in two passes.
    void measure(BatchView<const T> u, Cache& cache, const Context& context) const {
        const std::size_t channels = options_.channels;
        for (Tensor<T>* tensor : {&cache.mean, &cache.variance, &cache.scale}) {
            if (tensor->size() != channels)
                *tensor = Tensor<T>({channels});
            tensor->fill(T(0));
        }
        const T share = cache.count == 0 ? T(0) : T(1) / static_cast<T>(cache.count);
        const auto sum = [&](Tensor<T>& total, auto&& add) {
            detail::sum_over_rows<T>(
                u.shape().rows(), channels, context.workspace, total.data(),
                [&](std::size_t begin, std::size_t end, T* partial, std::size_t) {
                    for (std::size_t r = begin; r < end; ++r)
                        if (is_valid(r, u.length(), context))
                            add(u.data() + r * channels, partial);
                });
            for (T& value : total.flat())
                value *= share;
        };
        sum(cache.mean, [&](const T* x, T* sums) { detail::add_row(x, channels, sums); });
        sum(cache.variance, [&](const T* x, T* sums) {
            detail::add_squares(x, channels, cache.mean.data(), sums);
        });
        for (std::size_t h = 0; h < channels; ++h)
            cache.scale[h] = scale_of(cache.variance[h]);
    }

    void add_to_gradient(std::span<const T> sums, const Cache& cache, BatchNorm& gradient) const {
        const std::size_t channels = options_.channels;
        gradient.add_gradients(sums.data() + channels, sums.data());
        const T unbiased = static_cast<T>(cache.count) / static_cast<T>(cache.count - 1);
        for (std::size_t h = 0; h < channels; ++h) {
            gradient.running_mean[h] += cache.mean[h] - running_mean[h];
            gradient.running_variance[h] += unbiased * cache.variance[h] - running_variance[h];
        }
    }

    void backward_input(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du,
                        const Cache& cache, std::span<T> sums, const Context& context) const {
        const std::size_t channels = options_.channels;
        const T share = T(1) / static_cast<T>(cache.count);
        for (std::size_t h = 0; h < channels; ++h) {
            const T w = weight.empty() ? T(1) : weight[h];
            sums[h] *= w * share;
            sums[channels + h] *= w * share;
        }
        const std::span<const T> zeros = context.workspace.take_zero<T>(channels);
        parallel_ranges(u.shape().rows(), detail::row_grain(channels),
                        [&](std::size_t begin, std::size_t end, std::size_t) {
                            for (std::size_t r = begin; r < end; ++r) {
                                // The padding is normalised, but no part of the statistics.
                                const bool counts = is_valid(r, u.length(), context);
                                detail::normalise_columns_backward(
                                    u.data() + r * channels, dy.data() + r * channels, channels,
                                    cache.mean.data(), cache.scale.data(), Affine::weight_at(),
                                    counts ? sums.data() : zeros.data(),
                                    counts ? sums.data() + channels : zeros.data(),
                                    du.data() + r * channels);
                            }
                        });
    }

    Options options_;
};

}  // namespace ssm
