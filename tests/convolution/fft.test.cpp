#include <ssm/convolution/fft.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <tuple>
#include <type_traits>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>

#include "reference/convolution.hpp"
#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/prebuilt_bank.hpp"

using ssm::Batch;
using ssm::BatchView;
using ssm::Context;
using ssm::ConvolutionKernel;
using ssm::KernelShape;
using ssm::KernelSpectrum;
using ssm::Workspace;
using ssm_test::ConvolutionReference;
using Direction = ConvolutionReference::Direction;
using Sizes = std::vector<std::size_t>;

namespace {

/// Numbers exact in float, so that every number type convolves the same problem.
Batch<double> random_batch(ssm::Shape shape, std::mt19937_64& engine) {
    std::normal_distribution<double> normal;
    Batch<double> result(shape);
    for (double& value : result.view().flat())
        value = static_cast<double>(static_cast<float>(normal(engine)));
    return result;
}

template <class T>
std::vector<T> as(std::span<const double> values) {
    std::vector<T> result;
    for (const double value : values)
        result.push_back(static_cast<T>(value));
    return result;
}

template <class T>
Batch<T> as(const Batch<double>& batch) {
    Batch<T> result(batch.shape());
    for (std::size_t i = 0; i < batch.size(); ++i)
        result.data()[i] = static_cast<T>(batch.data()[i]);
    return result;
}

/// Kernel taps of type T with storage.
template <class T>
struct Taps {
    explicit Taps(const ConvolutionReference& kernel)
        : shape(kernel.shape),
          causal(as<T>(kernel.causal)),
          anticausal(as<T>(kernel.anticausal)),
          skip(as<T>(kernel.skip)) {}
    [[nodiscard]] ConvolutionKernel<const T> view() const {
        return {shape, causal, anticausal, skip};
    }
    [[nodiscard]] ConvolutionKernel<T> view() { return {shape, causal, anticausal, skip}; }

    KernelShape shape;
    std::vector<T> causal, anticausal, skip;
};

/// Largest difference in epsilons of T, relative to the root of the largest sum of the squares of the terms: what
/// cancels in a sum does not make its rounding errors smaller.
template <class T, class Found, class Expected>
double epsilons(const Found& found, const Expected& expected, const Expected& sum_of_squares) {
    REQUIRE(found.size() == expected.size());
    double error = 0.0;
    double squares = 1e-60;
    for (std::size_t i = 0; i < found.size(); ++i) {
        const double difference = static_cast<double>(found.data()[i]) - expected.data()[i];
        error = difference == difference ? std::max(error, std::abs(difference)) : difference;
        squares = std::max(squares, sum_of_squares.data()[i]);
    }
    return error / std::sqrt(squares) / static_cast<double>(std::numeric_limits<T>::epsilon());
}

Batch<double> squared(Batch<double> batch) {
    for (double& value : batch.view().flat())
        value *= value;
    return batch;
}

/// In epsilons. Those of the transforms grow with the logarithm of the length; against double the direct sums of
/// the reference round more, in proportion to the square root of the length.
template <class T>
constexpr double tolerance = std::is_same_v<T, float> ? 8.0 : 100.0;

template <class T>
Batch<T> convolve(const Batch<double>& u, const KernelSpectrum<T>& kernel, const Context& context) {
    Batch<T> y(u.batch(), u.length(), kernel.shape().heads * u.channels());
    y.fill(std::numeric_limits<T>::quiet_NaN());
    ssm::fft_convolution<T>(as<T>(u).view(), kernel, y, context);
    return y;
}

template <class T>
void check_forward(const ConvolutionReference& reference, const Batch<double>& u,
                   const KernelSpectrum<T>& kernel, const Context& context) {
    CHECK(epsilons<T>(convolve(u, kernel, context), reference.forward(u, context),
                      reference.squared().forward(squared(u), context)) <= tolerance<T>);
}

template <class T>
void check_adjoint(const ConvolutionReference& reference, const Batch<double>& u,
                   const Batch<double>& dy, const KernelSpectrum<T>& kernel,
                   const Context& context) {
    Batch<T> du(u.shape());
    du.fill(std::numeric_limits<T>::quiet_NaN());
    Taps<T> found(reference.zeros());
    ssm::fft_convolution_adjoint<T>(as<T>(u).view(), as<T>(dy).view(), kernel, du, found.view(),
                                    context);
    CHECK(epsilons<T>(du, reference.adjoint(dy, context),
                      reference.squared().adjoint(squared(dy), context)) <= tolerance<T>);
    const ConvolutionReference expected = reference.gradient(u, dy, context);
    const ConvolutionReference squares = reference.gradient(squared(u), squared(dy), context);
    CHECK(epsilons<T>(found.causal, expected.causal, squares.causal) <= tolerance<T>);
    CHECK(epsilons<T>(found.anticausal, expected.anticausal, squares.anticausal) <= tolerance<T>);
    CHECK(epsilons<T>(found.skip, expected.skip, squares.skip) <= tolerance<T>);
}

/// Compares forward and adjoint of one problem with the direct sums.
template <class T>
void check_case(KernelShape shape, Direction direction, std::size_t batch, std::size_t length,
                const Context& context, std::mt19937_64& engine) {
    CAPTURE(shape.heads, shape.channels, shape.length, batch, length,
            direction == Direction::causal);
    const auto reference = ConvolutionReference::random(shape, direction, engine);
    const Batch<double> u = random_batch({batch, length, shape.channels}, engine);
    const Batch<double> dy = random_batch({batch, length, shape.heads * shape.channels}, engine);
    const Taps<T> taps(reference);
    const KernelSpectrum<T> kernel(taps.view(), length, context.workspace);
    check_forward(reference, u, kernel, context);
    check_adjoint(reference, u, dy, kernel, context);
}

std::vector<std::uint8_t> random_mask(std::size_t size, double probability,
                                      std::mt19937_64& engine) {
    std::vector<std::uint8_t> mask(size);
    std::bernoulli_distribution reset(probability);
    for (std::uint8_t& value : mask)
        value = reset(engine) ? 1 : 0;
    return mask;
}

}  // namespace

