// One training step of whole models: forward, loss, backward, update. `peers/torch_models.py` does it in PyTorch.
// Bound: the flops of the matrix products alone, 6 for each weight of a Linear and each row.

#include <cstddef>
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/layer/s4d.hpp>
#include <ssm/model/classifier.hpp>
#include <ssm/train/adam.hpp>
#include <ssm/train/cross_entropy.hpp>

#include "support/peak.hpp"

namespace {

using namespace ssm;
using Model = Classifier<S4D<float>>;

/// Arguments: L, batch, width, depth, N, threads.
void training_step(benchmark::State& state) {
    const auto argument = [&](std::size_t i) { return static_cast<std::size_t>(state.range(i)); };
    set_threads(argument(5));
    const std::size_t length = argument(0);
    const std::size_t batch = argument(1);
    const std::size_t width = argument(2);
    const std::size_t depth = argument(3);
    Model model({.classes = 10,
                 .width = width,
                 .depth = depth,
                 .dropout = 0.1,
                 .system = {.state = argument(4)}});
    AdamW<Model> optimizer(model, {.learning_rate = 1e-3});
    Model gradient = zeros_like(model);
    Model::Cache cache;
    Workspace workspace;
    Rng rng(1);
    Batch<float> u(batch, length, 1);
    for (float& x : u.view().flat())
        x = static_cast<float>(rng.normal());
    std::vector<std::int32_t> labels(batch);
    for (std::int32_t& label : labels)
        label = static_cast<std::int32_t>(rng.below(10));
    Batch<float> logits(batch, 1, 10);
    Batch<float> dlogits(batch, 1, 10);
    const Context context = Context(workspace).with_rng(rng);
    const loss::CrossEntropy<float> loss;
    for (auto _ : state) {
        set_zero(gradient);
        model.forward(u, logits, cache, context);
        benchmark::DoNotOptimize(static_cast<double>(
            loss(logits, BatchView<const std::int32_t>(labels.data(), {batch, 1, 1}), dlogits)));
        model.backward(u, dlogits, {}, cache, gradient, context);
        optimizer.step(model, gradient);
    }
    const std::size_t rows = batch * length;
    ssm_bench::report<float>(state, rows * width * depth, 6.0 * 2.0 * static_cast<double>(width));
    state.counters["samples/s"] = benchmark::Counter(static_cast<double>(batch),
                                                     benchmark::Counter::kIsIterationInvariantRate);
    set_threads(0);
}

}  // namespace

BENCHMARK(training_step)
    ->ArgNames({"L", "batch", "H", "depth", "N", "threads"})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Args({64, 64, 48, 3, 32, 1})
    ->Args({64, 64, 48, 3, 32, 2})
    ->Args({1024, 16, 128, 6, 64, 1})
    ->Args({1024, 16, 128, 6, 64, 2});
