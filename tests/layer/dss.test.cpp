#include <cmath>
#include <complex>
#include <cstddef>
#include <string>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/discretize/dss.hpp>
#include <ssm/layer/dss.hpp>

#include "support/conformance.hpp"
#include "support/prebuilt_bank.hpp"
#include "support/prebuilt_systems.hpp"

using namespace ssm;
using ssm_test::check_conformance;

static_assert(!StreamingLayer<DSS<float>> && check_trainable<DSS<float>>(),
              "a softmax over the sequence cannot stream");
static_assert(check_streaming<DSS<float, DssExp>>() && check_streaming<DSS<float, DssOfLength>>());
static_assert(Discretization<DssExp> && Discretization<DssNoScale>);

namespace {

template <class L>
typename L::Options small(DssPoles poles, bool separate_dt) {
    typename L::Options options;
    options.channels = 3;
    options.state = 4;
    options.timescale = {.min = 0.02, .max = 0.3};
    options.structure = {.poles = poles, .separate_dt = separate_dt};
    return options;
}

/// The kernel of the paper, term by term: for each channel Re sum_n W_n S_n(l), where S is the softmax of the row
/// e^{d l} divided by Lambda, or the row times a scale.
template <class Scale>
std::vector<double> kernel_of(const auto& layer, std::size_t length, Scale&& scale) {
    using Number = std::complex<double>;
    const auto& bank = layer.bank;
    const std::size_t H = bank.sizes().channels, N = bank.sizes().state;
    const std::size_t columns = bank.log_dt.size() / H;
    std::vector<double> K(H * length);
    for (std::size_t h = 0; h < H; ++h)
        for (std::size_t n = 0; n < N; ++n) {
            const Number lambda(bank.poles()[n]);
            const Number d(std::exp(bank.log_dt[h * columns]) * lambda.real(),
                           std::exp(bank.log_dt[(h + 1) * columns - 1]) * lambda.imag());
            const Number w(bank.W[2 * (h * N + n)], bank.W[2 * (h * N + n) + 1]);
            for (std::size_t l = 0; l < length; ++l)
                K[h * length + l] +=
                    (w * scale(lambda, d) * std::exp(d * static_cast<double>(l))).real();
        }
    return K;
}

void check_kernel(const Tensor<double>& kernel, const std::vector<double>& expected) {
    REQUIRE(kernel.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
        CHECK(kernel[i] == Approx(expected[i]).margin(1e-12));
}

/// All promises but those about resets and lengths: a piece of a sequence is not a sequence for a softmax over time.
template <class L>
void check_but_for_pieces(const L& layer) {
    const testing::ConformanceOptions options;
    Rng rng(3);
    CHECK_NOTHROW(testing::check_modes_agree(layer, options, rng));
    CHECK_NOTHROW(testing::check_rows(layer, options, rng));
    CHECK_NOTHROW(testing::check_nan_stays_in_its_row(layer, options, rng));
    CHECK_NOTHROW(testing::check_threads(layer, options, rng));
    CHECK_NOTHROW(testing::check_gradients_are_added(layer, options, rng));
    CHECK_NOTHROW(testing::check_gradients(layer, options, rng));
}

}  // namespace

TEST_CASE("DSS keeps every promise of a layer in all versions") {
    using Softmax = DSS<double>;
    auto options = small<Softmax>(DssPoles::free, true);
    options.discretization = {.epsilon = 1e-3, .constant_maximum = false};
    options.heads = 2;
    Softmax softmax(options);
    softmax.bank.Lambda[2] = 0.2;  // a growing mode
    check_but_for_pieces(softmax);

    using Scaled = DSS<double, DssExp>;
    check_conformance(Scaled(small<Scaled>(DssPoles::exp, true)));
    check_conformance(Scaled(small<Scaled>(DssPoles::exp_both, false)));
    auto clipped = Scaled(small<Scaled>(DssPoles::clip, false));
    clipped.bank.Lambda[2] = 0.2;
    check_conformance(clipped);
    using Unscaled = DSS<double, DssNoScale>;
    check_conformance(Unscaled(small<Unscaled>(DssPoles::exp, true)));
}

TEST_CASE("DSS kernels are those of the paper") {
    const std::size_t length = 20;
    const auto one = std::complex<double>(1.0);
    auto options = small<DSS<double>>(DssPoles::free, true);
    options.discretization.epsilon = 0.0;
    DSS<double> softmax(options);
    softmax.bank.Lambda[4] = 0.3;
    softmax.bank.log_dt[1] += 0.5;
    check_kernel(softmax.kernel(length), kernel_of(softmax, length, [&](auto lambda, auto d) {
                     auto sum = 0.0 * one;
                     for (std::size_t l = 0; l < length; ++l)
                         sum += std::exp(d * static_cast<double>(l));
                     return one / (lambda * sum);
                 }));

    using Scaled = DSS<double, DssExp>;
    const Scaled scaled(small<Scaled>(DssPoles::exp_both, true));
    check_kernel(scaled.kernel(length), kernel_of(scaled, length, [&](auto lambda, auto d) {
                     return (std::exp(d) - one) / lambda;
                 }));
    using Unscaled = DSS<double, DssNoScale>;
    const Unscaled unscaled(small<Unscaled>(DssPoles::clip, false));
    check_kernel(unscaled.kernel(length),
                 kernel_of(unscaled, length, [&](auto, auto) { return one; }));
}

TEST_CASE("a softmax DSS with its length fixed streams and has the same kernel") {
    DSS<double> layer(small<DSS<double>>(DssPoles::free, true));
    const auto fixed = with_length(layer, 16);
    static_assert(check_streaming<std::remove_const_t<decltype(fixed)>>());
    check_conformance(fixed);
    CHECK(fixed.kernel(16) == layer.kernel(16));
    CHECK(fixed.D == layer.D);

    Batch<double> u(1, 16, 3), y(u.shape());
    Rng rng(1);
    for (double& x : u.view().flat())
        x = rng.normal();
    Workspace workspace;
    layer.forward(u, y, workspace);
    auto state = fixed.rest_state();
    std::vector<double> step(3);
    for (std::size_t l = 0; l < 16; ++l) {
        fixed.step(u.view().row(0, l), step, state);
        for (std::size_t h = 0; h < 3; ++h)
            CHECK(step[h] == Approx(y(0, l, h)).margin(1e-12));
    }
}

TEST_CASE("DSS has the names of the original and its frequencies in the upper half plane") {
    const auto names = [](const auto& layer) {
        std::string all;
        visit([&](std::string_view name, const WeightTraits&,
                  const auto&) { all += std::string(name) + " "; },
              layer);
        return all;
    };
    using Scaled = DSS<double, DssExp>;
    CHECK(names(DSS<double>(small<DSS<double>>(DssPoles::free, true))) ==
          "D kernel.log_dt kernel.Lambda kernel.W ");
    CHECK(names(Scaled(small<Scaled>(DssPoles::exp, true))) ==
          "D kernel.log_dt kernel.Lambda_log_neg_re kernel.Lambda_im kernel.W ");
    CHECK(names(Scaled(small<Scaled>(DssPoles::exp_both, true))) ==
          "D kernel.log_dt kernel.Lambda_log_neg_re kernel.Lambda_log_im kernel.W ");

    const DSS<double> layer({.channels = 2, .state = 2});
    const auto poles = layer.bank.poles();
    CHECK(poles[0].real() == Approx(-0.5));
    CHECK(poles[0].imag() == Approx(4.6032930071));
    CHECK(poles[1].imag() == Approx(0.5565011151));
    CHECK(layer.bank.log_dt.extents() == Extents{2, 2});
}

TEST_CASE("options that DSS does not have are refused") {
    const auto refused = [](auto&& change) {
        auto options = small<DSS<double>>(DssPoles::free, true);
        change(options);
        CHECK_THROWS_AS(DSS<double>(options), ValueError);
    };
    refused([](auto& options) { options.channels = 0; });
    refused([](auto& options) { options.copies = 2; });
    refused([](auto& options) { options.timescale.tied = false; });
}
