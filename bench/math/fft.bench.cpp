// Complex transforms of n points there and back, one thread: the lane-parallel transform without its first split
// (x^n - i has no bins to compare, the work is that of n points), and peers one sequence at a time.
//
// flops: 10 log2(n) for a point there and back. ns/number is the time for a point of one sequence.

#include <cmath>
#include <complex>
#include <cstddef>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>
#ifdef SSM_BENCH_FFTW
#include <fftw3.h>
#endif

#include <ssm/core/aligned.hpp>
#include <ssm/math/fft.hpp>
#include <ssm/math/right_angle_fft.hpp>

#include "support/peak.hpp"

namespace {

double flops(std::size_t points) {
    return 10.0 * std::log2(static_cast<double>(points));
}

template <class T>
void right_angle(benchmark::State& state) {
    using Fft = ssm::math::RightAngleFft<T>;
    const Fft fft(static_cast<std::size_t>(state.range(0)));
    ssm::AlignedVector<T> x(fft.numbers());
    for (auto _ : state) {
        fft.forward(x.data());
        fft.inverse(x.data());
        benchmark::ClobberMemory();
    }
    ssm_bench::report<T>(state, fft.size() * Fft::lanes, flops(fft.size()));
}

template <class T>
void eigen_kissfft(benchmark::State& state) {
    const auto points = static_cast<std::size_t>(state.range(0));
    ssm::math::Fft<T> fft;
    std::vector<std::complex<T>> x(points);
    std::vector<std::complex<T>> X(points);
    for (auto _ : state) {
        fft.fft(x, X);
        fft.ifft(X, x);
        benchmark::ClobberMemory();
    }
    ssm_bench::report<T>(state, points, flops(points));
}

#ifdef SSM_BENCH_FFTW
void fftw(benchmark::State& state) {
    const int points = static_cast<int>(state.range(0));
    fftwf_complex* const x = fftwf_alloc_complex(static_cast<std::size_t>(points));
    fftwf_complex* const X = fftwf_alloc_complex(static_cast<std::size_t>(points));
    const fftwf_plan forward = fftwf_plan_dft_1d(points, x, X, FFTW_FORWARD, FFTW_MEASURE);
    const fftwf_plan backward = fftwf_plan_dft_1d(points, X, x, FFTW_BACKWARD, FFTW_MEASURE);
    std::fill_n(reinterpret_cast<float*>(x), 2 * points, 0.0F);
    for (auto _ : state) {
        fftwf_execute(forward);
        fftwf_execute(backward);
        benchmark::ClobberMemory();
    }
    ssm_bench::report<float>(state, static_cast<std::size_t>(points),
                             flops(static_cast<std::size_t>(points)));
    fftwf_destroy_plan(forward);
    fftwf_destroy_plan(backward);
    fftwf_free(X);
    fftwf_free(x);
}
BENCHMARK(fftw)->ArgName("n")->Arg(256)->Arg(1024)->Arg(4096)->Arg(16384);
#endif

BENCHMARK(right_angle<float>)->ArgName("n")->Arg(256)->Arg(1024)->Arg(1280)->Arg(4096)->Arg(16384);
BENCHMARK(right_angle<double>)->ArgName("n")->Arg(1024)->Arg(4096);
BENCHMARK(eigen_kissfft<float>)
    ->ArgName("n")
    ->Arg(256)
    ->Arg(1000)
    ->Arg(1024)
    ->Arg(4096)
    ->Arg(16384);

}  // namespace
