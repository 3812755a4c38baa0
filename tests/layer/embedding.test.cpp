#include <cmath>
#include <cstddef>
#include <cstdint>

#include <ssm/core/concepts.hpp>
#include <ssm/layer/embedding.hpp>

#include "support/conformance.hpp"

using namespace ssm;

static_assert(StreamingLayer<Embedding<float>> && TrainableLayer<Embedding<float>>);
static_assert(PointwiseLayer<Embedding<double>>);

TEMPLATE_TEST_CASE("Embedding keeps every promise of a layer", "", float, double) {
    const std::size_t channels = GENERATE(1U, 33U);
    ssm_test::check_conformance(Embedding<TestType>({.tokens = 8, .channels = channels}, Rng(3)));
}

TEST_CASE("a token id that is out of range is an error before anything is written") {
    const Embedding<float> embedding({.tokens = 4, .channels = 2});
    Workspace workspace;
    const std::int32_t bad = GENERATE(-1, 4, 1000000);
    Batch<std::int32_t> u(1, 2, 1);
    u(0, 1, 0) = bad;
    Batch<float> y(1, 2, 2);
    y.fill(7.0F);
    CHECK_THROWS_AS(embedding.forward(u, y, workspace), ValueError);
    CHECK(y(0, 0, 0) == 7.0F);
    auto state = embedding.rest_state(2);
    embedding.step(u.view().flat(), y.view().flat(), state);
    CHECK(y(0, 0, 0) == embedding.weight[0]);
    CHECK(std::isnan(y(0, 1, 0)));
}

TEST_CASE("an embedding without tokens is refused") {
    CHECK_THROWS_AS(Embedding<float>({.tokens = 0, .channels = 3}), ValueError);
}
