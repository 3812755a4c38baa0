#pragma once

#include <cstddef>

#include <ssm/core/aligned.hpp>
#include <ssm/core/config.hpp>
#include <ssm/scan/selective_tile.hpp>
#include <ssm/simd/prefetch.hpp>

namespace ssm::detail {

/// What the next vector of channels will read and write. Its rows are so far from each other that the processor does
/// not see them coming; and when it is asked for too many lines at once it waits. So the lines are asked for in parts,
/// between the groups of modes of the vector before. They go to the level 2 cache: rows a power of two apart share
/// few sets of the level 1 cache, which the modes need for themselves.
template <class T, std::size_t count>
struct SelectiveAhead {
    const T* arrays[count];       ///< of rows; null for those that there are not
    std::size_t stride;           ///< from one row to the next
    std::size_t at = 0;           ///< the vector in the first row
    const T* states = nullptr;    ///< its states at a checkpoint, or null
    std::size_t states_size = 0;  ///< numbers

    void ask(std::size_t part, std::size_t parts) const noexcept {
        for (std::size_t k = count * part / parts; k < count * (part + 1) / parts; ++k)
            if (arrays[k] != nullptr)
                for (std::size_t t = 0; t < selective_steps; ++t)
                    simd::prefetch_later(arrays[k], static_cast<std::ptrdiff_t>(at + t * stride));
        if (states != nullptr)
            for (std::size_t k = states_size * part / parts; k < states_size * (part + 1) / parts;
                 k += alignment / sizeof(T))
                simd::prefetch_later(states + k);
    }
};

}  // namespace ssm::detail
