#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#ifdef _OPENMP
#include <omp.h>
#endif

#include <ssm/core/subnormals.hpp>

namespace ssm {

namespace detail {
inline std::atomic<std::size_t>& thread_limit() noexcept {
    static std::atomic<std::size_t> limit{0};
    return limit;
}

inline std::atomic<double>& least_work() noexcept {
    static std::atomic<double> nanoseconds{1e6};
    return nanoseconds;
}

/// Rows of one task of a pointwise computation on rows of `channels` numbers: some tens of kilobytes.
[[nodiscard]] inline std::size_t row_grain(std::size_t channels) noexcept {
    return std::max<std::size_t>(1, 8192 / std::max<std::size_t>(1, channels));
}
}  // namespace detail

/// Number of threads that calls may use: what was set, else what OpenMP offers, 1 without OpenMP.
[[nodiscard]] inline std::size_t threads() noexcept {
#ifdef _OPENMP
    const std::size_t limit = detail::thread_limit().load(std::memory_order_relaxed);
    return limit != 0 ? limit : static_cast<std::size_t>(std::max(1, omp_get_max_threads()));
#else
    return 1;
#endif
}

/// Sets the number of threads of all later calls; 0 goes back to the default. Results do not
/// depend on it, not even in the last bit. Without OpenMP it has no effect.
inline void set_threads(std::size_t count) noexcept {
    detail::thread_limit().store(count, std::memory_order_relaxed);
}

/// Sets how long (in nanoseconds, estimated) each thread must have to do before one more is used; one
/// millisecond at first. Waking threads and waiting for them takes microseconds on an idle machine and
/// milliseconds on a busy one: small calls, such as blocks of a stream, are better off without. Results do not
/// depend on it.
inline void set_least_parallel_work(double nanoseconds) noexcept {
    detail::least_work().store(nanoseconds, std::memory_order_relaxed);
}
/// What `set_least_parallel_work` set.
[[nodiscard]] inline double least_parallel_work() noexcept {
    return detail::least_work().load(std::memory_order_relaxed);
}

/// About how long one task takes on one thread.
struct TaskCost {
    double nanoseconds = 1e4;
};

/// While it lives, libraries called from this thread start no OpenMP threads of their own. Eigen cuts a
/// product differently for different thread counts, which would change the last bits of a result.
class SerialRegion {
public:
#ifdef _OPENMP
    SerialRegion() noexcept : before_(omp_get_max_threads()) {
        omp_set_num_threads(1);
    }
    ~SerialRegion() {
        omp_set_num_threads(before_);
    }
#else
    SerialRegion() noexcept {}
    ~SerialRegion() {}
#endif
    SerialRegion(const SerialRegion&) = delete;
    SerialRegion& operator=(const SerialRegion&) = delete;

#ifdef _OPENMP
private:
    int before_;
#endif
};

namespace detail {
// One piece of machine code for a task, whoever runs it: compilers contract and vectorise each inlined copy in its
// own way, and then the last bits would depend on whether there are threads.
#if defined(__clang__)
#define SSM_ONE_COPY __attribute__((noinline))
#elif defined(__GNUC__)
#define SSM_ONE_COPY __attribute__((noinline, noclone))
#else
#define SSM_ONE_COPY
#endif
template <class Body>
SSM_ONE_COPY void run_task(Body& body, std::size_t task, std::size_t worker) {
    body(task, worker);
}
#undef SSM_ONE_COPY

/// Threads that `tasks` tasks of this cost are worth.
[[nodiscard]] inline std::size_t useful_threads(std::size_t tasks, TaskCost cost) noexcept {
    const std::size_t most = std::min(threads(), tasks);
    const double work = static_cast<double>(tasks) * cost.nanoseconds;
    const double least = least_parallel_work();
    return work >= least * static_cast<double>(most)
               ? most
               : std::max<std::size_t>(1, static_cast<std::size_t>(work / least));
}
}  // namespace detail

/// Calls `body(task, worker)` once for each task in 0 .. tasks - 1, on several threads if there are and if there is
/// enough to do: see `set_least_parallel_work`; `cost` is an estimate for one task.
///
/// Tasks must be independent of each other; what a task computes may not depend on `worker`, which is below
/// `threads()` and serves to find a private piece of scratch memory. How work is cut into tasks must
/// not depend on `threads()`: then results are the same bits for any number of threads.
///
/// Threads   nested calls run serially. `body` must not throw. Workers treat subnormal numbers as the caller does: see
///           `FlushSubnormals`.
template <class Body>
void parallel_for(std::size_t tasks, Body&& body, [[maybe_unused]] TaskCost cost = {}) {
#ifdef _OPENMP
    const std::size_t workers = detail::useful_threads(tasks, cost);
    if (workers > 1 && !omp_in_parallel()) {
        const std::uint64_t mode = detail::subnormal_mode();
#pragma omp parallel num_threads(static_cast <int>(workers))
        {
            const SerialRegion serial;
            const detail::WithSubnormalMode as_caller(mode);
            const auto worker = static_cast<std::size_t>(omp_get_thread_num());
#pragma omp for schedule(dynamic, 1)
            for (std::size_t task = 0; task < tasks; ++task)
                detail::run_task(body, task, worker);
        }
        return;
    }
#endif
    const SerialRegion serial;
    for (std::size_t task = 0; task < tasks; ++task)
        detail::run_task(body, task, std::size_t{0});
}

/// Cuts `count` items into ranges of `grain` and calls `body(begin, end, worker)` for each in parallel; `cost` is
/// that of a range.
template <class Body>
void parallel_ranges(std::size_t count, std::size_t grain, Body&& body, TaskCost cost = {}) {
    const std::size_t tasks = (count + grain - 1) / grain;
    parallel_for(
        tasks,
        [&](std::size_t task, std::size_t worker) {
            const std::size_t begin = task * grain;
            body(begin, std::min(begin + grain, count), worker);
        },
        cost);
}

}  // namespace ssm
