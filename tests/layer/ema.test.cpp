#include <algorithm>
#include <cstddef>
#include <vector>

#include <ssm/core/concepts.hpp>
#include <ssm/layer/ema.hpp>

#include "support/conformance.hpp"
#include "support/prebuilt_bank.hpp"

using namespace ssm;

static_assert(check_streaming<EmaSsm<float>>() && check_trainable<EmaSsm<float>>());

TEST_CASE("moving averages keep every promise of a layer") {
    ssm_test::check_conformance(EmaSsm<double>({.channels = 3, .state = 4, .heads = 2}));
}

TEST_CASE("the published kernel of a moving average") {
    EmaSsm<double> layer({.channels = 1, .state = 2});
    const auto set = [](Tensor<double>& weight, const std::vector<double>& values) {
        std::ranges::copy(values, weight.data());
    };
    set(layer.bank.delta, {0.1, -0.2});
    set(layer.bank.alpha, {0.3, 0.05});
    set(layer.bank.beta, {1.02, -0.98});
    set(layer.bank.gamma, {0.7, -1.1});
    const Tensor<double> kernel = layer.kernel(5);
    const std::vector<double> expected = {0.6081925062, 0.4490953576, 0.3323673485, 0.2465254435,
                                          0.1832509572};
    for (std::size_t l = 0; l < 5; ++l)
        CHECK(kernel[l] == Approx(expected[l]).epsilon(1e-9));
}
