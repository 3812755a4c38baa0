// Cross-entropy with labels and its gradient, one thread. The flops of the bound are those of one
// vector exponential for each logit, the only thing that could not be left out.

#include <cstddef>
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/train/cross_entropy.hpp>

#include "support/peak.hpp"

namespace {

const bool one_thread = (ssm::set_threads(1), true);

template <class T>
void with_gradient(benchmark::State& state) {
    const auto rows = static_cast<std::size_t>(state.range(0));
    const auto classes = static_cast<std::size_t>(state.range(1));
    ssm::Batch<T> logits(1, rows, classes);
    ssm::Batch<T> dlogits(logits.shape());
    std::vector<std::int32_t> labels(rows);
    ssm::Rng rng(1);
    for (T& value : logits.view().flat())
        value = static_cast<T>(rng.normal());
    for (std::int32_t& label : labels)
        label = static_cast<std::int32_t>(rng.below(classes));
    const ssm::loss::CrossEntropy<T> loss;
    for (auto _ : state)
        benchmark::DoNotOptimize(loss(logits, labels, dlogits).value);
    constexpr double exponential = sizeof(T) == 4 ? 18.0 : 28.0;  // fused multiply-adds count twice
    ssm_bench::report<T>(state, logits.size(), exponential);
}

BENCHMARK_TEMPLATE(with_gradient, float)->Args({4096, 10})->Args({256, 256})->Args({64, 50280});
BENCHMARK_TEMPLATE(with_gradient, double)->Args({4096, 10})->Args({256, 256});

}  // namespace
