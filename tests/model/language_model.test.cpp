#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <ssm/core/weights.hpp>
#include <ssm/io/checkpoint.hpp>
#include <ssm/io/load.hpp>
#include <ssm/io/save.hpp>
#include <ssm/layer/mamba.hpp>
#include <ssm/layer/s4d.hpp>
#include <ssm/math/small_float.hpp>
#include <ssm/model/language_model.hpp>

#include "support/conformance.hpp"
#include "support/prebuilt_bank.hpp"
#include "support/prebuilt_selective.hpp"
#include "support/safetensors_bytes.hpp"
#include "support/temporary_folder.hpp"

using namespace ssm;

using Model = LanguageModel<S4D<double>>;

static_assert(check_streaming<Model>() && check_trainable<Model>());

using Full = LanguageModel<Mamba<float>>;
using Rounded = LanguageModel<Mamba<float, Bfloat16>>;
static_assert(check_streaming<Rounded>() && !TrainableLayer<Rounded>);

namespace {

Model small(bool tied, std::size_t pad_to = 1) {
    return Model({.tokens = 8, .width = 5, .depth = 2, .pad_to = pad_to, .tied = tied},
                 {.state = 6, .timescale = {.min = 0.05, .max = 0.3}}, Rng(3));
}

Batch<std::int32_t> some_tokens(std::size_t batch, std::size_t length) {
    Rng rng(4);
    Batch<std::int32_t> tokens(batch, length, 1);
    for (std::int32_t& token : tokens.view().flat())
        token = static_cast<std::int32_t>(rng.below(8));
    return tokens;
}

template <class M>
Batch<float> logits_of(const M& model, const Batch<std::int32_t>& tokens) {
    Workspace workspace;
    Batch<float> logits(tokens.batch(), tokens.length(), model.out_channels());
    model.forward(tokens, logits, workspace);
    return logits;
}

float largest_difference(const Batch<float>& a, const Batch<float>& b) {
    float largest = 0.0F;
    for (std::size_t i = 0; i < a.view().size(); ++i)
        largest = std::max(largest, std::abs(a.data()[i] - b.data()[i]));
    return largest;
}

}  // namespace

TEST_CASE("a language model keeps every promise of a layer, with a tied head and with its own") {
    ssm_test::check_conformance(ssm_test::with_noise(small(true, 3)), {.entries = 6});
    ssm_test::check_conformance(ssm_test::with_noise(small(false)), {.entries = 6});
}

TEST_CASE("the weights of a language model have the names of the published checkpoints") {
    std::vector<std::string> names;
    const auto collect = [&](std::string_view name, const WeightTraits&, const Tensor<double>&) {
        names.emplace_back(name);
    };
    const Model tied = small(true, 16);
    visit(collect, tied);
    CHECK(names.front() == "backbone.embeddings.weight");
    CHECK(names[1] == "backbone.layers.0.norm.weight");
    CHECK(names[2].starts_with("backbone.layers.0.mixer."));
    CHECK(names.back() == "backbone.norm_f.weight");
    CHECK((tied.tokens() == 8 && tied.out_channels() == 16));
    const Model untied = small(false);
    visit(collect, untied);
    CHECK(names.back() == "lm_head.weight");
    CHECK(untied.head_weight().extents() == Extents{8, 5});
}

TEST_CASE("prefill gives the logits of each sequence's last token and the state behind it") {
    const Model model = ssm_test::with_noise(small(true));
    const Batch<std::int32_t> tokens = some_tokens(3, 7);
    const std::vector<std::size_t> lengths{7, 0, 4};
    Workspace workspace;
    const Context context = Context(workspace).with_lengths(lengths);
    Batch<double> all(3, 7, 8), last(3, 1, 8);
    last.fill(-1.0);
    auto state = model.rest_state(3);
    auto same = state;
    model.forward(tokens, all, state, context);
    model.prefill(tokens, last, same, context);
    CHECK(state == same);
    for (std::size_t v = 0; v < 8; ++v) {
        CHECK(std::abs(last(0, 0, v) - all(0, 6, v)) < 1e-12);
        CHECK(last(1, 0, v) == -1.0);
        CHECK(std::abs(last(2, 0, v) - all(2, 3, v)) < 1e-12);
    }
    Batch<double> wrong(3, 2, 8);
    CHECK_THROWS_AS(model.prefill(tokens, wrong, state, workspace), ShapeError);
}

TEST_CASE("a stream of a language model goes on from a file as if it had never stopped") {
    const ssm_test::TemporaryFolder folder;
    const Model model = ssm_test::with_noise(small(false));
    const Batch<std::int32_t> tokens = some_tokens(2, 9);
    Workspace workspace;
    auto state = model.rest_state(2);
    Batch<double> logits(2, 9, 8);
    model.forward(tokens, logits, state, workspace);

    Checkpoint saved;
    saved.add("stream", state);
    saved.save(folder / "stream");
    auto resumed = model.rest_state(2);
    Checkpoint stream;
    stream.add("stream", resumed);
    stream.load(folder / "stream");
    CHECK(resumed == state);
    const std::vector<std::int32_t> next{3, 5};
    std::vector<double> a(16), b(16);
    model.step(next, a, state);
    model.step(next, b, resumed);
    CHECK(a == b);

    auto fewer = model.rest_state(1);
    const auto before = fewer;
    Checkpoint other;
    other.add("stream", fewer);
    CHECK_THROWS_AS(other.load(folder / "stream"), FileError);
    CHECK(fewer == before);
}

