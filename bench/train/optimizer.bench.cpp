// Updates of one tensor, one thread. The bound is memory: every number of weight and moments is
// read and written, every number of the gradient read; `x_bound` is the time over that of one pass
// that adds a constant to arrays of as many bytes in all.

#include <algorithm>
#include <chrono>
#include <cstddef>

#include <benchmark/benchmark.h>

#include <ssm/core/aligned.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/train/adam.hpp>
#include <ssm/train/clip.hpp>
#include <ssm/train/nadam.hpp>
#include <ssm/train/sgd.hpp>

namespace {

const bool one_thread = (ssm::set_threads(1), true);

template <class T>
struct OneTensor {
    using value_type = T;

    explicit OneTensor(std::size_t size, T value) : weight({size}, value) {}

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&& visitor, Layers&... layers) {
        visitor("weight", ssm::WeightTraits{}, layers.weight...);
    }

    ssm::Tensor<T> weight;
};

/// Seconds of one pass that reads and writes `bytes / 2` bytes of floats, the best of several.
double pass_seconds(std::size_t bytes) {
    ssm::AlignedVector<float> numbers(bytes / 2 / sizeof(float), 1.0F);
    double best = 1e9;
    for (int repetition = 0; repetition < 20; ++repetition) {
        const auto start = std::chrono::steady_clock::now();
        for (float& number : numbers)
            number += 1.0F;
        benchmark::ClobberMemory();
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
        best = std::min(best, time.count());
    }
    return best;
}

void report(benchmark::State& state, std::size_t bytes) {
    using benchmark::Counter;
    state.counters["GB/s"] =
        Counter(static_cast<double>(bytes) * 1e-9, Counter::kIsIterationInvariantRate);
    state.counters["x_bound"] =
        Counter(pass_seconds(bytes), Counter::kIsIterationInvariantRate | Counter::kInvert);
}

template <class T, class Rule>
void update(benchmark::State& state) {
    const auto size = static_cast<std::size_t>(state.range(0));
    OneTensor<T> model(size, T(1));
    const OneTensor<T> gradient(size, T(0.1));
    ssm::Optimizer<OneTensor<T>, Rule> optimizer(model);
    for (auto _ : state) {
        optimizer.step(model, gradient);
        benchmark::ClobberMemory();
    }
    report(state, (3 + 2 * optimizer.moments().size()) * size * sizeof(T));
}

template <class T>
void norm(benchmark::State& state) {
    const auto size = static_cast<std::size_t>(state.range(0));
    const OneTensor<T> gradient(size, T(0.1));
    for (auto _ : state)
        benchmark::DoNotOptimize(ssm::gradient_norm(gradient));
    report(state, size * sizeof(T));
}

void sizes(benchmark::internal::Benchmark* benchmark) {
    benchmark->Arg(4096)->Arg(1 << 22);
}

BENCHMARK_TEMPLATE(update, float, ssm::rule::SGD)->Apply(sizes);
BENCHMARK_TEMPLATE(update, float, ssm::rule::AdamW)->Apply(sizes);
BENCHMARK_TEMPLATE(update, double, ssm::rule::AdamW)->Apply(sizes);
BENCHMARK_TEMPLATE(update, float, ssm::rule::NAdam)->Apply(sizes);
BENCHMARK_TEMPLATE(norm, float)->Apply(sizes);

}  // namespace
