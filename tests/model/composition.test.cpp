#include <cstddef>
#include <string>
#include <vector>

#include <ssm/core/concepts.hpp>
#include <ssm/layer/activation.hpp>
#include <ssm/layer/conv1d.hpp>
#include <ssm/layer/dropout.hpp>
#include <ssm/layer/embedding.hpp>
#include <ssm/layer/group_norm.hpp>
#include <ssm/layer/identity.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/layer/norm.hpp>
#include <ssm/layer/pool.hpp>
#include <ssm/model/repeat.hpp>
#include <ssm/model/residual.hpp>
#include <ssm/model/sequential.hpp>

#include "support/conformance.hpp"
#include "support/prebuilt_selective.hpp"
#include "support/prebuilt_systems.hpp"

using namespace ssm;
using ssm_test::check_conformance;
using ssm_test::with_noise;

namespace {

template <class T>
using Gelu = Activation<T, math::Gelu>;
template <class T>
using Branch = Sequential<Conv1d<T>, Gelu<T>, Linear<T>>;
template <class T>
using Block = Residual<LayerNorm<T>, Branch<T>>;

template <class T>
Block<T> block(std::size_t channels, ResidualOptions options, Rng& rng) {
    return Block<T>(
        LayerNorm<T>({.channels = channels}),
        Branch<T>(Conv1d<T>({.channels = channels}, rng.split()), Gelu<T>({.channels = channels}),
                  Linear<T>({.in = channels, .out = channels}, rng.split())),
        options);
}

template <class T>
Repeat<Block<T>> blocks(std::size_t depth, std::size_t channels, ResidualOptions options,
                        Rng& rng) {
    return Repeat<Block<T>>(depth, [&](std::size_t) { return block<T>(channels, options, rng); });
}

std::vector<std::string> names_of(const auto& layer) {
    std::vector<std::string> names;
    visit(
        [&](std::string_view name, const WeightTraits&, const auto&) { names.emplace_back(name); },
        layer);
    return names;
}

using NotCausal = Sequential<Linear<float>, GroupNorm<float>>;
using T = double;  // of all conformance checks: what is composed has checks of its own in float too

}  // namespace

static_assert(StreamingLayer<Repeat<Block<float>>> && TrainableLayer<Repeat<Block<float>>>);
static_assert(!PointwiseLayer<Block<float>>);
static_assert(PointwiseLayer<Residual<Identity<float>, Linear<float>>>);
static_assert(!StreamingLayer<NotCausal> && TrainableLayer<NotCausal>);
static_assert(!StreamingLayer<Repeat<NotCausal>> && TrainableLayer<Repeat<NotCausal>>);
static_assert(!StreamingLayer<Residual<Identity<float>, NotCausal>>);
static_assert(ReducingLayer<Sequential<MeanPool<float>, Linear<float>>>);
static_assert(!PointwiseLayer<Sequential<MeanPool<float>, Linear<float>>>);

TEST_CASE("residual blocks of both orders keep every promise of a layer") {
    Rng rng(3);
    const NormOrder order = GENERATE(NormOrder::pre, NormOrder::post);
    check_conformance(with_noise(block<T>(5, {.order = order}, rng)));
    ssm::testing::ConformanceOptions options;
    options.training_differs = true;
    check_conformance(block<T>(5, {.order = order, .dropout = 0.2}, rng), options);
    check_conformance(block<T>(5, {.order = order, .dropout = 0.2, .tied_dropout = true}, rng),
                      options);
}

TEST_CASE("repeated blocks keep every promise of a layer") {
    Rng rng(3);
    const std::size_t depth = GENERATE(1U, 2U, 3U);
    check_conformance(blocks<T>(depth, 4, {}, rng));
}

TEST_CASE("a classifier of sequences keeps every promise of a layer") {
    Rng rng(3);
    check_conformance(Sequential(Linear<T>({.in = 2, .out = 6}, rng.split()),
                                 blocks<T>(2, 6, {.order = NormOrder::pre}, rng),
                                 MeanPool<T>({.channels = 6}), Gelu<T>({.channels = 6}),
                                 Linear<T>({.in = 6, .out = 3}, rng.split())));
}

TEST_CASE("chains of layers that work in place keep every promise of a layer") {
    const double p = GENERATE(0.0, 0.4);
    Rng rng(3);
    ssm::testing::ConformanceOptions options;
    options.training_differs = p > 0.0;
    const Dropout<T> dropout({.channels = 5, .p = p});
    check_conformance(
        Sequential(dropout, Conv1d<T>({.channels = 5}, rng.split()), dropout,
                   Gelu<T>({.channels = 5}), dropout, Linear<T>({.in = 5, .out = 5}, rng.split()),
                   dropout, with_noise(LayerNorm<T>({.channels = 5})), dropout),
        options);
}

