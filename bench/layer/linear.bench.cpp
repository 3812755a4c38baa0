// Linear against Eigen's bare product and the processor's peak. Counters: flop rate, and its share of the
// peak of fused multiply-adds, measured in the same process.

#include <cstddef>
#include <span>

#include <benchmark/benchmark.h>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/layer/linear.hpp>

#include "support/peak.hpp"

namespace {

using namespace ssm;

/// Flops a second of independent fused multiply-adds on one thread, measured once.
double peak() {
    static const double rate = ssm_bench::peak_flops<float>();
    return rate;
}

void count_flops(benchmark::State& state, double flops) {
    const double done = flops * static_cast<double>(state.iterations());
    state.counters["GFLOP/s"] = benchmark::Counter(done * 1e-9, benchmark::Counter::kIsRate);
    state.counters["share of peak"] =
        benchmark::Counter(done / peak(), benchmark::Counter::kIsRate);
}

struct Case {
    explicit Case(const benchmark::State& state)
        : rows(static_cast<std::size_t>(state.range(0))),
          in(static_cast<std::size_t>(state.range(1))),
          out(static_cast<std::size_t>(state.range(2))),
          layer({.in = in, .out = out}),
          u(1, rows, in),
          y(1, rows, out) {
        set_threads(1);
        Rng rng(1);
        for (float& value : u.view().flat())
            value = static_cast<float>(rng.normal());
        y.fill(0.1F);
    }
    [[nodiscard]] double flops() const { return 2.0 * static_cast<double>(rows * in * out); }

    std::size_t rows;
    std::size_t in;
    std::size_t out;
    Linear<float> layer;
    Batch<float> u;
    Batch<float> y;
    Workspace workspace;
};

void linear_forward(benchmark::State& state) {
    Case c(state);
    for (auto _ : state)
        c.layer.forward(c.u, c.y, c.workspace);
    count_flops(state, c.flops());
}

void eigen_forward(benchmark::State& state) {
    Case c(state);
    const SerialRegion serial;
    const Linear<float>& layer = c.layer;
    for (auto _ : state)
        c.y.view().matrix().noalias() = c.u.view().matrix() * layer.weight.matrix().transpose();
    count_flops(state, c.flops());
}

void linear_backward(benchmark::State& state) {
    Case c(state);
    Batch<float> du(c.u.shape());
    Linear<float> gradient = zeros_like(c.layer);
    Linear<float>::Cache cache;
    for (auto _ : state)
        c.layer.backward(c.u, c.y, du, cache, gradient, c.workspace);
    count_flops(state, 2.0 * c.flops());
}

void eigen_backward(benchmark::State& state) {
    Case c(state);
    const SerialRegion serial;
    Batch<float> du(c.u.shape());
    const Linear<float>& layer = c.layer;
    Linear<float> gradient = zeros_like(c.layer);
    for (auto _ : state) {
        gradient.weight.matrix().noalias() += c.y.view().matrix().transpose() * c.u.view().matrix();
        du.view().matrix().noalias() = c.y.view().matrix() * layer.weight.matrix();
    }
    count_flops(state, 2.0 * c.flops());
}

/// Steps of `rows` streams.
void linear_step(benchmark::State& state) {
    Case c(state);
    auto stream = c.layer.rest_state(c.rows);
    for (auto _ : state) {
        c.layer.step(c.u.view().flat(), c.y.view().flat(), stream);
        benchmark::ClobberMemory();
    }
    count_flops(state, c.flops());
    state.counters["weight B/s"] = benchmark::Counter(
        static_cast<double>(c.in * c.out * sizeof(float)) * static_cast<double>(state.iterations()),
        benchmark::Counter::kIsRate);
}

void sizes(benchmark::internal::Benchmark* b) {
    b->Args({4096, 1, 64})->Args({4096, 64, 128})->Args({4096, 128, 128})->Args({4096, 128, 256});
    b->Args({512, 768, 3072})->Args({64, 64, 10});
}

BENCHMARK(linear_forward)->Apply(sizes);
BENCHMARK(eigen_forward)->Apply(sizes);
BENCHMARK(linear_backward)->Apply(sizes);
BENCHMARK(eigen_backward)->Apply(sizes);
BENCHMARK(linear_step)
    ->Args({1, 64, 128})
    ->Args({1, 128, 256})
    ->Args({1, 768, 3072})
    ->Args({4, 128, 256})
    ->Args({16, 128, 256})
    ->Args({1, 1, 64});

}  // namespace
