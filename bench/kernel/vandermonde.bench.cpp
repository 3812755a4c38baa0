// From parameters to convolution kernels: S4D with H = 256 channels of n = 32 modes, one thread.
//
// Counters
//   time/(n,l)  time for each mode and step
//   x_bound     time over that of the multiply-adds alone (2 for a kernel, 4 for its adjoint, in packs of
//               T), at the rate this process measured for independent ones
//   time/mode   time for each mode (discretisation)

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <numbers>
#include <vector>

#include <benchmark/benchmark.h>
#include <Eigen/Core>

#include <ssm/core/aligned.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/bilinear.hpp>
#include <ssm/discretize/dss.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/discretize/zoh.hpp>
#include <ssm/kernel/vandermonde.hpp>
#include <ssm/simd/pack.hpp>

#include "support/peak.hpp"

namespace simd = ssm::simd;

namespace {

constexpr std::size_t channels = 256;
constexpr std::size_t modes_per_channel = 32;

/// Seconds of one multiply-add of packs at the peak rate.
template <class T>
double seconds_per_multiply_add() {
    return 2.0 * static_cast<double>(simd::width<T>) / ssm_bench::peak_flops<T>();
}

/// Rate and ratio to the bound for `terms` pairs (n, l) an iteration, `operations` multiply-adds each.
template <class T>
void report(benchmark::State& state, std::size_t terms, double operations) {
    static const double multiply_add = seconds_per_multiply_add<T>();
    const double bound = multiply_add * operations / static_cast<double>(simd::width<T>);
    const double count = static_cast<double>(terms);
    using benchmark::Counter;
    state.counters["time/(n,l)"] =
        Counter(count, Counter::kIsIterationInvariantRate | Counter::kInvert);
    state.counters["x_bound"] =
        Counter(count * bound, Counter::kIsIterationInvariantRate | Counter::kInvert);
}

struct Bank {
    Bank() {
        ssm::Rng rng(1);
        for (std::size_t h = 0; h < channels; ++h) {
            const double step = std::exp(rng.uniform(std::log(1e-3), std::log(1e-1)));
            for (std::size_t n = 0; n < modes_per_channel; ++n) {
                lambda_re.push_back(-0.5);
                lambda_im.push_back(-std::numbers::pi * static_cast<double>(n));
                dt.push_back(step);
            }
        }
        b_re.resize(dt.size());
        b_im.resize(dt.size());
        for (std::size_t i = 0; i < modes.residue_re.size(); ++i) {
            modes.residue_re[i] = rng.normal();
            modes.residue_im[i] = rng.normal();
        }
        discretize(ssm::Zoh{});
    }

    template <class Method>
    void discretize(const Method& method) {
        method.forward(lambda_re, lambda_im, dt, modes.pole_re, modes.pole_im, b_re, b_im);
    }

