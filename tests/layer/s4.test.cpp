#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ssm/core/concepts.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/init/combination.hpp>
#include <ssm/init/diagonal.hpp>
#include <ssm/layer/s4.hpp>

#include "reference/dplr.hpp"
#include "support/conformance.hpp"
#include "support/message.hpp"
#include "support/prebuilt_bank.hpp"
#include "support/prebuilt_systems.hpp"

using namespace ssm;
using ssm_test::check_conformance;
using ssm_test::has;

static_assert(check_streaming<S4<float>>() && check_trainable<S4<float>>());
static_assert(!S4<double, init::LegS, evaluation::Fft, Bidirectional>::streams);
static_assert(ResolventDiscretization<BackwardEuler> && !ResolventDiscretization<Zoh>);

namespace {

using Legs = S4<double>;
using RandomLayer = S4<double, init::RandomLowRank<init::Lin>>;

/// Options whose memory is about as long as the sequences of the checks, so that carried states matter.
template <class L>
typename L::Options small(std::size_t channels, std::size_t state) {
    typename L::Options options;
    options.channels = channels;
    options.state = state;
    options.timescale = {.min = 0.02, .max = 0.3};
    return options;
}

template <class T = double>
Batch<T> noise(const Shape& shape, std::uint64_t seed) {
    Rng rng(seed);
    Batch<T> batch(shape);
    for (T& x : batch.view().flat())
        x = static_cast<T>(rng.normal());
    return batch;
}

/// Largest difference relative to the largest of `b`.
template <class A, class B>
double difference(const A& a, const B& b) {
    double largest = 0.0, size = 0.0;
    for (std::size_t i = 0; i < b.size(); ++i) {
        largest = std::max(
            largest, std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i])));
        size = std::max(size, std::abs(static_cast<double>(b.data()[i])));
    }
    return largest / size;
}

/// The weights of channel `h` as the dense reference takes them.
template <class L>
std::vector<double> reference_kernel(const L& layer, std::size_t h, std::size_t length) {
    const auto system = layer.bank.continuous_system();
    const std::size_t n = layer.bank.modes();
    const auto row = [n](const std::vector<std::complex<double>>& from, std::size_t index) {
        const auto first = from.begin() + static_cast<std::ptrdiff_t>(index * n);
        return std::vector<std::complex<double>>(first, first + static_cast<std::ptrdiff_t>(n));
    };
    std::vector<std::vector<std::complex<double>>> P;
    for (std::size_t r = 0; r < layer.bank.shape().rank; ++r)
        P.push_back(row(system.P, r * layer.in_channels() + h));
    return ssm_test::dense_s4_kernel(row(system.A, h), P, row(system.B, h), row(system.C, h),
                                     system.dt[h], length);
}

template <class L>
void check_kernel(const L& layer, double tolerance) {
    const std::size_t length = 75;
    const Tensor<double> K = layer.kernel(length);
    for (std::size_t h = 0; h < layer.in_channels(); ++h)
        CHECK(difference(std::vector<double>(K.data() + h * length, K.data() + (h + 1) * length),
                         reference_kernel(layer, h, length)) < tolerance);
}

std::string message_of(const Legs::Options& options) {
    return ssm_test::message_of<ValueError>([&] { static_cast<void>(Legs(options)); });
}

}  // namespace

TEST_CASE("S4 has the kernel of its dense matrices, for any rank") {
    check_kernel(Legs(small<Legs>(3, 16)), 1e-12);
    for (const std::size_t rank : {1U, 2U, 3U, 4U}) {
        auto options = small<RandomLayer>(9, 8);
        options.copies = 3;
        options.structure.rank = rank;
        const RandomLayer layer(options, Rng(rank));
        check_kernel(layer, 1e-12);
        const Tensor<double> expected = layer.kernel(64);
        RandomLayer folded = layer;
        set_length(folded, 64);
        CHECK(difference(folded.kernel(64), expected) < 1e-12);
    }
}

TEST_CASE("S4 starts as HiPPO does: the published numbers of N = 4") {
    Legs::Options options;
    options.channels = 1;
    options.state = 4;
    options.structure.init.B_clip = std::numeric_limits<double>::infinity();
    Legs layer(options);
    layer.bank.inv_dt[0] = std::log(0.1);
    const double C[] = {-0.7660209566, -0.8725858139, 1.1139342386, -0.2592419787};
    std::copy_n(C, 4, layer.bank.C.data());
    const std::vector<double> K = {0.3440867720,  -0.0101857764, -0.1310325579, -0.1368882944,
                                   -0.0941064343, -0.0379803084, 0.0142663598,  0.0555631303};
    CHECK(difference(layer.kernel(8), K) < 1e-8);
    set_length(layer, 8);
    const std::vector<double> folded = {-1.1119815082, -1.0549142353, 0.4967577601, 0.2257733848};
    CHECK(difference(layer.bank.C, folded) < 1e-8);
}

