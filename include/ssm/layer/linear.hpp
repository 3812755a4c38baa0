#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/layer/detail/column_norm.hpp>
#include <ssm/layer/detail/row_sums.hpp>
#include <ssm/layer/stateless.hpp>
#include <ssm/math/product.hpp>
#include <ssm/math/weight_product.hpp>

namespace ssm {

/// y = W u + b at every step.
///
/// `Linear<float, Bfloat16>` keeps W rounded to 16 bits and computes in float: single steps, which take as long as
/// reading W does, in half of the time. It is for inference alone.
///
/// Shapes    u (batch, L, in) -> y (batch, L, out); weight (out, in), bias (out)
/// Initial   W and b uniform in +-1/sqrt(in), as torch.nn.Linear
/// Cost      2 in out flops a row, as one matrix product over all rows
/// Aliasing  none of the arguments may overlap
/// Errors    ShapeError for views that do not fit; ValueError for zero widths
template <class T, class Stored = T>
class Linear : public StatelessLayer<Linear<T, Stored>, T> {
    using Base = StatelessLayer<Linear<T, Stored>, T>;

public:
    using stored_type = Stored;
    static constexpr bool trains = std::same_as<T, Stored>;
    using typename Base::State;
    struct Options {
        std::size_t in = 0;
        std::size_t out = 0;
        bool bias = true;
    };
    struct Cache {};

    Linear(Options options, Undrawn)
        : weight({options.out, options.in}), bias({options.bias ? options.out : 0}) {
        require<ValueError>(options.in > 0 && options.out > 0,
                            "ssm::Linear: widths in = ", options.in, " and out = ", options.out,
                            " must be positive");
    }
    explicit Linear(Options options, Rng rng = Rng()) : Linear(options, Undrawn{}) {
        const double bound = 1.0 / std::sqrt(static_cast<double>(options.in));
        for (Stored& w : weight.flat())
            w = static_cast<Stored>(rng.uniform(-bound, bound));
        for (T& b : bias.flat())
            b = static_cast<T>(rng.uniform(-bound, bound));
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return weight.extent(1); }
    [[nodiscard]] std::size_t out_channels() const noexcept { return weight.extent(0); }

    using Base::forward;
    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward("ssm::Linear", *this, u, y, context);
        if (u.empty())
            return;
        math::weight_product<T>(u.matrix(), weight.data(), bias.empty() ? nullptr : bias.data(),
                                y.matrix(), context.workspace);
    }
    void forward(BatchView<const T> u, BatchView<T> y, Cache&,
                 const Context& context) const requires trains {
        forward(u, y, context);
    }
    void step(std::span<const T> u, std::span<T> y, State&) const noexcept {
        math::matrix_vector<T>(weight.data(), out_channels(), in_channels(), u.data(),
                               u.size() / in_channels(), bias.empty() ? nullptr : bias.data(),
                               y.data());
    }
    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache&,
                  Linear& gradient, const Context& context) const requires trains {
        require_backward("ssm::Linear", *this, u, dy, du, context);
        if (u.empty())
            return;
        math::add_product_of_transpose<T>(dy.matrix(), u.matrix(), gradient.weight.matrix(),
                                          context.workspace);
        if (!bias.empty())
            detail::sum_over_rows<T>(
                dy.shape().rows(), bias.size(), context.workspace, gradient.bias.data(),
                [&](std::size_t begin, std::size_t end, T* sums, std::size_t) {
                    for (std::size_t row = begin; row < end; ++row)
                        detail::add_row(dy.data() + row * bias.size(), bias.size(), sums);
                });
        if (!du.empty())
            math::product<T>(dy.matrix(), weight.matrix(), du.matrix());
    }

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&& visitor, Layers&... layers) {
        visitor("weight", WeightTraits{}, layers.weight...);
        if ((!layers.bias.empty() && ...))
            visitor("bias", WeightTraits{.weight_decay = 0.0}, layers.bias...);
    }

    Tensor<Stored> weight;
    Tensor<T> bias;  ///< empty without bias
};

}  // namespace ssm
