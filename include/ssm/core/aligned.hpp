#pragma once

#include <cstddef>
#include <limits>
#include <new>
#include <vector>

namespace ssm {

/// Bytes to which every buffer of the library is aligned: one cache line, the widest vector register.
inline constexpr std::size_t alignment = 64;

/// Standard allocator that aligns to `alignment` bytes.
template <class T>
struct AlignedAllocator {
    using value_type = T;

    AlignedAllocator() = default;
    template <class U>
    AlignedAllocator(const AlignedAllocator<U>&) noexcept {}

    [[nodiscard]] T* allocate(std::size_t count) {
        if (count > std::numeric_limits<std::size_t>::max() / sizeof(T))
            throw std::bad_array_new_length();
        return static_cast<T*>(::operator new (count * sizeof(T), std::align_val_t{alignment}));
    }
    void deallocate(T* pointer, std::size_t) noexcept {
        ::operator delete (pointer, std::align_val_t{alignment});
    }
    friend bool operator==(const AlignedAllocator&, const AlignedAllocator&) noexcept {
        return true;
    }
};

/// A `std::vector` whose data starts on a cache line.
template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

}  // namespace ssm