TEST_CASE("S4 keeps every promise of a layer in double") {
    check_conformance(Legs(small<Legs>(5, 8)));

    auto options = small<RandomLayer>(4, 6);
    options.heads = 2;
    options.copies = 2;
    options.skip = false;
    options.structure.rank = 2;
    options.timescale.transform = Transform::softplus;
    options.timescale.fast = true;
    check_conformance(RandomLayer(options));

    // Folded for the length of the check, and for fewer steps than it takes.
    Legs folded(small<Legs>(3, 4));
    set_length(folded, 200);
    testing::ConformanceOptions dense;  // of the powers
    dense.allocates_in_blocks = true;
    check_conformance(folded, dense);
    set_length(folded, 7);
    check_conformance(folded, dense);
}

TEST_CASE("S4 keeps every promise of a layer in float") {
    using L = S4<float>;
    // Cut inputs of streams of 17 channels, whose registers are not full.
    check_conformance(L(small<L>(17, 8)));
}

TEST_CASE("folding C for any length changes no output, of sequences of any length") {
    auto options = small<Legs>(3, 8);
    options.heads = 2;
    const Legs plain(options);
    Workspace workspace;
    Legs layer = plain;
    CHECK(length(layer) == 0);
    for (const std::size_t folded : {12U, 7U, 1U, 28U, 0U}) {
        set_length(layer, folded);
        CHECK(length(layer) == folded);
        for (const std::size_t steps : {1U, 7U, 12U, 29U})
            CHECK(difference(layer.kernel(steps), plain.kernel(steps)) < 1e-11);
        const Batch<double> u = noise({2, 20, 3}, 4);
        Batch<double> y(2, 20, 6), expected(2, 20, 6);
        auto state = layer.rest_state(2);
        auto plain_state = plain.rest_state(2);
        layer.forward(u, y, state, workspace);
        plain.forward(u, expected, plain_state, workspace);
        CHECK(difference(y, expected) < 1e-11);
    }
    CHECK(difference(layer.bank.C, plain.bank.C) < 1e-11);
}

TEST_CASE(
    "in float S4 agrees with double over long sequences, folded or not, in blocks or at once") {
    const std::size_t steps = 1024;
    const S4<double> exact({.channels = 3, .state = 64}, Rng(7));
    S4<float> layer({.channels = 3, .state = 64}, Rng(7));
    const Batch<float> u = noise<float>({1, steps, 3}, 8);
    Batch<double> wide(u.shape()), expected(u.shape());
    std::copy(u.data(), u.data() + u.size(), wide.data());
    Batch<float> y(u.shape());
    Workspace workspace;
    exact.forward(wide, expected, workspace);
    layer.forward(u, y, workspace);
    // Weights are rounded to float here and not there: 1e-7 of frequencies that turn 1e3 times.
    CHECK(difference(y, expected) < 2e-4);
    Batch<float> other(u.shape());
    auto state = layer.rest_state();
    layer.forward(u, other, state, workspace);
    CHECK(difference(other, y) < 1e-4);
    S4<float> folded = layer;
    set_length(folded, steps);
    folded.forward(u, other, workspace);
    CHECK(difference(other, y) < 1e-4);
}

TEST_CASE("a length that C cannot be folded for changes nothing") {
    const Legs plain(small<Legs>(3, 8));
    Legs layer = plain;
    for (const std::size_t steps : {std::size_t{1} << 40, std::size_t{1} << 63})
        CHECK_THROWS_AS(set_length(layer, steps), ValueError);
    CHECK(layer.bank.C == plain.bank.C);
    CHECK(length(layer) == 0);
}

namespace {

/// Even modes keep p and lose q, odd ones the other way round.
void leave_to_one_each(DplrSystem& system) {
    for (std::size_t i = 0; i < system.p.re.size(); ++i) {
        ComplexNumbers& lost = i % 2 == 0 ? system.q : system.p;
        lost.re[i] = lost.im[i] = 0.0;
    }
}

}  // namespace

