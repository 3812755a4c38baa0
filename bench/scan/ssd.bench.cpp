// Mamba-2's scan (SSD), one thread. The bound counts the 2 multiply-adds that a state takes each step (6 for the
// adjoint's three scans, 3 for single steps, where memory usually decides): x_bound is the time over that of as many
// independent multiply-adds on this processor, bound_ns/number the latter for each number of x.

#include <cstddef>
#include <vector>

#include <benchmark/benchmark.h>
#include <Eigen/Core>

#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/scan/ssd.hpp>

#include "support/peak.hpp"

namespace {

const bool one_thread = (ssm::set_threads(1), true);

template <class T>
struct Problem {
    std::size_t length, heads, channels, modes;
    std::vector<T> x, y, delta, maps, A, D;
    ssm::SsdSystem<T> system;
    ssm::SsdInput<T> input;

    explicit Problem(const benchmark::State& state)
        : length(static_cast<std::size_t>(state.range(0))),
          heads(static_cast<std::size_t>(state.range(1))),
          channels(static_cast<std::size_t>(state.range(2))),
          modes(static_cast<std::size_t>(state.range(3))) {
        ssm::Rng rng(1);
        const auto fill = [&](std::vector<T>& to, std::size_t count, double low, double high) {
            to.resize(count);
            for (T& value : to)
                value = static_cast<T>(rng.uniform(low, high));
        };
        fill(x, length * heads * channels, -1.0, 1.0);
        fill(delta, length * heads, -7.0, -2.2);
        fill(maps, length * 2 * modes, -1.0, 1.0);
        fill(A, heads, -16.0, -1.0);
        fill(D, heads, 1.0, 1.0);
        y.resize(x.size());
        system = {
            .heads = heads, .channels = channels, .modes = modes, .A = A.data(), .D = D.data()};
        input = {1,
                 length,
                 {x.data(), heads * channels},
                 {delta.data(), heads},
                 {maps.data(), 2 * modes},
                 {maps.data() + modes, 2 * modes}};
    }
    void report(benchmark::State& state, double multiply_adds) const {
        const double flops = 2.0 * multiply_adds * static_cast<double>(modes);
        ssm_bench::report<T>(state, x.size(), flops);
        static const double peak = ssm_bench::peak_flops<T>();
        state.counters["bound_ns/number"] = flops / peak * 1e9;
    }
};

template <class T>
void forward(benchmark::State& state) {
    Problem<T> problem(state);
    std::vector<T> streams(problem.system.state_size());
    ssm::Workspace workspace;
    for (auto _ : state) {
        ssm::ssd_forward<T>(problem.system, problem.input,
                            {problem.y.data(), problem.heads * problem.channels}, streams.data(),
                            workspace);
        benchmark::ClobberMemory();
    }
    problem.report(state, 2.0);
}

template <class T>
void backward(benchmark::State& state) {
    Problem<T> problem(state);
    const std::size_t width = problem.heads * problem.channels;
    std::vector<T> ddelta(problem.delta.size()), dmaps(problem.maps.size()), dA(problem.heads),
        dD(problem.heads);
    const ssm::SsdGradient<T> gradient{
        .x = {problem.y.data(), width},
        .delta = {ddelta.data(), problem.heads},
        .B = {dmaps.data(), 2 * problem.modes},
        .C = {dmaps.data() + problem.modes, 2 * problem.modes},
        .A = dA.data(),
        .D = dD.data(),
    };
    ssm::Workspace workspace;
    for (auto _ : state) {
        ssm::ssd_backward<T>(problem.system, problem.input, {problem.x.data(), width}, nullptr,
                             gradient, workspace);
        benchmark::ClobberMemory();
    }
    problem.report(state, 6.0);
}

template <class T>
void step(benchmark::State& state) {
    Problem<T> problem(state);
    std::vector<T> streams(problem.system.state_size());
    for (auto _ : state) {
        ssm::ssd_step<T>(problem.system, problem.input,
                         {problem.y.data(), problem.heads * problem.channels}, streams.data());
        benchmark::ClobberMemory();
    }
    problem.report(state, 3.0);
}

/// The other evaluation that SSD is known for, chunks of Q steps as matrix products: its three products alone,
/// without the Q x Q masks of decays that it needs besides. Counted as `forward` is, of which it does the work.
template <class T>
void chunk_products(benchmark::State& state) {
    Problem<T> problem(state);
    using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const auto chunk = static_cast<Eigen::Index>(state.range(4));
    const auto channels = static_cast<Eigen::Index>(problem.channels);
    const auto modes = static_cast<Eigen::Index>(problem.modes);
    const Matrix mask = Matrix::Random(chunk, chunk);
    const Matrix x = Matrix::Random(chunk, channels);
    const Matrix B = Matrix::Random(chunk, modes);
    const Matrix C = Matrix::Random(chunk, modes);
    Matrix streams = Matrix::Random(modes, channels);
    Matrix y(chunk, channels);
    const std::size_t chunks = problem.heads * problem.length / static_cast<std::size_t>(chunk);
    const ssm::SerialRegion serial;
    for (auto _ : state) {
        for (std::size_t i = 0; i < chunks; ++i) {
            y.noalias() = C * streams;
            y.noalias() += mask.template triangularView<Eigen::Lower>() * x;
            streams *= T(0.9);
            streams.noalias() += B.transpose() * x;
        }
        benchmark::ClobberMemory();
    }
    problem.report(state, 2.0);
}

void sizes(benchmark::internal::Benchmark* b) {
    b->ArgNames({"L", "heads", "P", "N"})
        ->Args({2048, 24, 64, 128})
        ->Args({2048, 24, 64, 64})
        ->Args({2048, 8, 32, 16})
        ->Args({64, 24, 64, 128})
        ->Unit(benchmark::kMillisecond);
}

BENCHMARK(forward<float>)->Apply(sizes);
BENCHMARK(forward<double>)->ArgNames({"L", "heads", "P", "N"})->Args({2048, 24, 64, 128});
BENCHMARK(backward<float>)->Apply(sizes);
BENCHMARK(chunk_products<float>)
    ->ArgNames({"L", "heads", "P", "N", "Q"})
    ->ArgsProduct({{2048}, {24}, {64}, {128}, {32, 64, 128, 256}})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(step<float>)
    ->ArgNames({"L", "heads", "P", "N"})
    ->Args({1, 24, 64, 128})
    ->Args({1, 24, 64, 16})
    ->Args({1, 4, 20, 16});

}  // namespace
