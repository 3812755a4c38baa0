#pragma once

#include <cmath>
#include <complex>
#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/discretize/discretization.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/discretize/zoh.hpp>
#include <ssm/evaluation/automatic.hpp>
#include <ssm/kernel/vandermonde.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/layer/structure/structure.hpp>
#include <ssm/scan/diagonal.hpp>

namespace ssm {

/// A bank of linear time-invariant state space systems, one for each channel:
///
///   x'(t) = A x(t) + B u(t)      y(t) = C x(t) + D u(t)
///
/// seen through a time step dt: y = K * u + D u with the convolution kernel K_l = C A_bar^l B_bar, or the
/// recurrence x_t = A_bar x_{t-1} + B_bar u_t, with the same weights and the same numbers.
///
/// Policies
///   Structure       of A, and its initialisation: `Diagonal<Init>`; `LinearStructure` says how to write one
///   Discretization  `Zoh`, `Bilinear`; those that fit the structure
///   Evaluation      `evaluation::Fft`, `Chunked`, `Recurrence`, or `Auto`, which chooses
///   Direction       `Causal`, or `Bidirectional`, which cannot stream
///
/// Shapes    u (batch, L, H) -> y (batch, L, heads * H), head c of channel h at c * H + h; D (heads, H)
/// State     x of each stream and channel, and the discrete system of the weights it was made from; zero at rest.
///           After a change of weights or `rate`, `prepare(state)` brings the system up to date
/// Resets    honoured in every mode; a row's state stops at its valid length, and bidirectional layers see
///           zeros behind it
/// Errors    ShapeError for views that do not fit, ValueError for options out of their domain and for intervals in
///           the context
/// Real time step: no allocation, no lock, bounded time
/// Cost      step: that of the structure, diagonal about 16 n H heads flops; whole sequences: see the evaluation
/// Accuracy  the discrete system is computed in double; see the evaluations for float
/// Threads   const: any number of threads, one state and one workspace each
/// Source    arXiv:2111.00396, arXiv:2206.11893; FFTConv of the released S4 code
template <class T, class Structure, class Discretization = Zoh, class Evaluation = evaluation::Auto,
          class Direction = Causal>
class Lti {
public:
    using value_type = T;
    using input_type = T;
    using Bank = typename Structure::template Bank<T>;
    using System = typename Bank::System;
    using Stream = typename System::template Stream<T>;
    /// Whether the layer can run as a stream.
    static constexpr bool streams =
        Direction::is_causal && Bank::template can_stream<Discretization>;
    /// Whether the layer can be trained.
    static constexpr bool trains = Evaluation::template trains<System>;
    static_assert(LinearSystem<System, T>,
                  "ssm::Lti: the system of this structure lacks something that `LinearSystem` "
                  "(ssm/layer/structure/structure.hpp) names");
    static_assert(Direction::is_causal || Evaluation::sees_future,
                  "ssm::Lti: a bidirectional layer needs an evaluation that sees the future: "
                  "evaluation::Fft or Auto");

    struct Options {
        std::size_t channels = 0;  ///< H
        std::size_t state = 64;    ///< N, as papers count it: conjugate pairs count twice
        std::size_t heads = 1;     ///< outputs of each channel
        std::size_t copies =
            0;             ///< different A and B, shared by the channels; 0: one for each channel
        bool skip = true;  ///< D
        double rate =
            1.0;  ///< time step relative to the training data: 2 at half the sampling rate
        Timescale timescale{};
        DynamicsTraining training{};
        typename Structure::Options structure{};
        Discretization discretization{};
    };

    explicit Lti(const Options& options, Rng rng = Rng())
        : D({options.skip ? options.heads : 0, options.skip ? options.channels : 0}),
          bank({options.channels, options.state, options.heads, options.copies}, Direction::kernels,
               options.timescale, options.training, options.structure, rng),
          discretization_(options.discretization) {
        for (T& d : D.flat())
            d = static_cast<T>(rng.normal());
        set_rate(options.rate);
    }

    /// A layer of given weights.
    Lti(Tensor<T> skip, Bank weights, const Discretization& discretization, double rate = 1.0)
        : D(std::move(skip)), bank(std::move(weights)), discretization_(discretization) {
        set_rate(rate);
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return bank.sizes().channels; }
    [[nodiscard]] std::size_t out_channels() const noexcept {
        return bank.sizes().heads * bank.sizes().channels;
    }

    [[nodiscard]] const Discretization& discretization() const noexcept { return discretization_; }

    /// Time step relative to the training data. A model trained at 16 kHz runs at 8 kHz with rate 2.
    [[nodiscard]] double rate() const noexcept { return rate_; }
    void set_rate(double rate) {
        require<ValueError>(rate > 0.0 && std::isfinite(rate), "ssm::Lti: rate = ", rate,
                            " must be positive");
        rate_ = rate;
    }

    /// What a stream remembers.
    struct State {
        friend bool operator==(const State& a, const State& b) { return a.values == b.values; }

        /// What is remembered alone: the system is made anew from the weights.
        template <class Visitor, class... States>
        static void visit_numbers(Visitor&& visitor, States&... states) {
            visitor("values", states.values...);
        }