TEST_CASE(
    "kernels in float agree with those of the recurrence in double, also of modes that coincide") {
    auto options = small<S4<float>>(3, 40);
    options.heads = 2;
    const S4<float> layer(options);
    Workspace workspace;
    DplrSystem system;
    layer.bank.discretize(Bilinear{}, 1.0, system, workspace);
    const auto error = [&](std::size_t length) {
        std::vector<float> K(6 * length, std::numeric_limits<float>::quiet_NaN());
        std::vector<double> expected(K.size());
        convolution_kernel<float>(system, length, K, workspace);
        convolution_kernel<double>(system, length, expected, workspace);
        return difference(K, expected);
    };
    for (const std::size_t length : {1U, 70U, 256U, 1000U})
        CHECK(error(length) < 1e-6);
    CHECK_NOTHROW(convolution_kernel<float>(system, 0, std::span<float>(), workspace));
    // Divided differences of two such modes do not exist.
    system.z.re[1] = system.z.re[0];
    system.z.im[1] = system.z.im[0];
    CHECK(error(1000) < 1e-6);
    system.z.re[1] += 1e-13;
    CHECK(error(1000) < 1e-6);
    // Also where no mode has both of p and q.
    leave_to_one_each(system);
    for (const double distance : {1e-13, 1e-11, 1e-9, 1e-7}) {
        system.z.re[1] = system.z.re[0] + distance;
        CHECK(error(1000) < 1e-6);
    }
}

TEST_CASE(
    "gradients of kernels in float agree with those of the recurrence in double, also of modes "
    "that coincide") {
    auto options = small<S4<float>>(3, 40);
    options.heads = 2;
    const S4<float> layer(options);
    Workspace workspace;
    DplrSystem system;
    layer.bank.discretize(Bilinear{}, 1.0, system, workspace);
    const auto error = [&](std::size_t length) {
        std::vector<float> upstream(6 * length);
        Rng rng(5);
        for (float& g : upstream)
            g = static_cast<float>(rng.normal());
        const std::vector<double> exact(upstream.begin(), upstream.end());
        DplrSystem gradient(system.shape), expected(system.shape);
        convolution_kernel_adjoint<float>(system, length, std::span<const float>(upstream),
                                          gradient, workspace);
        convolution_kernel_adjoint<double>(system, length, std::span<const double>(exact), expected,
                                           workspace);
        double largest = 0.0;
        for (auto [found, wanted] :
             {std::pair{&gradient.z, &expected.z}, std::pair{&gradient.p, &expected.p},
              std::pair{&gradient.q, &expected.q}, std::pair{&gradient.b, &expected.b},
              std::pair{&gradient.c, &expected.c}})
            largest = std::max(
                {largest, difference(found->re, wanted->re), difference(found->im, wanted->im)});
        return largest;
    };
    for (const std::size_t length : {2U, 70U, 256U, 1000U, 5000U})
        CHECK(error(length) < 2e-6);
    // From modes far apart to such as have no divided differences: on the way the recurrence takes over.
    for (const double distance : {1e-3, 1e-5, 1e-6, 1e-7, 1e-9, 1e-13, 0.0}) {
        system.z.re[1] = system.z.re[0] + distance;
        system.z.im[1] = system.z.im[0];
        CHECK(error(1000) < 2e-6);
    }
    leave_to_one_each(system);
    for (const double distance : {1e-13, 1e-9, 1e-7}) {
        system.z.re[1] = system.z.re[0] + distance;
        CHECK(error(1000) < 2e-6);
    }
}

TEST_CASE("kernels in float of many modes are exact to some units of rounding") {
    for (const std::size_t modes : {64U, 256U}) {
        const std::size_t length = 16384;
        const S4<float> layer({.channels = 1, .state = 2 * modes});
        Workspace workspace;
        DplrSystem system;
        layer.bank.discretize(Bilinear{}, 1.0, system, workspace);
        std::vector<float> K(length);
        std::vector<double> expected(length);
        convolution_kernel<float>(system, length, K, workspace);
        convolution_kernel<double>(system, length, expected, workspace);
        // Sums of 2 n products in float.
        CHECK(difference(K, expected) < (modes == 64 ? 6e-7 : 2e-6));
    }
}

