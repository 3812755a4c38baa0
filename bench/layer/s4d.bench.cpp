// One S4D layer: whole sequences from rest and from a state, training, single steps. The time of a forward
// contains everything that a call does: discretisation, kernels or tables, and their spectra.
//
// Bound: 8 n flops a number (n = N / 2 modes), what reading inputs into the states and outputs out of them
// takes in any evaluation that passes states on. FFTs do without states and can be below it.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <benchmark/benchmark.h>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/s4d.hpp>

#include "../../tests/support/cases.hpp"
#include "support/peak.hpp"

namespace {

using namespace ssm;

template <class Evaluation>
using Layer = S4D<float, init::Lin, Zoh, Evaluation>;

void sizes(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"L", "batch", "H", "N"})->Unit(benchmark::kMillisecond);
    for (const ssm_test::S4DCase& c : ssm_test::s4d_cases)
        bench->Args({static_cast<std::int64_t>(c.length), static_cast<std::int64_t>(c.batch),
                     static_cast<std::int64_t>(c.channels), static_cast<std::int64_t>(c.state)});
}

void training_sizes(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"L", "batch", "H", "N"})->Unit(benchmark::kMillisecond);
    bench->Args({1024, 1, 256, 64})->Args({1024, 8, 256, 64})->Args({4096, 8, 256, 64});
}

std::size_t size(const benchmark::State& state, std::size_t argument) {
    return static_cast<std::size_t>(state.range(argument));
}

template <class L>
struct Problem {
    explicit Problem(const benchmark::State& state)
        : layer({.channels = size(state, 2), .state = size(state, 3)}),
          u(size(state, 1), size(state, 0), size(state, 2)),
          y(u.shape()) {
        set_threads(1);
        Rng rng(1);
        for (float& x : u.view().flat())
            x = static_cast<float>(rng.uniform(-1.0, 1.0));
    }

    L layer;
    Batch<float> u, y;
    Workspace workspace;
};

void report(benchmark::State& state, std::size_t count) {
    ssm_bench::report<float>(state, count, 4.0 * static_cast<double>(size(state, 3)));
}

template <class Evaluation>
void forward(benchmark::State& state) {
    Problem<Layer<Evaluation>> problem(state);
    for (auto _ : state)
        problem.layer.forward(problem.u, problem.y, problem.workspace);
    report(state, problem.u.size());
    state.counters["workspace/MB"] = static_cast<double>(problem.workspace.capacity()) * 1e-6;
}

/// Continues a stream, whose system is discretised already.
void forward_from_state(benchmark::State& state) {
    Problem<S4D<float>> problem(state);
    auto stream = problem.layer.rest_state(problem.u.batch());
    for (auto _ : state)
        problem.layer.forward(problem.u, problem.y, stream, problem.workspace);
    report(state, problem.u.size());
    state.counters["workspace/MB"] = static_cast<double>(problem.workspace.capacity()) * 1e-6;
}

/// Forward and backward; dy = y.
template <class Evaluation>
void training(benchmark::State& state) {
    Problem<Layer<Evaluation>> problem(state);
    typename Layer<Evaluation>::Cache cache;
    auto gradient = zeros_like(problem.layer);
    Batch<float> du(problem.u.shape());
    for (auto _ : state) {
        problem.layer.forward(problem.u, problem.y, cache, problem.workspace);
        problem.layer.backward(problem.u, problem.y, du, cache, gradient, problem.workspace);
    }
    report(state, problem.u.size());
}

/// Single steps. Bound: 16 n flops a channel. `p99.9/ns` is the time that one step in a thousand exceeds.
void step(benchmark::State& state) {
    using Clock = std::chrono::steady_clock;
    const S4D<float> layer({.channels = size(state, 0), .state = 64});
    auto stream = layer.rest_state();
    std::vector<float> u(size(state, 0), 0.5F);
    std::vector<float> y(u.size());
    for (auto _ : state) {
        layer.step(u, y, stream);
        benchmark::DoNotOptimize(y.data());
    }
    ssm_bench::report<float>(state, u.size(), 16.0 * 32.0);
    std::vector<double> times(20000);
    for (double& time : times) {
        const auto start = Clock::now();
        layer.step(u, y, stream);
        benchmark::ClobberMemory();
        time = std::chrono::duration<double, std::nano>(Clock::now() - start).count();
    }
    std::sort(times.begin(), times.end());
    state.counters["p99.9/ns"] = times[times.size() * 999 / 1000];
}

void step_sizes(benchmark::internal::Benchmark* bench) {
    bench->ArgName("H");
    for (const std::size_t channels : ssm_test::s4d_step_channels)
        bench->Arg(static_cast<std::int64_t>(channels));
}

void long_sizes(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"L", "batch", "H", "N"})->Unit(benchmark::kMillisecond);
    for (std::int64_t length = 1 << 14; length <= 1 << 20; length *= 4)
        bench->Args({length, 1, 16, 64});
}

}  // namespace

BENCHMARK(forward<evaluation::Auto>)->Apply(sizes);
BENCHMARK(forward<evaluation::Fft>)->Apply(sizes);
BENCHMARK(forward<evaluation::Chunked>)->Apply(sizes);
BENCHMARK(forward<evaluation::Recurrence>)->Apply(sizes);
BENCHMARK(forward_from_state)->Apply(sizes);
BENCHMARK(forward<evaluation::Chunked>)
    ->Name("forward, time and memory to a million steps")
    ->Apply(long_sizes);
BENCHMARK(training<evaluation::Fft>)->Apply(training_sizes);
BENCHMARK(training<evaluation::Recurrence>)->Apply(training_sizes);
BENCHMARK(step)->Apply(step_sizes);
