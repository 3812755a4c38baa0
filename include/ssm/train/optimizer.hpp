#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <ssm/core/concepts.hpp>
#include <ssm/core/config.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/train/update_rule.hpp>

namespace ssm {

/// Parameter groups: from the name and the traits of a weight, the traits to train it with. An
/// example, no weight decay for embeddings:
///
///     [](std::string_view name, WeightTraits traits) {
///         if (name.starts_with("embedding."))
///             traits.weight_decay = 0.0;
///         return traits;
///     }
using WeightGroups = std::function<WeightTraits(std::string_view, WeightTraits)>;

namespace detail {

/// One weight tensor during a step.
template <class Update, class T, std::size_t N>
struct UpdatePart {
    T* weight;
    const T* gradient;
    std::array<T*, N> moments;
    WeightRole role;
    T momentum;
    Update update;
};

/// Updates `n` numbers from the `first` on.
template <class Update, class T, std::size_t N>
void update_range(const UpdatePart<Update, T, N>& part, std::size_t first, std::size_t n) noexcept {
    using V = simd::Pack<T>;
    T* weight = part.weight + first;
    const T* gradient = part.gradient + first;
    if (part.role == WeightRole::statistic) {
        simd::for_each_pack<T>(n, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            lanes.store(weight + i, simd::fma(V(part.momentum), lanes.load(gradient + i),
                                              lanes.load(weight + i)));
        });
        return;
    }
    // Copies: stores to the arrays could otherwise change the coefficients for all that the
    // compiler knows.
    const Update update = part.update;
    const std::array<T*, N> moments = part.moments;
    simd::for_each_pack<T>(n, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
        V w = lanes.load(weight + i);
        std::array<V, N> m;
        for (std::size_t k = 0; k != N; ++k)
            m[k] = lanes.load(moments[k] + first + i);
        update(w, lanes.load(gradient + i), m);
        lanes.store(weight + i, w);
        for (std::size_t k = 0; k != N; ++k)
            lanes.store(moments[k] + first + i, m[k]);
    });
}

}  // namespace detail

/// Trains the weights of a layer L by an update rule (see update_rule.hpp for what a rule is).
///
///     AdamW<Model> optimizer(model, {.learning_rate = 1e-2});
///     ...
///     optimizer.step(model, gradient, schedule(step));
///
/// What happens to a weight follows from its `WeightTraits`, as changed by the groups: `trained`
/// weights follow the rule with their own learning rate and weight decay if they have one,
/// `statistic` ones move by their momentum times the gradient entry, `frozen` ones stay. The factor
/// of a schedule multiplies all rates.
///
/// Moments are values of the layer's own type, zero at first. A regular value: copy = same future.
/// Errors    ValueError for options or rates outside their range; ShapeError for a gradient of
///           other sizes. Nothing is changed then.
/// Cost      one pass over weights, gradient and moments
/// Threads   in parallel over chunks of all weights, the same bits for any number of threads
template <class L, class Rule>
class Optimizer {
public:
    using layer_type = L;
    using rule_type = Rule;
    using Options = typename Rule::Options;
    using Clock = typename Rule::Clock;

    explicit Optimizer(const L& model, Options opts = {}, WeightGroups weight_groups = {})
        : options(opts), groups(std::move(weight_groups)) {
        check();
        moments_.assign(Rule::moments(options), zeros_like(model));
    }

    /// One update with `factor` times the learning rates.
    void step(L& model, const L& gradient, double factor = 1.0) {
        check();
        require_rate("factor of the learning rate", factor);
        Clock next = clock_;
        next.advance(options);
        step_with<Rule::least_moments>(model, gradient, next, factor);
        clock_ = next;
    }

    /// Updates made.
    [[nodiscard]] std::uint64_t steps() const noexcept { return clock_.step; }
    /// What the rule remembers besides its moments.
    [[nodiscard]] const Clock& clock() const noexcept { return clock_; }
    /// The moments in the order of the rule.
    [[nodiscard]] const std::vector<L>& moments() const noexcept { return moments_; }

