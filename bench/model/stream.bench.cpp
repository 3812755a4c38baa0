// One sample through a classifier of four blocks of width 64, as a stream, one thread.
//
// Bound: the multiply-adds of the matrix products and of the recurrences' modes, as if all were independent.
// Counters besides those of all benchmarks, without the time of reading the clock:
//   median/us, p99.9/us   the time that every second step exceeds, and one in a thousand, as a listener sees it: on a
//                         busy machine that one is a step during which others ran
//   own p99.9/us          the same in time of the processor, to a microsecond: what steps take by themselves

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <ctime>
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

/// Microseconds of some calls.
class Times {
public:
    void add(double microseconds) { values_.push_back(microseconds); }
    /// What a part of all calls does not exceed.
    [[nodiscard]] double quantile(double part) {
        std::sort(values_.begin(), values_.end());
        return values_[static_cast<std::size_t>(part * static_cast<double>(values_.size() - 1))];
    }

private:
    std::vector<double> values_;
};
struct CallTimes {
    Times wall, own;
};

/// Times `calls` calls one by one, after as many as warm the caches and predictors.
template <class Call>
CallTimes time_calls(std::size_t calls, Call&& call) {
    constexpr std::size_t warm_up = 1000;
    for (std::size_t i = 0; i < warm_up; ++i)
        call();
    CallTimes times;
    for (std::size_t i = 0; i < calls; ++i) {
        const std::clock_t own = std::clock();
        const auto start = Clock::now();
        call();
        benchmark::ClobberMemory();
        const std::chrono::duration<double, std::micro> wall = Clock::now() - start;
        times.own.add(1e6 * static_cast<double>(std::clock() - own) / CLOCKS_PER_SEC);
        times.wall.add(wall.count());
    }
    return times;
}

template <class Model>
void report_steps(benchmark::State& bench, const Model& model, std::span<float> logits) {
    typename Model::State state = model.rest_state();
    float sample = 0.5F;
    // one in a thousand of these are 50
    CallTimes steps = time_calls(50000, [&] {
        sample = 0.25F - sample;
        model.step(std::span<const float>(&sample, 1), logits, state);
    });
    CallTimes nothing = time_calls(1000, [] {});
    const double wall = nothing.wall.quantile(0.5);
    bench.counters["median/us"] = steps.wall.quantile(0.5) - wall;
    bench.counters["p99.9/us"] = steps.wall.quantile(0.999) - wall;
    bench.counters["own p99.9/us"] = steps.own.quantile(0.999) - nothing.own.quantile(0.5);
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
    report_steps(state, model, logits);
    set_threads(0);
}

}  // namespace

BENCHMARK(step<ssm::S4D<float>>);
BENCHMARK(step<ssm::S4<float>>);
BENCHMARK(step<ssm::S5<float>>);
