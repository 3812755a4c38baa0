#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/layer/stateless.hpp>

namespace ssm {

/// y = u: stands where a layer is asked for but none is wanted, such as the norm of a Residual.
///
/// Aliasing  y may be u exactly, du may be dy exactly
/// Errors    ValueError for zero channels
template <class T>
class Identity : public StatelessLayer<Identity<T>, T> {
    using Base = StatelessLayer<Identity<T>, T>;

public:
    using typename Base::State;
    static constexpr bool runs_in_place = true;
    static constexpr bool forgets_input = true;
    struct Options {
        std::size_t channels = 0;
    };
    struct Cache {};

    explicit Identity(Options options) : channels_(options.channels) {
        require<ValueError>(channels_ > 0, "ssm::Identity: channels must be positive");
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return channels_; }
    [[nodiscard]] std::size_t out_channels() const noexcept { return channels_; }

    using Base::forward;
    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward("ssm::Identity", *this, u, y, context);
        copy(u.flat(), y.flat());
    }
    void forward(BatchView<const T> u, BatchView<T> y, Cache&, const Context& context) const {
        forward(u, y, context);
    }
    void step(std::span<const T> u, std::span<T> y, State&) const noexcept { copy(u, y); }
    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache&,
                  Identity&, const Context& context) const {
        require_backward("ssm::Identity", *this, u, dy, du, context);
        if (!du.empty())
            copy(dy.flat(), du.flat());
    }

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&&, Layers&...) {}

private:
    static void copy(std::span<const T> from, std::span<T> to) noexcept {
        if (from.data() != to.data())
            std::copy(from.begin(), from.end(), to.begin());
    }

    std::size_t channels_;
};

}  // namespace ssm
