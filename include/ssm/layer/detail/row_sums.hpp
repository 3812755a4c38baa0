#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>

namespace ssm::detail {

/// Sums over rows on several threads: calls `body(begin, end, sums, worker)` for ranges of rows,
/// where `sums` are `width` zeros that the call adds to, and adds all of them to `total` in the
/// order of the rows. The cut depends on nothing but `rows`: the same bits for any number of threads.
template <class T, class Body>
void sum_over_rows(std::size_t rows, std::size_t width, Workspace& workspace, T* total,
                   Body&& body) {
    constexpr std::size_t most_ranges = 16;
    const std::size_t grain = std::max<std::size_t>(32, (rows + most_ranges - 1) / most_ranges);
    const std::size_t ranges = (rows + grain - 1) / grain;
    const Workspace::Frame frame = workspace.frame();
    const std::span<T> sums = workspace.take_zero<T>(ranges * width);
    parallel_ranges(rows, grain, [&](std::size_t begin, std::size_t end, std::size_t worker) {
        body(begin, end, sums.data() + begin / grain * width, worker);
    });
    for (std::size_t range = 0; range < ranges; ++range)
        for (std::size_t i = 0; i < width; ++i)
            total[i] += sums[range * width + i];
}

}  // namespace ssm::detail
