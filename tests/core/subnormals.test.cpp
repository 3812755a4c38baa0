#include <atomic>
#include <cstddef>
#include <limits>

#include <ssm/core/parallel.hpp>
#include <ssm/core/subnormals.hpp>

#include "support/catch.hpp"

using namespace ssm;

namespace {
/// Half of the smallest normal number, computed when it is called for.
template <class T>
T half_of_smallest() {
    volatile T smallest = std::numeric_limits<T>::min();
    return smallest * static_cast<T>(0.5);
}
template <class T>
T twice_subnormal() {
    volatile T subnormal = std::numeric_limits<T>::denorm_min();
    return subnormal * static_cast<T>(2);
}
}  // namespace

TEMPLATE_TEST_CASE("subnormal numbers are zero while they are flushed, and not before and after",
                   "", float, double) {
    static_assert(FlushSubnormals::is_supported);
    CHECK(half_of_smallest<TestType>() > 0);
    {
        const FlushSubnormals flush;
        CHECK(flushes_subnormals());
        {
            const FlushSubnormals inner;
            CHECK(half_of_smallest<TestType>() == 0);
        }
        const bool results_are_zero = half_of_smallest<TestType>() == 0;
        const bool operands_are_zero = twice_subnormal<TestType>() == 0;
        CHECK(results_are_zero);
        CHECK(operands_are_zero);
    }
    CHECK_FALSE(flushes_subnormals());
    CHECK(half_of_smallest<TestType>() > 0);
    CHECK(twice_subnormal<TestType>() > 0);
}

TEST_CASE("threads that work for a caller treat subnormal numbers as it does") {
    set_threads(4);
    const double least = least_parallel_work();
    set_least_parallel_work(0.0);
    const auto zeros = [] {
        std::atomic<int> count{0};
        parallel_for(64, [&](std::size_t, std::size_t) {
            if (half_of_smallest<float>() == 0.0F)
                ++count;
        });
        return count.load();
    };
    CHECK(zeros() == 0);
    {
        const FlushSubnormals flush;
        CHECK(zeros() == 64);
    }
    CHECK(zeros() == 0);
    set_least_parallel_work(least);
    set_threads(0);
}
