#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/layer/mimo_system.hpp>
#include <ssm/math/row_product.hpp>

namespace ssm::detail {

/// One step of all streams of `state` through a `Mimo`. Where steps are irregular, `vary(b, w, v)` replaces the
/// coefficients w and inputs v of stream b.
template <class Layer, class State, class T, class Vary>
void mimo_step(const Layer& layer, const MimoSystem<T>& system, std::span<const T> u,
               std::span<T> y, State& state, bool irregular, Vary&& vary) noexcept {
    const std::size_t P = system.P;
    const std::size_t H = system.H;
    T* const v = state.rows.data();
    T* const w = v + 2 * P;
    const T* const in = (irregular ? system.plain : system.in).data();
    for (std::size_t b = 0; b * 2 * P < state.x.size(); ++b) {
        T* const x = state.x.data() + b * 2 * P;
        std::fill_n(v, 2 * P, T(0));
        math::add_row_product(u.data() + b * H, H, in, 2 * P, v);
        const T* coefficients = system.w.data();
        if (irregular || layer.is_liquid()) {
            std::copy_n(coefficients, 2 * P, w);
            vary(b, w, v);
            coefficients = w;
        }
        if (layer.is_liquid())
            for (std::size_t p = 0; p < 2 * P; ++p)
                w[p] += v[p];
        advance_row(coefficients, v, x, P);
        skip_row<T>(layer.D.flat(), u.data() + b * H, y.data() + b * H, H);
        math::add_row_product(x, 2 * P, system.out.data(), H, y.data() + b * H);
    }
}

}  // namespace ssm::detail
