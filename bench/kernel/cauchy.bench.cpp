// Cauchy sums of S4: one channel of 32 poles at the nodes of 1024 steps, J products with the same poles, one thread.
//
// Counters
//   time/term   time for each node, pole and product
//   x_bound     time over that of the multiply-adds, products and sums alone, 3 + 4 J (14 + 8 J for the adjoint) for
//               each node and pole, at the rate this process measured for independent multiply-adds; the reciprocal,
//               2 more of them in float with AVX-512, is left out

#include <cmath>
#include <complex>
#include <cstddef>
#include <numbers>
#include <vector>

#include <benchmark/benchmark.h>

#include <ssm/core/aligned.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/init/legs.hpp>
#include <ssm/kernel/cauchy.hpp>
#include <ssm/kernel/detail/generating_nodes.hpp>
#include <ssm/simd/pack.hpp>

#include "support/peak.hpp"

namespace {

namespace simd = ssm::simd;

constexpr std::size_t modes = 32;
constexpr std::size_t length = 1024;

const bool one_thread = (ssm::set_threads(1), true);

template <class T>
void report(benchmark::State& state, double operations) {
    static const double peak = ssm_bench::peak_flops<T>();
    const auto products = static_cast<double>(state.range(0));
    const double pairs = static_cast<double>(modes * (length / 2 - 1));
    using benchmark::Counter;
    state.counters["time/term"] =
        Counter(pairs * products, Counter::kIsIterationInvariantRate | Counter::kInvert);
    state.counters["x_bound"] = Counter(pairs * operations * 2.0 / peak,
                                        Counter::kIsIterationInvariantRate | Counter::kInvert);
}

template <class T>
struct Problem {
    explicit Problem(std::size_t count)
        : products(count), problem(modes, count, workspace), nodes(length) {
        ssm::Rng rng(1);
        const auto W = ssm::init::LegS{}.nplr(modes).W;
        for (std::size_t n = 0; n < modes; ++n) {
            problem.m_re[n] = -0.005 * W[static_cast<Eigen::Index>(n)].real();
            problem.m_im[n] = -0.005 * W[static_cast<Eigen::Index>(n)].imag();
        }
        for (std::size_t i = 0; i < modes * products; ++i) {
            problem.v_re[i] = rng.normal();
            problem.v_im[i] = rng.normal();
        }
        problem.prepare();
        for (auto* numbers : {&re, &im, &third})
            numbers->assign(products * nodes.stride, T(0.5));
    }

    std::size_t products;
    ssm::Workspace workspace;
    ssm::detail::CauchyProblem<T, simd::Arch> problem;
    ssm::detail::GeneratingNodes<T> nodes;
    ssm::AlignedVector<T> re, im, third;
};

template <class T>
void sums(benchmark::State& state) {
    Problem<T> p(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        p.problem.sums().evaluate(p.nodes.y.data(), p.nodes.count, p.nodes.stride, p.re.data(),
                                  p.im.data());
        benchmark::ClobberMemory();
    }
    report<T>(state, 3.0 + 4.0 * static_cast<double>(p.products));
}

template <class T>
void adjoint(benchmark::State& state) {
    Problem<T> p(static_cast<std::size_t>(state.range(0)));
    double sum = 0.0;
    for (auto _ : state) {
        p.problem.adjoint(
            p.nodes.y.data(), p.nodes.count, p.nodes.stride,
            {p.re.data(), p.im.data(), p.third.data()},
            [&](std::size_t, double a, double b) { sum += a + b; },
            [&](std::size_t, std::size_t, double a, double b) { sum += a + b; });
        benchmark::DoNotOptimize(sum);
    }
    report<T>(state, 14.0 + 8.0 * static_cast<double>(p.products));
}

/// The sums as one writes them first.
void plain_loop(benchmark::State& state) {
    Problem<double> p(1);
    for (auto _ : state) {
        for (std::size_t k = 0; k < p.nodes.count; ++k) {
            std::complex<double> sum = 0.0;
            const std::complex<double> node(0.0, p.nodes.y[k]);
            for (std::size_t n = 0; n < modes; ++n) {
                const std::complex<double> v(p.problem.v_re[n], p.problem.v_im[n]);
                const std::complex<double> m(p.problem.m_re[n], p.problem.m_im[n]);
                sum += v / (node + m) + std::conj(v) / (node + std::conj(m));
            }
            p.re[k] = sum.real();
            p.im[k] = sum.imag();
        }
        benchmark::ClobberMemory();
    }
    report<double>(state, 8.0);
}

BENCHMARK(sums<float>)->Arg(1)->Arg(2)->Arg(4)->Arg(6)->Unit(benchmark::kMicrosecond);
BENCHMARK(sums<double>)->Arg(1)->Arg(4)->Unit(benchmark::kMicrosecond);
BENCHMARK(adjoint<float>)->Arg(1)->Arg(4)->Unit(benchmark::kMicrosecond);
BENCHMARK(adjoint<double>)->Arg(4)->Unit(benchmark::kMicrosecond);
BENCHMARK(plain_loop)->Arg(1)->Unit(benchmark::kMicrosecond);

}  // namespace
