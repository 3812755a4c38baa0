#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include <ssm/core/config.hpp>
#include <ssm/scan/linear_scan_form.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/prefetch.hpp>
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

/// Asks for the columns of pack `p` of a group in a row that comes later, once a cache line. A group waits for its own
/// chains of operations and so does not run far enough ahead for rows that come from the third-level cache. Where
/// coefficients are read too, there is too little to gain.
template <class Form, std::size_t packs, class Index, class T>
SSM_INLINE void prefetch_row(Index p, const T* x, std::ptrdiff_t step, std::size_t part) noexcept {
    constexpr std::size_t line = 64;
    constexpr std::ptrdiff_t rows_ahead = 32 / packs;
    if constexpr (p() * sizeof(simd::Pack<T>) % line == 0) {
        simd::prefetch(x, rows_ahead * step);
        if constexpr (Form::parts == 2)
            simd::prefetch(x + part, rows_ahead * step);
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
    if (i + 2 * width <= columns) {
        body(std::integral_constant<std::size_t, 2>{}, simd::AllLanes<T>{}, i);
        i += 2 * width;
    }
    const std::size_t rest = columns - i;
    if (rest > width)
        simd::with_first_lanes<T>(rest - width, [&](const auto& lanes) SSM_INLINE_LAMBDA {
            body(std::integral_constant<std::size_t, 2>{}, lanes, i);
        });
    else if (rest == width)
        body(std::integral_constant<std::size_t, 1>{}, simd::AllLanes<T>{}, i);
    else if (rest > 0)
        simd::with_first_lanes<T>(rest, [&](const auto& lanes) SSM_INLINE_LAMBDA {
            body(std::integral_constant<std::size_t, 1>{}, lanes, i);
        });
}

/// Calls `body(p, lanes)` for each of `count` packs, the last one first: a masked load waits for stores to all that it
/// passes over, and behind the last columns are the next part of the row, or the next row.
template <std::size_t count, class T, class Last, class Body>
SSM_INLINE void each_pack(const Last& last, Body&& body) {
    body(std::integral_constant<std::size_t, count - 1>{}, last);
    simd::unroll<count - 1>([&](auto p) SSM_INLINE_LAMBDA { body(p, simd::AllLanes<T>{}); });
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

/// Steps that a group of so many packs takes at once: one pack or two are too few chains of dependent operations to
/// hide their latency, so with fixed coefficients they run as fewer, longer steps.
template <bool fixed, std::size_t packs>
inline constexpr std::size_t scan_stride = fixed ? std::max<std::size_t>(1, scan_packs / packs) : 1;

/// Calls `advance(stride)` while so many steps are left, and `advance(1)` for the rest.
template <std::size_t stride, class Advance>
SSM_INLINE void in_strides(std::size_t steps, Advance&& advance) noexcept {
    std::size_t t = 0;
    for (; t + stride <= steps; t += stride)
        advance(std::integral_constant<std::size_t, stride>{});
    if constexpr (stride > 1)
        for (; t < steps; ++t)
            advance(std::integral_constant<std::size_t, 1>{});
}

/// The coefficients of 1, 2, ... steps.
template <class Form, std::size_t stride, class Number>
SSM_INLINE void powers(Number a, Number (&power)[stride]) noexcept {
    power[0] = a;
    simd::unroll<stride - 1>([&](auto k)
                                 SSM_INLINE_LAMBDA { power[k + 1] = Form::compose(power[k], a); });
}

/// Runs some packs over `steps` rows: x[t] = a[t] x[t-1] + x[t]. `state` (stride `part`) holds x[-1] before and the last
/// state after. A stride runs from rest first, which waits for nothing before it; then its states get their share of
/// the state before it:
///
///   v[0] = x[0]   v[k] = a v[k-1] + x[k]      x[k] = a^(k+1) x[-1] + v[k]
template <class Form, bool fixed, std::size_t packs, class Group, class T, class Arch = simd::Arch>
SSM_INLINE void scan_pack_group(ScanRows<T> rows, std::size_t steps, T* state,
                                const Group& group) noexcept {
    using Number = typename Form::template Number<simd::Pack<T>>;
    constexpr std::size_t stride = scan_stride<fixed, packs>;
    Number s[packs];
    Number a[packs][stride];
    group.template each<packs>([&](auto p, auto i, const auto& lanes) SSM_INLINE_LAMBDA {
        s[p] = load_number<Form>(lanes, state + i * group.state, rows.part);
        powers<Form>(load_number<Form>(lanes, rows.a + i * group.a, rows.part), a[p]);
    });
    const auto advance = [&](auto count) SSM_INLINE_LAMBDA {
        group.template each<packs>([&](auto p, auto i, const auto& lanes) SSM_INLINE_LAMBDA {
            if constexpr (!fixed)
                a[p][0] = load_number<Form>(lanes, rows.a + i * group.a, rows.part);
            const Number before = s[p];
            Number v;
            simd::unroll<count()>([&](auto k) SSM_INLINE_LAMBDA {
                T* const x = rows.x + static_cast<std::ptrdiff_t>(k()) * rows.x_step + i * group.x;
                if constexpr (fixed)
                    prefetch_row<Form, packs>(p, x, rows.x_step, rows.part);
                const Number b = load_number<Form>(lanes, x, rows.part);
                v = k == 0 ? b : Form::advance(a[p][0], v, b);
                s[p] = Form::advance(a[p][k], before, v);
                store_number<Form>(lanes, x, rows.part, s[p]);
            });
        });
        rows.x += static_cast<std::ptrdiff_t>(count()) * rows.x_step;
        if constexpr (!fixed)
            rows.a += rows.a_step;
    };
    in_strides<stride>(steps, advance);
    group.template each<packs>([&](auto p, auto i, const auto& lanes) SSM_INLINE_LAMBDA {
        store_number<Form>(lanes, state + i * group.state, rows.part, s[p]);
    });
}

/// The same for `columns` columns.
template <class Form, bool fixed, class T, class Arch = simd::Arch>
void scan_columns(ScanRows<T> rows, std::size_t steps, std::size_t columns, T* state) noexcept {
    const bool one_group = columns <= scan_packs * simd::width<T>;
    const std::size_t tile = one_group ? steps : scan_tile;
    for (std::size_t t = 0; t < steps; t += tile) {
        const std::size_t count = std::min(tile, steps - t);
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
    constexpr std::size_t stride = scan_stride<fixed, packs>;
    Number s[packs];
    Number a[packs][stride];
    Number whole[packs];
    group.template each<packs>([&](auto p, auto i, const auto& lanes) SSM_INLINE_LAMBDA {
        s[p] = load_number<Form>(lanes, state + i * group.state, rows.part);
        powers<Form>(load_number<Form>(lanes, rows.a + i * group.a, rows.part), a[p]);
        if constexpr (!fixed)
            whole[p] = load_number<Form>(lanes, product + i * group.state, rows.part);
    });
    const auto advance = [&](auto count) SSM_INLINE_LAMBDA {
        group.template each<packs>([&](auto p, auto i, const auto& lanes) SSM_INLINE_LAMBDA {
            if constexpr (!fixed) {
                a[p][0] = load_number<Form>(lanes, rows.a + i * group.a, rows.part);
                whole[p] = Form::compose(whole[p], a[p][0]);
            }
            Number v;
            simd::unroll<count()>([&](auto k) SSM_INLINE_LAMBDA {
                const T* const x =
                    rows.x + static_cast<std::ptrdiff_t>(k()) * rows.x_step + i * group.x;
                const Number b = load_number<Form>(lanes, x, rows.part);
                v = k == 0 ? b : Form::advance(a[p][0], v, b);
            });
            s[p] = Form::advance(a[p][count() - 1], s[p], v);
        });
        rows.x += static_cast<std::ptrdiff_t>(count()) * rows.x_step;
        if constexpr (!fixed)
            rows.a += rows.a_step;
    };
    in_strides<stride>(steps, advance);
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
/// step, `before_last` stands for that of the last visited one. `carry` holds conj(a) g of the step
/// that was visited before, and of the last one after. What the steps say about their coefficients is added to
/// `sums` (fixed) or written to `slopes`, which moves with g.
template <class Form, bool fixed, std::size_t packs, class Last, class T, class Arch = simd::Arch>
SSM_INLINE void scan_adjoint_pack_group(ScanRows<T> g, const T* x, const T* before_last,
                                        std::size_t steps, T* carry, T* sums, T* slopes,
                                        const Last& last) noexcept {
    using Number = typename Form::template Number<simd::Pack<T>>;
    constexpr std::size_t width = simd::width<T>;
    Number a[packs];    // of the step that was visited before
    Number now[packs];  // its g; at first its carry
    Number sum[packs];
    each_pack<packs, T>(last, [&](auto p, const auto& lanes) SSM_INLINE_LAMBDA {
        now[p] = load_number<Form>(lanes, carry + p * width, g.part);
        a[p] = load_number<Form>(lanes, g.a + p * width, g.part);
        if constexpr (fixed)
            sum[p] = load_number<Form>(lanes, sums + p * width, g.part);
    });
    const Number zero = zero_number<Form, T>();
    const auto visit = [&](auto is_first, const T* before) SSM_INLINE_LAMBDA {
        each_pack<packs, T>(last, [&](auto p, const auto& lanes) SSM_INLINE_LAMBDA {
            T* const at = g.x + p * width;
            if constexpr (fixed) {
                prefetch_row<Form, packs>(p, at, g.x_step, g.part);
                prefetch_row<Form, packs>(p, x + p * width, g.x_step, g.part);
            }
            const Number d = load_number<Form>(lanes, at, g.part);
            if constexpr (is_first)
                now[p] = now[p] + d;
            else
                now[p] = Form::retreat(a[p], now[p], d);
            store_number<Form>(lanes, at, g.part, now[p]);
            if constexpr (!fixed)
                a[p] = load_number<Form>(lanes, g.a + p * width, g.part);
            const Number slope =
                Form::slope(load_number<Form>(lanes, before + p * width, g.part), now[p]);
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
    };
    visit(std::true_type{}, steps > 1 ? x : before_last);
    for (std::size_t t = 1; t < steps; ++t)
        visit(std::false_type{}, t + 1 < steps ? x : before_last);
    each_pack<packs, T>(last, [&](auto p, const auto& lanes) SSM_INLINE_LAMBDA {
        store_number<Form>(lanes, carry + p * width, g.part, Form::retreat(a[p], now[p], zero));
        if constexpr (fixed)
            store_number<Form>(lanes, sums + p * width, g.part, sum[p]);
    });
}

}  // namespace ssm::detail
