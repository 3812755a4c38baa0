// DSS, SpaceTime's companion layer and its closed loop, one thread, float: whole sequences, training, and steps.
//
// Bounds, in flops a number put out: DSS 8 N, what reading inputs into the N complex modes and outputs out of them takes
// in any evaluation that passes states on (transforms do without states and can be below it); a step of DSS 16 N, of a
// companion system 6 d; a closed loop 2 d (L + horizon) for each sequence and channel, in matrix products.

#include <cstddef>
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/closed_loop.hpp>
#include <ssm/layer/dss.hpp>
#include <ssm/layer/spacetime.hpp>

#include "support/peak.hpp"

namespace {

using namespace ssm;

constexpr std::size_t channels = 128;
constexpr std::size_t state_size = 64;

template <class L>
struct Problem {
    Problem(const benchmark::State& state, const L& wanted)
        : layer(wanted),
          u(static_cast<std::size_t>(state.range(1)), static_cast<std::size_t>(state.range(0)),
            channels),
          y(output_shape(layer, u.shape())) {
        set_threads(1);
        Rng rng(1);
        for (float& x : u.view().flat())
            x = static_cast<float>(rng.uniform(-1.0, 1.0));
    }

    L layer;
    Batch<float> u, y;
    Workspace workspace;
};

void sizes(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"L", "batch"})->Unit(benchmark::kMillisecond);
    bench->Args({1024, 1})->Args({1024, 16});
}

template <class L>
void forward(benchmark::State& state, const L& layer, double flops) {
    Problem<L> problem(state, layer);
    for (auto _ : state)
        problem.layer.forward(problem.u, problem.y, problem.workspace);
    ssm_bench::report<float>(state, problem.y.size(), flops);
}

/// Forward and backward; dy = y.
template <class L>
void training(benchmark::State& state, const L& layer, double flops) {
    Problem<L> problem(state, layer);
    typename L::Cache cache;
    L gradient = zeros_like(layer);
    Batch<float> du(problem.u.shape());
    for (auto _ : state) {
        problem.layer.forward(problem.u, problem.y, cache, problem.workspace);
        problem.layer.backward(problem.u, problem.y, du, cache, gradient, problem.workspace);
    }
    ssm_bench::report<float>(state, problem.y.size(), 3.0 * flops);
}

template <class L>
void step(benchmark::State& state, const L& layer, double flops) {
    auto stream = layer.rest_state();
    std::vector<float> u(channels, 0.5F), y(channels);
    for (auto _ : state) {
        layer.step(u, y, stream);
        benchmark::DoNotOptimize(y.data());
    }
    ssm_bench::report<float>(state, channels, flops);
}

const DSS<float> softmax({.channels = channels, .state = state_size});
const DSS<float, DssExp> exponential({.channels = channels,
                                      .state = state_size,
                                      .structure = {.poles = DssPoles::exp}});
const CompanionSsm<float> companion({.channels = channels, .state = state_size});
const ClosedLoop<float> loop({.channels = channels, .state = state_size, .horizon = 96});

constexpr double modal = 8.0 * state_size;
constexpr double looped = 2.0 * state_size * (1024.0 + 96.0) / 96.0;

BENCHMARK_CAPTURE(forward, dss, softmax, modal)->Apply(sizes);
BENCHMARK_CAPTURE(forward, dss_exp, exponential, modal)->Apply(sizes);
BENCHMARK_CAPTURE(forward, companion, companion, 6.0 * state_size)->Apply(sizes);
BENCHMARK_CAPTURE(forward, closed_loop, loop, looped)->Apply(sizes);
BENCHMARK_CAPTURE(training, dss, softmax, modal)->Apply(sizes);
BENCHMARK_CAPTURE(training, companion, companion, 6.0 * state_size)->Apply(sizes);
BENCHMARK_CAPTURE(training, closed_loop, loop, looped)->Apply(sizes);
BENCHMARK_CAPTURE(step, dss_exp, exponential, 16.0 * state_size);
BENCHMARK_CAPTURE(step, companion, companion, 6.0 * state_size);

}  // namespace
