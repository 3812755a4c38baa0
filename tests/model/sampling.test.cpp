#include <ssm/model/sampling.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include "support/catch.hpp"

using namespace ssm;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Shares of the tokens drawn from the logits.
std::map<std::int32_t, double> shares(const SamplingOptions& options,
                                      const std::vector<double>& logits,
                                      const std::vector<std::uint8_t>& seen = {}) {
    constexpr int count = 20000;
    Sampler<double> sampler(options);
    Rng rng(7);
    std::map<std::int32_t, double> result;
    for (int i = 0; i < count; ++i)
        result[sampler(logits, rng, seen)] += 1.0 / count;
    return result;
}

std::vector<double> logits_of(const std::vector<double>& probabilities) {
    std::vector<double> logits;
    for (const double p : probabilities)
        logits.push_back(std::log(p) + 5.0);
    return logits;
}

/// 4.5 standard deviations of a share of 1/2 in 20000 draws.
constexpr double margin = 0.016;

}  // namespace

TEST_CASE("tokens are drawn with the probabilities of the softmax at a temperature") {
    const std::vector<double> p{0.1, 0.4, 0.2, 0.3};
    const auto plain = shares({.temperature = 1.0}, logits_of(p));
    for (std::size_t v = 0; v < p.size(); ++v)
        CHECK(std::abs(plain.at(static_cast<std::int32_t>(v)) - p[v]) < margin);
    const auto cold = shares({.temperature = 0.5}, logits_of(p));
    for (std::size_t v = 0; v < p.size(); ++v)
        CHECK(std::abs(cold.at(static_cast<std::int32_t>(v)) - p[v] * p[v] / 0.3) < margin);
}

TEST_CASE("temperature 0 and top_k 1 take the first of the largest and leave the generator alone") {
    const std::vector<double> logits{1.0, 3.0, 3.0, -infinity};
    for (const SamplingOptions& options :
         {SamplingOptions{}, SamplingOptions{.temperature = 1.0, .top_k = 1}}) {
        Sampler<double> sampler(options);
        Rng rng(3);
        CHECK(sampler(logits, rng) == 1);
        CHECK(rng == Rng(3));
    }
}

TEST_CASE("top_k, top_p and min_p keep what they say, in this order") {
    const std::vector<double> logits = logits_of({0.1, 0.4, 0.2, 0.3});
    const auto k = shares({.temperature = 1.0, .top_k = 2}, logits);
    CHECK(k.size() == 2);
    CHECK(std::abs(k.at(1) - 4.0 / 7.0) < margin);
    const auto p = shares({.temperature = 1.0, .top_p = 0.7}, logits);
    CHECK(p.size() == 2);
    CHECK(shares({.temperature = 1.0, .top_p = 0.71}, logits).size() == 3);
    CHECK(shares({.temperature = 1.0, .top_p = 1e-9}, logits).size() == 1);
    CHECK(shares({.temperature = 1.0, .min_p = 0.51}, logits).size() == 2);
    CHECK(shares({.temperature = 1.0, .min_p = 1.0}, logits).size() == 1);
    // Of the three largest, 0.4 and 0.3 have 7/9 of the probability.
    CHECK(shares({.temperature = 1.0, .top_k = 3, .top_p = 0.77}, logits).size() == 2);
    CHECK(shares({.temperature = 1.0, .top_k = 3, .top_p = 0.79}, logits).size() == 3);
    // Without the smallest, 0.4 alone has 4/9.
    CHECK(shares({.temperature = 1.0, .top_p = 0.42, .min_p = 0.3}, logits).size() == 1);
    CHECK(shares({.temperature = 1.0, .top_p = 0.45, .min_p = 0.3}, logits).size() == 2);
}

TEST_CASE("a repetition penalty makes tokens that were there less likely, whatever their sign") {
    Rng rng;
    Sampler<double> sampler({.repetition_penalty = 2.0});
    const std::vector<double> positive{3.0, 2.0}, negative{-1.0, -1.5};
    CHECK(sampler(positive, rng, std::vector<std::uint8_t>{1, 0}) == 1);
    CHECK(sampler(positive, rng, std::vector<std::uint8_t>{1, 1}) == 0);
    CHECK(sampler(negative, rng, std::vector<std::uint8_t>{1, 0}) == 1);
    CHECK(sampler(negative, rng) == 0);
    CHECK_THROWS_AS(sampler(negative, rng, std::vector<std::uint8_t>{1}), ShapeError);
}

TEST_CASE("logits of -infinity are never drawn, and what is no distribution is refused") {
    const auto some = shares({.temperature = 1.0}, {0.0, -infinity, 0.0});
    CHECK((some.size() == 2 && !some.contains(1)));
    Sampler<double> sampler({.temperature = 1.0});
    Rng rng;
    using Logits = std::vector<double>;
    CHECK_THROWS_AS(sampler(Logits{}, rng), ValueError);
    CHECK_THROWS_AS(sampler(Logits{0.0, std::nan("")}, rng), ValueError);
    CHECK_THROWS_AS(sampler(Logits{0.0, infinity}, rng), ValueError);
    CHECK_THROWS_AS(sampler(Logits{-infinity}, rng), ValueError);
}

TEST_CASE("sampling options out of range are refused") {
    for (const SamplingOptions& options :
         {SamplingOptions{.temperature = -1.0}, SamplingOptions{.temperature = infinity},
          SamplingOptions{.top_p = 0.0}, SamplingOptions{.top_p = 1.1},
          SamplingOptions{.min_p = -0.1}, SamplingOptions{.min_p = 1.1},
          SamplingOptions{.repetition_penalty = 0.0}, SamplingOptions{.top_p = std::nan("")}})
        CHECK_THROWS_AS(Sampler<double>(options), ValueError);
}
