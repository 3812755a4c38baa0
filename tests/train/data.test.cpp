#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <type_traits>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/train/indices.hpp>
#include <ssm/train/sequences.hpp>
#include <ssm/train/source.hpp>
#include <ssm/train/token_windows.hpp>

#include "support/catch.hpp"

namespace {

using Indices = std::vector<std::size_t>;

Indices vector_of(std::span<const std::size_t> indices) {
    return {indices.begin(), indices.end()};
}

using Labelled = ssm::Examples<float, std::int32_t>;
using Labels = std::vector<std::int32_t>;

}  // namespace

// Nothing refers to what is about to vanish; views are handed over as they are.
static_assert(std::is_constructible_v<Labelled, ssm::Batch<float>&, const Labels&>);
static_assert(std::is_constructible_v<Labelled, ssm::BatchView<const float>,
                                      std::span<const std::int32_t>, std::span<const std::size_t>>);
static_assert(!std::is_constructible_v<Labelled, ssm::Batch<float>, Labels&>);
static_assert(!std::is_constructible_v<Labelled, ssm::Batch<float>&, Labels>);
static_assert(!std::is_constructible_v<Labelled, ssm::Batch<float>&, Labels&, Indices>);
static_assert(std::is_constructible_v<ssm::Subset<Labelled>, const Labelled&, Indices>);
static_assert(!std::is_constructible_v<ssm::Subset<Labelled>, Labelled, Indices>);

TEST_CASE("shuffled indices are a permutation that the generator decides") {
    ssm::Rng rng(5);
    ssm::Rng same(5);
    const Indices first = ssm::shuffled_indices(100, rng);
    CHECK(first == ssm::shuffled_indices(100, same));
    CHECK(first != ssm::shuffled_indices(100, rng));
    Indices sorted = first;
    std::sort(sorted.begin(), sorted.end());
    CHECK(sorted == ssm::ordered_indices(100));
    CHECK(ssm::shuffled_indices(0, rng).empty());
}

TEST_CASE("indices are cut into batches, the rest kept or dropped") {
    const Indices indices = ssm::ordered_indices(7);
    const ssm::IndexBatches kept(indices, 3);
    CHECK(kept.size() == 3);
    CHECK(vector_of(kept[0]) == Indices{0, 1, 2});
    CHECK(vector_of(kept[2]) == Indices{6});
    const ssm::IndexBatches dropped(indices, 3, ssm::Rest::dropped);
    CHECK(dropped.size() == 2);
    CHECK(vector_of(dropped[1]) == Indices{3, 4, 5});
    CHECK(ssm::IndexBatches({}, 3).size() == 0);
    CHECK_THROWS_AS(ssm::IndexBatches(indices, 0), ssm::ValueError);
}

TEST_CASE("a stratified split keeps the shares of the classes and every example") {
    std::vector<std::int32_t> labels(90, 0);
    labels.insert(labels.end(), 30, 7);
    const ssm::Split split = ssm::stratified_split(labels, 0.2, ssm::Rng(1));
    CHECK(split.validation.size() == 24);
    const auto rare = [&](std::size_t i) { return labels[i] == 7; };
    CHECK(std::count_if(split.validation.begin(), split.validation.end(), rare) == 6);
    Indices all = split.training;
    all.insert(all.end(), split.validation.begin(), split.validation.end());
    std::sort(all.begin(), all.end());
    CHECK(all == ssm::ordered_indices(120));
    CHECK(ssm::stratified_split(labels, 0.2, ssm::Rng(1)).training == split.training);
    CHECK(ssm::stratified_split(labels, 0.2, ssm::Rng(2)).training != split.training);
    CHECK(ssm::random_split(10, 0.5, ssm::Rng(1)).training.size() == 5);
    CHECK_THROWS_AS(ssm::stratified_split(labels, 1.5, ssm::Rng(1)), ssm::ValueError);
}

TEST_CASE("examples in memory are gathered in the order asked for") {
    ssm::Batch<float> u(4, 2, 3);
    std::iota(u.data(), u.data() + u.size(), 0.0F);
    const std::vector<std::int32_t> labels = {10, 11, 12, 13};
    const Indices lengths = {1, 2, 2, 1};
    const ssm::Examples examples(u, labels, std::span<const std::size_t>(lengths));
    ssm::MiniBatch<float, std::int32_t> batch;
    examples.take(Indices{3, 1}, batch);
    CHECK(batch.inputs.shape() == ssm::Shape{2, 2, 3});
    CHECK(batch.inputs(0, 0, 0) == u(3, 0, 0));
    CHECK(batch.inputs(1, 1, 2) == u(1, 1, 2));
    CHECK(batch.targets.shape() == ssm::Shape{2, 1, 1});
    CHECK(batch.targets(0, 0, 0) == 13);
    CHECK(batch.lengths == Indices{1, 2});

    const ssm::Subset subset(examples, {2, 3});
    CHECK(subset.size() == 2);
    subset.take(Indices{1}, batch);
    CHECK(batch.targets(0, 0, 0) == 13);
}

TEST_CASE("labels may be one for each step") {
    const ssm::Batch<float> u(2, 3, 1);
    const std::vector<std::int32_t> labels = {0, 1, 2, 3, 4, 5};
    const ssm::Examples examples(u, labels);
    ssm::MiniBatch<float, std::int32_t> batch;
    examples.take(Indices{1}, batch);
    CHECK(batch.targets.shape() == ssm::Shape{1, 3, 1});
    CHECK(batch.targets(0, 0, 0) == 3);
}

