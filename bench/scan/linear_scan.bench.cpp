// Linear recurrences x[t] = a x[t-1] + b[t], one thread.
//
// A scan can be no faster than either of:
//   x_bound   time over that of its multiply-adds, 1 (real) or 4 (complex) a column and step, twice that for an adjoint
//   x_copy    time over that of reading and writing the same memory in the same packs, and of reading what it reads
//             besides. It has the loads and stores of the scan: in the first-level cache it is the store port that
//             limits a real scan, which has two packs of multiply-adds to one of stores on most processors
// The additions of increments, x + (w x + b), are in neither: many processors have other ports for them. The chain of
// dependent operations of a column is no bound of the scan: columns run side by side, and few columns several steps
// at once.

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
#include <ssm/simd/unroll.hpp>

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

/// Adds to `count` numbers at x in place. It reads `other` too, if there is one.
void pass(float* x, const float* other, std::size_t count) {
    constexpr std::size_t packs = 8;  // so that nothing but loads and stores takes time
    constexpr std::size_t width = simd::width<float>;
    const simd::Pack<float> one(1.0F);
    const auto add = [=](auto&& summand) SSM_INLINE_LAMBDA {
        for (std::size_t i = 0; i + packs * width <= count; i += packs * width)
            simd::unroll<packs>([&](auto p) SSM_INLINE_LAMBDA {
                const std::size_t at = i + p * width;
                simd::store(x + at, simd::load(x + at) + summand(at));
            });
    };
    if (other == nullptr)
        add([=](std::size_t) SSM_INLINE_LAMBDA { return one; });
    else
        add([=](std::size_t i) SSM_INLINE_LAMBDA { return simd::load(other + i); });
    benchmark::ClobberMemory();
}

/// Time of `f` over that of `bound`, which take turns and so see the same machine: the median of some rounds.
template <class F, class Bound>
double times(F&& f, Bound&& bound) {
    using Clock = std::chrono::steady_clock;
    constexpr double round_seconds = 1e-4;  // long against reading the clock
    const auto seconds = [](auto&& call, int count) {
        const auto start = Clock::now();
        for (int i = 0; i < count; ++i)
            call();
        const std::chrono::duration<double> time = Clock::now() - start;
        return time.count() / count;
    };
    const int count = 1 + static_cast<int>(round_seconds / seconds(f, 2));
    std::vector<double> ratios(101);
    for (double& ratio : ratios)
        ratio = seconds(f, count) / seconds(bound, count);
    std::sort(ratios.begin(), ratios.end());
    return ratios[ratios.size() / 2];
}

/// `x` is what `scan` reads and writes, `other` what it reads beside that.
template <class Form, class ScanCall>
void run(benchmark::State& state, Batch<float>& x, double multiply_adds, const Batch<float>* other,
         ScanCall&& scan) {
    for (auto _ : state) {
        scan();
        benchmark::ClobberMemory();
    }
    ssm_bench::report<float>(state, x.size() / Form::parts, 2.0 * multiply_adds);
    state.counters["x_copy"] =
        times(scan, [&] { pass(x.data(), other == nullptr ? nullptr : other->data(), x.size()); });
}

template <class Form>
void fixed(benchmark::State& state) {
    Problem<Form> problem(state);
    run<Form>(state, problem.x, Form::parts == 1 ? 1.0 : 4.0, nullptr, [&] {
        linear_scan<Form>(problem.a, problem.x.view(), problem.state_, problem.workspace);
    });
}

template <class Form>
void varying(benchmark::State& state) {
    Problem<Form> problem(state);
    Batch<float> a(problem.x.shape());
    for (std::size_t i = 0; i < a.size(); ++i)
        a.data()[i] = problem.a[i % problem.a.size()];
    run<Form>(state, problem.x, Form::parts == 1 ? 1.0 : 4.0, &a, [&] {
        linear_scan<Form>(a.view(), problem.x.view(), problem.state_, problem.workspace);
    });
}

template <class Form>
void adjoint(benchmark::State& state) {
    Problem<Form> problem(state);
    Batch<float> g = problem.x;
    std::vector<double> da(problem.a.size());
    run<Form>(state, g, Form::parts == 1 ? 2.0 : 8.0, &problem.x, [&] {
        linear_scan_adjoint<Form>(problem.a, problem.x, g.view(), std::span<double>(da), {}, {},
                                  problem.workspace);
    });
}

void sizes(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"L", "P"});
    for (const int columns : {16, 64, 256})
        bench->Args({256, columns})->Args({4096, columns});
    bench->Args({4096, 8})
        ->Args({4096, 20})
        ->Args({4096, 12})
        ->Args({65536, 16})
        ->Args({65536, 64});
}

BENCHMARK(fixed<ComplexIncrements>)->Apply(sizes);
BENCHMARK(fixed<RealFactors>)->Apply(sizes);
BENCHMARK(varying<ComplexFactors>)->Apply(sizes);
BENCHMARK(adjoint<ComplexIncrements>)->Apply(sizes);

}  // namespace
