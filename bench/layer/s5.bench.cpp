// S5 and LRU: whole sequences, training, single steps, one thread.
//
// The bound of a forward is its two matrix products, measured with Eigen on the same sizes in one piece
// (x_products), and as independent multiply-adds (x_bound). A step is bound by reading its two matrices.

#include <algorithm>
#include <cstddef>
#include <ctime>
#include <vector>

#include <benchmark/benchmark.h>
#include <Eigen/Core>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/layer/s5.hpp>

#include "support/peak.hpp"

namespace {

using namespace ssm;

std::size_t size(const benchmark::State& state, std::size_t argument) {
    return static_cast<std::size_t>(state.range(argument));
}

/// P modes are stored: a state of 2 P.
template <class L>
struct Problem {
    explicit Problem(const benchmark::State& state)
        : P(size(state, 3)),
          layer({.channels = size(state, 2), .state = 2 * P}),
          u(size(state, 1), size(state, 0), size(state, 2)),
          y(u.shape()) {
        set_threads(1);
        Rng rng(1);
        for (float& x : u.view().flat())
            x = static_cast<float>(rng.uniform(-1.0, 1.0));
    }
    /// Flops for each number of the output, in products and scan.
    [[nodiscard]] double flops() const { return 8.0 * static_cast<double>(P * L::directions); }

    std::size_t P;
    L layer;
    Batch<float> u, y;
    Workspace workspace;
};

/// Processor seconds of the two products of a forward, each over all rows at once; the best of some.
template <class L>
double product_seconds(const Problem<L>& problem) {
    using Matrix = Eigen::Matrix<float, -1, -1, Eigen::RowMajor>;
    const auto H = static_cast<Eigen::Index>(problem.u.channels());
    const auto width = static_cast<Eigen::Index>(2 * problem.P * L::directions);
    const auto rows = static_cast<Eigen::Index>(problem.u.shape().rows());
    const Matrix in = Matrix::Random(H, width);
    const Matrix out = Matrix::Random(width, H);
    const Matrix u = Matrix::Random(rows, H);
    Matrix x(rows, width), y(rows, H);
    const SerialRegion serial;
    double best = 1e9;
    for (int repetition = 0; repetition < 7; ++repetition) {
        const std::clock_t start = std::clock();
        x.noalias() = u * in;
        y.noalias() = x * out;
        benchmark::DoNotOptimize(y.data());
        best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
    }
    return best;
}

template <class L>
void report(benchmark::State& state, const Problem<L>& problem, double passes) {
    ssm_bench::report<float>(state, problem.u.size(), passes * problem.flops());
    state.counters["x_products"] = benchmark::Counter(
        passes * product_seconds(problem),
        benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

template <class L>
void forward(benchmark::State& state) {
    Problem<L> problem(state);
    for (auto _ : state) {
        problem.layer.forward(problem.u, problem.y, problem.workspace);
        benchmark::ClobberMemory();
    }
    report(state, problem, 1.0);
}

/// Every step takes a time of its own.
void forward_irregular(benchmark::State& state) {
    Problem<S5<float>> problem(state);
    Batch<double> intervals(problem.u.batch(), problem.u.length(), 1);
    Rng rng(2);
    for (double& interval : intervals.view().flat())
        interval = rng.uniform(0.5, 2.0);
    for (auto _ : state) {
        problem.layer.forward(problem.u, problem.y,
                              Context(problem.workspace).with_intervals(intervals));
        benchmark::ClobberMemory();
    }
    report(state, problem, 1.0);
}

template <class L>
void training(benchmark::State& state) {
    Problem<L> problem(state);
    typename L::Cache cache;
    L gradient = zeros_like(problem.layer);
    Batch<float> du(problem.u.shape());
    for (auto _ : state) {
        problem.layer.forward(problem.u, problem.y, cache, problem.workspace);
        problem.layer.backward(problem.u, problem.u, du, cache, gradient, problem.workspace);
        benchmark::ClobberMemory();
    }
    report(state, problem, 3.0);
}

/// The second half of that: it takes four products where a forward takes two.
template <class L>
void backward(benchmark::State& state) {
    Problem<L> problem(state);
    typename L::Cache cache;
    L gradient = zeros_like(problem.layer);
    Batch<float> du(problem.u.shape());
    problem.layer.forward(problem.u, problem.y, cache, problem.workspace);
    for (auto _ : state) {
        problem.layer.backward(problem.u, problem.u, du, cache, gradient, problem.workspace);
        benchmark::ClobberMemory();
    }
    report(state, problem, 2.0);
}

void step(benchmark::State& state) {
    set_threads(1);
    const std::size_t H = size(state, 0);
    const std::size_t P = size(state, 1);
    const S5<float> layer({.channels = H, .state = 2 * P});
    auto stream = layer.rest_state();
    const std::vector<float> u(H, 0.5F);
    std::vector<float> y(H);
    for (auto _ : state) {
        layer.step(u, y, stream);
        benchmark::ClobberMemory();
    }
    ssm_bench::report<float>(state, H, 8.0 * static_cast<double>(P));
    state.counters["weight B/s"] =
        benchmark::Counter(static_cast<double>(4 * H * P * sizeof(float)),
                           benchmark::Counter::kIsIterationInvariantRate);
}

void sizes(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"L", "batch", "H", "P"})->Unit(benchmark::kMillisecond);
    bench->Args({4096, 1, 256, 256})->Args({4096, 1, 64, 32})->Args({256, 16, 256, 256});
}

BENCHMARK(forward<S5<float>>)->Apply(sizes);
BENCHMARK(forward<S5<float, Zoh, Bidirectional>>)->Apply(sizes);
BENCHMARK(training<S5<float>>)->Apply(sizes);
BENCHMARK(backward<S5<float>>)->Apply(sizes);
BENCHMARK(forward_irregular)->Apply(sizes);
BENCHMARK(step)
    ->ArgNames({"H", "P"})
    ->Args({64, 64})
    ->Args({64, 32})
    ->Args({8, 8})
    ->Args({256, 256});

}  // namespace