TEST_CASE("examples that do not fit together are rejected") {
    const ssm::Batch<float> u(4, 2, 3);
    const ssm::Batch<float> target(3, 2, 3);
    const std::vector<std::int32_t> labels = {0, 1, 2};
    CHECK_THROWS_AS(ssm::Examples(u, target), ssm::ShapeError);
    CHECK_THROWS_AS(ssm::Examples(u, labels), ssm::ShapeError);
    const std::vector<std::int32_t> none;
    CHECK_THROWS_AS(ssm::Examples(u, none), ssm::ShapeError);
    const Indices lengths = {1};
    CHECK_THROWS_AS(ssm::Examples(u, u, std::span<const std::size_t>(lengths)), ssm::ShapeError);
    const ssm::Examples fine(u, u);
    CHECK_THROWS_AS(ssm::Subset(fine, {4}), ssm::ValueError);
    ssm::MiniBatch<float, float> batch;
    CHECK_THROWS_AS(fine.take(Indices{4}, batch), ssm::ShapeError);
}

TEST_CASE("windows of tokens have the next tokens as targets") {
    std::vector<std::int32_t> tokens(11);
    std::iota(tokens.begin(), tokens.end(), 0);
    const ssm::TokenWindows windows(tokens, 4, 3);
    CHECK(windows.size() == 3);
    ssm::MiniBatch<std::int32_t, std::int32_t> batch;
    windows.take(Indices{2, 0}, batch);
    CHECK(batch.inputs.shape() == ssm::Shape{2, 4, 1});
    CHECK(batch.inputs(0, 0, 0) == 6);
    CHECK(batch.targets(0, 3, 0) == 10);
    CHECK(batch.targets(1, 0, 0) == 1);
    CHECK_THROWS_AS(windows.take(Indices{3}, batch), ssm::ShapeError);
    CHECK_THROWS_AS(ssm::TokenWindows(tokens, 11, 1), ssm::ValueError);
    CHECK_THROWS_AS(ssm::TokenWindows(tokens, 0, 1), ssm::ValueError);
    CHECK_THROWS_AS(ssm::TokenWindows(tokens, 4, 0), ssm::ValueError);
    CHECK(ssm::TokenWindows(tokens, 10, 1).size() == 1);
}

TEST_CASE("sequences of different lengths are padded to the longest of a mini-batch") {
    const std::vector<std::vector<float>> sequences{{1, 2, 3, 4}, {5, 6}, {7, 8, 9, 10, 11, 12}};
    const std::vector<std::int32_t> labels{3, 4, 5};
    const ssm::Sequences source(sequences, labels, std::size_t(2));
    CHECK(source.size() == 3);
    CHECK(source.lengths() == std::vector<std::size_t>{2, 1, 3});

    ssm::MiniBatch<float, std::int32_t> batch;
    source.take(std::vector<std::size_t>{2, 1}, batch);
    source.take(std::vector<std::size_t>{1, 0}, batch);  // less, over what was there
    CHECK(batch.inputs.shape() == ssm::Shape{2, 2, 2});
    CHECK(std::vector<float>(batch.inputs.data(), batch.inputs.data() + 8) ==
          std::vector<float>{5, 6, 0, 0, 1, 2, 3, 4});
    CHECK(batch.lengths == std::vector<std::size_t>{1, 2});
    CHECK(batch.targets.data()[0] == 4);
    CHECK(batch.targets.data()[1] == 3);

    CHECK_THROWS_AS(source.take(std::vector<std::size_t>{3}, batch), ssm::ShapeError);
    CHECK_THROWS_AS(ssm::Sequences(sequences, std::vector<std::int32_t>{1, 2}), ssm::ShapeError);
    CHECK_THROWS_AS(ssm::Sequences(sequences, labels, std::size_t(4)), ssm::ShapeError);
}

TEST_CASE("an order by length is a permutation that hardly pads, and another one every epoch") {
    ssm::Rng rng(5);
    std::vector<std::size_t> lengths;
    for (std::size_t i = 0; i < 203; ++i)
        lengths.push_back(1 + rng.below(1000));
    const std::size_t size = 8;
    const ssm::Order order = ssm::by_length(lengths, size, 6);
    const auto padded = [&](const std::vector<std::size_t>& indices) {
        const ssm::IndexBatches batches(indices, size);
        std::size_t steps = 0;
        for (std::size_t i = 0; i < batches.size(); ++i) {
            std::size_t longest = 0;
            for (const std::size_t index : batches[i])
                longest = std::max(longest, lengths[index]);
            steps += batches[i].size() * longest;
        }
        return steps;
    };
    const std::size_t valid = std::accumulate(lengths.begin(), lengths.end(), std::size_t(0));
    const std::vector<std::size_t> first = order(rng);
    const std::vector<std::size_t> second = order(rng);
    CHECK(first != second);
    CHECK(padded(first) - valid < (padded(ssm::shuffled_indices(203, rng)) - valid) / 3);
    std::vector<std::size_t> sorted = first;
    std::sort(sorted.begin(), sorted.end());
    CHECK(sorted == ssm::ordered_indices(203));
    CHECK_THROWS_AS(ssm::by_length(lengths, 0), ssm::ValueError);
}
