// Convolution kernels of companion systems and their adjoint, SpaceTime's d = 64; one thread.
//
// Bound: d multiply-adds in double for each tap of a kernel (the recurrence of the characteristic polynomial), three
// times that for the adjoint, at the rate this process measured for independent ones.

#include <cstddef>
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/companion.hpp>
#include <ssm/discretize/unit_norm.hpp>
#include <ssm/kernel/companion.hpp>

#include "support/peak.hpp"

namespace {

using namespace ssm;

struct Problem {
    explicit Problem(const benchmark::State& state)
        : kernels(static_cast<std::size_t>(state.range(0))),
          d(static_cast<std::size_t>(state.range(1))),
          length(static_cast<std::size_t>(state.range(2))),
          system({.channels = kernels, .state = d, .kernels = kernels}),
          taps(kernels * length) {
        set_threads(1);
        Rng rng(1);
        for (auto* values : {&system.a, &system.b, &system.c})
            for (double& value : *values)
                value = rng.normal();
        normalize_rows(RowNorm::l1, system.a, d);
    }

    std::size_t kernels, d, length;
    CompanionSystem system;
    std::vector<float> taps;
    Workspace workspace;
};

void sizes(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"kernels", "d", "L"})->Unit(benchmark::kMicrosecond);
    bench->Args({1, 64, 1024})->Args({16, 64, 336})->Args({128, 64, 336})->Args({128, 64, 4096});
}

void kernel(benchmark::State& state) {
    Problem problem(state);
    for (auto _ : state)
        companion_kernel<float>(problem.system, problem.length, problem.taps, problem.workspace);
    ssm_bench::report<double>(state, problem.taps.size(), 2.0 * static_cast<double>(problem.d));
}

void adjoint(benchmark::State& state) {
    Problem problem(state);
    CompanionSystem gradient(problem.system.shape);
    companion_kernel<float>(problem.system, problem.length, problem.taps, problem.workspace);
    for (auto _ : state)
        companion_kernel_adjoint<float>(problem.system, problem.length, problem.taps, gradient,
                                        problem.workspace);
    ssm_bench::report<double>(state, problem.taps.size(), 6.0 * static_cast<double>(problem.d));
}

BENCHMARK(kernel)->Apply(sizes);
BENCHMARK(adjoint)->Apply(sizes);

}  // namespace
