#pragma once

#include <cstddef>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>

namespace ssm {

/// Base of layers that remember nothing between steps. Gives `Derived` an empty State and the continued
/// forward; `Derived` adds forward from rest and step, and writes `using Base::forward`.
template <class Derived, class T, class In = T>
class StatelessLayer {
public:
    using value_type = T;
    using input_type = In;
    static constexpr bool is_pointwise = true;

    /// Nothing to remember.
    struct State {
        friend bool operator==(const State&, const State&) = default;

        template <class Visitor, class... States>
        static void visit_numbers(Visitor&&, States&...) {}
    };
    [[nodiscard]] State rest_state(std::size_t = 1) const noexcept { return {}; }

    void forward(BatchView<const In> u, BatchView<T> y, State&, const Context& context) const {
        static_cast<const Derived&>(*this).forward(u, y, context);
    }
};

}  // namespace ssm
