#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/model/sampling.hpp>

namespace ssm {

/// Texts that a language model continues, several at once, each with its own random numbers.
///
///   Generator generator(model, {.temperature = 0.8, .top_p = 0.95});
///   generator.read(prompt, workspace);
///   while (!is_end(generator.next(workspace)[0])) ...
///
/// A regular value: a copy goes on with the same texts in the same way. `Checkpoint` saves it and
/// restores it. It refers to the model, which must live on.
///
/// A token enters the model when the next one is asked for. What a text says does not depend, rounding
/// apart, on the other texts.
///
/// Memory    the streams' states, V logits and, with a repetition penalty, V bytes for each
/// Errors    ShapeError for views that do not fit; ValueError for unknown tokens, and for a text that has
///           no token to go on from
template <class Model>
class Generator {
    using T = typename Model::value_type;
    using Token = std::int32_t;

public:
    explicit Generator(const Model& model, const SamplingOptions& sampling = {},
                       std::size_t texts = 1, Rng rng = Rng())
        : model_(&model),
          sampler_(sampling),
          state_(model.rest_state(texts)),
          logits_(texts * model.out_channels()),
          tokens_(texts) {
        for (std::size_t b = 0; b < texts; ++b)
            rngs_.push_back(rng.split());
        if (sampling.repetition_penalty != 1.0)
            seen_.resize(texts * model.tokens());
    }

    /// A model that is about to vanish cannot be referred to.
    explicit Generator(const Model&&, const SamplingOptions& = {}, std::size_t = 1,
                       Rng = Rng()) = delete;

    [[nodiscard]] std::size_t texts() const noexcept { return tokens_.size(); }

    /// The texts go on with these tokens: prompts, or turns of a conversation.
    ///
    /// Shapes    tokens (texts, L, 1); the context's lengths say how many of each count
    /// Errors    ValueError for resets and intervals of the context: a text is one sequence
    void read(BatchView<const Token> tokens, const Context& context) {
        check(tokens, context);
        feed_tokens(context.workspace);
        std::vector<std::size_t> valid(texts());
        for (std::size_t begin = 0; begin < tokens.length(); begin += block) {
            const std::size_t count = std::min(block, tokens.length() - begin);
            Batch<Token> part(texts(), count, 1);
            for (std::size_t b = 0; b < texts(); ++b) {
                std::copy_n(&tokens(b, begin, 0), count, &part(b, 0, 0));
                valid[b] =
                    std::clamp(context.valid_length(b, tokens.length()), begin, begin + count) -
                    begin;
            }
            model_->prefill(part, logits_view(), state_,
                            Context(context.workspace).with_lengths(valid));
        }
        has_logits_ = true;
        for (std::size_t b = 0; b < texts(); ++b)
            for (std::size_t l = 0; l < context.valid_length(b, tokens.length()); ++l)
                mark(b, tokens(b, l, 0));
    }
    /// The only text goes on with these tokens.
    void read(std::span<const Token> tokens, const Context& context) {
        read(BatchView<const Token>(tokens.data(), {1, tokens.size(), 1}), context);
    }

    /// The next token of each text.
    ///
    /// Errors    ValueError for logits that are not finite, of any text: no text has drawn then
    std::span<const Token> next(Workspace& workspace) {
        require<ValueError>(has_logits_, "ssm::Generator: nothing was read to go on from");
        feed_tokens(workspace);
        const Workspace::Frame frame = workspace.frame();
        const std::span<Token> drawn = workspace.take<Token>(texts());
        const std::span<Rng> rngs = workspace.take<Rng>(texts());
        std::ranges::copy(rngs_, rngs.begin());
        for (std::size_t b = 0; b < texts(); ++b)
            drawn[b] = sampler_(logits(b), rngs[b], seen(b));
        std::ranges::copy(drawn, tokens_.begin());
        std::ranges::copy(rngs, rngs_.begin());
        for (std::size_t b = 0; b < texts(); ++b)
            mark(b, tokens_[b]);
        has_tokens_ = true;
        return tokens_;
    }

    /// Logits of text `b` after what the model has read, without the padding of the vocabulary.
    [[nodiscard]] std::span<const T> logits(std::size_t b) const noexcept {
        return std::span(logits_).subspan(b * model_->out_channels(), model_->tokens());
    }
    /// What text `b` draws from; another one makes a fork go another way.
    [[nodiscard]] Rng& rng(std::size_t b) noexcept { return rngs_[b]; }
    [[nodiscard]] const typename Model::State& state() const noexcept { return state_; }

    template <class Visitor, class First, class... Others>
    static void visit_numbers(Visitor&& visitor, First& first, Others&... others) {
        visitor("state", first.state_, others.state_...);
        visitor("logits", first.logits_, others.logits_...);
        visitor("tokens", first.tokens_, others.tokens_...);
        visitor("seen", first.seen_, others.seen_...);
        visitor("has_logits", first.has_logits_, others.has_logits_...);
        visitor("has_tokens", first.has_tokens_, others.has_tokens_...);
        for (std::size_t b = 0; b < first.rngs_.size(); ++b)
            visitor("rng." + std::to_string(b), first.rngs_[b], others.rngs_[b]...);
    }

private:
    static constexpr std::size_t block = 512;  ///< tokens read at once: bounds the memory

