// The evaluations of a bank against each other and against plain double sums, and what only one of them can do.

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ssm/core/concepts.hpp>
#include <ssm/discretize/bilinear.hpp>
#include <ssm/discretize/dss.hpp>
#include <ssm/init/diagonal.hpp>
#include <ssm/init/legs.hpp>
#include <ssm/layer/s4d.hpp>

#include "support/conformance.hpp"
#include "support/prebuilt_bank.hpp"
#include "support/prebuilt_systems.hpp"

using namespace ssm;
using ssm_test::check_conformance;

template <class T>
using TwoSided = S4D<T, init::Inv, Bilinear, evaluation::Auto, Bidirectional>;

static_assert(!StreamingLayer<TwoSided<float>> && TrainableLayer<TwoSided<float>>);
static_assert(!StreamingLayer<S4D<float, init::LegS, Dss>>, "its residues depend on the length");

namespace {

template <class L>
L small(std::size_t channels, std::size_t state, std::size_t heads = 1) {
    typename L::Options options;
    options.channels = channels;
    options.state = state;
    options.heads = heads;
    options.timescale = {.min = 0.02, .max = 0.3};
    return L(options, Rng(11));
}

template <class T>
Batch<T> noise(const Shape& shape) {
    Rng rng(5);
    Batch<T> batch(shape);
    for (T& x : batch.view().flat())
        x = static_cast<T>(rng.normal());
    return batch;
}

/// y of a layer in double by its definition, O(L^2).
template <class L, class T>
std::vector<double> convolved(const L& layer, const Batch<T>& u) {
    const std::size_t H = layer.in_channels();
    const auto K = layer.kernel(u.length());
    std::vector<double> y(u.batch() * u.length() * layer.out_channels());
    for (std::size_t b = 0; b < u.batch(); ++b)
        for (std::size_t l = 0; l < u.length(); ++l)
            for (std::size_t out = 0; out < layer.out_channels(); ++out) {
                double sum = layer.D[out] * static_cast<double>(u(b, l, out % H));
                for (std::size_t j = 0; j <= l; ++j)
                    sum += K[out * u.length() + j] * static_cast<double>(u(b, l - j, out % H));
                y[(b * u.length() + l) * layer.out_channels() + out] = sum;
            }
    return y;
}

/// Largest difference relative to the largest number.
template <class T>
double error(const Batch<T>& found, const std::vector<double>& expected) {
    double largest = 0.0;
    double difference = 0.0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        largest = std::max(largest, std::abs(expected[i]));
        difference =
            std::max(difference, std::abs(static_cast<double>(found.data()[i]) - expected[i]));
    }
    return difference / largest;
}

template <class Evaluation>
void check_float_error(std::size_t length, double tolerance) {
    CAPTURE(length);
    const auto precise = small<S4D<double, init::Lin, Zoh, Evaluation>>(18, 32, 2);
    const auto layer = small<S4D<float, init::Lin, Zoh, Evaluation>>(18, 32, 2);
    const Batch<float> u = noise<float>({2, length, 18});
    Batch<float> y(2, length, 36);
    Workspace workspace;
    layer.forward(u, y, workspace);
    CHECK(error(y, convolved(precise, u)) < tolerance);
}

}  // namespace

TEMPLATE_TEST_CASE("each evaluation keeps every promise of a layer", "", evaluation::Fft,
                   evaluation::Chunked, evaluation::Recurrence) {
    check_conformance(small<S4D<double, init::Lin, Zoh, TestType>>(5, 8, 2));
}

// The weights are stored in float and a channel's output sums 16 modes: 4e-6 is what stays of both, for
// every evaluation and length.
TEMPLATE_TEST_CASE("in float the error of each evaluation is that of the weights", "",
                   evaluation::Fft, evaluation::Chunked, evaluation::Recurrence, evaluation::Auto) {
    for (const std::size_t length : {1U, 2U, 31U, 64U, 65U, 257U, 700U})
        check_float_error<TestType>(length, 4e-6);
}

TEST_CASE("bidirectional layers keep every promise except streaming") {
    check_conformance(small<TwoSided<double>>(5, 8, 2));
    check_conformance(small<TwoSided<float>>(3, 4));
}

TEST_CASE("a discretisation with length-dependent residues is the convolution with its kernel") {
    using L = S4D<double, init::LegS, Dss>;
    const L layer = small<L>(3, 6);
    Workspace workspace;
    const Batch<double> u = noise<double>({2, 40, 3});
    Batch<double> y(2, 40, 3);
    layer.forward(u, y, workspace);
    CHECK(error(y, convolved(layer, u)) < 1e-12);
}

TEST_CASE("sequences that are reset all the time train by the recurrence to the same gradients") {
    const auto layer = small<S4D<double>>(4, 6);
    const auto with_fft = small<S4D<double, init::Lin, Zoh, evaluation::Fft>>(4, 6);
    const Batch<double> u = noise<double>({2, 50, 4});
    Batch<std::uint8_t> mask(2, 50, 1);
    for (std::size_t i = 0; i < mask.size(); i += 3)
        mask.data()[i] = 1;
    Workspace workspace;
    const Context context = Context(workspace).with_resets(mask.view());
    Batch<double> y(u.shape()), z(u.shape()), du(u.shape()), dv(u.shape());
    S4D<double, init::Lin, Zoh, evaluation::Fft>::Cache fft_cache;
    S4D<double>::Cache cache;
    auto gradient = zeros_like(layer);
    auto fft_gradient = zeros_like(with_fft);
    layer.forward(u, y, cache, context);
    with_fft.forward(u, z, fft_cache, context);
    CHECK(error(y, {z.data(), z.data() + z.size()}) < 1e-13);
    layer.backward(u, u, du, cache, gradient, context);
    with_fft.backward(u, u, dv, fft_cache, fft_gradient, context);
    CHECK(error(du, {dv.data(), dv.data() + dv.size()}) < 1e-13);
    CHECK(!cache.evaluation.is_fft);
    for (std::size_t i = 0; i < gradient.bank.A_imag.size(); ++i)
        CHECK(gradient.bank.A_imag[i] == Approx(fft_gradient.bank.A_imag[i]).epsilon(1e-9));
}
