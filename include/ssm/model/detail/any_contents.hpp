#pragma once

#include <any>
#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/model/detail/any_state.hpp>
#include <ssm/model/detail/type_name.hpp>

namespace ssm::detail {

template <class T>
struct AnyWeight {
    std::string name;
    WeightTraits traits;
    Tensor<T>* values;
};

/// What AnyLayer calls of the layer that it holds.
template <class T>
class AnyContents {
public:
    AnyContents() = default;
    AnyContents(const AnyContents&) = delete;
    AnyContents& operator=(const AnyContents&) = delete;
    virtual ~AnyContents() = default;

    [[nodiscard]] virtual std::unique_ptr<AnyContents> copy() const = 0;
    [[nodiscard]] virtual std::string_view name() const noexcept = 0;
    [[nodiscard]] virtual std::size_t in_channels() const noexcept = 0;
    [[nodiscard]] virtual std::size_t out_channels() const noexcept = 0;
    virtual void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const = 0;
    virtual void forward(BatchView<const T> u, BatchView<T> y, AnyState<T>& state,
                         const Context& context) const = 0;
    virtual void forward(BatchView<const T> u, BatchView<T> y, std::any& cache,
                         const Context& context) const = 0;
    virtual void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du,
                          const std::any& cache, AnyContents& gradient,
                          const Context& context) const = 0;
    [[nodiscard]] virtual AnyState<T> rest_state(std::size_t batch) const = 0;
    virtual void step(std::span<const T> u, std::span<T> y, AnyState<T>& state) const noexcept = 0;
    [[nodiscard]] virtual std::vector<AnyWeight<T>> weights() = 0;

    /// Raises ShapeError unless `other` holds a layer of the same type.
    void require_like(const AnyContents& other) const {
        require<ShapeError>(typeid(*this) == typeid(other), "ssm::AnyLayer: a ", name(), " and a ",
                            other.name(), " do not belong together");
    }
};

/// A layer of type L behind those calls.
template <class L>
class AnyContentsOf final : public AnyContents<value_t<L>> {
    using T = value_t<L>;
    using Contents = AnyContents<T>;
    using Cache = typename L::Cache;
    using State = typename L::State;
    static_assert(check_streaming<L>() && check_trainable<L>());
    static_assert(std::same_as<input_t<L>, T>,
                  "ssm::AnyLayer: the layer must read the numbers that it writes");
    static_assert(!ReducingLayer<L>, "ssm::AnyLayer: the layer must keep the number of steps");
    static_assert(std::copyable<Cache> && std::equality_comparable<State>,
                  "ssm::AnyLayer: the layer's Cache must be copyable and its State comparable");

public:
    explicit AnyContentsOf(L value) : layer(std::move(value)) {}

    std::unique_ptr<Contents> copy() const override {
        return std::make_unique<AnyContentsOf>(layer);
    }
    std::string_view name() const noexcept override { return type_name<L>(); }
    std::size_t in_channels() const noexcept override { return layer.in_channels(); }
    std::size_t out_channels() const noexcept override { return layer.out_channels(); }

    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const override {
        layer.forward(u, y, context);
    }
    void forward(BatchView<const T> u, BatchView<T> y, AnyState<T>& state,
                 const Context& context) const override {
        layer.forward(u, y, state.template as<State>(), context);
    }
    void forward(BatchView<const T> u, BatchView<T> y, std::any& cache,
                 const Context& context) const override {
        Cache* own = std::any_cast<Cache>(&cache);
        if (own == nullptr)
            own = &cache.emplace<Cache>();
        layer.forward(u, y, *own, context);
    }
    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du,
                  const std::any& cache, Contents& gradient,
                  const Context& context) const override {
        this->require_like(gradient);
        const Cache* own = std::any_cast<Cache>(&cache);
        require<ShapeError>(own != nullptr, "ssm::AnyLayer: the cache was not made by a ", name());
        layer.backward(u, dy, du, *own, static_cast<AnyContentsOf&>(gradient).layer, context);
    }
    AnyState<T> rest_state(std::size_t batch) const override {
        return AnyState<T>(layer.rest_state(batch));
    }
    void step(std::span<const T> u, std::span<T> y, AnyState<T>& state) const noexcept override {
        layer.step(u, y, state.template as<State>());
    }

    std::vector<AnyWeight<T>> weights() override {
        std::vector<AnyWeight<T>> list;
        visit(
            [&list](std::string_view name, const WeightTraits& traits, Tensor<T>& values) {
                list.push_back({std::string(name), traits, &values});
            },
            layer);
        return list;
    }

    L layer;
};

}  // namespace ssm::detail
