#pragma once

#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/layer/detail/row_sums.hpp>
#include <ssm/layer/stateless.hpp>

namespace ssm {

/// Puts the outputs of each channel of a bank next to each other, and adds a bias: y[h M + m] = u[m H + h] + E[h, m].
/// A bank has head m of all channels together; LSSL has all heads of a channel.
///
/// Shapes    u (batch, L, H M) -> y (batch, L, H M); E (H, M), zeros at the start, empty without bias
/// Errors    ValueError for zero channels or heads
template <class T>
class HeadOrder : public StatelessLayer<HeadOrder<T>, T> {
    using Base = StatelessLayer<HeadOrder<T>, T>;

public:
    using typename Base::State;
    struct Options {
        std::size_t channels = 0;  ///< H
        std::size_t heads = 1;     ///< M
        bool bias = true;
    };
    struct Cache {};

    explicit HeadOrder(const Options& options)
        : E({options.bias ? options.channels : 0, options.bias ? options.heads : 0}),
          channels_(options.channels),
          heads_(options.heads) {
        require<ValueError>(channels_ > 0 && heads_ > 0, "ssm::HeadOrder: channels = ", channels_,
                            " and heads = ", heads_, " must be positive");
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return channels_ * heads_; }
    [[nodiscard]] std::size_t out_channels() const noexcept { return channels_ * heads_; }

    using Base::forward;
    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward("ssm::HeadOrder", *this, u, y, context);
        parallel_ranges(u.shape().rows(), detail::row_grain(in_channels()),
                        [&](std::size_t begin, std::size_t end, std::size_t) {
                            for (std::size_t row = begin; row < end; ++row)
                                reorder(u.data() + row * in_channels(),
                                        y.data() + row * in_channels());
                        });
    }
    void forward(BatchView<const T> u, BatchView<T> y, Cache&, const Context& context) const {
        forward(u, y, context);
    }
    void step(std::span<const T> u, std::span<T> y, State&) const noexcept {
        for (std::size_t at = 0; at < u.size(); at += in_channels())
            reorder(u.data() + at, y.data() + at);
    }
    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache&,
                  HeadOrder& gradient, const Context& context) const {
        require_backward("ssm::HeadOrder", *this, u, dy, du, context);
        if (!E.empty())
            detail::sum_over_rows<T>(dy.shape().rows(), E.size(), context.workspace,
                                     gradient.E.data(),
                                     [&](std::size_t begin, std::size_t end, T* sums, std::size_t) {
                                         for (std::size_t row = begin; row < end; ++row)
                                             for (std::size_t i = 0; i < E.size(); ++i)
                                                 sums[i] += dy.data()[row * E.size() + i];
                                     });
        if (du.empty())
            return;
        for (std::size_t row = 0; row < dy.shape().rows(); ++row)
            for (std::size_t h = 0; h < channels_; ++h)
                for (std::size_t m = 0; m < heads_; ++m)
                    du.data()[row * in_channels() + m * channels_ + h] =
                        dy.data()[row * in_channels() + h * heads_ + m];
    }

    template <class Visitor, class... Layers>
    static void visit_weights([[maybe_unused]] Visitor&& visitor,
                              [[maybe_unused]] Layers&... layers) {
        if ((!layers.E.empty() && ...))
            visitor("E", WeightTraits{}, layers.E...);
    }

    Tensor<T> E;  ///< (H, M)

private:
    void reorder(const T* u, T* y) const noexcept {
        for (std::size_t h = 0; h < channels_; ++h)
            for (std::size_t m = 0; m < heads_; ++m) {
                const std::size_t i = h * heads_ + m;
                y[i] = u[m * channels_ + h] + (E.empty() ? T(0) : E[i]);
            }
    }

    std::size_t channels_;
    std::size_t heads_;
};

}  // namespace ssm