TEST_CASE("a channel that is not finite, or has to be run, leaves the kernels of others alone") {
    const S4<float> layer(small<S4<float>>(11, 40));  // 20 modes: some of their padding is not used
    Workspace workspace;
    DplrSystem system;
    layer.bank.discretize(Bilinear{}, 1.0, system, workspace);
    for (const std::size_t length : {100U, 1000U}) {
        const auto kernel_of = [&](const DplrSystem& of, std::size_t count) {
            set_threads(count);
            set_least_parallel_work(count == 1 ? 1e6 : 0.0);
            std::vector<float> K(11 * length);
            convolution_kernel<float>(of, length, K, workspace);
            set_threads(0);
            set_least_parallel_work(1e6);
            return K;
        };
        const std::vector<float> expected = kernel_of(system, 1);
        const auto gradient_of = [&](const DplrSystem& of, std::size_t count) {
            set_threads(count);
            set_least_parallel_work(count == 1 ? 1e6 : 0.0);
            DplrSystem gradient(of.shape);
            convolution_kernel_adjoint<float>(of, length, std::span<const float>(expected),
                                              gradient, workspace);
            set_threads(0);
            set_least_parallel_work(1e6);
            return gradient;
        };
        const DplrSystem expected_gradient = gradient_of(system, 1);
        for (const double pole :
             {std::numeric_limits<double>::quiet_NaN(), 1e6, system.z.re[system.pole(1, 1)]}) {
            DplrSystem other = system;
            other.z.re[other.pole(1, 0)] = pole;
            other.z.im[other.pole(1, 0)] = other.z.im[other.pole(1, 1)];
            for (const std::size_t count : {1U, 4U}) {
                std::vector<float> K = kernel_of(other, count);
                const bool is_healthy = std::isfinite(pole) && pole < 1e3;
                CHECK(std::isfinite(K[2 * length - 1]) == is_healthy);
                std::copy_n(expected.data() + length, length, K.data() + length);
                CHECK(K == expected);
                DplrSystem gradient = gradient_of(other, count);
                for (auto [found, wanted] : {std::pair{&gradient.z, &expected_gradient.z},
                                             std::pair{&gradient.q, &expected_gradient.q},
                                             std::pair{&gradient.c, &expected_gradient.c}}) {
                    const std::size_t first = system.pole(1, 0), modes = system.shape.modes;
                    CHECK(std::isfinite(found->re[first]) == is_healthy);
                    std::copy_n(wanted->re.data() + first, modes, found->re.data() + first);
                    std::copy_n(wanted->im.data() + first, modes, found->im.data() + first);
                    CHECK(*found == *wanted);
                }
            }
        }
    }
}

TEST_CASE("a cut-off kernel ends, and does not stream") {
    auto options = small<Legs>(2, 4);
    options.structure.max_length = 5;
    const Legs layer(options);
    const Tensor<double> K = layer.kernel(8);
    CHECK(K[4] != 0.0);
    CHECK(K[5] == 0.0);
    CHECK_THROWS_AS(layer.rest_state(), ValueError);
}

TEST_CASE("S4 starts from combinations and from random low-rank parts") {
    const S4<double, init::Hippo> two(
        {.channels = 4, .state = 8, .copies = 2, .structure = {.rank = 2}});
    const auto system = two.bank.continuous_system();
    CHECK(system.A[0].real() == Approx(-0.5));
    CHECK(system.A[4].real() == Approx(-1e-4));
    CHECK(std::abs(system.P[0]) > 0.1);
    CHECK(std::abs(system.P[16]) == 0.0);  // the second term
    const S4<double, init::Lin> no_correction({.channels = 2, .state = 4});
    CHECK(std::abs(no_correction.bank.P[0]) == 0.0);
}

TEST_CASE("options of S4 out of their domain say which and what was expected") {
    CHECK(has(message_of({.channels = 0}), "channels = 0"));
    CHECK(has(message_of({.channels = 4, .state = 7}), "state = 7"));
    CHECK(has(message_of({.channels = 4, .copies = 3}), "copies = 3"));
    CHECK(has(message_of({.channels = 4, .timescale = {.tied = false}}), "tied"));
    CHECK(has(message_of({.channels = 4, .structure = {.rank = 0}}), "rank = 0"));
    CHECK(has(message_of({.channels = 4, .structure = {.rank = 9}}), "rank = 9"));
    Legs layer(small<Legs>(2, 4));
    layer.bank.l_kernel[0] = 2.5;
    CHECK_THROWS_AS(layer.kernel(4), ValueError);
    layer.bank.l_kernel[0] = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_AS(layer.rest_state(), ValueError);
}