TEMPLATE_TEST_CASE("The FFT convolution agrees with direct sums for every number of channels", "",
                   float, double) {
    std::mt19937_64 engine(1);
    Workspace workspace;
    for (std::size_t channels = 1; channels <= 40; ++channels)
        for (const std::size_t length : Sizes{1, 2, 3, 5, 31, 32, 33})
            check_case<TestType>({1 + channels % 2, channels, length},
                                 length % 2 == 0 ? Direction::causal : Direction::bidirectional,
                                 1 + 2 * (channels / 2 % 2), length, workspace, engine);
}

TEMPLATE_TEST_CASE("The FFT convolution agrees with direct sums for every size of transform", "",
                   float, double) {
    std::mt19937_64 engine(2);
    Workspace workspace;
    for (std::size_t length = 1; length <= 130; ++length)
        check_case<TestType>({1, 3, length}, Direction::bidirectional, 2, length, workspace,
                             engine);
    for (const std::size_t length : Sizes{257, 320, 449, 1024})
        check_case<TestType>({1, 2, length}, Direction::bidirectional, 1, length, workspace,
                             engine);
    for (const std::size_t length : Sizes{257, 320, 449})
        check_case<TestType>({2, 17, length}, Direction::causal, 1, length, workspace, engine);
}

TEMPLATE_TEST_CASE("Kernels may be shorter or longer than the sequences", "", float, double) {
    std::mt19937_64 engine(3);
    Workspace workspace;
    for (const std::size_t taps : Sizes{0, 1, 7, 64, 100, 300})
        for (const Direction direction : {Direction::causal, Direction::bidirectional})
            check_case<TestType>({1, 5, taps}, direction, 2, 64, workspace, engine);
}

TEMPLATE_TEST_CASE("Sequences are convolved in pieces between resets, up to their valid lengths",
                   "", float, double) {
    std::mt19937_64 engine(4);
    Workspace workspace;
    for (const double probability : {0.003, 0.03, 0.3, 1.0})
        for (const std::size_t channels : Sizes{1, 5, 16, 21})
            for (const std::size_t length : Sizes{1, 33, 257}) {
                const auto mask = random_mask(3 * length, probability, engine);
                const std::vector<std::size_t> lengths{length, 0, length / 2 + 1};
                const Context context = Context(workspace)
                                            .with_resets({mask.data(), {3, length, 1}})
                                            .with_lengths(lengths);
                check_case<TestType>({1, channels, length}, Direction::causal, 3, length, context,
                                     engine);
                check_case<TestType>({2, channels, length}, Direction::bidirectional, 3, length,
                                     context, engine);
            }
}