TEST_CASE(
    "a language model of rounded weights is the one that has their values, in half of the memory") {
    const bool tied = GENERATE(true, false);
    Full full({.tokens = 8, .width = 12, .depth = 2, .tied = tied}, {.state = 4}, Rng(3));
    const Rounded rounded(full);
    ssm_test::check_conformance(rounded);
    visit(
        [](std::string_view name, const WeightTraits&, const auto& weight, const auto& original) {
            INFO(name);
            using Number = typename std::remove_cvref_t<decltype(weight)>::value_type;
            CHECK((sizeof(Number) == 2) ==
                  (name.ends_with("proj.weight") || name.ends_with("head.weight") ||
                   name.ends_with("embeddings.weight")));
            for (std::size_t i = 0; i < weight.size(); ++i)
                CHECK(static_cast<float>(weight[i]) ==
                      static_cast<float>(static_cast<Number>(static_cast<double>(original[i]))));
        },
        rounded, full);

    const Batch<std::int32_t> tokens = some_tokens(2, 20);
    const Batch<float> logits = logits_of(rounded, tokens);
    const float size = largest_difference(logits, Batch<float>(logits.shape()));
    CHECK(largest_difference(logits, logits_of(full, tokens)) < 0.02F * size);
    copy_weights(rounded, full);
    CHECK(largest_difference(logits, logits_of(full, tokens)) < 1e-5F * size);

    const ssm_test::TemporaryFolder folder;
    save(rounded, folder / "model.safetensors");
    CHECK(Safetensors(folder / "model.safetensors").entry("backbone.embeddings.weight").dtype ==
          Dtype::bf16);
    Rounded loaded({.tokens = 8, .width = 12, .depth = 2, .tied = tied}, {.state = 4});
    load(loaded, folder / "model.safetensors");
    CHECK(largest_difference(logits, logits_of(loaded, tokens)) == 0.0F);
}

TEST_CASE("decoding takes no memory, however long the text") {
    const Rounded model({.tokens = 8, .width = 12, .depth = 2}, {.state = 4});
    auto stream = model.rest_state();
    std::vector<float> logits(8);
    std::vector<std::int32_t> token{1};
    const ssm_test::AllocationCounter allocations;
    for (int i = 0; i < 3000; ++i) {
        model.step(token, logits, stream);
        token[0] = static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) -
                                             logits.begin());
    }
    CHECK(allocations.count() == 0);
}

TEST_CASE("a language model with sizes of zero is refused, and so are unknown tokens") {
    const S4D<double>::Options mixer;
    CHECK_THROWS_AS(Model({.tokens = 0, .width = 4, .depth = 1}, mixer), ValueError);
    CHECK_THROWS_AS(Model({.tokens = 4, .width = 0, .depth = 1}, mixer), ValueError);
    CHECK_THROWS_AS(Model({.tokens = 4, .width = 4, .depth = 0}, mixer), ValueError);
    CHECK_THROWS_AS(Model({.tokens = 4, .width = 4, .depth = 1, .pad_to = 0}, mixer), ValueError);
    const Model model = small(true);
    Batch<std::int32_t> tokens = some_tokens(1, 3);
    tokens(0, 1, 0) = 8;
    Batch<double> logits(1, 3, 8);
    Workspace workspace;
    CHECK_THROWS_AS(model.forward(tokens, logits, workspace), ValueError);
    const std::string message =
        ssm_test::message_of<ValueError>([&] { model.forward(tokens, logits, workspace); });
    CHECK(ssm_test::has(message, "token 8 of sequence 0 at step 1"));
}

TEST_CASE("a model that is not drawn has the shapes of one that is, and zeros") {
    const LanguageModelOptions options{.tokens = 6, .width = 8, .depth = 2, .tied = false};
    const Full drawn(options, {.bias = true});
    Full model(options, {.bias = true}, Undrawn{});
    std::size_t zeros = 0;
    visit(
        [&zeros](std::string_view name, const WeightTraits&, const Tensor<float>& weight,
                 const Tensor<float>& other) {
            CHECK(weight.extents() == other.extents());
            const bool is_constant = name.ends_with("norm.weight") ||
                                     name.ends_with("norm_f.weight") || name.ends_with(".D") ||
                                     name.ends_with("A_log");
            CHECK((weight == (is_constant ? other : Tensor<float>(other.extents()))));
            zeros += is_constant ? 0 : 1;
        },
        model, drawn);
    CHECK(zeros == 2 * 9 + 2);
    copy_weights(drawn, model);
    const Batch<std::int32_t> tokens(1, 3, 1);
    CHECK(logits_of(model, tokens) == logits_of(drawn, tokens));
}
