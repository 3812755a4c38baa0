// Causal depthwise convolution of width 4 against memcpy of the same array, the lower bound of anything that reads
// one array and writes another. Counters: bytes read and written a second, and numbers a second.

#include <cstddef>
#include <cstring>

#include <benchmark/benchmark.h>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/layer/conv1d.hpp>

namespace {

using namespace ssm;

struct Case {
    explicit Case(const benchmark::State& state)
        : conv({.channels = static_cast<std::size_t>(state.range(1)), .silu = true}),
          u(1, static_cast<std::size_t>(state.range(0)), conv.in_channels()),
          y(u.shape()) {
        set_threads(1);
        Rng rng(1);
        for (float& value : u.view().flat())
            value = static_cast<float>(rng.normal());
    }

    Conv1d<float> conv;
    Batch<float> u;
    Batch<float> y;
    Workspace workspace;
};

void count(benchmark::State& state, const Case& c, double arrays) {
    const double numbers =
        static_cast<double>(c.u.size()) * static_cast<double>(state.iterations());
    state.counters["bytes"] =
        benchmark::Counter(arrays * 4.0 * numbers, benchmark::Counter::kIsRate);
    state.counters["numbers"] = benchmark::Counter(numbers, benchmark::Counter::kIsRate);
}

void conv1d_forward(benchmark::State& state) {
    Case c(state);
    for (auto _ : state)
        c.conv.forward(c.u, c.y, c.workspace);
    count(state, c, 2.0);
}

void copy(benchmark::State& state) {
    Case c(state);
    for (auto _ : state) {
        std::memcpy(c.y.data(), c.u.data(), c.u.size() * sizeof(float));
        benchmark::ClobberMemory();
    }
    count(state, c, 2.0);
}

void conv1d_backward(benchmark::State& state) {
    Case c(state);
    Batch<float> du(c.u.shape());
    Conv1d<float> gradient = zeros_like(c.conv);
    Conv1d<float>::Cache cache;
    for (auto _ : state)
        c.conv.backward(c.u, c.y, du, cache, gradient, c.workspace);
    count(state, c, 3.0);
}

void conv1d_step(benchmark::State& state) {
    Case c(state);
    auto stream = c.conv.rest_state();
    std::size_t l = 0;
    for (auto _ : state) {
        c.conv.step(c.u.view().row(0, l), c.y.view().row(0, l), stream);
        l = l + 1 == c.u.length() ? 0 : l + 1;
    }
    state.counters["numbers"] = benchmark::Counter(
        static_cast<double>(c.conv.in_channels()) * static_cast<double>(state.iterations()),
        benchmark::Counter::kIsRate);
}

void sizes(benchmark::internal::Benchmark* b) {
    b->Args({2048, 1536})->Args({512, 1536})->Args({64, 1536})->Args({2048, 64});
}

BENCHMARK(copy)->Apply(sizes);
BENCHMARK(conv1d_forward)->Apply(sizes);
BENCHMARK(conv1d_backward)->Apply(sizes);
BENCHMARK(conv1d_step)->Apply(sizes);

}  // namespace
