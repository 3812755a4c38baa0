#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include <ssm/core/config.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/transpose.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm::detail {

/// `length` consecutive numbers that belong into one lane, or come from there. T may be const.
template <class T>
struct LaneSpan {
    T* first = nullptr;
    std::size_t length = 0;
};

/// One such span for each lane of a register; lanes without one are zero or ignored.
template <class T>
struct LaneSpans {
    static constexpr std::size_t lanes = simd::width<std::remove_const_t<T>>;

    [[nodiscard]] std::size_t longest() const noexcept {
        std::size_t length = 0;
        for (const LaneSpan<T>& span : of)
            length = std::max(length, span.length);
        return length;
    }

    LaneSpan<T> of[lanes]{};
};

/// to[l * stride + i] = scale * spans.of[i][l] as far as the longest goes, with zeros behind the shorter ones:
/// a transposition in blocks of registers. The stride may be negative.
template <class T>
void interleave(const LaneSpans<const T>& spans, T scale, T* to, std::ptrdiff_t stride) {
    constexpr std::size_t width = simd::width<T>;
    const std::size_t length = spans.longest();
    for (std::size_t l = 0; l < length; l += width) {
        simd::Pack<T> rows[width];
        simd::unroll<width>([&](auto i) SSM_INLINE_LAMBDA {
            const LaneSpan<const T> span = spans.of[i];
            const std::size_t left = l < span.length ? span.length - l : 0;
            rows[i] = left >= width ? simd::load(span.first + l) * scale
                      : left > 0    ? simd::load_partial(span.first + l, left) * scale
                                    : simd::Pack<T>(T(0));
        });
        simd::transpose(rows);
        const std::size_t steps = std::min(width, length - l);
        T* row = to + static_cast<std::ptrdiff_t>(l) * stride;
        for (std::size_t i = 0; i < steps; ++i, row += stride)
            simd::store(row, rows[i]);
    }
}

/// spans.of[i][l] += scale * from[l * stride + i], or = without `add`: the way back. Spans may be the same: lanes
/// come one after the other.
template <bool add, class T>
void deinterleave(const T* from, std::ptrdiff_t stride, T scale, const LaneSpans<T>& spans) {
    constexpr std::size_t width = simd::width<T>;
    const std::size_t length = spans.longest();
    for (std::size_t l = 0; l < length; l += width) {
        const std::size_t steps = std::min(width, length - l);
        const T* row = from + static_cast<std::ptrdiff_t>(l) * stride;
        simd::Pack<T> rows[width];
        for (std::size_t i = 0; i < width; ++i, row += stride)
            rows[i] = i < steps ? simd::load(row) * scale : simd::Pack<T>(T(0));
        simd::transpose(rows);
        for (std::size_t i = 0; i < width; ++i) {
            const LaneSpan<T> span = spans.of[i];
            if (l >= span.length)
                continue;
            const std::size_t left = std::min(width, span.length - l);
            T* const target = span.first + l;
            if (left == width)
                simd::store(target, add ? simd::load(target) + rows[i] : rows[i]);
            else
                simd::store_partial(
                    target, add ? simd::load_partial(target, left) + rows[i] : rows[i], left);
        }
    }
}

}  // namespace ssm::detail
