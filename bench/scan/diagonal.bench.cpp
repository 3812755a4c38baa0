// Diagonal systems as a recurrence, one thread. The bound counts the 4 multiply-adds that a mode
// takes each step (6 for single steps, where memory usually decides; 12 for the backward with its
// three passes).

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <span>
#include <vector>

#include <benchmark/benchmark.h>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/scan/diagonal.hpp>
#include <ssm/scan/diagonal_backward.hpp>

#include "support/diagonal.hpp"
#include "support/peak.hpp"

namespace {

using ssm_bench::DiagonalProblem;

const bool one_thread = (ssm::set_threads(1), true);

/// Flops of `multiply_adds` for each mode and number.
template <class T>
void report(benchmark::State& state, const DiagonalProblem<T>& problem, double multiply_adds) {
    const double modes = static_cast<double>(problem.modes.shape.modes);
    ssm_bench::report<T>(state, problem.u.size(), 2.0 * multiply_adds * modes);
}

template <class T>
void forward(benchmark::State& state) {
    DiagonalProblem<T> problem(state);
    const ssm::DiagonalSystem<T> system(problem.modes);
    auto streams = system.rest_state(problem.u.batch());
    ssm::Workspace workspace;
    for (auto _ : state) {
        system.forward(problem.u, {}, problem.y, streams, workspace);
        benchmark::ClobberMemory();
    }
    report(state, problem, 4.0);
}

template <class T>
void forward_with_preparation(benchmark::State& state) {
    DiagonalProblem<T> problem(state);
    ssm::Workspace workspace;
    for (auto _ : state) {
        ssm::diagonal_forward<T>(problem.modes, {}, problem.u, problem.y, workspace);
        benchmark::ClobberMemory();
    }
    report(state, problem, 4.0);
}

template <class T>
void backward(benchmark::State& state) {
    DiagonalProblem<T> problem(state);
    ssm::Modes gradient(problem.modes.shape);
    ssm::Batch<T> du(problem.u.shape());
    ssm::Workspace workspace;
    for (auto _ : state) {
        ssm::diagonal_backward<T>(problem.modes, {}, problem.u, problem.u, du, gradient, {},
                                  workspace);
        benchmark::ClobberMemory();
    }
    report(state, problem, 12.0);
}

template <class T>
void step(benchmark::State& state) {
    const std::size_t channels = DiagonalProblem<T>::size(state, 0);
    const std::size_t modes = DiagonalProblem<T>::size(state, 1);
    const ssm::DiagonalSystem<T> system(ssm_bench::diagonal_modes({channels, modes, 1}));
    auto stream = system.rest_state();
    const std::vector<T> u(channels, T(0.5));
    std::vector<T> y(channels);
    for (auto _ : state) {
        system.step(u, {}, y, stream);
        benchmark::ClobberMemory();
    }
    ssm_bench::report<T>(state, channels, 12.0 * static_cast<double>(modes));

    using Clock = std::chrono::steady_clock;
    std::vector<double> times(20000);
    for (double& time : times) {
        const auto start = Clock::now();
        system.step(u, {}, y, stream);
        time = std::chrono::duration<double, std::nano>(Clock::now() - start).count();
    }
    const auto tail = times.begin() + static_cast<std::ptrdiff_t>(times.size() * 999 / 1000);
    std::ranges::nth_element(times, tail);
    state.counters["p99.9_ns"] = *tail;
}

BENCHMARK(forward<float>)->Apply(ssm_bench::diagonal_sizes);
BENCHMARK(forward<float>)->Name("forward_long<float>")->Apply(ssm_bench::long_sizes);
BENCHMARK(forward<double>)->ArgNames({"L", "batch", "H", "n"})->Args({4096, 1, 256, 32});
BENCHMARK(forward_with_preparation<float>)->Apply(ssm_bench::diagonal_sizes);
BENCHMARK(backward<float>)
    ->ArgNames({"L", "batch", "H", "n"})
    ->ArgsProduct({{64, 1024, 4096}, {1, 8}, {256}, {32}});
BENCHMARK(step<float>)->ArgNames({"H", "n"})->ArgsProduct({{1, 8, 64, 512}, {4, 32}});
BENCHMARK(step<double>)->ArgNames({"H", "n"})->ArgsProduct({{1, 8, 64, 512}, {32}});

}  // namespace
