#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include <ssm/core/config.hpp>
#include <ssm/scan/linear_scan_form.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// Columns of a scan that stay in registers together: enough chains to hide the latency of one, few enough
/// for 16 registers beside their coefficients.
inline constexpr std::size_t scan_packs = 4;
/// Steps that all columns of a task take before the next ones: their rows stay in the first cache.
inline constexpr std::size_t scan_tile = 32;

template <class Form, class Lanes, class T>
SSM_INLINE auto load_number(const Lanes& lanes, const T* p, std::size_t part) noexcept {
    if constexpr (Form::parts == 1)
        return lanes.load(p);
    else
        return simd::Complex<simd::Pack<T>>{lanes.load(p), lanes.load(p + part)};
}
template <class Form, class Lanes, class T, class Number>
SSM_INLINE void store_number(const Lanes& lanes, T* p, std::size_t part, Number x) noexcept {
    if constexpr (Form::parts == 1) {
        lanes.store(p, x);
    } else {
        lanes.store(p, x.re);
        lanes.store(p + part, x.im);
    }
}

template <class Form, class T>
SSM_INLINE auto zero_number() noexcept {
    const simd::Pack<T> zero(T(0));
    if constexpr (Form::parts == 1)
        return zero;
    else
        return simd::Complex<simd::Pack<T>>{zero, zero};
}

/// Calls `body(count, lanes, i)` for columns i = 0, ... of `columns`, `count` packs at a time; `lanes` moves
/// the last of these packs, the others are whole.
template <class T, class Body>
SSM_INLINE void for_each_pack_group(std::size_t columns, Body&& body) {
    constexpr std::size_t width = simd::width<T>;
    std::size_t i = 0;
    for (; i + scan_packs * width <= columns; i += scan_packs * width)
        body(std::integral_constant<std::size_t, scan_packs>{}, simd::AllLanes<T>{}, i);
    for (; i + width < columns; i += 2 * width)
        body(std::integral_constant<std::size_t, 2>{},
             simd::FirstLanes<T>(std::min(width, columns - i - width)), i);
    if (i < columns)
        body(std::integral_constant<std::size_t, 1>{}, simd::FirstLanes<T>(columns - i), i);
}

/// Calls `body(p, lanes)` for each of `count` packs.
template <std::size_t count, class T, class Last, class Body>
SSM_INLINE void each_pack(const Last& last, Body&& body) {
    simd::unroll<count - 1>([&](auto p) SSM_INLINE_LAMBDA { body(p, simd::AllLanes<T>{}); });
    body(std::integral_constant<std::size_t, count - 1>{}, last);
}

/// Rows of a scan in the order in which it visits them; strides may be negative. `a_step` 0: one row of
/// coefficients for all steps. Imaginary parts are `part` numbers behind real parts.
template <class T>
struct ScanRows {
    const T* a;
    std::ptrdiff_t a_step;
    T* x;
    std::ptrdiff_t x_step;
    std::size_t part;

    [[nodiscard]] ScanRows at(std::size_t step, std::size_t column) const noexcept {
        const auto steps = static_cast<std::ptrdiff_t>(step);
        const auto columns = static_cast<std::ptrdiff_t>(column);
        return {a + steps * a_step + columns, a_step, x + steps * x_step + columns, x_step, part};
    }
};

/// The packs of a group that runs together: neighbouring columns, the last of which `last` moves.
template <class T, class Last>
struct ColumnPacks {
    static constexpr auto width = static_cast<std::ptrdiff_t>(simd::width<T>);
    static constexpr std::ptrdiff_t a = width, x = width, state = width;  // from pack to pack
    Last last;

    template <std::size_t count, class Body>
    SSM_INLINE void each(Body&& body) const {
        each_pack<count, T>(last, [&](auto p, const auto& lanes) SSM_INLINE_LAMBDA {
            body(p, std::integral_constant<std::ptrdiff_t, static_cast<std::ptrdiff_t>(p())>{},
                 lanes);
        });
    }
};

