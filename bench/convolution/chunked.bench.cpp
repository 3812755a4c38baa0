// Diagonal systems in chunks, one thread, tables included: they are made in every call. The bound
// counts the multiply-adds of the chunks: 4 n + 3 T / 4 + 4 n / T for each number.

#include <cstddef>

#include <benchmark/benchmark.h>

#include <ssm/convolution/chunked.hpp>
#include <ssm/core/aligned.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>

#include "support/diagonal.hpp"
#include "support/peak.hpp"

namespace {

using ssm_bench::DiagonalProblem;

const bool one_thread = (ssm::set_threads(1), true);

template <class T>
void chunked(benchmark::State& state) {
    DiagonalProblem<T> problem(state);
    ssm::Workspace workspace;
    for (auto _ : state) {
        ssm::chunked_forward<T>(problem.modes, {}, problem.u, problem.y, workspace);
        benchmark::ClobberMemory();
    }
    const double modes = static_cast<double>(problem.modes.shape.modes);
    const double steps = static_cast<double>(ssm::detail::chunk_steps<T>);
    ssm_bench::report<T>(state, problem.u.size(),
                         2.0 * (4.0 * modes + 0.75 * steps + 4.0 * modes / steps));
}

/// The tables of one channel; ns/number is the time for them.
template <class T>
void chunk_tables(benchmark::State& state) {
    using Tables = ssm::detail::ChunkTables<T>;
    const ssm::Modes modes = ssm_bench::diagonal_modes({16, DiagonalProblem<T>::size(state, 0), 1});
    ssm::AlignedVector<T> memory(Tables::size(modes.shape));
    ssm::AlignedVector<T> powers(Tables::scratch_size(modes.shape));
    const Tables tables(modes.shape, memory.data());
    for (auto _ : state) {
        tables.fill(modes, 3, nullptr, powers.data());
        benchmark::ClobberMemory();
    }
    ssm_bench::report<T>(state, 1, 0.0);
}

BENCHMARK(chunked<float>)->Apply(ssm_bench::diagonal_sizes);
BENCHMARK(chunked<float>)->Name("chunked_long<float>")->Apply(ssm_bench::long_sizes);
BENCHMARK(chunked<double>)->ArgNames({"L", "batch", "H", "n"})->Args({4096, 1, 256, 32});
BENCHMARK(chunk_tables<float>)->ArgNames({"n"})->Arg(4)->Arg(32);

}  // namespace
