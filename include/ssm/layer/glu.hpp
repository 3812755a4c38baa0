#pragma once

#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/config.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/layer/detail/row_sums.hpp>
#include <ssm/layer/stateless.hpp>
#include <ssm/math/activation.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>

namespace ssm {

/// Which half of the input goes through the nonlinearity of a gated linear unit.
enum class GateHalf { first, second };

struct GluOptions {
    std::size_t channels = 0;  ///< of the output; the input has twice as many
    GateHalf gate = GateHalf::second;
};

/// Gated linear unit on the halves a, b of the input's channels:
///
///   y = a f(b)   (gate second)          y = f(a) b   (gate first)
///
/// Shapes    u (batch, L, 2 channels) -> y (batch, L, channels)
/// Errors    ValueError for zero channels
/// Cost      one pass over memory; the backward computes f and f' from u
/// Source    Dauphin et al. 2017; Shazeer 2020
template <class T, class Function>
requires math::Activation<Function, T>
class Glu : public StatelessLayer<Glu<T, Function>, T> {
    using Base = StatelessLayer<Glu<T, Function>, T>;

public:
    using typename Base::State;
    using Options = GluOptions;
    struct Cache {};

    explicit Glu(Options options, Function function = {}) : options_(options), function_(function) {
        require<ValueError>(options.channels > 0, "ssm::Glu: channels must be positive");
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return 2 * options_.channels; }
    [[nodiscard]] std::size_t out_channels() const noexcept { return options_.channels; }
    [[nodiscard]] const Options& options() const noexcept { return options_; }

    using Base::forward;
    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward("ssm::Glu", *this, u, y, context);
        parallel_ranges(u.shape().rows(), detail::row_grain(in_channels()),
                        [&](std::size_t begin, std::size_t end, std::size_t) {
                            rows(u.data(), y.data(), begin, end);
                        });
    }
    void forward(BatchView<const T> u, BatchView<T> y, Cache&, const Context& context) const {
        forward(u, y, context);
    }
    void step(std::span<const T> u, std::span<T> y, State&) const noexcept {
        rows(u.data(), y.data(), 0, u.size() / in_channels());
    }
    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache&, Glu&,
                  const Context& context) const {
        require_backward("ssm::Glu", *this, u, dy, du, context);
        if (du.empty())
            return;
        parallel_ranges(u.shape().rows(), detail::row_grain(in_channels()),
                        [&](std::size_t begin, std::size_t end, std::size_t) {
                            adjoint_rows(u.data(), dy.data(), du.data(), begin, end);
                        });
    }

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&&, Layers&...) {}

private:
    // Offsets of the halves in a row of the input.
    [[nodiscard]] std::size_t gate() const noexcept {
        return options_.gate == GateHalf::first ? 0 : options_.channels;
    }
    [[nodiscard]] std::size_t value() const noexcept { return options_.channels - gate(); }

    void rows(const T* u, T* y, std::size_t begin, std::size_t end) const noexcept {
        for (std::size_t r = begin; r < end; ++r) {
            const T* a = u + r * in_channels() + value();
            const T* b = u + r * in_channels() + gate();
            T* out = y + r * options_.channels;
            simd::for_each_pack<T>(options_.channels, [&](auto lanes, std::size_t h) {
                lanes.store(out + h, lanes.load(a + h) * function_(lanes.load(b + h)));
            });
        }
    }

    void adjoint_rows(const T* u, const T* dy, T* du, std::size_t begin,
                      std::size_t end) const noexcept {
        for (std::size_t r = begin; r < end; ++r) {
            const T* a = u + r * in_channels() + value();
            const T* b = u + r * in_channels() + gate();
            T* da = du + r * in_channels() + value();
            T* db = du + r * in_channels() + gate();
            const T* dout = dy + r * options_.channels;
            simd::for_each_pack<T>(options_.channels, [&](auto lanes, std::size_t h) {
                const simd::Pack<T> d = lanes.load(dout + h);
                const simd::Pack<T> x = lanes.load(b + h);
                const simd::Pack<T> slope = function_.derivative(x);
                lanes.store(db + h, d * lanes.load(a + h) * slope);
                lanes.store(da + h, d * function_(x));
            });
        }
    }

    Options options_;
    SSM_NO_UNIQUE_ADDRESS Function function_;
};

/// The named variants: sigmoid, GELU, SiLU, ReLU as the gate.
template <class T>
using SigmoidGlu = Glu<T, math::Sigmoid>;
template <class T>
using GeGlu = Glu<T, math::Gelu>;
template <class T>
using SwiGlu = Glu<T, math::Silu>;
template <class T>
using ReGlu = Glu<T, math::Relu>;

}  // namespace ssm
