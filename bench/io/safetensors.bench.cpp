// Reading a tensor of 4 Mi numbers out of a file in memory, converted.
//
// The bound is memory: the same bytes, stored and converted ones together, moved by std::memcpy.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <ssm/core/aligned.hpp>
#include <ssm/io/dtype.hpp>
#include <ssm/io/safetensors.hpp>

namespace {

constexpr std::size_t count = std::size_t{1} << 22U;

/// Bytes that std::memcpy reads and writes in a second, the best of many runs.
double copy_rate() {
    ssm::AlignedVector<std::byte> from(8 * count);
    ssm::AlignedVector<std::byte> to(8 * count);
    double best = 1e9;
    for (int repetition = 0; repetition < 20; ++repetition) {
        const auto start = std::chrono::steady_clock::now();
        std::memcpy(to.data(), from.data(), from.size());
        benchmark::DoNotOptimize(to.data());
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
        best = std::min(best, time.count());
    }
    return 2.0 * static_cast<double>(from.size()) / best;
}

/// A file of one tensor "x" of `count` numbers, all bytes zero.
std::vector<std::byte> file_of(ssm::Dtype dtype) {
    const std::size_t size = count * ssm::bits_of(dtype) / 8;
    const std::string header = R"({"x":{"dtype":")" + std::string(ssm::name_of(dtype)) +
                               R"(","shape":[)" + std::to_string(count) +
                               R"(],"data_offsets":[0,)" + std::to_string(size) + "]}}";
    std::vector<std::byte> bytes(8 + header.size() + size);
    for (std::size_t i = 0; i < 8; ++i)
        bytes[i] = static_cast<std::byte>(std::uint64_t{header.size()} >> 8 * i);
    std::memcpy(bytes.data() + 8, header.data(), header.size());
    return bytes;
}

template <class T, ssm::Dtype Stored>
void read(benchmark::State& state) {
    static const double rate = copy_rate();
    const std::vector<std::byte> bytes = file_of(Stored);
    const ssm::Safetensors file(bytes, "memory");
    ssm::AlignedVector<T> numbers(count);
    for (auto _ : state) {
        file.read("x", std::span<T>(numbers));
        benchmark::DoNotOptimize(numbers.data());
    }
    using benchmark::Counter;
    const double moved = static_cast<double>(count * (sizeof(T) + ssm::bits_of(Stored) / 8));
    state.counters["GB/s"] = Counter(moved * 1e-9, Counter::kIsIterationInvariantRate);
    state.counters["x_bound"] =
        Counter(moved / rate, Counter::kIsIterationInvariantRate | Counter::kInvert);
}

BENCHMARK_TEMPLATE(read, float, ssm::Dtype::f32);
BENCHMARK_TEMPLATE(read, float, ssm::Dtype::bf16);
BENCHMARK_TEMPLATE(read, float, ssm::Dtype::f16);
BENCHMARK_TEMPLATE(read, float, ssm::Dtype::f8_e4m3);
BENCHMARK_TEMPLATE(read, float, ssm::Dtype::f64);
BENCHMARK_TEMPLATE(read, double, ssm::Dtype::f32);
BENCHMARK_TEMPLATE(read, double, ssm::Dtype::i64);

}  // namespace