    /// Calls visitor(name, value) for all that the optimiser remembers, for saving: moments are
    /// layers.
    template <class Visitor, class... Optimizers>
    static void visit_numbers(Visitor&& visitor, Optimizers&... optimizers) {
        Clock::visit_numbers(visitor, optimizers.clock_...);
        const std::size_t count = std::min({optimizers.moments_.size()...});
        for (std::size_t k = 0; k < count; ++k)
            visitor("moment" + std::to_string(k), optimizers.moments_[k]...);
    }

    Options options;      ///< may be changed between steps, except for what makes moments appear
    WeightGroups groups;  ///< empty: the layer's own traits

private:
    using T = value_t<L>;
    template <std::size_t N>
    using Part = detail::UpdatePart<typename Rule::template Update<simd::Pack<T>>, T, N>;

    struct Chunk {
        std::size_t part;
        std::size_t first;
        std::size_t size;
    };
    static constexpr std::size_t grain = 16384;

    static void require_rate(const char* what, double rate) {
        require<ValueError>(rate >= 0.0 && std::isfinite(rate), "ssm::", Rule::name, ": ", what,
                            " is ", rate, ", expected a number of at least 0");
    }

    void check() const {
        require_rate("learning rate", options.learning_rate);
        require_rate("weight decay", options.weight_decay);
        Rule::check(options);
        require<ValueError>(moments_.empty() || Rule::moments(options) == moments_.size(),
                            "ssm::", Rule::name, ": options now need ", Rule::moments(options),
                            " moments, but the optimiser was made with ", moments_.size());
    }

    template <std::size_t N>
    void step_with(L& model, const L& gradient, const Clock& clock, double factor) {
        if (moments_.size() == N)
            update<N>(model, gradient, clock, factor, std::make_index_sequence<N>{});
        else if constexpr (N < Rule::most_moments)
            step_with<N + 1>(model, gradient, clock, factor);
    }

    template <std::size_t N, std::size_t... I>
    void update(L& model, const L& gradient, const Clock& clock, double factor,
                std::index_sequence<I...>) {
        std::vector<Part<N>> parts;
        std::vector<Chunk> chunks;
        visit(
            [&](std::string_view name, const WeightTraits& own, auto& weight, const auto& slope,
                auto&... moment) {
                const WeightTraits traits = groups ? groups(name, own) : own;
                if (traits.role == WeightRole::frozen)
                    return;
                if constexpr (std::is_same_v<std::remove_cvref_t<decltype(weight)>, Tensor<T>>) {
                    for (std::size_t first = 0; first < weight.size(); first += grain)
                        chunks.push_back(
                            {parts.size(), first, std::min(grain, weight.size() - first)});
                    parts.push_back({weight.data(),
                                     slope.data(),
                                     {moment.data()...},
                                     traits.role,
                                     static_cast<T>(traits.momentum),
                                     rule_for(name, traits, clock, factor)});
                } else {
                    raise<ValueError>("ssm::", Rule::name, ": weight \"", name,
                                      "\" is not of the layer's value_type and cannot be trained");
                }
            },
            model, gradient, moments_[I]...);
        parallel_for(chunks.size(), [&](std::size_t task, std::size_t) {
            const Chunk& chunk = chunks[task];
            detail::update_range(parts[chunk.part], chunk.first, chunk.size);
        });
    }

    auto rule_for(std::string_view name, const WeightTraits& traits, const Clock& clock,
                  double factor) const {
        const double rate = traits.learning_rate.value_or(options.learning_rate);
        const double decay = traits.weight_decay.value_or(options.weight_decay);
        require<ValueError>(
            rate >= 0.0 && std::isfinite(rate) && decay >= 0.0 && std::isfinite(decay),
            "ssm::", Rule::name, ": weight \"", name, "\" has learning rate ", rate,
            " and weight decay ", decay, ", expected numbers of at least 0");
        return typename Rule::template Update<simd::Pack<T>>(options, clock, factor * rate, decay);
    }

    Clock clock_{};
    std::vector<L> moments_;
};

}  // namespace ssm
