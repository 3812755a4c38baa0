#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>

namespace ssm::detail {

/// Zeros behind the valid length of each sequence.
template <class T>
void clear_padding(BatchView<T> y, const Context& context) {
    for (std::size_t b = 0; b < y.batch(); ++b) {
        const std::size_t valid = context.valid_length(b, y.length());
        const std::span<T> padding = y.sequence(b).flat().subspan(valid * y.channels());
        std::fill(padding.begin(), padding.end(), T(0));
    }
}

}  // namespace ssm::detail