        std::shared_ptr<const Stream> system;  ///< shared by forks
        typename Stream::State values;
    };
    [[nodiscard]] State rest_state(std::size_t batch = 1) const requires streams {
        State state;
        prepare(state);
        state.values.reset(state.system->shape(), batch);
        return state;
    }
    /// Discretises the present weights for `state`, which keeps what it remembers.
    void prepare(State& state) const requires streams {
        Workspace workspace;
        System system;
        discretize(system, 0, workspace);
        state.system = std::make_shared<const Stream>(system);
    }

    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        check(u, y, context);
        if (u.empty())
            return;
        const auto system = context.workspace.template borrow<System>();
        discretize(*system, u.length(), context.workspace);
        Evaluation::template forward<Direction, T>(*system, D.flat(), u, y, context);
    }

    void forward(BatchView<const T> u, BatchView<T> y, State& state,
                 const Context& context) const requires streams {
        check(u, y, context);
        require<ShapeError>(
            state.system != nullptr && state.values.fits(state.system->shape(), u.batch()),
            "ssm::Lti: the state was not made by this layer for ", u.batch(), " streams");
        if (u.empty())
            return;
        Evaluation::template forward<T>(*state.system, D.flat(), u, y, state.values, context);
    }

    void step(std::span<const T> u, std::span<T> y, State& state) const noexcept requires streams {
        state.system->step(u, D.flat(), y, state.values);
    }

    /// Not there for layers that see the future; says so.
    template <class... Arguments>
    requires(!streams) void step(const Arguments&...) const {
        static_assert(streams || sizeof...(Arguments) > 99,
                      "ssm::Lti: this layer is bidirectional, or its discretisation depends on the "
                      "length of the "
                      "sequence: it cannot run step by step");
    }

    struct Cache {
        System system;
        typename Evaluation::template Cache<T> evaluation;
    };
    void forward(BatchView<const T> u, BatchView<T> y, Cache& cache,
                 const Context& context) const requires trains {
        check(u, y, context);
        if (u.empty())
            return;
        discretize(cache.system, u.length(), context.workspace);
        Evaluation::template forward<Direction, T>(cache.system, D.flat(), u, y, cache.evaluation,
                                                   context);
    }

    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache& cache,
                  Lti& gradient, const Context& context) const requires trains {
        require_backward("ssm::Lti", *this, u, dy, du, context);
        if (u.empty())
            return;
        const auto upstream = context.workspace.template borrow<System>();
        upstream->reset(bank.shape());
        Evaluation::template backward<Direction, T>(cache.system, D.flat(), u, dy, du,
                                                    cache.evaluation, *upstream, gradient.D.flat(),
                                                    context);
        bank.adjoint(at_length(discretization_, u.length()), rate_, cache.system, *upstream,
                     gradient.bank, context.workspace);
    }

    /// The convolution kernels (kernels * heads, H, L), those running backward in time last.
    [[nodiscard]] Tensor<T> kernel(std::size_t length) const {
        Workspace workspace;
        const System system = this->system(length);
        Tensor<T> result({system.shape.heads, system.shape.channels, length});
        convolution_kernel<T>(system, length, result.flat(), workspace);
        return result;
    }

    /// The discrete system of the present weights, for sequences of this length where that matters.
    [[nodiscard]] System system(std::size_t length = 0) const {
        Workspace workspace;
        System result;
        discretize(result, length, workspace);
        return result;
    }

    /// Input weights B_bar of a diagonal system, (H, n).
    [[nodiscard]] std::vector<std::complex<double>> input_weights() const requires streams {
        return bank.input_weights(discretization_, rate_);
    }

    /// The state x of x_t = A_bar x_{t-1} + B_bar u_t as papers and other libraries have it, for diagonal structures
    /// (batch, H, n, 2).
    [[nodiscard]] Tensor<T> state_values(const State& state) const requires streams {
        return bank.state_values(discretization_, rate_, state.values);
    }
    /// Puts such values into `state`.
    ///
    /// Errors  ShapeError for another shape; ValueError for values that no input can bring the system to. The state
    ///         is unchanged then.
    void set_state_values(State& state, const Tensor<T>& values) const requires streams {
        bank.set_state_values(discretization_, rate_, state.values, values);
    }

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&& visitor, Layers&... layers) {
        if ((!layers.D.empty() && ...))
            visitor("D", WeightTraits{}, layers.D...);
        auto inner = nested(visitor, "kernel");
        Bank::visit_weights(inner, layers.bank...);
    }

    Tensor<T> D;  ///< (heads, H); empty without skip
    Bank bank;

private:
    void check(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward("ssm::Lti", *this, u, y, context);
        require<ValueError>(!context.is_irregular(),
                            "ssm::Lti: banks of systems have no intervals between steps; S5 has");
    }

    void discretize(System& system, std::size_t length, Workspace& workspace) const {
        bank.discretize(at_length(discretization_, length), rate_, system, workspace);
    }

    Discretization discretization_{};
    double rate_ = 1.0;
};

/// The layer whose system is, for all sequences, the one that `layer` has for those of `length` steps: where the
/// discretisation depends on the length, this is what can run as a stream.
template <class T, class Structure, LengthDependentDiscretization Discretization, class Evaluation,
          class Direction>
[[nodiscard]] auto with_length(
    const Lti<T, Structure, Discretization, Evaluation, Direction>& layer, std::size_t length) {
    const auto fixed = at_length(layer.discretization(), length);
    return Lti<T, Structure, std::remove_const_t<decltype(fixed)>, Evaluation, Direction>(
        layer.D, layer.bank, fixed, layer.rate());
}

}  // namespace ssm