/// The packs of a group that runs together: the same columns, at most one pack, in successive chunks of time.
template <class Lanes>
struct ChunkPacks {
    std::ptrdiff_t a, x, state;  // from chunk to chunk
    Lanes lanes;

    template <std::size_t count, class Body>
    SSM_INLINE void each(Body&& body) const {
        simd::unroll<count>([&](auto p) SSM_INLINE_LAMBDA {
            body(p, std::integral_constant<std::ptrdiff_t, static_cast<std::ptrdiff_t>(p())>{},
                 lanes);
        });
    }
};

/// Runs some packs over `steps` rows: x[t] = a[t] x[t-1] + x[t]. `state` (stride `part`) holds x[-1] before and the last
/// state after.
template <class Form, bool fixed, std::size_t packs, class Group, class T, class Arch = simd::Arch>
SSM_INLINE void scan_pack_group(ScanRows<T> rows, std::size_t steps, T* state,
                                const Group& group) noexcept {
    using Number = typename Form::template Number<simd::Pack<T>>;
    Number s[packs];
    Number a[packs];
    group.template each<packs>([&](auto p, auto i, const auto& lanes) SSM_INLINE_LAMBDA {
        s[p] = load_number<Form>(lanes, state + i * group.state, rows.part);
        a[p] = load_number<Form>(lanes, rows.a + i * group.a, rows.part);
    });
    for (std::size_t t = 0; t < steps; ++t) {
        group.template each<packs>([&](auto p, auto i, const auto& lanes) SSM_INLINE_LAMBDA {
            if constexpr (!fixed)
                a[p] = load_number<Form>(lanes, rows.a + i * group.a, rows.part);
            T* const x = rows.x + i * group.x;
            s[p] = Form::advance(a[p], s[p], load_number<Form>(lanes, x, rows.part));
            store_number<Form>(lanes, x, rows.part, s[p]);
        });
        rows.x += rows.x_step;
        if constexpr (!fixed)
            rows.a += rows.a_step;
    }
    group.template each<packs>([&](auto p, auto i, const auto& lanes) SSM_INLINE_LAMBDA {
        store_number<Form>(lanes, state + i * group.state, rows.part, s[p]);
    });
}

/// The same for `columns` columns.
template <class Form, bool fixed, class T, class Arch = simd::Arch>
void scan_columns(ScanRows<T> rows, std::size_t steps, std::size_t columns, T* state) noexcept {
    for (std::size_t t = 0; t < steps; t += scan_tile) {
        const std::size_t count = std::min(scan_tile, steps - t);
        for_each_pack_group<T>(columns,
                               [&](auto packs, const auto& last, std::size_t i) SSM_INLINE_LAMBDA {
                                   scan_pack_group<Form, fixed, packs()>(
                                       rows.at(t, i), count, state + i,
                                       ColumnPacks<T, std::decay_t<decltype(last)>>{last});
                               });
    }
}

/// The last states that `scan_pack_group` would leave; rows are read only. With coefficients that vary, `product` is
/// composed with those of all steps.
template <class Form, bool fixed, std::size_t packs, class Group, class T, class Arch = simd::Arch>
SSM_INLINE void last_state_of_group(ScanRows<T> rows, std::size_t steps, T* state, T* product,
                                    const Group& group) noexcept {
    using Number = typename Form::template Number<simd::Pack<T>>;
    Number s[packs];
    Number a[packs];
    Number whole[packs];
    group.template each<packs>([&](auto p, auto i, const auto& lanes) SSM_INLINE_LAMBDA {
        s[p] = load_number<Form>(lanes, state + i * group.state, rows.part);
        a[p] = load_number<Form>(lanes, rows.a + i * group.a, rows.part);
        if constexpr (!fixed)
            whole[p] = load_number<Form>(lanes, product + i * group.state, rows.part);
    });
    for (std::size_t t = 0; t < steps; ++t) {
        group.template each<packs>([&](auto p, auto i, const auto& lanes) SSM_INLINE_LAMBDA {
            if constexpr (!fixed) {
                a[p] = load_number<Form>(lanes, rows.a + i * group.a, rows.part);
                whole[p] = Form::compose(whole[p], a[p]);
            }
            s[p] = Form::advance(a[p], s[p],
                                 load_number<Form>(lanes, rows.x + i * group.x, rows.part));
        });
        rows.x += rows.x_step;
        rows.a += rows.a_step;
    }
    group.template each<packs>([&](auto p, auto i, const auto& lanes) SSM_INLINE_LAMBDA {
        store_number<Form>(lanes, state + i * group.state, rows.part, s[p]);
        if constexpr (!fixed)
            store_number<Form>(lanes, product + i * group.state, rows.part, whole[p]);
    });
}

