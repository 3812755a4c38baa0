// Long convolutions of H channels, one thread; the peers convolve the same numbers with channels first, which is
// the order they like and saves them the transposition.
//
// flops are those of the textbook algorithm, two real transforms of 2 L points and a product: 10 log2(2 L) + 6
// for each number put out, 1.5 times that and one transform of each kernel for the adjoint.

#include <cmath>
#include <complex>
#include <cstddef>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>
#include <unsupported/Eigen/FFT>
#ifdef SSM_BENCH_FFTW
#include <fftw3.h>
#endif

#include <ssm/convolution/fft.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>

#include "support/peak.hpp"

namespace {

const bool one_thread = (ssm::set_threads(1), true);

double flops(std::size_t length) {
    return 10.0 * std::log2(2.0 * static_cast<double>(length)) + 6.0;
}

template <class T>
void fill(std::span<T> values) {
    std::mt19937 engine(1);
    std::normal_distribution<float> normal;
    for (T& value : values)
        value = static_cast<T>(normal(engine));
}

/// Arguments of all benchmarks: length, batch, channels.
template <class T>
struct Problem {
    explicit Problem(const benchmark::State& state)
        : length(static_cast<std::size_t>(state.range(0))),
          batch(static_cast<std::size_t>(state.range(1))),
          channels(static_cast<std::size_t>(state.range(2))),
          taps(channels * length),
          u(batch, length, channels),
          y(u.shape()) {
        fill<T>(taps);
        fill<T>(u.view().flat());
    }
    [[nodiscard]] ssm::ConvolutionKernel<const T> kernel() const {
        return {.shape = {1, channels, length}, .causal = taps};
    }
    void report(benchmark::State& state, double flops_each) const {
        ssm_bench::report<T>(state, u.size(), flops_each);
    }

