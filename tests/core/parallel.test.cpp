#include <atomic>
#include <cstddef>
#include <vector>

#include <ssm/core/parallel.hpp>

#include "support/catch.hpp"

using namespace ssm;

TEST_CASE("every task runs once, for any number of threads") {
    const std::size_t count = GENERATE(1U, 2U, 7U);
    set_threads(count);
    for (const std::size_t tasks : {0U, 1U, 5U, 1000U}) {
        std::vector<std::atomic<int>> runs(tasks);
        std::atomic<bool> known_worker{true};
        parallel_for(tasks, [&](std::size_t task, std::size_t worker) {
            ++runs[task];
            if (worker >= threads())
                known_worker = false;
        });
        for (const auto& run : runs)
            CHECK(run == 1);
        CHECK(known_worker);
    }
    set_threads(0);
}

TEST_CASE("ranges cover everything and depend on the grain alone") {
    const std::size_t count = GENERATE(0U, 1U, 9U, 10U, 11U, 35U);
    std::vector<std::atomic<int>> covered(count);
    parallel_ranges(count, 10, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (std::size_t i = begin; i < end; ++i)
            ++covered[i];
        if (begin % 10 != 0 || end - begin > 10 || (end % 10 != 0 && end != count))
            covered[begin] = 100;
    });
    for (const auto& cover : covered)
        CHECK(cover == 1);
}

TEST_CASE("nested loops run serially in the task that makes them") {
    std::atomic<int> total{0};
    parallel_for(4, [&](std::size_t, std::size_t) {
        parallel_for(5, [&](std::size_t, std::size_t) { ++total; });
    });
    CHECK(total == 20);
}

TEST_CASE("the number of threads goes back to its default") {
    const std::size_t before = threads();
    set_threads(3);
#ifdef _OPENMP
    CHECK(threads() == 3);
#else
    CHECK(threads() == 1);
#endif
    set_threads(0);
    CHECK(threads() == before);
}