TEST_CASE("Many sequences of one channel share the lanes of a register") {
    std::mt19937_64 engine(5);
    Workspace workspace;
    for (const std::size_t batch : Sizes{1, 15, 16, 17, 64})
        check_case<float>({1, 1, 100}, Direction::causal, batch, 100, workspace, engine);
}

TEST_CASE("A kernel prepared for long sequences convolves short ones") {
    std::mt19937_64 engine(6);
    Workspace workspace;
    const auto reference = ConvolutionReference::random({1, 20, 500}, Direction::causal, engine);
    const Taps<double> taps(reference);
    const KernelSpectrum<double> kernel(taps.view(), 500, workspace);
    for (const std::size_t length : Sizes{1, 10, 200, 499}) {
        const Batch<double> u = random_batch({2, length, 20}, engine);
        const Batch<double> dy = random_batch({2, length, 20}, engine);
        check_forward(reference, u, kernel, workspace);
        check_adjoint(reference, u, dy, kernel, workspace);
    }
}

TEST_CASE("The output may take the place of the input") {
    std::mt19937_64 engine(7);
    Workspace workspace;
    for (const std::size_t channels : Sizes{3, 16, 37}) {
        const Taps<float> taps(
            ConvolutionReference::random({1, channels, 50}, Direction::causal, engine));
        const KernelSpectrum<float> kernel(taps.view(), 50, workspace);
        Batch<float> u = as<float>(random_batch({3, 50, channels}, engine));
        Batch<float> y(u.shape());
        ssm::fft_convolution<float>(u.view(), kernel, y, workspace);
        ssm::fft_convolution<float>(u.view(), kernel, u, workspace);
        CHECK(u == y);
    }
}

TEST_CASE("Convolution and adjoint have the same bits for any number of threads") {
    std::mt19937_64 engine(8);
    for (const std::size_t channels : Sizes{1, 6, 40}) {
        const auto reference =
            ConvolutionReference::random({2, channels, 70}, Direction::bidirectional, engine);
        const Taps<float> taps(reference);
        const Batch<float> u = as<float>(random_batch({33, 70, channels}, engine));
        const Batch<float> dy = as<float>(random_batch({33, 70, 2 * channels}, engine));
        const auto mask = random_mask(33 * 70, 0.02, engine);
        const auto run = [&](std::size_t count) {
            ssm::set_threads(count);
            Workspace workspace;
            const Context context = Context(workspace).with_resets({mask.data(), {33, 70, 1}});
            const KernelSpectrum<float> kernel(taps.view(), 70, workspace);
            Batch<float> y(dy.shape());
            Batch<float> du(u.shape());
            Taps<float> gradient(reference.zeros());
            ssm::fft_convolution<float>(u.view(), kernel, y, context);
            ssm::fft_convolution_adjoint<float>(u.view(), dy.view(), kernel, du, gradient.view(),
                                                context);
            ssm::set_threads(0);
            return std::tuple{y, du, gradient.causal, gradient.anticausal, gradient.skip};
        };
        const auto expected = run(1);
        CHECK(run(2) == expected);
        CHECK(run(7) == expected);
    }
}

TEST_CASE("A sequence of NaN leaves its neighbours alone") {
    std::mt19937_64 engine(9);
    Workspace workspace;
    for (const std::size_t channels : Sizes{2, 16}) {
        const Taps<float> taps(
            ConvolutionReference::random({1, channels, 40}, Direction::causal, engine));
        const KernelSpectrum<float> kernel(taps.view(), 40, workspace);
        Batch<float> u = as<float>(random_batch({3, 40, channels}, engine));
        for (float& value : u.view().sequence(1).flat())
            value = std::numeric_limits<float>::quiet_NaN();
        Batch<float> y(u.shape());
        ssm::fft_convolution<float>(u.view(), kernel, y, workspace);
        for (const std::size_t b : Sizes{0, 2})
            for (const float value : y.view().sequence(b).flat())
                REQUIRE(std::isfinite(value));
    }
}

