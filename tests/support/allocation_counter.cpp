#include "support/allocation_counter.hpp"

#include <cstdlib>
#include <new>

namespace {

thread_local std::size_t allocations = 0;
thread_local std::size_t allocated_bytes = 0;

[[maybe_unused]] void count_allocation(std::size_t size) noexcept {
    ++allocations;
    allocated_bytes += size;
}

}  // namespace

namespace ssm_test {

#if defined(SSM_TEST_WRAP_MALLOC)
bool AllocationCounter::available() noexcept {
    return true;
}
#else
bool AllocationCounter::available() noexcept {
    return false;
}
#endif

AllocationCounter::AllocationCounter() noexcept
    : before_(allocations), bytes_before_(allocated_bytes) {}

std::size_t AllocationCounter::count() const noexcept {
    return allocations - before_;
}

std::size_t AllocationCounter::bytes() const noexcept {
    return allocated_bytes - bytes_before_;
}

}  // namespace ssm_test

#if defined(SSM_TEST_WRAP_MALLOC)

// The linker option --wrap=malloc sends calls of malloc to __wrap_malloc and offers the original as
// __real_malloc. Calls from inside libstdc++.so are not redirected, hence operator new below.
extern "C" {

void* __real_malloc(std::size_t size);
void* __real_calloc(std::size_t count, std::size_t size);
void* __real_realloc(void* old, std::size_t size);
void* __real_aligned_alloc(std::size_t alignment, std::size_t size);
void* __real_memalign(std::size_t alignment, std::size_t size);
int __real_posix_memalign(void** result, std::size_t alignment, std::size_t size);

void* __wrap_malloc(std::size_t size) {
    count_allocation(size);
    return __real_malloc(size);
}

void* __wrap_calloc(std::size_t count, std::size_t size) {
    count_allocation(count * size);
    return __real_calloc(count, size);
}

void* __wrap_realloc(void* old, std::size_t size) {
    count_allocation(size);
    return __real_realloc(old, size);
}

void* __wrap_aligned_alloc(std::size_t alignment, std::size_t size) {
    count_allocation(size);
    return __real_aligned_alloc(alignment, size);
}

void* __wrap_memalign(std::size_t alignment, std::size_t size) {
    count_allocation(size);
    return __real_memalign(alignment, size);
}

int __wrap_posix_memalign(void** result, std::size_t alignment, std::size_t size) {
    count_allocation(size);
    return __real_posix_memalign(result, alignment, size);
}

}  // extern "C"

void* operator new(std::size_t size) {
    if (void* memory = std::malloc(size > 0 ? size : 1))
        return memory;
    throw std::bad_alloc{};
}

void* operator new(std::size_t size, std::align_val_t alignment) {
    const auto align = static_cast<std::size_t>(alignment);
    const std::size_t rounded = (size + align - 1) / align * align;
    if (void* memory = std::aligned_alloc(align, rounded > 0 ? rounded : align))
        return memory;
    throw std::bad_alloc{};
}

void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
    std::free(memory);
}

#endif
