#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

#include <benchmark/benchmark.h>

#include <ssm/simd/pack.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm_bench {

/// Flops per second of independent multiply-adds of packs on one core, the best of many short runs.
template <class T>
double peak_flops() {
    namespace simd = ssm::simd;
    constexpr std::size_t chains = 12;
    constexpr std::size_t rounds = 20000;
    using Clock = std::chrono::steady_clock;
    double best = 1e9;
    for (int repetition = 0; repetition < 50; ++repetition) {
        simd::Pack<T> x[chains];
        simd::unroll<chains>([&](auto c) SSM_INLINE_LAMBDA { x[c] = simd::iota<T>() + T(c); });
        const simd::Pack<T> factor(T(0.999));
        const auto start = Clock::now();
        for (std::size_t i = 0; i < rounds; ++i)
            simd::unroll<chains>([&](auto c)
                                     SSM_INLINE_LAMBDA { x[c] = simd::fma(x[c], factor, factor); });
        const std::chrono::duration<double> time = Clock::now() - start;
        simd::unroll<chains>(
            [&](auto c) SSM_INLINE_LAMBDA { benchmark::DoNotOptimize(simd::reduce_add(x[c])); });
        best = std::min(best, time.count());
    }
    return 2.0 * static_cast<double>(simd::width<T> * rounds * chains) / best;
}

/// Counters of a benchmark whose iteration computes `count` numbers of `flops` operations each:
///   ns/number   time for each
///   GFLOP/s     rate
///   x_bound     time over that of the same flops as independent multiply-adds
template <class T>
void report(benchmark::State& state, std::size_t count, double flops) {
    static const double peak = peak_flops<T>();
    using benchmark::Counter;
    const double numbers = static_cast<double>(count);
    state.counters["ns/number"] =
        Counter(numbers * 1e-9, Counter::kIsIterationInvariantRate | Counter::kInvert);
    state.counters["GFLOP/s"] = Counter(numbers * flops * 1e-9, Counter::kIsIterationInvariantRate);
    state.counters["x_bound"] =
        Counter(numbers * flops / peak, Counter::kIsIterationInvariantRate | Counter::kInvert);
}

}  // namespace ssm_bench
