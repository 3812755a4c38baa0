#pragma once

#include <cstddef>

namespace ssm_test {

/// Counts what the current thread allocates between construction and `count()`: operator new,
/// malloc and its relatives, as called by code that is linked into the test (not inside shared
/// libraries). Counters nest.
///
///     const AllocationCounter allocations;
///     layer.step(u, y, state);
///     if (AllocationCounter::available()) CHECK(allocations.count() == 0);
class AllocationCounter {
public:
    AllocationCounter() noexcept;

    /// Allocations since construction; always 0 where nothing can be counted.
    [[nodiscard]] std::size_t count() const noexcept;

    /// Bytes asked for since construction, freed or not; always 0 where nothing can be counted.
    [[nodiscard]] std::size_t bytes() const noexcept;

    /// False under sanitizers and off Linux, where the allocator cannot be wrapped.
    [[nodiscard]] static bool available() noexcept;

private:
    std::size_t before_;
    std::size_t bytes_before_;
};

}  // namespace ssm_test