TEST_CASE("a language model over token ids keeps every promise of a layer") {
    Rng rng(3);
    check_conformance(Sequential(Embedding<T>({.tokens = 8, .channels = 5}, rng.split()),
                                 blocks<T>(2, 5, {}, rng), LayerNorm<T>({.channels = 5}),
                                 Linear<T>({.in = 5, .out = 8}, rng.split())));
}

TEST_CASE("compositions that are not causal keep every promise but streaming") {
    Rng rng(3);
    check_conformance(Sequential(Linear<T>({.in = 2, .out = 4}, rng.split()),
                                 Residual(GroupNorm<T>({.channels = 4, .groups = 2}),
                                          Linear<T>({.in = 4, .out = 4}, rng.split())),
                                 MaxPool<T>({.channels = 4})));
}

TEST_CASE("weights of compositions are named by where they stand") {
    Rng rng(1);
    const Sequential model(Linear<float>({.in = 1, .out = 2, .bias = false}),
                           blocks<float>(1, 2, {}, rng));
    const std::vector<std::string> expected = {
        "0.weight",         "1.0.norm.weight",    "1.0.norm.bias",    "1.0.inner.0.weight",
        "1.0.inner.0.bias", "1.0.inner.2.weight", "1.0.inner.2.bias",
    };
    CHECK(names_of(model) == expected);
}

TEST_CASE("neighbours whose widths differ are named with both numbers") {
    const auto message = [](auto&& make) -> std::string {
        try {
            make();
        } catch (const ShapeError& error) {
            return error.what();
        }
        return "";
    };
    CHECK(message([] {
              (void)Sequential(Linear<float>({.in = 1, .out = 2}), Gelu<float>({.channels = 2}),
                               Linear<float>({.in = 3, .out = 2}));
          }) == "ssm::Sequential: layer 1 makes 2 channels, but layer 2 expects 3");
    CHECK(message([] {
              (void)Repeat<Linear<float>>(
                  2, [](std::size_t) { return Linear<float>({.in = 3, .out = 4}); });
          }) == "ssm::Repeat: layer 0 makes 4 channels, but layer 1 expects 3");
    CHECK(message([] {
              (void)Residual(LayerNorm<float>({.channels = 3}), Linear<float>({.in = 3, .out = 4}));
          }) == "ssm::Residual: the inner layer maps 3 channels to 4, but must keep their number");
    CHECK(message([] {
              (void)Residual(LayerNorm<float>({.channels = 4}), Linear<float>({.in = 3, .out = 3}));
          }) == "ssm::Residual: the norm maps 4 channels to 4, but the inner layer has 3");
}

TEST_CASE("compositions refuse what they cannot be") {
    CHECK_THROWS_AS(Repeat<Linear<float>>(std::vector<Linear<float>>{}), ValueError);
    CHECK_THROWS_AS(Residual(LayerNorm<float>({.channels = 3}), Linear<float>({.in = 3, .out = 3}),
                             {.dropout = 1.0}),
                    ValueError);
}

TEST_CASE("values of different depth are not visited together") {
    Rng rng(1);
    auto two = blocks<float>(2, 3, {}, rng);
    auto three = blocks<float>(3, 3, {}, rng);
    CHECK_THROWS_AS(visit([](std::string_view, const WeightTraits&, auto&, auto&) {}, two, three),
                    ShapeError);
}

TEST_CASE("a cache of another input is refused by the backward") {
    Rng rng(1);
    const auto model = blocks<float>(2, 3, {}, rng);
    Workspace workspace;
    const Batch<float> u(1, 4, 3);
    Batch<float> y(1, 4, 3);
    Repeat<Block<float>>::Cache cache;
    model.forward(u, y, cache, workspace);
    auto gradient = zeros_like(model);
    const Batch<float> longer(1, 5, 3);
    CHECK_THROWS_AS(model.backward(longer, longer, {}, cache, gradient, workspace), ShapeError);
}

TEST_CASE("a state of another depth is refused") {
    Rng rng(1);
    const auto model = blocks<float>(3, 3, {}, rng);
    Workspace workspace;
    const Batch<float> u(1, 4, 3);
    Batch<float> y(1, 4, 3);
    Repeat<Block<float>>::State empty;
    auto shallow = blocks<float>(2, 3, {}, rng).rest_state();
    CHECK_THROWS_AS(model.forward(u, y, empty, workspace), ShapeError);
    CHECK_THROWS_AS(model.forward(u, y, shallow, workspace), ShapeError);
}
