// S4 next to S4D on the same inputs: one layer of H channels with N = 64, float, one thread.
//
// Counters
//   ns/number   time for each (batch, step, channel)
//
// "folded" layers have C folded for the length of the input; the others plain C.

#include <cstddef>
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/init/combination.hpp>
#include <ssm/layer/s4.hpp>
#include <ssm/layer/s4d.hpp>

namespace {

using namespace ssm;

const bool one_thread = (set_threads(1), true);

using Plain = S4<float>;
using Diagonal = S4D<float, init::LegS, Bilinear>;

/// Arguments: length, batch, channels, and for S4 whether C is folded.
template <class L>
struct Problem {
    explicit Problem(const benchmark::State& state)
        : layer([&] {
              typename L::Options options;
              options.channels = static_cast<std::size_t>(state.range(2));
              return L(options, Rng(1));
          }()),
          u(static_cast<std::size_t>(state.range(1)), static_cast<std::size_t>(state.range(0)),
            static_cast<std::size_t>(state.range(2))),
          y(u.shape()) {
        Rng rng(2);
        for (float& value : u.view().flat())
            value = static_cast<float>(rng.normal());
        if constexpr (requires { set_length(layer, 1); })
            if (state.range(3) != 0)
                set_length(layer, u.length());
    }

    L layer;
    Batch<float> u, y;
    Workspace workspace;
};

void report(benchmark::State& state, std::size_t count) {
    using benchmark::Counter;
    state.counters["ns/number"] = Counter(static_cast<double>(count) * 1e-9,
                                          Counter::kIsIterationInvariantRate | Counter::kInvert);
}

template <class L>
void forward(benchmark::State& state) {
    Problem<L> problem(state);
    for (auto _ : state)
        problem.layer.forward(problem.u, problem.y, problem.workspace);
    report(state, problem.u.size());
}

template <class L>
void forward_from_state(benchmark::State& state) {
    Problem<L> problem(state);
    auto stream = problem.layer.rest_state(problem.u.batch());
    for (auto _ : state)
        problem.layer.forward(problem.u, problem.y, stream, problem.workspace);
    report(state, problem.u.size());
}

template <class L>
void training(benchmark::State& state) {
    Problem<L> problem(state);
    typename L::Cache cache;
    L gradient = zeros_like(problem.layer);
    Batch<float> du(problem.u.shape());
    for (auto _ : state) {
        problem.layer.forward(problem.u, problem.y, cache, problem.workspace);
        problem.layer.backward(problem.u, problem.y, du, cache, gradient, problem.workspace);
    }
    report(state, problem.u.size());
}

template <class L>
void step(benchmark::State& state) {
    Problem<L> problem(state);
    auto stream = problem.layer.rest_state(problem.u.batch());
    const std::size_t width = problem.u.channels();
    std::vector<float> u(width * problem.u.batch(), 0.5F), y(u.size());
    for (auto _ : state)
        problem.layer.step(u, y, stream);
    report(state, u.size());
}

void sizes(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"L", "batch", "H", "folded"})->Unit(benchmark::kMillisecond);
    for (const std::int64_t length : {256, 1024, 4096, 16384})
        for (const std::int64_t batch : {1, 8})
            if (length * batch <= 32768)
                bench->Args({length, batch, 256, 0});
}
void folded_sizes(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"L", "batch", "H", "folded"})->Unit(benchmark::kMillisecond);
    for (const std::int64_t length : {1024, 4096})
        for (const std::int64_t batch : {1, 8})
            bench->Args({length, batch, 256, 1});
}
void step_sizes(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"L", "batch", "H", "folded"});
    for (const std::int64_t channels : {1, 8, 64, 256})
        bench->Args({1, 1, channels, 0});
}

BENCHMARK(forward<Diagonal>)->Apply(sizes);
BENCHMARK(forward<Plain>)->Apply(sizes);
BENCHMARK(forward<Plain>)->Apply(folded_sizes);
BENCHMARK(forward_from_state<Diagonal>)->Apply(sizes);
BENCHMARK(forward_from_state<Plain>)->Apply(sizes);
BENCHMARK(training<Diagonal>)->Apply(sizes);
BENCHMARK(training<Plain>)->Apply(sizes);
BENCHMARK(training<Plain>)->Apply(folded_sizes);
BENCHMARK(step<Diagonal>)->Apply(step_sizes);
BENCHMARK(step<Plain>)->Apply(step_sizes);

}  // namespace
