#pragma once

#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <random>

#include <benchmark/benchmark.h>

#include <ssm/core/batch.hpp>
#include <ssm/discretize/modes.hpp>

namespace ssm_bench {

/// The systems of a fresh S4D-Lin layer: poles exp(dt (-1/2 + i pi n)), dt from 1e-3 to 1e-1.
inline ssm::Modes diagonal_modes(ssm::ModeShape shape) {
    ssm::Modes modes(shape);
    std::mt19937 engine(1);
    std::uniform_real_distribution<double> uniform(0.0, 1.0);
    std::normal_distribution<double> normal;
    for (std::size_t h = 0; h < shape.channels; ++h) {
        const double dt = 1e-3 * std::pow(100.0, uniform(engine));
        for (std::size_t n = 0; n < shape.modes; ++n) {
            const double frequency = std::numbers::pi * static_cast<double>(n);
            const auto pole = std::exp(dt * std::complex<double>(-0.5, frequency));
            modes.pole_re[modes.pole(h, n)] = pole.real();
            modes.pole_im[modes.pole(h, n)] = pole.imag();
            for (std::size_t c = 0; c < shape.heads; ++c) {
                modes.residue_re[modes.residue(c, h, n)] = dt * normal(engine);
                modes.residue_im[modes.residue(c, h, n)] = dt * normal(engine);
            }
        }
    }
    return modes;
}

/// Arguments of benchmarks of diagonal systems: length, batch, channels, modes.
template <class T>
struct DiagonalProblem {
    explicit DiagonalProblem(const benchmark::State& state)
        : modes(diagonal_modes({size(state, 2), size(state, 3), 1})),
          u(size(state, 1), size(state, 0), size(state, 2)),
          y(u.shape()) {
        std::mt19937 engine(1);
        std::normal_distribution<float> normal;
        for (T& value : u.view().flat())
            value = static_cast<T>(normal(engine));
    }
    static std::size_t size(const benchmark::State& state, std::size_t argument) {
        return static_cast<std::size_t>(state.range(argument));
    }

    ssm::Modes modes;
    ssm::Batch<T> u, y;
};

inline void diagonal_sizes(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"L", "batch", "H", "n"});
    for (const std::int64_t length : {64, 256, 1024, 4096, 16384, 65536})
        for (const std::int64_t batch : {1, 8})
            if (length * batch <= 131072)
                bench->Args({length, batch, 256, 32});
    for (const std::int64_t length : {64, 256, 1024})
        for (const std::int64_t channels : {1, 8, 64})
            bench->Args({length, 1, channels, 32});
    bench->Args({4096, 1, 256, 4});
}

/// Time is linear in the length up to a million steps.
inline void long_sizes(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"L", "batch", "H", "n"});
    for (std::int64_t length = 1 << 14; length <= 1 << 20; length *= 4)
        bench->Args({length, 1, 16, 32});
}

}  // namespace ssm_bench
