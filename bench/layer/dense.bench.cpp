// Dense systems: kernels and their adjoint, blocks with a state, single steps, and memories.
//
// Bound: the multiply-adds that the method of each cannot do without (stated with each benchmark) at the peak of
// one core; kernels are computed in double.

#include <cstddef>
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/bilinear.hpp>
#include <ssm/init/hippo.hpp>
#include <ssm/kernel/krylov.hpp>
#include <ssm/layer/lti.hpp>
#include <ssm/layer/structure/dense.hpp>
#include <ssm/scan/hippo_memory.hpp>

#include "support/peak.hpp"

namespace {

using namespace ssm;
using Layer = Lti<float, Dense<>, Bilinear, evaluation::Recurrence>;

std::size_t argument(const benchmark::State& state, std::size_t i) {
    return static_cast<std::size_t>(state.range(i));
}

void sizes(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"L", "H", "N"})->Unit(benchmark::kMillisecond);
    for (const std::int64_t N : {16, 64, 256})
        for (const std::int64_t L : {1024, 16384})
            bench->Args({L, 16, N});
}

Layer layer_of(const benchmark::State& state) {
    set_threads(1);
    return Layer({.channels = argument(state, 1), .state = argument(state, 2)});
}

/// Bound: the product of the two Krylov tables, N L multiply-adds a channel.
void kernels(benchmark::State& state) {
    const Layer layer = layer_of(state);
    const std::size_t L = argument(state, 0);
    const DenseSystem system = layer.system();
    std::vector<float> kernel(argument(state, 1) * L);
    Workspace workspace;
    for (auto _ : state)
        convolution_kernel<float>(system, L, kernel, workspace);
    ssm_bench::report<double>(state, kernel.size(), 2.0 * static_cast<double>(argument(state, 2)));
}
BENCHMARK(kernels)->Apply(sizes);

/// Bound: three such products.
void kernel_adjoints(benchmark::State& state) {
    const Layer layer = layer_of(state);
    const std::size_t L = argument(state, 0);
    const DenseSystem system = layer.system();
    DenseSystem gradient(system.shape);
    const std::vector<float> dkernel(argument(state, 1) * L, 1.0F);
    Workspace workspace;
    for (auto _ : state)
        convolution_kernel_adjoint<float>(system, L, dkernel, gradient, workspace);
    ssm_bench::report<double>(state, dkernel.size(), 6.0 * static_cast<double>(argument(state, 2)));
}
BENCHMARK(kernel_adjoints)->Apply(sizes);

/// Bound: 2 N multiply-adds a number for reaching and observing states.
void blocks(benchmark::State& state) {
    const Layer layer = layer_of(state);
    auto stream = layer.rest_state();
    Batch<float> u(1, argument(state, 0), argument(state, 1));
    u.fill(1.0F);
    Batch<float> y(u.shape());
    Workspace workspace;
    for (auto _ : state)
        layer.forward(u, y, stream, workspace);
    ssm_bench::report<float>(state, u.size(), 4.0 * static_cast<double>(argument(state, 2)));
}
BENCHMARK(blocks)->Apply(sizes);

/// Bound: N^2 multiply-adds a number.
void steps(benchmark::State& state) {
    const Layer layer = layer_of(state);
    auto stream = layer.rest_state();
    const std::vector<float> u(argument(state, 1), 1.0F);
    std::vector<float> y(u.size());
    for (auto _ : state)
        layer.step(u, y, stream);
    const auto N = static_cast<double>(argument(state, 2));
    ssm_bench::report<float>(state, u.size(), 2.0 * N * N);
}
BENCHMARK(steps)
    ->ArgNames({"L", "H", "N"})
    ->Args({1, 16, 16})
    ->Args({1, 16, 64})
    ->Args({1, 16, 256});

/// Bound: 6 N multiply-adds, although each waits for the one before.
void whole_memory(benchmark::State& state) {
    HippoMemory<float> memory({.state = argument(state, 0)});
    const float u = 1.0F;
    for (auto _ : state)
        memory.update({&u, 1});
    ssm_bench::report<float>(state, 1, 12.0 * static_cast<double>(argument(state, 0)));
}
BENCHMARK(whole_memory)->ArgName("N")->Arg(16)->Arg(64)->Arg(256);

/// Bound: N^2 multiply-adds.
void window_memory(benchmark::State& state) {
    HippoMemory<float, init::hippo::LegT> memory({.state = argument(state, 0)});
    const float u = 1.0F;
    for (auto _ : state)
        memory.update({&u, 1});
    const auto N = static_cast<double>(argument(state, 0));
    ssm_bench::report<float>(state, 1, 2.0 * N * N);
}
BENCHMARK(window_memory)->ArgName("N")->Arg(16)->Arg(64)->Arg(256);

}  // namespace
