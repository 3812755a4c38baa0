#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/math/activation.hpp>
#include <ssm/model/detail/composite.hpp>
#include <ssm/simd/partial.hpp>

namespace ssm {

namespace detail {

template <class Inner>
struct SelfGateState {
    typename Inner::State inner;
    ScratchRows<value_t<Inner>> rows;

    friend bool operator==(const SelfGateState&, const SelfGateState&) = default;

    template <class Visitor, class... States>
    static void visit_numbers(Visitor&& visitor, States&... states) {
        visitor("inner", states.inner...);
    }
};

template <class Inner>
struct SelfGateCache {
    typename Inner::Cache inner;
    Batch<value_t<Inner>> gate;  ///< what the inner layer put out
};

/// y = u sigmoid(g)
template <class T, class Arch = simd::Arch>
void apply_gate(std::span<const T> u, std::span<const T> g, std::span<T> y) noexcept {
    const math::Sigmoid sigmoid;
    simd::for_each_pack<T>(u.size(), [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
        lanes.store(y.data() + i, lanes.load(u.data() + i) * sigmoid(lanes.load(g.data() + i)));
    });
}

/// dg = dy u sigmoid'(g)
template <class T, class Arch = simd::Arch>
void apply_gate_adjoint(std::span<const T> u, std::span<const T> g, std::span<const T> dy,
                        std::span<T> dg) noexcept {
    const math::Sigmoid sigmoid;
    simd::for_each_pack<T>(u.size(), [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
        lanes.store(dg.data() + i, lanes.load(dy.data() + i) * lanes.load(u.data() + i) *
                                       sigmoid.derivative(lanes.load(g.data() + i)));
    });
}
/// du += dy sigmoid(g)
template <class T, class Arch = simd::Arch>
void add_gated(std::span<const T> dy, std::span<const T> g, std::span<T> du) noexcept {
    const math::Sigmoid sigmoid;
    simd::for_each_pack<T>(du.size(), [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
        lanes.store(du.data() + i,
                    simd::fma(lanes.load(dy.data() + i), sigmoid(lanes.load(g.data() + i)),
                              lanes.load(du.data() + i)));
    });
}

/// Calls body(first, count) for stretches of `size` numbers, on several threads.
template <class Body>
void gate_ranges(std::size_t size, Body&& body) {
    parallel_ranges(size, std::size_t{8192}, [&](std::size_t begin, std::size_t end, std::size_t) {
        body(begin, end - begin);
    });
}

}  // namespace detail

/// A layer that gates its own input: y = u o sigmoid(inner(u)).
///
/// Streaming or trainable exactly when the inner layer is. Weights are `inner.*`.
///
/// Shapes    u (batch, L, H) -> y (batch, L, H); the inner layer maps H channels to H
/// Errors    ShapeError at construction when it does not
/// Cost      the layer's and one more pass
/// Source    the half GLUs of S5
template <class Inner>
class SelfGate {
    using T = value_t<Inner>;
    static_assert(check_layer<Inner>());
    static_assert(std::same_as<input_t<Inner>, T>,
                  "ssm::SelfGate: the inner layer must read and write the same number type");
    static_assert(!ReducingLayer<Inner>, "ssm::SelfGate: a layer that reduces time is no gate");

public:
    using value_type = T;
    using input_type = T;
    static constexpr bool is_pointwise = PointwiseLayer<Inner>;

    using State =
        std::conditional_t<StreamingLayer<Inner>, detail::SelfGateState<Inner>, detail::NoState>;
    using Cache =
        std::conditional_t<TrainableLayer<Inner>, detail::SelfGateCache<Inner>, detail::NoCache>;

    explicit SelfGate(Inner layer) : inner(std::move(layer)) {
        require<ShapeError>(inner.in_channels() == inner.out_channels(),
                            "ssm::SelfGate: the inner layer maps ", inner.in_channels(),
                            " channels to ", inner.out_channels(), ", but must keep their number");
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return inner.in_channels(); }
    [[nodiscard]] std::size_t out_channels() const noexcept { return inner.out_channels(); }

    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward("ssm::SelfGate", *this, u, y, context);
        inner.forward(u, y, context);
        gate(u, y, y);
    }
    void forward(BatchView<const T> u, BatchView<T> y, State& state, const Context& context) const {
        static_assert(check_streaming<Inner>());
        require_forward("ssm::SelfGate", *this, u, y, context);
        inner.forward(u, y, state.inner, context);
        gate(u, y, y);
    }
    void forward(BatchView<const T> u, BatchView<T> y, Cache& cache, const Context& context) const {
        static_assert(check_trainable<Inner>());
        require_forward("ssm::SelfGate", *this, u, y, context);
        cache.gate.resize(u.shape());
        inner.forward(u, cache.gate.view(), cache.inner, context);
        gate(u, cache.gate, y);
    }
    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache& cache,
                  SelfGate& gradient, const Context& context) const {
        static_assert(check_trainable<Inner>());
        require_backward("ssm::SelfGate", *this, u, dy, du, context);
        require_shape("ssm::SelfGate: cache", cache.gate.shape(), u.shape());
        const Workspace::Frame frame = context.workspace.frame();
        const BatchView<T> dgate(context.workspace.template take<T>(u.size()).data(), u.shape());
        const std::span<const T> g = cache.gate.view().flat();
        detail::gate_ranges(u.size(), [&](std::size_t first, std::size_t count) {
            detail::apply_gate_adjoint<T>(u.flat().subspan(first, count), g.subspan(first, count),
                                          dy.flat().subspan(first, count),
                                          dgate.flat().subspan(first, count));
        });
        inner.backward(u, dgate, du, cache.inner, gradient.inner, context);
        detail::gate_ranges(du.size(), [&](std::size_t first, std::size_t count) {
            detail::add_gated<T>(dy.flat().subspan(first, count), g.subspan(first, count),
                                 du.flat().subspan(first, count));
        });
    }

    [[nodiscard]] State rest_state(std::size_t batch = 1) const {
        static_assert(check_streaming<Inner>());
        return State{inner.rest_state(batch), detail::ScratchRows<T>(batch * in_channels())};
    }
    void step(std::span<const T> u, std::span<T> y, State& state) const noexcept {
        static_assert(check_streaming<Inner>());
        const std::span<T> gate = state.rows(0, u.size());
        inner.step(u, gate, state.inner);
        detail::apply_gate<T>(u, gate, y);
    }

    template <class Visitor, class... Values>
    static void visit_weights(Visitor&& visitor, Values&... values) {
        Inner::visit_weights(nested(visitor, "inner"), values.inner...);
    }

    Inner inner;

private:
    static void gate(BatchView<const T> u, BatchView<const T> g, BatchView<T> y) {
        detail::gate_ranges(u.size(), [&](std::size_t first, std::size_t count) {
            detail::apply_gate<T>(u.flat().subspan(first, count), g.flat().subspan(first, count),
                                  y.flat().subspan(first, count));
        });
    }
};

}  // namespace ssm