    ssm::AlignedVector<double> lambda_re, lambda_im, dt, b_re, b_im;
    ssm::Modes modes{{channels, modes_per_channel, 1}};
};

const bool one_thread = (ssm::set_threads(1), true);

template <class T>
void kernel(benchmark::State& state) {
    const auto length = static_cast<std::size_t>(state.range(0));
    const Bank bank;
    ssm::AlignedVector<T> K(channels * length);
    ssm::Workspace workspace;
    for (auto _ : state) {
        ssm::vandermonde<T>(bank.modes, length, K, workspace);
        benchmark::ClobberMemory();
    }
    report<T>(state, K.size() * modes_per_channel, 2.0);
}

/// The products alone: the columns are prepared once.
template <class T>
void kernel_without_tables(benchmark::State& state) {
    const auto length = static_cast<std::size_t>(state.range(0));
    const Bank bank;
    ssm::AlignedVector<T> K(length);
    ssm::Workspace workspace;
    ssm::detail::VandermondeForward<T, simd::Arch> worker(modes_per_channel, length, workspace);
    worker.set_poles(bank.modes.pole_re.data(), bank.modes.pole_im.data());
    for (auto _ : state) {
        worker.evaluate(bank.modes.residue_re.data(), bank.modes.residue_im.data(), K.data());
        benchmark::ClobberMemory();
    }
    report<T>(state, K.size() * modes_per_channel, 2.0);
}

template <class T>
void adjoint(benchmark::State& state) {
    const auto length = static_cast<std::size_t>(state.range(0));
    const Bank bank;
    ssm::AlignedVector<T> upstream(channels * length, T(0.5));
    ssm::Modes gradient(bank.modes.shape);
    ssm::Workspace workspace;
    for (auto _ : state) {
        ssm::vandermonde_adjoint<T>(bank.modes, length, upstream, gradient, workspace);
        benchmark::ClobberMemory();
    }
    report<T>(state, upstream.size() * modes_per_channel, 4.0);
}

/// The recurrence over std::complex<double>, as one writes it first.
void plain_loop(benchmark::State& state) {
    const auto length = static_cast<std::size_t>(state.range(0));
    const Bank bank;
    std::vector<double> K(length);
    for (auto _ : state) {
        std::fill(K.begin(), K.end(), 0.0);
        for (std::size_t n = 0; n < modes_per_channel; ++n) {
            const std::complex<double> z(bank.modes.pole_re[n], bank.modes.pole_im[n]);
            std::complex<double> power(bank.modes.residue_re[n], bank.modes.residue_im[n]);
            for (double& k : K) {
                k += power.real();
                power *= z;
            }
        }
        benchmark::ClobberMemory();
    }
    report<double>(state, length * modes_per_channel, 2.0);
}

/// The same factorisation with Eigen's matrix product, tables included.
void eigen_product(benchmark::State& state) {
    using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    constexpr Eigen::Index block = 64;
    const auto length = static_cast<Eigen::Index>(state.range(0));
    const auto n = static_cast<Eigen::Index>(modes_per_channel);
    const Bank bank;
    Matrix fine(2 * n, block);
    Matrix coarse(length / block, 2 * n);
    Matrix K(length / block, block);
    for (auto _ : state) {
        for (Eigen::Index i = 0; i < n; ++i) {
            const auto j = static_cast<std::size_t>(i);
            const std::complex<double> z(bank.modes.pole_re[j], bank.modes.pole_im[j]);
            std::complex<double> power = 1.0;
            for (Eigen::Index s = 0; s < block; ++s, power *= z) {
                fine(i, s) = static_cast<float>(power.real());
                fine(n + i, s) = static_cast<float>(-power.imag());
            }
            std::complex<double> row(bank.modes.residue_re[j], bank.modes.residue_im[j]);
            for (Eigen::Index q = 0; q < coarse.rows(); ++q, row *= power) {
                coarse(q, i) = static_cast<float>(row.real());
                coarse(q, n + i) = static_cast<float>(row.imag());
            }
        }
        K.noalias() = coarse * fine;
        benchmark::ClobberMemory();
    }
    report<float>(state, static_cast<std::size_t>(length) * modes_per_channel, 2.0);
}

template <class Method>
void discretize(benchmark::State& state, Method method) {
    Bank bank;
    for (auto _ : state) {
        bank.discretize(method);
        benchmark::ClobberMemory();
    }
    using benchmark::Counter;
    state.counters["time/mode"] = Counter(static_cast<double>(bank.dt.size()),
                                          Counter::kIsIterationInvariantRate | Counter::kInvert);
}

template <class Method>
void discretize_adjoint(benchmark::State& state, Method method) {
    const Bank bank;
    const std::size_t count = bank.dt.size();
    ssm::AlignedVector<double> re(count);
    ssm::AlignedVector<double> im(count);
    ssm::AlignedVector<double> dt(count);
    for (auto _ : state) {
        method.adjoint(bank.lambda_re, bank.lambda_im, bank.dt, bank.b_re, bank.b_im, bank.b_im,
                       bank.b_re, re, im, dt);
        benchmark::ClobberMemory();
    }
    using benchmark::Counter;
    state.counters["time/mode"] =
        Counter(static_cast<double>(count), Counter::kIsIterationInvariantRate | Counter::kInvert);
}

BENCHMARK(kernel<float>)->Arg(1024)->Arg(4096)->Arg(16384)->Unit(benchmark::kMicrosecond);
BENCHMARK(kernel<double>)->Arg(4096)->Unit(benchmark::kMicrosecond);
BENCHMARK(kernel_without_tables<float>)
    ->Arg(1024)
    ->Arg(4096)
    ->Arg(16384)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(kernel_without_tables<double>)->Arg(4096)->Unit(benchmark::kMicrosecond);
BENCHMARK(adjoint<float>)->Arg(1024)->Arg(4096)->Arg(16384)->Unit(benchmark::kMicrosecond);
BENCHMARK(adjoint<double>)->Arg(4096)->Unit(benchmark::kMicrosecond);
BENCHMARK(plain_loop)->Arg(4096)->Unit(benchmark::kMicrosecond);
BENCHMARK(eigen_product)->Arg(1024)->Arg(4096)->Arg(16384)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(discretize, zoh, ssm::Zoh{})->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(discretize, bilinear, ssm::Bilinear{})->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(discretize, dss, ssm::Dss{}.with_length(4096))->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(discretize_adjoint, zoh, ssm::Zoh{})->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(discretize_adjoint, bilinear, ssm::Bilinear{})->Unit(benchmark::kMicrosecond);

}  // namespace
