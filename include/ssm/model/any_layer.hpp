#pragma once

#include <any>
#include <array>
#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/model/detail/any_contents.hpp>
#include <ssm/model/detail/any_state.hpp>

namespace ssm {

/// A layer whose type is chosen at run time: it holds any streaming, trainable layer that keeps the number of steps, and
/// is a layer of the same abilities.
///
///   using Layer = AnyLayer<float>;
///   const Layer layer = is_selective ? Layer(Mamba<float>({.channels = 64})) : Layer(S4D<float>({.channels = 64}));
///
/// What is built on it is compiled once for all models: `Classifier<AnyLayer<float>>`, its optimiser and training. A
/// composite that makes layers of options is told how by a function, or for one type by `of`:
///
///   Classifier<AnyLayer<float>> model({.classes = 10, .system = AnyLayer<float>::of<S4D<float>>({.state = 32})});
///
/// Computes the same bits as its contents, and its weights and states have the same names and shapes, so that files are
/// interchangeable. Copies are deep. A gradient or an average is an AnyLayer of the same contents.
///
/// State     that of the contents
/// Errors    ShapeError that names both types for a gradient, state, cache or value visited side by side of
///           another layer; `step` ends the program instead. ValueError for states, visited, whose numbers are no
///           AlignedVector<T>.
/// Cost      a virtual call for each call, and a list of the weights for each visit
/// Real time step: that of the contents
template <class T>
class AnyLayer {
public:
    using value_type = T;
    using input_type = T;
    using State = detail::AnyState<T>;
    struct Cache {
        std::any contents;
    };

    /// How a composite makes its layers.
    struct Options {
        std::size_t channels = 0;                          ///< given to `make`
        std::function<AnyLayer(std::size_t, Rng)> make{};  ///< a layer of so many channels
    };
    /// Layers of type L with these options; their channels are set by the composite.
    template <class L>
    [[nodiscard]] static Options of(const typename L::Options& options) {
        return {.make = [options](std::size_t channels, Rng rng) {
            typename L::Options own = options;
            own.channels = channels;
            return AnyLayer(L(own, rng));
        }};
    }

    template <class L>
    requires(!std::same_as<L, AnyLayer> && detail::HasTypes<L>) AnyLayer(L layer)
        : contents_(std::make_unique<detail::AnyContentsOf<L>>(std::move(layer))) {}
    explicit AnyLayer(const Options& options, Rng rng = Rng()) : AnyLayer(made(options, rng)) {}

    AnyLayer(const AnyLayer& other)
        : contents_(other.contents_ ? other.contents_->copy() : nullptr) {}
    AnyLayer(AnyLayer&&) noexcept = default;
    AnyLayer& operator=(const AnyLayer& other) { return *this = AnyLayer(other); }
    AnyLayer& operator=(AnyLayer&&) noexcept = default;
    ~AnyLayer() = default;

    [[nodiscard]] std::size_t in_channels() const noexcept { return contents_->in_channels(); }
    [[nodiscard]] std::size_t out_channels() const noexcept { return contents_->out_channels(); }

    /// The layer inside if it is an L, otherwise none.
    template <class L>
    [[nodiscard]] L* target() noexcept {
        const auto contents = dynamic_cast<detail::AnyContentsOf<L>*>(contents_.get());
        return contents == nullptr ? nullptr : &contents->layer;
    }
    template <class L>
    [[nodiscard]] const L* target() const noexcept {
        const auto contents = dynamic_cast<const detail::AnyContentsOf<L>*>(contents_.get());
        return contents == nullptr ? nullptr : &contents->layer;
    }
    /// Its type, such as "ssm::Linear<float>".
    [[nodiscard]] std::string_view type_name() const noexcept { return contents_->name(); }

    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        contents_->forward(u, y, context);
    }
    void forward(BatchView<const T> u, BatchView<T> y, State& state, const Context& context) const {
        contents_->forward(u, y, state, context);
    }
    void forward(BatchView<const T> u, BatchView<T> y, Cache& cache, const Context& context) const {
        contents_->forward(u, y, cache.contents, context);
    }
    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache& cache,
                  AnyLayer& gradient, const Context& context) const {
        contents_->backward(u, dy, du, cache.contents, *gradient.contents_, context);
    }
    [[nodiscard]] State rest_state(std::size_t batch = 1) const {
        return contents_->rest_state(batch);
    }
    void step(std::span<const T> u, std::span<T> y, State& state) const noexcept {
        contents_->step(u, y, state);
    }

    template <class Visitor, class First, class... Others>
    static void visit_weights(Visitor&& visitor, First& first, Others&... others) {
        (first.contents_->require_like(*others.contents_), ...);
        const std::array lists{first.contents_->weights(), others.contents_->weights()...};
        for (const auto& list : lists)
            require<ShapeError>(list.size() == lists[0].size(), "ssm::AnyLayer: values of ",
                                first.type_name(), " visited together have ", lists[0].size(),
                                " and ", list.size(), " weights");
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            for (std::size_t i = 0; i < lists[0].size(); ++i)
                visitor(lists[0][i].name, lists[0][i].traits,
                        detail::as_const_like<First>(*lists[0][i].values),
                        detail::as_const_like<Others>(*lists[I + 1][i].values)...);
        }
        (std::index_sequence_for<Others...>{});
    }

private:
    [[nodiscard]] static AnyLayer made(const Options& options, Rng rng) {
        require<ValueError>(options.make != nullptr,
                            "ssm::AnyLayer: the options do not say how to make a layer");
        return options.make(options.channels, rng);
    }

    std::unique_ptr<detail::AnyContents<T>> contents_;
};

}  // namespace ssm
