#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>

namespace ssm::detail {

/// Cuts steps first .. last - 1 of sequence `b` where its state is reset, and calls
/// `body(begin, end, fresh)` for each piece in turn; `fresh` says that the state is reset before
/// `begin`.
template <class Body>
void for_each_segment(const Context& context, std::size_t b, std::size_t first, std::size_t last,
                      Body&& body) {
    while (first < last) {
        std::size_t end = last;
        if (context.resets.data() != nullptr) {
            end = first + 1;
            while (end < last && !context.resets_at(b, end))
                ++end;
        }
        body(first, end, context.resets_at(b, first));
        first = end;
    }
}

/// Zeros where a sequence has ended.
template <class T>
void clear_after_end(BatchView<T> y, const Context& context) {
    for (std::size_t b = 0; b < y.batch(); ++b) {
        const std::size_t length = context.valid_length(b, y.length());
        if (length < y.length())
            std::fill(&y(b, length, 0), y.data() + (b + 1) * y.length() * y.channels(), T(0));
    }
}

}  // namespace ssm::detail
