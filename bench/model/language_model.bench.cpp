// A Mamba language model of the shape of mamba-130m with random weights: reading a prompt, decoding with weights in
// float and in Bfloat16, and a training step of a small one.
//
// The bound of decoding is a read of all weights as fast as this machine can: it is measured between the tokens, with
// the same number of threads, and x_bound is the time of a token over that of the read. `products` is the share of a
// prompt's time that its matrix products take alone. `MB` is the resident memory at the end, `MB grown` what the tokens
// added to it.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include <benchmark/benchmark.h>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/mamba.hpp>
#include <ssm/math/weight_product.hpp>
#include <ssm/model/language_model.hpp>
#include <ssm/train/adam.hpp>
#include <ssm/train/cross_entropy.hpp>

#include "support/peak.hpp"

namespace {

using namespace ssm;
using Full = LanguageModel<Mamba<float>>;
using Half = LanguageModel<Mamba<float, Bfloat16>>;
using benchmark::Counter;

template <class Model>
const Model& model_130m() {
    static const Model model = [] {
        if constexpr (std::is_same_v<Model, Full>)
            return Full({.tokens = 50280, .width = 768, .depth = 24}, {}, Rng(1));
        else
            return Half(model_130m<Full>());
    }();
    return model;
}

/// Settings of a benchmark, put back at its end.
class Threads {
public:
    explicit Threads(std::size_t count) : work_(least_parallel_work()) {
        set_threads(count);
        set_least_parallel_work(1e5);
    }
    Threads(const Threads&) = delete;
    Threads& operator=(const Threads&) = delete;
    ~Threads() {
        set_threads(0);
        set_least_parallel_work(work_);
    }

private:
    double work_;
};

/// Times of calls that alternate with others; the median, because other programs disturb some of them.
class Stopwatch {
public:
    template <class Call>
    void operator()(Call&& call) {
        const auto start = std::chrono::steady_clock::now();
        call();
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
        seconds_.push_back(time.count());
    }
    [[nodiscard]] double median() {
        const auto middle = seconds_.begin() + static_cast<std::ptrdiff_t>(seconds_.size() / 2);
        std::nth_element(seconds_.begin(), middle, seconds_.end());
        return *middle;
    }

private:
    std::vector<double> seconds_;
};

std::vector<std::int32_t> random_tokens(std::size_t count, std::size_t vocabulary) {
    Rng rng(2);
    std::vector<std::int32_t> tokens(count);
    for (std::int32_t& token : tokens)
        token = static_cast<std::int32_t>(rng.below(vocabulary));
    return tokens;
}

/// The matrix products of a prompt of `rows` tokens and nothing else.
void products_alone(const Full& model, std::size_t rows, Workspace& workspace) {
    const Workspace::Frame frame = workspace.frame();
    const auto product = [&](const Tensor<float>& weight, std::size_t count) {
        const std::size_t n = weight.extent(0);
        const std::size_t k = weight.extent(1);
        const Workspace::Frame inner = workspace.frame();
        const std::span<const float> u = workspace.take_zero<float>(count * k);
        const std::span<float> y = workspace.take<float>(count * n);
        math::weight_product<float>(matrix_map(u.data(), count, k), weight.data(), nullptr,
                                    matrix_map(y.data(), count, n), workspace);
        benchmark::DoNotOptimize(y.data());
    };
    for (const auto& block : model.blocks().layers) {
        product(block.inner.in_proj.weight, rows);
        product(block.inner.x_proj.weight, rows);
        product(block.inner.dt_proj.weight, rows);
        product(block.inner.out_proj.weight, rows);
    }
    product(model.head_weight(), 1);
}

/// Arguments: L, threads.
void prompt(benchmark::State& state) {
    const Threads threads(static_cast<std::size_t>(state.range(1)));
    const auto length = static_cast<std::size_t>(state.range(0));
    const Full& model = model_130m<Full>();
    const auto tokens = random_tokens(length, model.tokens());
    const BatchView<const std::int32_t> u(tokens.data(), {1, length, 1});
    Batch<float> logits(1, 1, model.out_channels());
    Workspace workspace;
    Stopwatch whole, products;
    for (auto _ : state) {
        auto stream = model.rest_state();
        whole([&] { model.prefill(u, logits, stream, workspace); });
        state.PauseTiming();
        products([&] { products_alone(model, length, workspace); });
        state.ResumeTiming();
    }
    state.counters["tokens/s"] = static_cast<double>(length) / whole.median();
    state.counters["products"] = products.median() / whole.median();
}

/// Reads all weights of a model, as fast as the machine can.
template <class Model>
std::size_t read_weights(const Model& model) {
    std::size_t bytes = 0;
    visit(
        [&](std::string_view, const WeightTraits&, const auto& weight) {
            constexpr std::size_t grain = std::size_t{1} << 15U;  // words
            const auto* const data = reinterpret_cast<const std::byte*>(weight.data());
            const std::size_t size = weight.flat().size_bytes();
            parallel_ranges(size / 8, grain,
                            [&](std::size_t begin, std::size_t end, std::size_t) {
                                std::uint64_t sum = 0;
                                for (std::size_t i = begin; i < end; ++i) {
                                    std::uint64_t word = 0;
                                    std::memcpy(&word, data + 8 * i, 8);
                                    sum += word;
                                }
                                benchmark::DoNotOptimize(sum);
                            },
                            {8.0 * static_cast<double>(grain) / 20.0});
            bytes += size;
        },
        model);
    return bytes;
}

/// Resident memory in MB; 0 where that is not known.
double resident() {
    std::ifstream file("/proc/self/statm");
    double whole = 0.0;
    double pages = 0.0;
    file >> whole >> pages;
    return pages * 4096.0 / 1048576.0;
}

/// One token at a time. Arguments: texts, threads.
template <class Model>
void decode(benchmark::State& state) {
    const auto texts = static_cast<std::size_t>(state.range(0));
    const Threads threads(static_cast<std::size_t>(state.range(1)));
    const Model& model = model_130m<Model>();
    auto stream = model.rest_state(texts);
    const auto tokens = random_tokens(texts, model.tokens());
    std::vector<float> logits(texts * model.out_channels());
    model.step(tokens, logits, stream);
    const double before = resident();
    Stopwatch steps, reads;
    std::size_t bytes = 0;
    for (auto _ : state) {
        steps([&] { model.step(tokens, logits, stream); });
        state.PauseTiming();
        reads([&] { bytes = read_weights(model); });
        state.ResumeTiming();
    }
    state.counters["tokens/s"] = static_cast<double>(texts) / steps.median();
    state.counters["GB/s"] = static_cast<double>(bytes) * 1e-9 / steps.median();
    state.counters["x_bound"] = steps.median() / reads.median();
    state.counters["MB"] = resident();
    state.counters["MB grown"] = resident() - before;
}

/// Forward, loss, backward and update of a model of bytes: width 128, depth 4, 16 sequences of 256.
void training_step(benchmark::State& state) {
    constexpr std::size_t batch = 16;
    constexpr std::size_t length = 256;
    const Threads threads(static_cast<std::size_t>(state.range(0)));
    Full model({.tokens = 256, .width = 128, .depth = 4}, {}, Rng(1));
    AdamW<Full> optimizer(model, {.learning_rate = 1e-3});
    Full gradient = zeros_like(model);
    Full::Cache cache;
    Workspace workspace;
    const auto tokens = random_tokens(batch * length, 256);
    const BatchView<const std::int32_t> u(tokens.data(), {batch, length, 1});
    Batch<float> logits(batch, length, 256);
    const loss::CrossEntropy<float> loss;
    for (auto _ : state) {
        set_zero(gradient);
        model.forward(u, logits, cache, workspace);
        benchmark::DoNotOptimize(static_cast<double>(loss(logits, u, logits)));
        model.backward(u, logits, {}, cache, gradient, workspace);
        optimizer.step(model, gradient);
    }
    // 6 flops for each weight of a matrix and each token.
    std::size_t weights = model.embedding().weight.size();
    for (const auto& block : model.blocks().layers)
        weights += block.inner.in_proj.weight.size() + block.inner.x_proj.weight.size() +
                   block.inner.dt_proj.weight.size() + block.inner.out_proj.weight.size();
    ssm_bench::report<float>(state, batch * length, 6.0 * static_cast<double>(weights));
    state.counters["tokens/s"] =
        Counter(static_cast<double>(batch * length), Counter::kIsIterationInvariantRate);
}

BENCHMARK(prompt)
    ->ArgNames({"L", "threads"})
    ->Args({512, 1})
    ->Args({512, 2})
    ->Args({2048, 1})
    ->Args({2048, 2})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
void texts_and_threads(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"texts", "threads"})
        ->Args({1, 1})
        ->Args({1, 2})
        ->Args({4, 1})
        ->Iterations(50)
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
}
BENCHMARK_TEMPLATE(decode, Full)->Apply(texts_and_threads);
BENCHMARK_TEMPLATE(decode, Half)->Apply(texts_and_threads);
BENCHMARK(training_step)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
