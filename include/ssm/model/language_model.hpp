#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/embedding.hpp>
#include <ssm/layer/norm.hpp>
#include <ssm/math/matrix_vector.hpp>
#include <ssm/math/product.hpp>
#include <ssm/math/weight_product.hpp>
#include <ssm/model/detail/composite.hpp>
#include <ssm/model/repeat.hpp>
#include <ssm/model/residual.hpp>
#include <ssm/model/sequential.hpp>

namespace ssm {

/// Sizes of a `LanguageModel`.
struct LanguageModelOptions {
    std::size_t tokens = 0;  ///< size of the vocabulary
    std::size_t width = 0;   ///< M, channels between the layers
    std::size_t depth = 0;   ///< residual layers
    std::size_t pad_to = 1;  ///< rows of the embedding are rounded up to a multiple of this
    bool tied = true;        ///< the head is the embedding
    double epsilon = 1e-5;   ///< of the norms
    double dropout = 0.0;    ///< of each layer's branch, in training

    friend bool operator==(const LanguageModelOptions&, const LanguageModelOptions&) = default;
};

namespace detail {

template <class Backbone>
struct LanguageModelState {
    typename Backbone::State backbone;
    ScratchRows<value_t<Backbone>> rows;

    friend bool operator==(const LanguageModelState&, const LanguageModelState&) = default;

    template <class Visitor, class... States>
    static void visit_numbers(Visitor&& visitor, States&... states) {
        visitor("backbone", states.backbone...);
    }
};

template <class Backbone>
struct LanguageModelCache {
    typename Backbone::Cache backbone;
    Batch<value_t<Backbone>> features;  ///< what the head read
};

}  // namespace detail

/// A model of sequences of tokens: embedding, pre-norm residual layers, a norm, and a head that
/// gives a logit for each token that may come next.
///
///   h = E[tokens];   depth times h = h + mixer(norm(h));   logits = W norm(h)      W = E when tied
///
///   LanguageModel<Mamba<float>> model({.tokens = 256, .width = 128, .depth = 4}, {}, Rng(1));
///
/// A layer like any other over token ids: it streams, forks, and trains if the mixer does. Its weights have the names of
/// the published Mamba checkpoints, `backbone.layers.0.mixer.*` and so on.
///
/// With a mixer whose weights are stored rounded, such as `Mamba<float, Bfloat16>`, embedding and head are too, and the
/// model is for inference alone: logits differ by the rounding of the weights, and a step takes half of the time.
///
/// Shapes    u (batch, L, 1) of ids -> logits (batch, L, V), V = tokens rounded up to pad_to
/// Initial   embedding normal with deviation 0.02; the mixers' own, but weights `out_proj.weight` and
///           `fc2.weight` divided by sqrt(depth) and `in_proj.bias` and `out_proj.bias` zero; a head of
///           its own uniform in +-1/sqrt(M)
/// State     the mixers'
/// Errors    ValueError for sizes of zero and, before anything is written, for ids out of range
/// Cost      the mixers' and 2 M V flops a token for the head
/// Source    MambaLMHeadModel of state-spaces/mamba
template <Layer Mixer, class Norm = RMSNorm<value_t<Mixer>>>
class LanguageModel {
    static_assert(check_streaming<Mixer>());
    using T = value_t<Mixer>;
    using Stored = stored_t<Mixer>;
    using Token = std::int32_t;

public:
    using value_type = T;
    using input_type = Token;
    using Options = LanguageModelOptions;
    using Block = Residual<Norm, Mixer>;
    using Backbone = Sequential<Embedding<T, Stored>, Repeat<Block>, Norm>;
    using State = detail::LanguageModelState<Backbone>;
    using Cache = detail::LanguageModelCache<Backbone>;

    /// Mixers made by `mixer(index, rng)`, each of which keeps `width` channels.
    template <std::invocable<std::size_t, Rng> Make>
    LanguageModel(const Options& options, Make&& mixer, Rng rng = Rng())
        : backbone(make_backbone(options, mixer, rng)), options_(options) {
        if (!options.tied)
            head = random_head(rng.split());
        rescale();
    }
    /// Mixers with these options; their channels are set to `width`.
    LanguageModel(const Options& options, typename Mixer::Options mixer, Rng rng = Rng())
        : LanguageModel(
              options,
              [&](std::size_t, Rng generator) {
                  mixer.channels = options.width;
                  return Mixer(mixer, generator);
              },
              rng) {}
    /// The same with weights that are about to be given: zeros, where the mixer can be made so.
    LanguageModel(const Options& options, typename Mixer::Options mixer, Undrawn source)
        : backbone(make_backbone(
              options,
              [&](std::size_t, Undrawn) {
                  mixer.channels = options.width;
                  if constexpr (std::constructible_from<Mixer, typename Mixer::Options, Undrawn>)
                      return Mixer(mixer, source);
                  else
                      return Mixer(mixer);
              },
              source)),
          options_(options) {
        if (!options.tied)
            head = Tensor<Stored>({out_channels(), width()});
    }

