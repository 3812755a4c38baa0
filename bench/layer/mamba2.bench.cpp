// The Mamba-2 block at the sizes of the 130 million parameter model, one thread. The bound counts the
// multiply-adds of the matrix products and of the scan: 2 for each state, backward 6 (and twice the products'), single
// steps 3, where reading the weights usually decides. ns/number is for each number of u.

#include <cstddef>
#include <vector>

#include <benchmark/benchmark.h>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/mamba2.hpp>

#include "support/peak.hpp"

namespace {

using namespace ssm;

const bool one_thread = (set_threads(1), true);
constexpr std::size_t channels = 768;

struct Problem {
    explicit Problem(std::size_t length)
        : layer({.channels = channels}), u(1, length, channels), y(u.shape()) {
        Rng rng(1);
        for (float& value : u.view().flat())
            value = static_cast<float>(rng.normal());
    }
    /// Flops for each number of u.
    [[nodiscard]] double flops(double products, double scans) const {
        const auto& o = layer.options();
        const double weights =
            static_cast<double>(layer.in_proj.weight.size() + layer.out_proj.weight.size());
        const double states = static_cast<double>(o.ssm_channels * o.state);
        return 2.0 * (products * weights + scans * states) / static_cast<double>(channels);
    }

    Mamba2<float> layer;
    Batch<float> u;
    Batch<float> y;
    Workspace workspace;
};

void mamba2_forward(benchmark::State& state) {
    Problem p(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        p.layer.forward(p.u, p.y, p.workspace);
        benchmark::ClobberMemory();
    }
    ssm_bench::report<float>(state, p.u.size(), p.flops(1, 2));
}

void mamba2_training(benchmark::State& state) {
    Problem p(static_cast<std::size_t>(state.range(0)));
    Mamba2<float> gradient = zeros_like(p.layer);
    Mamba2<float>::Cache cache;
    Batch<float> du(p.u.shape());
    for (auto _ : state) {
        p.layer.forward(p.u, p.y, cache, p.workspace);
        p.layer.backward(p.u, p.y, du, cache, gradient, p.workspace);
        benchmark::ClobberMemory();
    }
    ssm_bench::report<float>(state, p.u.size(), p.flops(3, 8));
}

void mamba2_step(benchmark::State& state) {
    Problem p(1);
    auto stream = p.layer.rest_state();
    for (auto _ : state) {
        p.layer.step(p.u.view().flat(), p.y.view().flat(), stream);
        benchmark::ClobberMemory();
    }
    ssm_bench::report<float>(state, p.u.size(), p.flops(1, 3));
}

BENCHMARK(mamba2_forward)->Arg(64)->Arg(1024)->Unit(benchmark::kMillisecond);
BENCHMARK(mamba2_training)->Arg(1024)->Unit(benchmark::kMillisecond);
BENCHMARK(mamba2_step);

}  // namespace
