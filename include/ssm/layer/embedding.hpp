#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/layer/stateless.hpp>

namespace ssm {

/// A row of the weight for each token id.
///
/// Shapes    u (batch, L, 1) of ids 0 .. tokens - 1 -> y (batch, L, channels); weight (tokens, channels)
/// Initial   normal with standard deviation `deviation`
/// Errors    ValueError for zero sizes and, before anything is written, for an id that is out of range. `step`
///           cannot raise: it makes NaN of such an id
/// Cost      one copy
template <class T, class Stored = T>
class Embedding : public StatelessLayer<Embedding<T, Stored>, T, std::int32_t> {
    using Base = StatelessLayer<Embedding<T, Stored>, T, std::int32_t>;
    using Token = std::int32_t;

public:
    using stored_type = Stored;
    static constexpr bool trains = std::same_as<T, Stored>;  ///< else for inference alone
    using typename Base::State;
    struct Options {
        std::size_t tokens = 0;
        std::size_t channels = 0;
        double deviation = 1.0;
    };
    struct Cache {};

    Embedding(Options options, Undrawn) : weight({options.tokens, options.channels}) {
        require<ValueError>(options.tokens > 0 && options.channels > 0,
                            "ssm::Embedding: tokens = ", options.tokens,
                            " and channels = ", options.channels, " must be positive");
    }
    explicit Embedding(Options options, Rng rng = Rng()) : Embedding(options, Undrawn{}) {
        for (Stored& w : weight.flat())
            w = static_cast<Stored>(options.deviation * rng.normal());
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return 1; }
    [[nodiscard]] std::size_t out_channels() const noexcept { return weight.extent(1); }
    [[nodiscard]] std::size_t tokens() const noexcept { return weight.extent(0); }

    using Base::forward;
    void forward(BatchView<const Token> u, BatchView<T> y, const Context& context) const {
        require_forward("ssm::Embedding", *this, u, y, context);
        require_tokens(u);
        step_rows(u.flat(), y.data());
    }
    void forward(BatchView<const Token> u, BatchView<T> y, Cache&,
                 const Context& context) const requires trains {
        forward(u, y, context);
    }
    void step(std::span<const Token> u, std::span<T> y, State&) const noexcept {
        step_rows(u, y.data());
    }
    /// Token ids have no gradient: `du` is for the layer concept and must be empty.
    void backward(BatchView<const Token> u, BatchView<const T> dy, BatchView<T> du, const Cache&,
                  Embedding& gradient, const Context& context) const requires trains {
        require_forward("ssm::Embedding", *this, u, dy, context);
        require<ValueError>(du.data() == nullptr, "ssm::Embedding: token ids have no gradient");
        require_tokens(u);
        // Tasks own channels, not rows: the same token may stand anywhere.
        parallel_ranges(out_channels(), 32, [&](std::size_t begin, std::size_t end, std::size_t) {
            for (std::size_t r = 0; r < u.size(); ++r) {
                const T* from = dy.data() + r * out_channels();
                T* to = gradient.weight.data() + row_of(u.data()[r]) * out_channels();
                for (std::size_t h = begin; h < end; ++h)
                    to[h] += from[h];
            }
        });
    }

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&& visitor, Layers&... layers) {
        visitor("weight", WeightTraits{}, layers.weight...);
    }

    Tensor<Stored> weight;

private:
    static std::size_t row_of(Token token) noexcept { return static_cast<std::size_t>(token); }

    [[nodiscard]] bool knows(Token token) const noexcept {
        return token >= 0 && row_of(token) < tokens();
    }

    void require_tokens(BatchView<const Token> u) const {
        for (std::size_t r = 0; r < u.size(); ++r)
            require<ValueError>(knows(u.data()[r]), "ssm::Embedding: token ", u.data()[r],
                                " of sequence ", r / u.length(), " at step ", r % u.length(),
                                ", expected 0 to ", tokens() - 1);
    }

    void step_rows(std::span<const Token> u, T* y) const noexcept {
        const std::size_t channels = out_channels();
        for (const Token token : u) {
            if (knows(token))
                std::transform(weight.data() + row_of(token) * channels,
                               weight.data() + (row_of(token) + 1) * channels, y,
                               [](Stored w) { return static_cast<T>(w); });
            else
                std::fill_n(y, channels, std::numeric_limits<T>::quiet_NaN());
            y += channels;
        }
    }
};

}  // namespace ssm