    /// The same model with weights rounded to the type in which this mixer stores them.
    ///
    ///   LanguageModel<Mamba<float, Bfloat16>> half(model);
    template <class Other, class OtherNorm>
    requires(!std::same_as<Other, Mixer>) explicit LanguageModel(
        const LanguageModel<Other, OtherNorm>& other)
        : LanguageModel(other.options(), other.blocks().layers.front().inner.options(), Undrawn{}) {
        copy_weights(other, *this);
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return 1; }
    [[nodiscard]] std::size_t out_channels() const noexcept { return embedding().tokens(); }
    [[nodiscard]] const Options& options() const noexcept { return options_; }
    /// Size of the vocabulary; logits from here on are padding.
    [[nodiscard]] std::size_t tokens() const noexcept { return options_.tokens; }
    [[nodiscard]] std::size_t width() const noexcept { return embedding().out_channels(); }
    [[nodiscard]] bool is_tied() const noexcept { return head.empty(); }

    [[nodiscard]] const Embedding<T, Stored>& embedding() const noexcept {
        return std::get<0>(backbone.layers);
    }
    [[nodiscard]] const Repeat<Block>& blocks() const noexcept {
        return std::get<1>(backbone.layers);
    }
    [[nodiscard]] const Norm& norm() const noexcept { return std::get<2>(backbone.layers); }
    /// W (V, M).
    [[nodiscard]] const Tensor<Stored>& head_weight() const noexcept {
        return is_tied() ? embedding().weight : head;
    }

    void forward(BatchView<const Token> u, BatchView<T> logits, const Context& context) const {
        require_forward("ssm::LanguageModel", *this, u, logits, context);
        const Workspace::Frame frame = context.workspace.frame();
        const BatchView<T> features = take_features(u.shape(), context.workspace);
        backbone.forward(u, features, context);
        apply_head(features, logits, context.workspace);
    }
    void forward(BatchView<const Token> u, BatchView<T> logits, State& state,
                 const Context& context) const {
        require_forward("ssm::LanguageModel", *this, u, logits, context);
        const Workspace::Frame frame = context.workspace.frame();
        const BatchView<T> features = take_features(u.shape(), context.workspace);
        backbone.forward(u, features, state.backbone, context);
        apply_head(features, logits, context.workspace);
    }
    void forward(BatchView<const Token> u, BatchView<T> logits, Cache& cache,
                 const Context& context) const requires TrainableLayer<Mixer> {
        require_forward("ssm::LanguageModel", *this, u, logits, context);
        cache.features.resize({u.batch(), u.length(), width()});
        backbone.forward(u, cache.features, cache.backbone, context);
        apply_head(cache.features, logits, context.workspace);
    }

    /// Reads tokens and gives the logits of the last of each sequence alone: the beginning of a
    /// generation, without the cost of a head for every token.
    ///
    /// Shapes    u (batch, L, 1), logits (batch, 1, V). A sequence whose length in the context is 0
    ///           keeps its logits.
    void prefill(BatchView<const Token> u, BatchView<T> logits, State& state,
                 const Context& context) const {
        require_shape("ssm::LanguageModel: logits of the last step", logits.shape(),
                      {u.batch(), 1, out_channels()});
        const Workspace::Frame frame = context.workspace.frame();
        const BatchView<T> features = take_features(u.shape(), context.workspace);
        backbone.forward(u, features, state.backbone, context);
        for (std::size_t b = 0; b < u.batch(); ++b)
            if (const std::size_t valid = context.valid_length(b, u.length()); valid > 0)
                step_head(features.row(b, valid - 1), logits.row(b, 0));
    }

    void backward(BatchView<const Token> u, BatchView<const T> dlogits, BatchView<T> du,
                  const Cache& cache, LanguageModel& gradient,
                  const Context& context) const requires TrainableLayer<Mixer> {
        require_forward("ssm::LanguageModel", *this, u, dlogits, context);
        require_shape("ssm::LanguageModel: cache", cache.features.shape(),
                      {u.batch(), u.length(), width()});
        if (u.empty())
            return;
        const Workspace::Frame frame = context.workspace.frame();
        const BatchView<T> dfeatures = take_features(u.shape(), context.workspace);
        math::product<T>(dlogits.matrix(), head_weight().matrix(), dfeatures.matrix());
        math::add_product_of_transpose<T>(dlogits.matrix(), cache.features.view().matrix(),
                                          gradient.head_weight_of_gradient().matrix(),
                                          context.workspace);
        backbone.backward(u, dfeatures, du, cache.backbone, gradient.backbone, context);
    }

