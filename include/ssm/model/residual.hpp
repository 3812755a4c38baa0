#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/dropout.hpp>
#include <ssm/model/detail/composite.hpp>

namespace ssm {

/// Where the norm of a residual block stands.
enum class NormOrder {
    pre,   ///< y = u + inner(norm(u))
    post,  ///< y = norm(u + inner(u))
};

struct ResidualOptions {
    NormOrder order = NormOrder::pre;
    double dropout = 0.0;  ///< probability with which numbers of the branch are dropped in training
    bool tied_dropout = false;  ///< drop a channel at all steps of a sequence alike
};

namespace detail {

template <class Norm, class Inner>
struct ResidualState {
    typename Norm::State norm;
    typename Inner::State inner;
    ScratchRows<value_t<Inner>> rows;

    friend bool operator==(const ResidualState&, const ResidualState&) = default;

    template <class Visitor, class... States>
    static void visit_numbers(Visitor&& visitor, States&... states) {
        visitor("norm", states.norm...);
        visitor("inner", states.inner...);
    }
};

template <class Norm, class Inner>
struct ResidualCache {
    typename Norm::Cache norm;
    typename Inner::Cache inner;
    typename Dropout<value_t<Inner>>::Cache dropout;
    Batch<value_t<Inner>> between;  ///< pre: what the inner layer read; post: what the norm read
};

}  // namespace detail

/// Residual block around a layer:
///
///   pre   y = u + dropout(inner(norm(u)))          post   y = norm(u + dropout(inner(u)))
///
/// Streaming or trainable exactly when norm and inner layer are. Weights are `norm.*` and
/// `inner.*`. `Identity` as the norm leaves it out.
///
/// Shapes    u (batch, L, H) -> y (batch, L, H); both layers map H channels to H
/// Errors    ShapeError at construction when the widths differ; ValueError for a dropout outside [0, 1)
/// Cost      the layers' and one more pass that adds
/// Source    the residual stacks of S4 (both orders), S5, Mamba (pre)
template <class Norm, class Inner>
class Residual {
    using T = value_t<Inner>;
    static_assert(check_layer<Norm>());
    static_assert(check_layer<Inner>());
    static_assert(std::same_as<input_t<Inner>, T> && std::same_as<input_t<Norm>, T> &&
                      std::same_as<value_t<Norm>, T>,
                  "ssm::Residual: norm and inner layer must read and write the same number type");
    static_assert(!ReducingLayer<Inner> && !ReducingLayer<Norm>,
                  "ssm::Residual: a layer that reduces time has no residual");
    static constexpr bool streams = StreamingLayer<Norm> && StreamingLayer<Inner>;
    static constexpr bool trains = TrainableLayer<Norm> && TrainableLayer<Inner>;

public:
    using value_type = T;
    using input_type = T;
    using Options = ResidualOptions;
    static constexpr bool is_pointwise = PointwiseLayer<Norm> && PointwiseLayer<Inner>;

    using State = std::conditional_t<streams, detail::ResidualState<Norm, Inner>, detail::NoState>;
    using Cache = std::conditional_t<trains, detail::ResidualCache<Norm, Inner>, detail::NoCache>;

    Residual(Norm norm_layer, Inner inner_layer, Options options = {})
        : norm(std::move(norm_layer)),
          inner(std::move(inner_layer)),
          options_(options),
          dropout_({.channels = inner.out_channels(),
                    .p = options.dropout,
                    .tied = options.tied_dropout}) {
        require<ShapeError>(inner.in_channels() == inner.out_channels(),
                            "ssm::Residual: the inner layer maps ", inner.in_channels(),
                            " channels to ", inner.out_channels(), ", but must keep their number");
        require<ShapeError>(
            norm.in_channels() == inner.in_channels() && norm.out_channels() == inner.in_channels(),
            "ssm::Residual: the norm maps ", norm.in_channels(), " channels to ",
            norm.out_channels(), ", but the inner layer has ", inner.in_channels());
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return inner.in_channels(); }
    [[nodiscard]] std::size_t out_channels() const noexcept { return inner.out_channels(); }
    [[nodiscard]] const Options& options() const noexcept { return options_; }

    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward("ssm::Residual", *this, u, y, context);
        const Workspace::Frame frame = context.workspace.frame();
        run(
            u, y, {context.workspace.take<T>(u.size()).data(), u.shape()},
            [&](auto in, auto out) { norm.forward(in, out, context); },
            [&](auto in, auto out) { inner.forward(in, out, context); });
    }