    std::size_t length, batch, channels;
    ssm::AlignedVector<T> taps;
    ssm::Batch<T> u, y;
};

template <class T>
void forward(benchmark::State& state) {
    Problem<T> problem(state);
    ssm::Workspace workspace;
    const ssm::KernelSpectrum<T> kernel(problem.kernel(), problem.length, workspace);
    const auto run = [&] {
        ssm::fft_convolution<T>(problem.u.view(), kernel, problem.y, workspace);
    };
    run();  // fresh memory is slow the first time
    for (auto _ : state) {
        run();
        benchmark::ClobberMemory();
    }
    problem.report(state, flops(problem.length));
}

template <class T>
void forward_with_preparation(benchmark::State& state) {
    Problem<T> problem(state);
    ssm::Workspace workspace;
    ssm::KernelSpectrum<T> kernel;
    const auto run = [&] {
        kernel.prepare(problem.kernel(), problem.length, workspace);
        ssm::fft_convolution<T>(problem.u.view(), kernel, problem.y, workspace);
    };
    run();  // fresh memory is slow the first time
    for (auto _ : state) {
        run();
        benchmark::ClobberMemory();
    }
    problem.report(state, flops(problem.length) * (1.0 + 0.5 / static_cast<double>(problem.batch)));
}

template <class T>
void adjoint(benchmark::State& state) {
    Problem<T> problem(state);
    ssm::Workspace workspace;
    const ssm::KernelSpectrum<T> kernel(problem.kernel(), problem.length, workspace);
    ssm::AlignedVector<T> gradient(problem.taps.size());
    ssm::Batch<T> dy(problem.u);
    const auto run = [&] {
        ssm::fft_convolution_adjoint<T>(problem.u.view(), dy.view(), kernel, problem.y,
                                        {.shape = kernel.shape(), .causal = gradient}, workspace);
    };
    run();  // fresh memory is slow the first time
    for (auto _ : state) {
        run();
        benchmark::ClobberMemory();
    }
    problem.report(state, flops(problem.length) * (1.5 + 0.5 / static_cast<double>(problem.batch)));
}

/// Multiplies spectra; plain loops over pairs, which compilers vectorise.
void multiply(std::complex<float>* x, const std::complex<float>* k, std::size_t count) {
    auto* const numbers = reinterpret_cast<float*>(x);
    const auto* const factors = reinterpret_cast<const float*>(k);
    for (std::size_t i = 0; i < count; ++i) {
        const float re = numbers[2 * i] * factors[2 * i] - numbers[2 * i + 1] * factors[2 * i + 1];
        const float im = numbers[2 * i] * factors[2 * i + 1] + numbers[2 * i + 1] * factors[2 * i];
        numbers[2 * i] = re;
        numbers[2 * i + 1] = im;
    }
}

/// Convolves every channel with `forward(real, spectrum)` and `backward(spectrum, real)` of 2 L points.
template <class Forward, class Backward>
void convolve_channels_first(benchmark::State& state, Forward&& forward, Backward&& backward,
                             float* real, std::complex<float>* spectrum) {
    Problem<float> problem(state);
    const std::size_t length = problem.length;
    std::vector<std::complex<float>> kernels(problem.channels * (length + 1), {0.01F, 0.0F});
    for (auto _ : state) {
        for (std::size_t i = 0; i < problem.batch * problem.channels; ++i) {
            std::copy_n(problem.u.data() + i * length, length, real);
            std::fill_n(real + length, length, 0.0F);
            forward(real, spectrum);
            multiply(spectrum, kernels.data() + i % problem.channels * (length + 1), length + 1);
            backward(spectrum, real);
            std::copy_n(real, length, problem.y.data() + i * length);
        }
        benchmark::ClobberMemory();
    }
    problem.report(state, flops(length));
}

void eigen_kissfft(benchmark::State& state) {
    const auto length = static_cast<std::size_t>(state.range(0));
    Eigen::FFT<float> fft;
    fft.SetFlag(Eigen::FFT<float>::HalfSpectrum);
    fft.SetFlag(Eigen::FFT<float>::Unscaled);
    const auto size = static_cast<Eigen::Index>(2 * length);
    std::vector<float> real(2 * length);
    std::vector<std::complex<float>> spectrum(length + 1);
    convolve_channels_first(
        state, [&](float* x, std::complex<float>* X) { fft.fwd(X, x, size); },
        [&](std::complex<float>* X, float* x) { fft.inv(x, X, size); }, real.data(),
        spectrum.data());
}

#ifdef SSM_BENCH_FFTW
void fftw(benchmark::State& state) {
    const int size = static_cast<int>(2 * state.range(0));
    float* const real = fftwf_alloc_real(static_cast<std::size_t>(size));
    fftwf_complex* const bins = fftwf_alloc_complex(static_cast<std::size_t>(size / 2 + 1));
    const fftwf_plan forward = fftwf_plan_dft_r2c_1d(size, real, bins, FFTW_MEASURE);
    const fftwf_plan backward = fftwf_plan_dft_c2r_1d(size, bins, real, FFTW_MEASURE);
    convolve_channels_first(
        state, [&](float*, std::complex<float>*) { fftwf_execute(forward); },
        [&](std::complex<float>*, float*) { fftwf_execute(backward); }, real,
        reinterpret_cast<std::complex<float>*>(bins));
    fftwf_destroy_plan(forward);
    fftwf_destroy_plan(backward);
    fftwf_free(bins);
    fftwf_free(real);
}
BENCHMARK(fftw)
    ->ArgNames({"L", "batch", "H"})
    ->ArgsProduct({{1024, 4096, 16384, 65536}, {1}, {256}});
#endif

void sizes(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"L", "batch", "H"});
    for (const std::int64_t length : {1024, 4096, 16384, 65536})
        for (const std::int64_t batch : {1, 8})
            if (length * batch <= 131072)
                bench->Args({length, batch, 256});
    bench->Args({1100, 1, 256})->Args({3000, 1, 256});
    bench->Args({1024, 64, 1})->Args({1024, 8, 24});
}

BENCHMARK(forward<float>)->Apply(sizes);
BENCHMARK(forward<double>)
    ->ArgNames({"L", "batch", "H"})
    ->Args({1024, 1, 256})
    ->Args({4096, 1, 256});
BENCHMARK(forward_with_preparation<float>)->Apply(sizes);
BENCHMARK(adjoint<float>)->Apply(sizes);
BENCHMARK(eigen_kissfft)
    ->ArgNames({"L", "batch", "H"})
    ->ArgsProduct({{1024, 4096, 16384}, {1}, {256}});

}  // namespace