    [[nodiscard]] State rest_state(std::size_t batch = 1) const {
        return {backbone.rest_state(batch), detail::ScratchRows<T>(batch * width())};
    }
    void step(std::span<const Token> u, std::span<T> logits, State& state) const noexcept {
        const std::span<T> features = state.rows(0, u.size() * width());
        backbone.step(u, features, state.backbone);
        step_head(features, logits);
    }

    template <class Visitor, class First, class... Others>
    static void visit_weights(Visitor&& visitor, First& first, Others&... others) {
        const std::size_t depth = first.blocks().layers.size();
        require<ShapeError>(((depth == others.blocks().layers.size()) && ...),
                            "ssm::LanguageModel: the values visited together differ in depth");
        Embedding<T, Stored>::visit_weights(nested(visitor, "backbone.embeddings"),
                                            std::get<0>(first.backbone.layers),
                                            std::get<0>(others.backbone.layers)...);
        for (std::size_t i = 0; i < depth; ++i) {
            const auto block = [i](auto& model) -> auto& {
                return std::get<1>(model.backbone.layers).layers[i];
            };
            const std::string name = "backbone.layers." + std::to_string(i);
            Norm::visit_weights(nested(visitor, name + ".norm"), block(first).norm,
                                block(others).norm...);
            Mixer::visit_weights(nested(visitor, name + ".mixer"), block(first).inner,
                                 block(others).inner...);
        }
        Norm::visit_weights(nested(visitor, "backbone.norm_f"), std::get<2>(first.backbone.layers),
                            std::get<2>(others.backbone.layers)...);
        if (!first.is_tied())
            visitor("lm_head.weight", WeightTraits{}, first.head, others.head...);
    }

    Backbone backbone;    ///< embedding, layers, norm
    Tensor<Stored> head;  ///< (V, M); empty when it is the embedding

private:
    template <class Make, class Source>
    static Backbone make_backbone(const Options& options, Make&& mixer, Source& source) {
        require<ValueError>(
            options.tokens > 0 && options.width > 0 && options.depth > 0 && options.pad_to > 0,
            "ssm::LanguageModel: tokens = ", options.tokens, ", width = ", options.width,
            ", depth = ", options.depth, " and pad_to = ", options.pad_to, " must be positive");
        const std::size_t rows = (options.tokens + options.pad_to - 1) / options.pad_to;
        Embedding<T, Stored> embedding(
            {.tokens = rows * options.pad_to, .channels = options.width, .deviation = 0.02},
            source.split());
        Repeat<Block> blocks(options.depth, [&](std::size_t i) {
            return Block(norm_of(options), mixer(i, source.split()), {.dropout = options.dropout});
        });
        return Backbone(std::move(embedding), std::move(blocks), norm_of(options));
    }
    static Norm norm_of(const Options& options) {
        return Norm({.channels = options.width, .epsilon = options.epsilon});
    }

    [[nodiscard]] Tensor<Stored> random_head(Rng rng) const {
        Tensor<Stored> weight({out_channels(), width()});
        const double bound = 1.0 / std::sqrt(static_cast<double>(width()));
        for (Stored& w : weight.flat())
            w = static_cast<Stored>(rng.uniform(-bound, bound));
        return weight;
    }

    /// Residual branches start small, so that their sum does not grow with the depth.
    void rescale() {
        auto& layers = std::get<1>(backbone.layers).layers;
        const double scale = 1.0 / std::sqrt(static_cast<double>(layers.size()));
        for (Block& block : layers)
            visit(
                [scale](std::string_view name, const WeightTraits&, auto& weight) {
                    using Number = typename std::remove_reference_t<decltype(weight)>::value_type;
                    if (name.ends_with("out_proj.weight") || name.ends_with("fc2.weight")) {
                        for (Number& w : weight.flat())
                            w = static_cast<Number>(scale * static_cast<double>(w));
                    } else if (name.ends_with("in_proj.bias") || name.ends_with("out_proj.bias")) {
                        weight.fill(Number(0));
                    }
                },
                block.inner);
    }

    [[nodiscard]] Tensor<Stored>& head_weight_of_gradient() noexcept {
        return is_tied() ? std::get<0>(backbone.layers).weight : head;
    }
    [[nodiscard]] BatchView<T> take_features(const Shape& shape, Workspace& workspace) const {
        return {workspace.take<T>(shape.rows() * width()).data(),
                {shape.batch, shape.length, width()}};
    }
    void apply_head(BatchView<const T> features, BatchView<T> logits, Workspace& workspace) const {
        if (!features.empty())
            math::weight_product<T>(features.matrix(), head_weight().data(), nullptr,
                                    logits.matrix(), workspace);
    }
    /// Rows of features, (batch, M), to rows of logits.
    void step_head(std::span<const T> features, std::span<T> logits) const noexcept {
        math::matrix_vector<T>(head_weight().data(), out_channels(), width(), features.data(),
                               features.size() / width(), nullptr, logits.data());
    }

    Options options_;
};

}  // namespace ssm
