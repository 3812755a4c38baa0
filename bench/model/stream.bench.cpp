// One sample through a classifier of four blocks of width 64, as a stream, one thread.
//
// Bound: the multiply-adds of the matrix products and of the recurrences' modes, as if all were independent.
// Counters besides those of all benchmarks:
//   median/us, p99.9/us   the time that every second step exceeds, and one in a thousand

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <span>
#include <vector>

#include <benchmark/benchmark.h>

#include <ssm/core/parallel.hpp>
#include <ssm/core/subnormals.hpp>
#include <ssm/layer/s4.hpp>
#include <ssm/layer/s4d.hpp>
#include <ssm/layer/s5.hpp>
#include <ssm/model/classifier.hpp>

#include "support/peak.hpp"

namespace {

using namespace ssm;
using Clock = std::chrono::steady_clock;

constexpr std::size_t width = 64;
constexpr std::size_t depth = 4;
constexpr std::size_t system_state = 64;

/// Seconds of single steps, in order.
template <class Model>
std::vector<double> step_times(const Model& model, std::span<float> logits) {
    typename Model::State state = model.rest_state();
    std::vector<double> times(50000);
    for (std::size_t t = 0; t < times.size(); ++t) {
        const float sample = t % 2 == 0 ? 0.5F : -0.25F;
        const auto start = Clock::now();
        model.step(std::span(&sample, 1), logits, state);
        benchmark::ClobberMemory();
        times[t] = std::chrono::duration<double>(Clock::now() - start).count();
    }
    std::sort(times.begin(), times.end());
    return times;
}

// Operations of a step for each channel. A mode of a pair: multiply by the pole, add the input, read out; S4 adds its
// low rank part. The pairs of S5 are written and read by all channels.
constexpr double pairs = system_state / 2.0;
template <class System>
constexpr double system_flops = 16.0 * pairs;
template <>
constexpr double system_flops<S4<float>> = 32.0 * pairs;
template <>
constexpr double system_flops<S5<float>> = 8.0 * pairs;

template <class System>
void step(benchmark::State& state) {
    set_threads(1);
    const FlushSubnormals flush;
    const Classifier<System> model(
        {.classes = 10, .width = width, .depth = depth, .system = {.state = system_state}});
    auto stream = model.rest_state();
    std::vector<float> logits(10);
    const float sample = 0.5F;
    for (auto _ : state) {
        model.step(std::span(&sample, 1), logits, stream);
        benchmark::DoNotOptimize(logits.data());
    }
    const double mixing =
        2.0 * 2.0 * static_cast<double>(width);  // to twice the width, for the GLU
    ssm_bench::report<float>(state, depth * width, mixing + system_flops<System>);
    const std::vector<double> times = step_times(model, logits);
    state.counters["median/us"] = 1e6 * times[times.size() / 2];
    state.counters["p99.9/us"] = 1e6 * times[times.size() * 999 / 1000];
    set_threads(0);
}

}  // namespace

BENCHMARK(step<ssm::S4D<float>>);
BENCHMARK(step<ssm::S4<float>>);
BENCHMARK(step<ssm::S5<float>>);
