#include "support/allocation_counter.hpp"

#include <cstdlib>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include <Eigen/Core>

#include "support/catch.hpp"

using ssm_test::AllocationCounter;

namespace {

// Kept from the optimiser, which may remove a pair of new and delete.
void* volatile kept = nullptr;

template <class Allocate, class Release>
std::size_t allocations_of(const Allocate& allocate, const Release& release) {
    const AllocationCounter counter;
    kept = allocate();
    const std::size_t count = counter.count();
    release(kept);
    return count;
}

}  // namespace

TEST_CASE("the allocation counter sees every way to allocate") {
    if (!AllocationCounter::available())
        return;

    CHECK(allocations_of([] { return std::malloc(8); }, std::free) == 1);
    CHECK(allocations_of([] { return std::calloc(2, 8); }, std::free) == 1);
    CHECK(allocations_of([] { return std::realloc(nullptr, 8); }, std::free) == 1);
    CHECK(allocations_of([] { return std::aligned_alloc(64, 64); }, std::free) == 1);
    CHECK(allocations_of([] { return ::operator new(8); }, [](void* p) { ::operator delete(p); }) ==
          1);
    CHECK(allocations_of([] { return ::operator new (8, std::align_val_t{64}); },
                         [](void* p) { ::operator delete (p, std::align_val_t{64}); }) == 1);
}

TEST_CASE("the allocation counter sees Eigen and the standard containers") {
    if (!AllocationCounter::available())
        return;

    const AllocationCounter counter;
    Eigen::VectorXf vector(100);
    kept = vector.data();
    CHECK(counter.count() == 1);
    std::vector<double> numbers(100);
    kept = numbers.data();
    CHECK(counter.count() == 2);
}

TEST_CASE("the allocation counter counts nothing when nothing is allocated") {
    std::vector<double> numbers(100);
    const AllocationCounter counter;
    for (double& x : numbers)
        x += 1.0;
    kept = numbers.data();
    CHECK(counter.count() == 0);
}

TEST_CASE("the allocation counter counts the current thread alone") {
    std::thread other;
    std::size_t count = 1;
    other = std::thread([&count] {
        const AllocationCounter counter;
        count = counter.count();
    });
    const AllocationCounter counter;
    other.join();
    CHECK(counter.count() == 0);
    CHECK(count == 0);
}