TEST_CASE("The gradient of the input and of parts of the kernel may be unwanted") {
    std::mt19937_64 engine(10);
    Workspace workspace;
    const auto reference =
        ConvolutionReference::random({1, 20, 30}, Direction::bidirectional, engine);
    const Taps<double> taps(reference);
    const KernelSpectrum<double> kernel(taps.view(), 30, workspace);
    const Batch<double> u = random_batch({2, 30, 20}, engine);
    const Batch<double> dy = random_batch({2, 30, 20}, engine);
    std::vector<double> skip(20, 0.5);
    ssm::fft_convolution_adjoint<double>(u.view(), dy.view(), kernel, BatchView<double>(),
                                         {.shape = {1, 20, 30}, .skip = skip}, workspace);
    for (double& value : skip)
        value -= 0.5;  // gradients are added to what is there
    CHECK(epsilons<double>(skip, reference.gradient(u, dy, workspace).skip,
                           reference.gradient(squared(u), squared(dy), workspace).skip) <=
          tolerance<double>);
}

TEST_CASE("Warm convolutions do not allocate") {
    std::mt19937_64 engine(11);
    const ssm_test::AllocationCounter counter;
    if (!ssm_test::AllocationCounter::available())
        return;
    Workspace workspace;
    ssm::set_threads(1);
    const auto reference = ConvolutionReference::random({1, 19, 60}, Direction::causal, engine);
    const Taps<float> taps(reference);
    const Batch<float> u = as<float>(random_batch({3, 60, 19}, engine));
    const auto mask = random_mask(3 * 60, 0.1, engine);
    const Context context = Context(workspace).with_resets({mask.data(), {3, 60, 1}});
    Batch<float> y(u.shape());
    Batch<float> du(u.shape());
    Taps<float> gradient(reference.zeros());
    KernelSpectrum<float> kernel;
    const auto run = [&] {
        kernel.prepare(taps.view(), 60, workspace);
        ssm::fft_convolution<float>(u.view(), kernel, y, context);
        ssm::fft_convolution_adjoint<float>(u.view(), y.view(), kernel, du, gradient.view(),
                                            context);
    };
    run();
    run();
    const std::size_t before = counter.count();
    run();
    CHECK(counter.count() == before);
    ssm::set_threads(0);
}

TEST_CASE("What does not fit is refused") {
    Workspace workspace;
    const std::vector<float> taps(20);
    const KernelSpectrum<float> kernel({.shape = {1, 4, 5}, .causal = taps}, 5, workspace);
    Batch<float> u(1, 5, 4);
    Batch<float> y(1, 5, 4);
    Batch<float> wide(1, 5, 5);
    Batch<float> longer(1, 100, 4);
    const auto convolve = [&](Batch<float>& in, Batch<float>& out) {
        ssm::fft_convolution<float>(in.view(), kernel, out, workspace);
    };
    CHECK_NOTHROW(convolve(u, y));
    CHECK_THROWS_AS(convolve(wide, y), ssm::ShapeError);
    CHECK_THROWS_AS(convolve(u, wide), ssm::ShapeError);
    CHECK_THROWS_AS(convolve(longer, longer), ssm::ShapeError);
    CHECK_THROWS_AS((KernelSpectrum<float>({.shape = {1, 4, 6}, .causal = taps}, 5, workspace)),
                    ssm::ShapeError);
    CHECK_THROWS_AS(ssm::fft_convolution_adjoint<float>(u.view(), y.view(), kernel, y,
                                                        {.shape = {2, 4, 5}}, workspace),
                    ssm::ShapeError);
}

TEST_CASE("Empty batches and sequences of no steps are fine") {
    Workspace workspace;
    const KernelSpectrum<float> kernel({.shape = {1, 4, 0}}, 0, workspace);
    Batch<float> nothing(0, 5, 4);
    Batch<float> no_steps(2, 0, 4);
    CHECK_NOTHROW(ssm::fft_convolution<float>(no_steps.view(), kernel, no_steps, workspace));
    const KernelSpectrum<float> longer({.shape = {1, 4, 0}}, 5, workspace);
    CHECK_NOTHROW(ssm::fft_convolution<float>(nothing.view(), longer, nothing, workspace));
}