    void check(BatchView<const Token> tokens, const Context& context) const {
        require_shape("ssm::Generator: tokens", tokens.shape(), {texts(), tokens.length(), 1});
        context.check(tokens.shape());
        context.require_regular("ssm::Generator");
        require<ValueError>(context.resets.data() == nullptr,
                            "ssm::Generator: texts have no resets; another generator begins anew");
        for (std::size_t b = 0; b < texts(); ++b) {
            const std::size_t length = context.valid_length(b, tokens.length());
            require<ValueError>(has_logits_ || length > 0, "ssm::Generator: text ", b,
                                " has no token to go on from");
            for (std::size_t l = 0; l < tokens.length(); ++l)
                require<ValueError>(is_known(tokens(b, l, 0)), "ssm::Generator: text ", b,
                                    " has token ", tokens(b, l, 0), ", expected 0 to ",
                                    model_->tokens() - 1);
        }
    }
    [[nodiscard]] bool is_known(Token token) const noexcept {
        return token >= 0 && static_cast<std::size_t>(token) < model_->tokens();
    }

    /// The model reads what was drawn. Several texts share one pass over the weights.
    void feed_tokens(Workspace& workspace) {
        if (!has_tokens_)
            return;
        if (texts() == 1)
            model_->step(tokens_, logits_, state_);
        else
            model_->forward(BatchView<const Token>(tokens_.data(), {texts(), 1, 1}), logits_view(),
                            state_, workspace);
        has_tokens_ = false;
    }

    [[nodiscard]] BatchView<T> logits_view() noexcept {
        return {logits_.data(), {texts(), 1, model_->out_channels()}};
    }
    [[nodiscard]] std::span<const std::uint8_t> seen(std::size_t b) const noexcept {
        return seen_.empty() ? std::span<const std::uint8_t>()
                             : std::span(seen_).subspan(b * model_->tokens(), model_->tokens());
    }
    void mark(std::size_t b, Token token) noexcept {
        if (!seen_.empty())
            seen_[b * model_->tokens() + static_cast<std::size_t>(token)] = 1;
    }

    const Model* model_;
    Sampler<T> sampler_;
    typename Model::State state_;
    AlignedVector<T> logits_;    ///< (texts, V)
    std::vector<Token> tokens_;  ///< drawn last
    std::vector<std::uint8_t> seen_;
    std::vector<Rng> rngs_;
    bool has_logits_ = false;
    bool has_tokens_ = false;  ///< drawn, but not read by the model
};

/// How `generate` continues texts.
struct GenerateOptions {
    std::size_t tokens = 100;  ///< at most that many new ones for each text
    SamplingOptions sampling{};
    std::vector<std::int32_t> stops{};  ///< a text ends with the first of these
    std::uint64_t seed = 0;
};

/// Called with the number of a text and its next token; false ends that text.
using TokenCallback = std::function<bool(std::size_t, std::int32_t)>;

/// Continues each prompt; the new tokens, the one that stopped the text among them.
///
///   auto texts = generate(model, prompts, {.tokens = 50, .stops = {0}}, workspace,
///                         [&](std::size_t, std::int32_t token) { print(token); return true; });
///
/// Errors    ValueError for a prompt without tokens or with unknown ones
/// Cost      the prompts in one pass, then one step of all texts for each token of the longest
template <class Model>
std::vector<std::vector<std::int32_t>> generate(const Model& model,
                                                std::span<const std::vector<std::int32_t>> prompts,
                                                const GenerateOptions& options,
                                                Workspace& workspace,
                                                const TokenCallback& on_token = {}) {
    std::vector<std::size_t> lengths;
    for (const std::vector<std::int32_t>& prompt : prompts)
        lengths.push_back(prompt.size());
    std::vector<std::vector<std::int32_t>> texts(prompts.size());
    if (prompts.empty())
        return texts;
    Batch<std::int32_t> tokens(prompts.size(), *std::max_element(lengths.begin(), lengths.end()),
                               1);
    for (std::size_t b = 0; b < prompts.size(); ++b)
        std::copy(prompts[b].begin(), prompts[b].end(), tokens.view().sequence(b).data());

    Generator<Model> generator(model, options.sampling, prompts.size(), Rng(options.seed));
    generator.read(tokens, Context(workspace).with_lengths(lengths));
    std::vector<bool> is_over(prompts.size());
    std::size_t running = prompts.size();
    for (std::size_t i = 0; i < options.tokens && running > 0; ++i) {
        const std::span<const std::int32_t> next = generator.next(workspace);
        for (std::size_t b = 0; b < texts.size(); ++b) {
            if (is_over[b])
                continue;
            texts[b].push_back(next[b]);
            const bool stops = std::find(options.stops.begin(), options.stops.end(), next[b]) !=
                               options.stops.end();
            const bool goes_on = !on_token || on_token(b, next[b]);
            is_over[b] = stops || !goes_on;
            running -= is_over[b] ? 1U : 0U;
        }
    }
    return texts;
}

}  // namespace ssm
