// Pointwise functions on arrays in the first-level cache, next to the standard library, Eigen and
// xsimd's own.
//
// Counters
//   items_per_second  elements
//   bound             the same for a lower bound of the time: the multiplications and fused
//                     multiply-adds of the formula, which only the FMA ports can execute, at the rate
//                     this process measured for independent ones; divisions, shuffles, comparisons
//                     and moves are taken to fit beside them
//   x_bound           time over that lower bound

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <Eigen/Core>
#include <xsimd/xsimd.hpp>

#include <ssm/math/pointwise.hpp>

#include "support/peak.hpp"

namespace math = ssm::math;
namespace simd = ssm::simd;

namespace {

constexpr std::size_t length = 1024;

/// Fused multiply-adds of packs a second, at the peak rate.
template <class T>
double fma_packs_per_second() {
    return ssm_bench::peak_flops<T>() / (2.0 * static_cast<double>(simd::width<T>));
}

template <class T>
double bound_per_second(std::size_t operations) {
    static const double rate = fma_packs_per_second<T>();
    return rate * static_cast<double>(simd::width<T>) / static_cast<double>(operations);
}

template <class T, class Map>
void run(benchmark::State& state, std::size_t operations, T low, T high, Map map) {
    std::vector<T> x(length);
    std::vector<T> y(length);
    for (std::size_t i = 0; i < length; ++i)
        x[i] = low + (high - low) * static_cast<T>((i * 389) % length) / static_cast<T>(length);
    for (auto _ : state) {
        map(x.data(), y.data());
        benchmark::DoNotOptimize(y.data());
        benchmark::ClobberMemory();
    }
    const double items = static_cast<double>(length) * static_cast<double>(state.iterations());
    state.SetItemsProcessed(static_cast<std::int64_t>(items));
    if (operations > 0) {
        const double bound = bound_per_second<T>(operations);
        state.counters["bound"] = bound;
        state.counters["x_bound"] = benchmark::Counter(
            items / bound, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
    }
}

template <class F>
auto ours(F f) {
    return [f](const auto* x, auto* y) { math::apply(f, x, y, length); };
}
template <class F>
auto one_by_one(F f) {
    return [f](const auto* x, auto* y) { std::transform(x, x + length, y, f); };
}
template <class F>
auto eigen(F f) {
    return [f](const auto* x, auto* y) {
        using T = std::remove_reference_t<decltype(*y)>;
        using Array = Eigen::Array<T, Eigen::Dynamic, 1>;
        Eigen::Map<Array>(y, length) = f(Eigen::Map<const Array>(x, length));
    };
}
template <class F>
auto plain_xsimd(F f) {
    return [f](const auto* x, auto* y) {
        using Batch = xsimd::batch<std::remove_reference_t<decltype(*y)>>;
        for (std::size_t i = 0; i < length; i += Batch::size)
            f(Batch::load_unaligned(x + i)).store_unaligned(y + i);
    };
}

template <class T, class Map>
void add(const std::string& name, std::size_t operations, double low, double high, Map map) {
    const std::string full = name + (sizeof(T) == 4 ? "/float" : "/double");
    benchmark::RegisterBenchmark(full.c_str(), [=](benchmark::State& state) {
        run<T>(state, operations, static_cast<T>(low), static_cast<T>(high), map);
    });
}

/// One function of ours and of the others on the same numbers; `operations` counts what needs the
/// FMA ports.
template <class T>
void add_all() {
    constexpr bool is_float = sizeof(T) == 4;
    const auto count = [](std::size_t in_float, std::size_t in_double) {
        return is_float ? in_float : in_double;
    };
    add<T>("exp/ssm", count(9, 14), -20, 20, ours(math::exp));
    add<T>("exp/std", 0, -20, 20, one_by_one([](T x) { return std::exp(x); }));
    add<T>("exp/eigen", 0, -20, 20, eigen([](const auto& x) { return x.exp(); }));
    add<T>("exp/xsimd", 0, -20, 20, plain_xsimd([](auto x) { return xsimd::exp(x); }));
    add<T>("exp2/ssm", count(7, 12), -20, 20, ours(math::exp2));
    add<T>("exp2/xsimd", 0, -20, 20, plain_xsimd([](auto x) { return xsimd::exp2(x); }));
    add<T>("exp2_fast/ssm", count(5, 9), -20, 20,
           ours([](auto x) SSM_INLINE_LAMBDA { return simd::exp2_fast(x); }));
    add<T>("expm1/ssm", count(10, 15), -5, 5, ours(math::expm1));
    add<T>("expm1/std", 0, -5, 5, one_by_one([](T x) { return std::expm1(x); }));
    add<T>("expm1/xsimd", 0, -5, 5, plain_xsimd([](auto x) { return xsimd::expm1(x); }));
    add<T>("log/ssm", count(12, 13), 0.01, 100, ours(math::log));
    add<T>("log/std", 0, 0.01, 100, one_by_one([](T x) { return std::log(x); }));
    add<T>("log/eigen", 0, 0.01, 100, eigen([](const auto& x) { return x.log(); }));
    add<T>("log/xsimd", 0, 0.01, 100, plain_xsimd([](auto x) { return xsimd::log(x); }));
    add<T>("sincos/ssm", count(15, 22), -30, 30, ours([](auto x) SSM_INLINE_LAMBDA {
               const auto y = simd::sincos(x);
               return y.sin + y.cos;
           }));
    add<T>("sincos/std", 0, -30, 30, one_by_one([](T x) { return std::sin(x) + std::cos(x); }));
    add<T>("sincos/xsimd", 0, -30, 30, plain_xsimd([](auto x) {
               const auto y = xsimd::sincos(x);
               return y.first + y.second;
           }));
    add<T>("tanh/ssm", count(11, 16), -5, 5, ours(math::tanh));
    add<T>("tanh/std", 0, -5, 5, one_by_one([](T x) { return std::tanh(x); }));
    add<T>("tanh/eigen", 0, -5, 5, eigen([](const auto& x) { return x.tanh(); }));
    add<T>("tanh/xsimd", 0, -5, 5, plain_xsimd([](auto x) { return xsimd::tanh(x); }));
    add<T>("sigmoid/ssm", count(9, 14), -20, 20, ours(math::sigmoid));
    add<T>("silu/ssm", count(10, 15), -20, 20, ours(math::silu));
    add<T>("softplus/ssm", count(22, 28), -20, 20, ours(math::softplus));
    add<T>("erf/ssm", count(29, 54), -3, 3, ours(math::erf));
    add<T>("erf/std", 0, -3, 3, one_by_one([](T x) { return std::erf(x); }));
    add<T>("erf/xsimd", 0, -3, 3, plain_xsimd([](auto x) { return xsimd::erf(x); }));
    add<T>("gelu/ssm", count(26, 43), -5, 5, ours(math::gelu));
    add<T>("gelu_tanh/ssm", count(13, 18), -5, 5, ours(math::gelu_tanh));
}

const bool registered = [] {
    add_all<float>();
    add_all<double>();
    return true;
}();

}  // namespace
