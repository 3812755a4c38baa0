#pragma once

#include <cstddef>

namespace ssm::math {

/// Real numbers over time for all lanes: row l is `simd::width<T>` consecutive numbers at
/// `first + l * stride`, one lane each. T may be const.
template <class T>
struct LaneRows {
    T* first = nullptr;
    std::size_t stride = 0;
    std::size_t length = 0;

    [[nodiscard]] T* row(std::size_t l) const noexcept { return first + l * stride; }
};

}  // namespace ssm::math
