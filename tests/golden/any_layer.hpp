#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>
#include <variant>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/layer/batch_norm.hpp>

namespace ssm_test {

/// One of several layers, chosen at run time: a case's metadata names it, and one composition around it is
/// compiled instead of one for each.
template <class... Ls>
class AnyLayer {
    using First = std::variant_alternative_t<0, std::variant<Ls...>>;

public:
    using value_type = ssm::value_t<First>;
    using input_type = value_type;
    static constexpr bool is_pointwise = (ssm::PointwiseLayer<Ls> && ...);
    static constexpr bool reduces_time = (ssm::ReducingLayer<Ls> && ...);
    using Cache = std::variant<typename Ls::Cache...>;

    template <class L>
    requires(std::is_same_v<L, Ls> || ...) explicit AnyLayer(L chosen) : layer(std::move(chosen)) {}

    [[nodiscard]] std::size_t in_channels() const {
        return std::visit([](const auto& l) { return l.in_channels(); }, layer);
    }
    [[nodiscard]] std::size_t out_channels() const {
        return std::visit([](const auto& l) { return l.out_channels(); }, layer);
    }
    void forward(ssm::BatchView<const value_type> u, ssm::BatchView<value_type> y,
                 const ssm::Context& context) const {
        std::visit([&](const auto& l) { l.forward(u, y, context); }, layer);
    }
    void forward(ssm::BatchView<const value_type> u, ssm::BatchView<value_type> y, Cache& cache,
                 const ssm::Context& context) const {
        std::visit(
            [&]<class L>(const L& l) {
                l.forward(u, y, cache.template emplace<index_of<L>()>(), context);
            },
            layer);
    }
    void backward(ssm::BatchView<const value_type> u, ssm::BatchView<const value_type> dy,
                  ssm::BatchView<value_type> du, const Cache& cache, AnyLayer& gradient,
                  const ssm::Context& context) const {
        std::visit(
            [&]<class L>(const L& l) {
                l.backward(u, dy, du, std::get<index_of<L>()>(cache), std::get<L>(gradient.layer),
                           context);
            },
            layer);
    }
    template <class Visitor, class Value, class... Values>
    static void visit_weights(Visitor&& visitor, Value& first, Values&... others) {
        std::visit(
            [&]<class L>(L& chosen) {
                using Own = std::remove_const_t<L>;
                Own::visit_weights(visitor, chosen, std::get<Own>(others.layer)...);
            },
            first.layer);
    }

    std::variant<Ls...> layer;

private:
    template <class L>
    static constexpr std::size_t index_of() {
        std::size_t index = 0;
        static_cast<void>(((std::is_same_v<L, Ls> ? true : (++index, false)) || ...));
        return index;
    }
};

/// Batch normalisation by running statistics in training too, as cases in evaluation mode have it.
class FixedBatchNorm {
public:
    using value_type = double;
    using input_type = double;
    static constexpr bool is_pointwise = true;
    struct Cache {};

    explicit FixedBatchNorm(std::size_t channels) : norm({.channels = channels}) {}
    [[nodiscard]] std::size_t in_channels() const { return norm.in_channels(); }
    [[nodiscard]] std::size_t out_channels() const { return norm.out_channels(); }
    void forward(ssm::BatchView<const double> u, ssm::BatchView<double> y,
                 const ssm::Context& context) const {
        norm.forward(u, y, context);
    }
    void forward(ssm::BatchView<const double> u, ssm::BatchView<double> y, Cache&,
                 const ssm::Context& context) const {
        norm.forward(u, y, context);
    }
    /// y is linear in u and in the weights: the response to du = 1 and the normalised input give the slopes.
    void backward(ssm::BatchView<const double> u, ssm::BatchView<const double> dy,
                  ssm::BatchView<double> du, const Cache&, FixedBatchNorm& gradient,
                  const ssm::Context& context) const {
        ssm::BatchNorm<double> plain = norm;
        ssm::visit(
            [](std::string_view name, const ssm::WeightTraits&, ssm::Tensor<double>& weight) {
                if (name == "weight" || name == "bias")
                    weight.fill(name == "weight" ? 1.0 : 0.0);
            },
            plain);
        ssm::Batch<double> normalised(u.shape());
        plain.forward(u, normalised, context);
        const double epsilon = norm.options().epsilon;
        std::size_t trained = 0;
        ssm::visit(
            [&](std::string_view, const ssm::WeightTraits& traits, ssm::Tensor<double>& d,
                const ssm::Tensor<double>& w) {
                const std::size_t n = d.size();
                for (std::size_t i = 0; i < dy.size(); ++i) {
                    if (traits.role != ssm::WeightRole::trained)
                        continue;
                    d[i % n] += dy.data()[i] * (trained == 0 ? normalised.data()[i] : 1.0);
                    if (trained == 0 && !du.empty())
                        du.data()[i] = dy.data()[i] * w[i % n] /
                                       std::sqrt(norm.running_variance[i % n] + epsilon);
                }
                ++trained;
            },
            gradient.norm, norm);
    }
    template <class Visitor, class... Values>
    static void visit_weights(Visitor&& visitor, Values&... values) {
        ssm::BatchNorm<double>::visit_weights(visitor, values.norm...);
    }

    ssm::BatchNorm<double> norm;
};

}  // namespace ssm_test
