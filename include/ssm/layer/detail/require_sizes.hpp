#pragma once

#include <cstddef>
#include <initializer_list>

#include <ssm/core/error.hpp>

namespace ssm::detail {

/// A number of options, and what it is called in messages.
struct NamedSize {
    const char* name;
    std::size_t size;
};

/// Refuses sizes from which the number of weights could overflow.
///
/// Errors    ValueError for a size so large that sums of products of two could overflow; files give any
inline void require_sizes(const char* what, std::initializer_list<NamedSize> sizes) {
    constexpr std::size_t largest = std::size_t{1} << 30;
    for (const NamedSize& s : sizes)
        require<ValueError>(s.size <= largest, what, ": ", s.name, " = ", s.size, " is more than ",
                            largest);
}

}  // namespace ssm::detail
