// The selective scan of Mamba: forward, training forward, backward and step, and the plain loop of the papers'
// reference code as the peer. Counters of ssm_bench::report: x_bound is the time over that of the vector operations
// that need the multiply-add unit (9 a mode forward in float and 17 backward, with the states computed again, and what time
// step, gate and skip cost), as independent multiply-adds on this machine.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <tuple>
#include <vector>

#include <benchmark/benchmark.h>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/scan/selective.hpp>

#include "support/peak.hpp"

namespace {

using namespace ssm;

/// Multiply-adds of a mode: an exponential, and four.
template <class T>
inline constexpr double forward_mode = sizeof(T) == 4 ? 9.0 : 13.0;

/// Numbers as a trained model has them: time steps around 0.02, A = -(1, ..., N).
template <class T>
struct Case {
    explicit Case(const benchmark::State& state)
        : channels(static_cast<std::size_t>(state.range(0))),
          length(static_cast<std::size_t>(state.range(1))),
          modes(static_cast<std::size_t>(state.range(2))),
          u(1, length, channels),
          delta(u.shape()),
          z(u.shape()),
          y(u.shape()) {
        set_threads(1);
        Rng rng(1);
        const auto fill = [&](std::span<T> values, double low, double high) {
            for (T& value : values)
                value = static_cast<T>(rng.uniform(low, high));
        };
        fill(u.view().flat(), -1.7, 1.7);
        fill(delta.view().flat(), -2.5, 2.2);
        fill(z.view().flat(), -2.0, 2.0);
        for (std::vector<T>* map : {&B, &C}) {
            map->resize(length * modes);
            fill(*map, -1.0, 1.0);
        }
        D.resize(channels);
        fill(D, 0.5, 1.5);
        bias.resize(channels);
        fill(bias, -6.0, -3.0);
        for (std::size_t n = 0; n < modes; ++n)
            A.insert(A.end(), channels, -static_cast<T>(n + 1));
    }

    [[nodiscard]] SelectiveSystem<T> system() const {
        return {channels, modes, A.data(), false, D.data(), bias.data(), true};
    }
    [[nodiscard]] SelectiveInput<T> input() const {
        return {u.view(), delta.view(), {B.data(), 1, modes}, {C.data(), 1, modes}, z.view()};
    }
    /// Multiply-adds, counted as two flops.
    [[nodiscard]] double flops(double each_mode, double others) const {
        return 2.0 * (each_mode * static_cast<double>(modes) + others);
    }

    std::size_t channels;
    std::size_t length;
    std::size_t modes;
    Batch<T> u, delta, z, y;
    std::vector<T> A, B, C, D, bias;
    SelectiveCheckpoints<T> checkpoints;
    Workspace workspace;
};

template <class T>
void forward(benchmark::State& state) {
    Case<T> c(state);
    for (auto _ : state)
        selective_forward(c.system(), c.input(), c.y.view(), static_cast<T*>(nullptr), c.workspace);
    ssm_bench::report<T>(state, c.u.size(), c.flops(forward_mode<T>, 40.0));
}

template <class T>
void training_forward(benchmark::State& state) {
    Case<T> c(state);
    for (auto _ : state)
        selective_forward(c.system(), c.input(), c.y.view(), static_cast<T*>(nullptr),
                          &c.checkpoints, c.workspace);
    ssm_bench::report<T>(state, c.u.size(), c.flops(forward_mode<T>, 40.0));
}

template <class T>
void backward(benchmark::State& state) {
    Case<T> c(state);
    selective_forward(c.system(), c.input(), c.y.view(), static_cast<T*>(nullptr), &c.checkpoints,
                      c.workspace);
    Batch<T> du(c.u.shape());
    Batch<T> ddelta(c.u.shape());
    Batch<T> dz(c.u.shape());
    auto [dA, dB, dC, dD, dbias] = std::tuple(c.A, c.B, c.C, c.D, c.bias);
    SelectiveGradient<T> gradient{du, ddelta, {dB.data(), 1, c.modes}, {dC.data(), 1, c.modes}, dz};
    gradient.A = dA.data();
    gradient.D = dD.data();
    gradient.delta_bias = dbias.data();
    for (auto _ : state)
        selective_backward(c.system(), c.input(), BatchView<const T>(c.y), c.checkpoints, gradient,
                           c.workspace);
    ssm_bench::report<T>(state, c.u.size(), c.flops(forward_mode<T> + 8.0, 65.0));
}

template <class T>
void step(benchmark::State& state) {
    Case<T> c(state);
    std::vector<T> h(c.channels * c.modes);
    const Shape one{1, 1, c.channels};
    SelectiveInput<T> input = c.input();
    input.u = {c.u.data(), one};
    input.delta = {c.delta.data(), one};
    input.z = {c.z.data(), one};
    for (auto _ : state)
        selective_step(c.system(), input, BatchView<T>(c.y.data(), one), h.data());
    ssm_bench::report<T>(state, c.channels, c.flops(forward_mode<T>, 40.0));
}

/// The recurrence as it is written down.
template <class T>
void plain_loop(benchmark::State& state) {
    Case<T> c(state);
    std::vector<T> h(c.modes);
    for (auto _ : state) {
        for (std::size_t d = 0; d < c.channels; ++d) {
            std::fill(h.begin(), h.end(), T(0));
            for (std::size_t l = 0; l < c.length; ++l) {
                const T dt = std::log1p(std::exp(c.delta(0, l, d) + c.bias[d]));
                T v = c.D[d] * c.u(0, l, d);
                for (std::size_t n = 0; n < c.modes; ++n) {
                    h[n] = std::exp(dt * c.A[n * c.channels + d]) * h[n] +
                           dt * c.B[l * c.modes + n] * c.u(0, l, d);
                    v += c.C[l * c.modes + n] * h[n];
                }
                const T gate = c.z(0, l, d);
                c.y(0, l, d) = v * gate / (T(1) + std::exp(-gate));
            }
        }
        benchmark::ClobberMemory();
    }
    ssm_bench::report<T>(state, c.u.size(), c.flops(forward_mode<T>, 40.0));
}

void sizes(benchmark::internal::Benchmark* b) {
    b->ArgNames({"channels", "length", "N"})->Unit(benchmark::kMillisecond);
    b->Args({1536, 2048, 16})->Args({64, 16384, 16})->Args({2560, 512, 16});
}
void small(benchmark::internal::Benchmark* b) {
    b->ArgNames({"channels", "length", "N"})->Unit(benchmark::kMillisecond)->Args({1536, 256, 16});
}

BENCHMARK(forward<float>)->Apply(sizes);
BENCHMARK(training_forward<float>)->Apply(sizes);
BENCHMARK(backward<float>)->Apply(sizes);
BENCHMARK(forward<double>)->Apply(small);
BENCHMARK(step<float>)->Apply(small);
BENCHMARK(plain_loop<float>)->Apply(small);

}  // namespace
