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
///   Structure       of A, and its initialisation: `Diagonal<Init>`
///   Discretization  `Zoh`, `Bilinear`
///   Evaluation      `evaluation::Fft`, `Chunked`, `Recurrence`, or `Auto`, which chooses
///   Direction       `Causal`, or `Bidirectional`, which cannot stream
///
/// Shapes    u (batch, L, H) -> y (batch, L, heads * H), head c of channel h at c * H + h; D (heads, H)
/// State     (batch, H, n) complex and the discrete system of the weights it was made from; zero at rest. After a
///           change of weights or `rate`, `prepare(state)` brings the system up to date
/// Resets    honoured in every mode; a row's state stops at its valid length, and bidirectional layers see
///           zeros behind it
/// Errors    ShapeError for views that do not fit, ValueError for options out of their domain
/// Real time step: no allocation, no lock, bounded time
/// Cost      step: about 16 n H heads flops; whole sequences: see the evaluation
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
    /// Whether the layer can run as a stream.
    static constexpr bool streams = Direction::is_causal && ssm::Discretization<Discretization>;

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

    [[nodiscard]] std::size_t in_channels() const noexcept { return bank.sizes().channels; }
    [[nodiscard]] std::size_t out_channels() const noexcept {
        return bank.sizes().heads * bank.sizes().channels;
    }

    /// Time step relative to the training data. A model trained at 16 kHz runs at 8 kHz with rate 2.
    [[nodiscard]] double rate() const noexcept { return rate_; }
    void set_rate(double rate) {
        require<ValueError>(rate > 0.0 && std::isfinite(rate), "ssm::Lti: rate = ", rate,
                            " must be positive");
        rate_ = rate;
    }

    /// What a stream remembers.
    struct State {
        friend bool operator==(const State& a, const State& b) { return a.modes == b.modes; }

        std::shared_ptr<const DiagonalSystem<T>> system;  ///< shared by forks
        DiagonalState<T> modes;
    };
    [[nodiscard]] State rest_state(std::size_t batch = 1) const requires streams {
        State state;
        prepare(state);
        state.modes = state.system->rest_state(batch);
        return state;
    }
    /// Discretises the present weights for `state`, which keeps what it remembers.
    void prepare(State& state) const requires streams {
        Workspace workspace;
        Modes modes;
        discretize(modes, 0, workspace);
        state.system = std::make_shared<const DiagonalSystem<T>>(modes);
    }

    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward("ssm::Lti", *this, u, y, context);
        if (u.empty())
            return;
        const auto modes = context.workspace.template borrow<Modes>();
        discretize(*modes, u.length(), context.workspace);
        Evaluation::template forward<Direction, T>(*modes, D.flat(), u, y, context);
    }

    void forward(BatchView<const T> u, BatchView<T> y, State& state,
                 const Context& context) const requires streams {
        require_forward("ssm::Lti", *this, u, y, context);
        require<ShapeError>(
            state.system != nullptr && state.modes.fits(state.system->shape(), u.batch()),
            "ssm::Lti: the state was not made by this layer for ", u.batch(), " streams");
        if (u.empty())
            return;
        Evaluation::template forward<T>(*state.system, D.flat(), u, y, state.modes, context);
    }

    void step(std::span<const T> u, std::span<T> y, State& state) const noexcept requires streams {
        state.system->step(u, D.flat(), y, state.modes);
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
        Modes modes;
        typename Evaluation::template Cache<T> evaluation;
    };
    void forward(BatchView<const T> u, BatchView<T> y, Cache& cache, const Context& context) const {
        require_forward("ssm::Lti", *this, u, y, context);
        if (u.empty())
            return;
        discretize(cache.modes, u.length(), context.workspace);
        Evaluation::template forward<Direction, T>(cache.modes, D.flat(), u, y, cache.evaluation,
                                                   context);
    }

    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache& cache,
                  Lti& gradient, const Context& context) const {
        require_backward("ssm::Lti", *this, u, dy, du, context);
        if (u.empty())
            return;
        const auto upstream = context.workspace.template borrow<Modes>();
        upstream->reset(bank.mode_shape());
        Evaluation::template backward<Direction, T>(cache.modes, D.flat(), u, dy, du,
                                                    cache.evaluation, *upstream, gradient.D.flat(),
                                                    context);
        bank.adjoint(at_length(discretization_, u.length()), rate_, *upstream, gradient.bank,
                     context.workspace);
    }

    /// The convolution kernels (kernels * heads, H, L), those running backward in time last.
    [[nodiscard]] Tensor<T> kernel(std::size_t length) const {
        Workspace workspace;
        Modes modes;
        discretize(modes, length, workspace);
        Tensor<T> result({modes.shape.heads, modes.shape.channels, length});
        vandermonde<T>(modes, length, result.flat(), workspace);
        return result;
    }

    /// Poles A_bar of the discrete system, (H, n).
    [[nodiscard]] std::vector<std::complex<double>> poles() const requires streams {
        Workspace workspace;
        Modes modes;
        discretize(modes, 0, workspace);
        std::vector<std::complex<double>> result;
        for (std::size_t p = 0; p < modes.shape.poles(); ++p)
            result.emplace_back(modes.pole_re[p], modes.pole_im[p]);
        return result;
    }
    /// Input weights B_bar of the discrete system, (H, n).
    [[nodiscard]] std::vector<std::complex<double>> input_weights() const requires streams {
        Workspace workspace;
        return bank.input_weights(discretization_, rate_, workspace);
    }

    /// The state x of x_t = A_bar x_{t-1} + B_bar u_t as papers and other libraries have it, (batch, H, n, 2).
    [[nodiscard]] Tensor<T> state_values(const State& state) const requires streams {
        const auto weights = input_weights();
        const ModeShape shape = bank.mode_shape();
        Tensor<T> values({state.modes.batch(), shape.channels, shape.modes, 2});
        for_each_mode(state, [&](std::size_t i, std::size_t p, const T& re, const T& im) {
            const auto x =
                weights[p] * std::complex<double>(static_cast<double>(re), static_cast<double>(im));
            values[2 * i] = static_cast<T>(x.real());
            values[2 * i + 1] = static_cast<T>(x.imag());
        });
        return values;
    }
    /// Puts such values into `state`.
    ///
    /// Errors  ShapeError for another shape; ValueError for a mode that is not zero though B_bar is: no input
    ///         can bring the system there. The state is unchanged then.
    void set_state_values(State& state, const Tensor<T>& values) const requires streams {
        const auto weights = input_weights();
        const ModeShape shape = bank.mode_shape();
        const Extents expected{state.modes.batch(), shape.channels, shape.modes, 2};
        require<ShapeError>(values.extents() == expected, "ssm::Lti: state values have shape ",
                            values.extents(), ", expected ", expected);
        const auto x = [&](std::size_t i) {
            return std::complex<double>(static_cast<double>(values[2 * i]),
                                        static_cast<double>(values[2 * i + 1]));
        };
        for (std::size_t i = 0; 2 * i < values.size(); ++i)
            require<ValueError>(x(i) == 0.0 || weights[i % weights.size()] != 0.0,
                                "ssm::Lti: mode ", i % shape.modes,
                                " of a state is not zero, but its B_bar is");
        for_each_mode(state, [&](std::size_t i, std::size_t p, T& re, T& im) {
            const std::complex<double> s = weights[p] == 0.0 ? 0.0 : x(i) / weights[p];
            re = static_cast<T>(s.real());
            im = static_cast<T>(s.imag());
        });
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
    /// Calls body(i, p, re, im) for each mode of each stream: i counts (batch, H, n), p counts (H, n).
    template <class S, class Body>
    void for_each_mode(S& state, Body&& body) const {
        const ModeShape shape = bank.mode_shape();
        for (std::size_t b = 0; b < state.modes.batch(); ++b)
            for (std::size_t h = 0; h < shape.channels; ++h)
                for (std::size_t n = 0; n < shape.modes; ++n)
                    body((b * shape.channels + h) * shape.modes + n, h * shape.modes + n,
                         state.modes.re(b, h)[n], state.modes.im(b, h)[n]);
    }

    void discretize(Modes& modes, std::size_t length, Workspace& workspace) const {
        bank.discretize(at_length(discretization_, length), rate_, modes, workspace);
    }

    Discretization discretization_{};
    double rate_ = 1.0;
};

}  // namespace ssm