/// The same for `columns` columns.
template <class Form, bool fixed, class T, class Arch = simd::Arch>
void scan_last_state(ScanRows<T> rows, std::size_t steps, std::size_t columns, T* state,
                     T* product) noexcept {
    for_each_pack_group<T>(columns,
                           [&](auto packs, const auto& last, std::size_t i) SSM_INLINE_LAMBDA {
                               last_state_of_group<Form, fixed, packs()>(
                                   rows.at(0, i), steps, state + i, fixed ? product : product + i,
                                   ColumnPacks<T, std::decay_t<decltype(last)>>{last});
                           });
}

/// Visits the same columns against the direction of the scan, rows in the order of that visit: the adjoint
/// g[t] = d[t] + conj(a[t+1]) g[t+1]. `g.x` holds d before and g after; `x` is the state before each visited
/// step, `before_last` stands for that of the last visited one (null: zero). `carry` holds conj(a) g of the step
/// that was visited before, and of the last one after. What the steps say about their coefficients is added to
/// `sums` (fixed) or written to `slopes`, which moves with g.
template <class Form, bool fixed, std::size_t packs, class Last, class T, class Arch = simd::Arch>
SSM_INLINE void scan_adjoint_pack_group(ScanRows<T> g, const T* x, const T* before_last,
                                        std::size_t steps, T* carry, T* sums, T* slopes,
                                        const Last& last) noexcept {
    using Number = typename Form::template Number<simd::Pack<T>>;
    constexpr std::size_t width = simd::width<T>;
    Number a[packs];
    Number c[packs];
    Number sum[packs];
    each_pack<packs, T>(last, [&](auto p, const auto& lanes) SSM_INLINE_LAMBDA {
        c[p] = load_number<Form>(lanes, carry + p * width, g.part);
        a[p] = load_number<Form>(lanes, g.a + p * width, g.part);
        if constexpr (fixed)
            sum[p] = load_number<Form>(lanes, sums + p * width, g.part);
    });
    const Number zero = zero_number<Form, T>();
    for (std::size_t t = 0; t < steps; ++t) {
        const T* const before = t + 1 < steps ? x : before_last;
        each_pack<packs, T>(last, [&](auto p, const auto& lanes) SSM_INLINE_LAMBDA {
            if constexpr (!fixed)
                a[p] = load_number<Form>(lanes, g.a + p * width, g.part);
            T* const at = g.x + p * width;
            const Number now = c[p] + load_number<Form>(lanes, at, g.part);
            store_number<Form>(lanes, at, g.part, now);
            c[p] = Form::retreat(a[p], now, zero);
            const Number slope =
                before == nullptr
                    ? zero
                    : Form::slope(load_number<Form>(lanes, before + p * width, g.part), now);
            if constexpr (fixed)
                sum[p] += slope;
            else
                store_number<Form>(lanes, slopes + p * width, g.part, slope);
        });
        g.x += g.x_step;
        x += g.x_step;
        g.a += g.a_step;
        if constexpr (!fixed)
            slopes += g.x_step;
    }
    each_pack<packs, T>(last, [&](auto p, const auto& lanes) SSM_INLINE_LAMBDA {
        store_number<Form>(lanes, carry + p * width, g.part, c[p]);
        if constexpr (fixed)
            store_number<Form>(lanes, sums + p * width, g.part, sum[p]);
    });
}

}  // namespace ssm::detail
