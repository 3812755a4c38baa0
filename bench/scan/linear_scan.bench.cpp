// Linear recurrences x[t] = a x[t-1] + b[t], one thread. A complex column takes 4 multiply-adds a step, and moves
// 16 bytes in float: x_bound is time over that of the multiply-adds, x_copy over that of reading and writing the
// same memory.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <span>
#include <vector>

#include <benchmark/benchmark.h>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/scan/linear_scan.hpp>
#include <ssm/scan/linear_scan_adjoint.hpp>
#include <ssm/simd/pack.hpp>

#include "support/peak.hpp"

namespace {

using namespace ssm;

template <class Form>
struct Problem {
    explicit Problem(const benchmark::State& state)
        : x(1, static_cast<std::size_t>(state.range(0)),
            Form::parts * static_cast<std::size_t>(state.range(1))),
          a(x.channels(), -0.01F),
          state_(x.channels()) {
        set_threads(1);
        std::fill_n(a.begin(), x.channels() / Form::parts, Form::identity == 0.0 ? -0.1F : 0.9F);
        x.fill(1.0F);
    }
    Batch<float> x;
    std::vector<float> a, state_;
    Workspace workspace;
};

/// Seconds of adding to all numbers of x in place, the best of some: what a scan reads and writes at least. It reads
/// `other` too, if there is one.
double pass_seconds(Batch<float>& x, const Batch<float>* other) {
    double best = 1e9;
    for (int repetition = 0; repetition < 20; ++repetition) {
        const auto start = std::chrono::steady_clock::now();
        const simd::Pack<float> one(1.0F);
        for (std::size_t i = 0; i + simd::width<float> <= x.size(); i += simd::width<float>)
            simd::store(x.data() + i,
                        simd::load(x.data() + i) + (other ? simd::load(other->data() + i) : one));
        benchmark::ClobberMemory();
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
        best = std::min(best, time.count());
    }
    return best;
}

/// `other` is what the scan reads beside x.
template <class Form>
void report(benchmark::State& state, Problem<Form>& problem, double multiply_adds,
            const Batch<float>* other = nullptr) {
    ssm_bench::report<float>(state, problem.x.size() / Form::parts, 2.0 * multiply_adds);
    state.counters["x_copy"] = benchmark::Counter(
        pass_seconds(problem.x, other),
        benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

template <class Form>
void fixed(benchmark::State& state) {
    Problem<Form> problem(state);
    for (auto _ : state) {
        linear_scan<Form>(problem.a, problem.x.view(), problem.state_, problem.workspace);
        benchmark::ClobberMemory();
    }
    report(state, problem, Form::parts == 1 ? 1.0 : 4.0);
}

template <class Form>
void varying(benchmark::State& state) {
    Problem<Form> problem(state);
    Batch<float> a(problem.x.shape());
    for (std::size_t i = 0; i < a.size(); ++i)
        a.data()[i] = problem.a[i % problem.a.size()];
    for (auto _ : state) {
        linear_scan<Form>(a.view(), problem.x.view(), problem.state_, problem.workspace);
        benchmark::ClobberMemory();
    }
    report(state, problem, Form::parts == 1 ? 1.0 : 4.0, &a);
}

template <class Form>
void adjoint(benchmark::State& state) {
    Problem<Form> problem(state);
    Batch<float> g = problem.x;
    std::vector<double> da(problem.a.size());
    for (auto _ : state) {
        linear_scan_adjoint<Form>(problem.a, problem.x, g.view(), std::span<double>(da), {}, {},
                                  problem.workspace);
        benchmark::ClobberMemory();
    }
    report(state, problem, Form::parts == 1 ? 2.0 : 8.0, &g);
}

void sizes(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"L", "P"});
    for (const int columns : {16, 64, 256})
        bench->Args({256, columns})->Args({4096, columns});
    bench->Args({65536, 16});
}

BENCHMARK(fixed<ComplexIncrements>)->Apply(sizes);
BENCHMARK(fixed<RealFactors>)->Apply(sizes);
BENCHMARK(varying<ComplexFactors>)->Apply(sizes);
BENCHMARK(adjoint<ComplexIncrements>)->Apply(sizes);

}  // namespace
