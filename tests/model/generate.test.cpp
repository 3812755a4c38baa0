#include <ssm/model/generate.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>
#include <vector>

#include <ssm/io/checkpoint.hpp>
#include <ssm/layer/mamba.hpp>
#include <ssm/model/language_model.hpp>

#include "support/conformance.hpp"
#include "support/prebuilt_selective.hpp"
#include "support/temporary_folder.hpp"

using namespace ssm;

using Model = LanguageModel<Mamba<double>>;
using Tokens = std::vector<std::int32_t>;

static_assert(std::is_constructible_v<Generator<Model>, const Model&>);
static_assert(!std::is_constructible_v<Generator<Model>, Model>);

namespace {

Model small() {
    return ssm_test::with_noise(
        Model({.tokens = 8, .width = 5, .depth = 2, .pad_to = 3}, {.state = 3}, Rng(3)));
}

/// The most likely continuation by whole forwards.
Tokens greedy(const Model& model, Tokens text, std::size_t count) {
    Workspace workspace;
    const std::size_t start = text.size();
    while (text.size() < start + count) {
        Batch<double> logits(1, text.size(), model.out_channels());
        model.forward(BatchView<const std::int32_t>(text.data(), {1, text.size(), 1}), logits,
                      workspace);
        const auto last = logits.view().row(0, text.size() - 1).first(model.tokens());
        text.push_back(
            static_cast<std::int32_t>(std::max_element(last.begin(), last.end()) - last.begin()));
    }
    return {text.begin() + static_cast<std::ptrdiff_t>(start), text.end()};
}

}  // namespace

TEST_CASE("prompts of different lengths are continued as each would be alone, token by token") {
    const Model model = small();
    const std::vector<Tokens> prompts{{1, 2, 3, 4, 5}, {7}, Tokens(700, 3)};
    Workspace workspace;
    std::vector<Tokens> called(3);
    const auto texts = generate(model, prompts, {.tokens = 12}, workspace,
                                [&](std::size_t text, std::int32_t token) {
                                    called[text].push_back(token);
                                    return true;
                                });
    CHECK(called == texts);
    for (std::size_t b = 0; b < prompts.size(); ++b) {
        CHECK(texts[b] == greedy(model, prompts[b], 12));
        CHECK(texts[b] ==
              generate(model, std::vector<Tokens>{prompts[b]}, {.tokens = 12}, workspace)[0]);
    }
}

TEST_CASE("a text ends with a stop token or when the callback says so, the others go on") {
    const Model model = small();
    const std::vector<Tokens> prompts{{1, 2, 3}, {4}};
    Workspace workspace;
    const GenerateOptions options{.tokens = 9, .sampling = {.temperature = 1.5}, .seed = 5};
    const auto whole = generate(model, prompts, options, workspace);
    REQUIRE(whole[0].size() == 9);
    GenerateOptions stopped = options;
    stopped.stops = {whole[0][3]};
    const auto texts = generate(model, prompts, stopped, workspace);
    CHECK(texts[0].size() <= 4);
    CHECK(texts[0].back() == whole[0][3]);
    CHECK(std::equal(texts[1].begin(), texts[1].end(), whole[1].begin()));
    std::size_t calls = 0;
    const auto cut = generate(model, prompts, options, workspace,
                              [&](std::size_t b, std::int32_t) { return b != 1 || ++calls < 2; });
    CHECK(cut[0] == whole[0]);
    CHECK(cut[1] == Tokens(whole[1].begin(), whole[1].begin() + 2));
}

TEST_CASE("a generator forks by a copy, and goes on from a file as if it had never stopped") {
    const ssm_test::TemporaryFolder folder;
    const Model model = small();
    Workspace workspace;
    const SamplingOptions sampling{.temperature = 2.0, .repetition_penalty = 1.2};
    Generator generator(model, sampling, 2, Rng(3));
    const Tokens prompts{1, 2, 3, 4};
    generator.read(BatchView<const std::int32_t>(prompts.data(), {2, 2, 1}), workspace);
    for (int i = 0; i < 5; ++i)
        generator.next(workspace);

    Generator fork = generator;
    Generator resumed(model, sampling, 2);
    Checkpoint saved, loaded;
    saved.add("texts", generator);
    loaded.add("texts", resumed);
    saved.save(folder / "texts");
    loaded.load(folder / "texts");
    Generator other = generator;
    other.rng(0) = Rng(99);
    bool differs = false;
    for (int i = 0; i < 20; ++i) {
        const auto next = generator.next(workspace);
        const Tokens expected(next.begin(), next.end());
        const auto a = fork.next(workspace);
        const auto b = resumed.next(workspace);
        const auto c = other.next(workspace);
        CHECK(Tokens(a.begin(), a.end()) == expected);
        CHECK(Tokens(b.begin(), b.end()) == expected);
        differs = differs || c[0] != expected[0];
    }
    CHECK(differs);
}

TEST_CASE("texts without a token, unknown tokens and wrong shapes are refused") {
    const Model model = small();
    Workspace workspace;
    const std::vector<Tokens> empty{{1}, {}}, padding{{8}}, negative{{-1}};
    for (const auto& prompts : {empty, padding, negative})
        CHECK_THROWS_AS(generate(model, prompts, {}, workspace), ValueError);
    CHECK(generate(model, std::vector<Tokens>{}, {}, workspace).empty());
    Generator generator(model);
    CHECK_THROWS_AS(generator.next(workspace), ValueError);
    const Tokens two{1, 2};
    CHECK_THROWS_AS(generator.read(BatchView<const std::int32_t>(two.data(), {2, 1, 1}), workspace),
                    ShapeError);
    generator.read(two, workspace);
    generator.read(Tokens{}, workspace);
    CHECK(generator.logits(0).size() == 8);
}

TEST_CASE("a generator refuses resets and intervals, which texts do not have") {
    const Model model = small();
    Workspace workspace;
    Generator generator(model);
    const Tokens two{1, 2};
    const Batch<std::uint8_t> mask(1, 2, 1);
    const Batch<double> intervals(1, 2, 1);
    CHECK_THROWS_AS(generator.read(two, Context(workspace).with_resets(mask)), ValueError);
    CHECK_THROWS_AS(generator.read(two, Context(workspace).with_intervals(intervals)), ValueError);
}

TEST_CASE("no text draws when the logits of one are not numbers") {
    Model model({.tokens = 8, .width = 5, .depth = 1, .tied = false}, {.state = 3}, Rng(3));
    visit(
        [](std::string_view name, const WeightTraits&, auto& weight) {
            if (name == "backbone.embeddings.weight")
                weight[2 * 5] = std::numeric_limits<double>::quiet_NaN();  // of token 2
        },
        model);
    Workspace workspace;
    Generator generator(model, {.temperature = 2.0}, 2, Rng(3));
    const Tokens prompts{1, 2};
    generator.read(BatchView<const std::int32_t>(prompts.data(), {2, 1, 1}), workspace);
    REQUIRE(std::isfinite(generator.logits(0)[0]));
    const Rng before = generator.rng(0);
    CHECK_THROWS_AS(generator.next(workspace), ValueError);
    CHECK(generator.rng(0) == before);
}