    void forward(BatchView<const T> u, BatchView<T> y, State& state, const Context& context) const {
        static_assert(check_streaming<Norm>() && check_streaming<Inner>());
        require_forward("ssm::Residual", *this, u, y, context);
        const Workspace::Frame frame = context.workspace.frame();
        run(
            u, y, {context.workspace.take<T>(u.size()).data(), u.shape()},
            [&](auto in, auto out) { norm.forward(in, out, state.norm, context); },
            [&](auto in, auto out) { inner.forward(in, out, state.inner, context); });
    }

    void forward(BatchView<const T> u, BatchView<T> y, Cache& cache, const Context& context) const {
        static_assert(check_trainable<Norm>() && check_trainable<Inner>());
        require_forward("ssm::Residual", *this, u, y, context);
        cache.between.resize(u.shape());
        run(
            u, y, cache.between.view(),
            [&](auto in, auto out) { norm.forward(in, out, cache.norm, context); },
            [&](auto in, auto out) {
                inner.forward(in, out, cache.inner, context);
                if (dropout_.p() > 0.0)
                    dropout_.forward(out, out, cache.dropout, context);
            });
    }

    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache& cache,
                  Residual& gradient, const Context& context) const {
        static_assert(check_trainable<Norm>() && check_trainable<Inner>());
        require_backward("ssm::Residual", *this, u, dy, du, context);
        require_shape("ssm::Residual: cache", cache.between.shape(), u.shape());
        const Workspace::Frame frame = context.workspace.frame();
        const BatchView<T> between(context.workspace.take<T>(u.size()).data(), u.shape());
        if (options_.order == NormOrder::pre) {
            backward_branch(cache.between, dy, between, cache, gradient, context);
            norm.backward(u, between, du, cache.norm, gradient.norm, context);
        } else {
            norm.backward(cache.between, dy, between, cache.norm, gradient.norm, context);
            backward_branch(u, between, du, cache, gradient, context);
            dy = between;
        }
        if (!du.empty())
            detail::add_to<T>(du.flat(), dy.flat());
    }

    [[nodiscard]] State rest_state(std::size_t batch = 1) const {
        static_assert(check_streaming<Norm>() && check_streaming<Inner>());
        return State{norm.rest_state(batch), inner.rest_state(batch),
                     detail::ScratchRows<T>(batch * in_channels())};
    }

    void step(std::span<const T> u, std::span<T> y, State& state) const noexcept {
        static_assert(check_streaming<Norm>() && check_streaming<Inner>());
        const std::span<T> between = state.rows(0, u.size());
        if (options_.order == NormOrder::pre) {
            norm.step(u, between, state.norm);
            inner.step(between, y, state.inner);
            add(y, u);
        } else {
            inner.step(u, between, state.inner);
            add(between, u);
            norm.step(between, y, state.norm);
        }
    }

    template <class Visitor, class... Values>
    static void visit_weights(Visitor&& visitor, Values&... values) {
        Norm::visit_weights(nested(visitor, "norm"), values.norm...);
        Inner::visit_weights(nested(visitor, "inner"), values.inner...);
    }

    Norm norm;
    Inner inner;

private:
    static void add(std::span<T> y, std::span<const T> x) noexcept {
        for (std::size_t i = 0; i < y.size(); ++i)
            y[i] += x[i];
    }

    template <class NormCall, class BranchCall>
    void run(BatchView<const T> u, BatchView<T> y, BatchView<T> between, NormCall&& apply_norm,
             BranchCall&& apply_branch) const {
        if (options_.order == NormOrder::pre) {
            apply_norm(u, between);
            apply_branch(BatchView<const T>(between), y);
            detail::add_to<T>(y.flat(), u.flat());
        } else {
            apply_branch(u, between);
            detail::add_to<T>(between.flat(), u.flat());
            apply_norm(BatchView<const T>(between), y);
        }
    }

    /// Adjoint of dropout(inner(in)).
    void backward_branch(BatchView<const T> in, BatchView<const T> dout, BatchView<T> din,
                         const Cache& cache, Residual& gradient, const Context& context) const {
        const Workspace::Frame frame = context.workspace.frame();
        if (dropout_.p() > 0.0) {
            const BatchView<T> kept(context.workspace.take<T>(dout.size()).data(), dout.shape());
            dropout_.backward(dout, dout, kept, cache.dropout, gradient.dropout_, context);
            dout = kept;
        }
        inner.backward(in, dout, din, cache.inner, gradient.inner, context);
    }

    Options options_;
    Dropout<T> dropout_;
};

}  // namespace ssm
