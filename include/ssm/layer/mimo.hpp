#pragma once

#include <array>
#include <cmath>
#include <complex>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/detail/mimo_backward.hpp>
#include <ssm/layer/detail/mimo_forward.hpp>
#include <ssm/layer/detail/mimo_intervals.hpp>
#include <ssm/layer/detail/mimo_step.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/layer/mimo_modes.hpp>
#include <ssm/layer/mimo_state.hpp>
#include <ssm/layer/mimo_system.hpp>

namespace ssm {

/// One diagonal state space system with many inputs and outputs:
///
///   x[t] = z o x[t-1] + b o (B u[t])      y[t] = f Re(C x[t]) + D o u[t]
///
/// as two matrix products over all rows with a scan between. f is 2 where modes come in conjugate pairs.
///
/// Policies
///   Dynamics    weights that poles z and input weights b are made of: `ContinuousModes`, `ExponentialModes`
///   Direction   `Causal`, or `Bidirectional`: the same z, b and B once more over the reversed sequence, read out
///               by the second half of C; both include the current step. Such a layer cannot stream
///
/// Shapes    u (batch, L, H) -> y (batch, L, H); B (P, H, 2), C (H, directions P, 2), D (H)
/// State     x (batch, P) complex and the discrete system of the weights it was made from; zero at rest. After a
///           change of weights or `rate`, `prepare(state)` brings the system up to date
/// Intervals of the context (dynamics with a time step): step t takes intervals[t] time steps instead of one, so
///           that z and b differ from step to step. They are not differentiated
/// Resets    honoured in every mode; a row's state stops at its valid length, outputs behind it are 0
/// Errors    ShapeError for views that do not fit, ValueError for options out of their domain, and for intervals
///           with dynamics in discrete time
/// Real time step: no allocation, no lock, bounded time
/// Cost      8 P H + 8 P flops a step; with intervals P discretisations in double more
/// Memory    whole sequences go through pieces of a few megabytes; training keeps 2 P numbers a step
/// Threads   const: any number of threads, one state and one workspace each; the same bits for any number
template <class T, class Dynamics, class Direction = Causal>
class Mimo {
public:
    using value_type = T;
    using input_type = T;
    using Bank = typename Dynamics::template Bank<T>;
    static constexpr bool streams = Direction::is_causal;
    static constexpr std::size_t directions = Direction::kernels;
    static constexpr bool has_time_step = Dynamics::has_time_step;

    struct Options {
        std::size_t channels = 0;  ///< H
        std::size_t state = 64;    ///< size of the state; conjugate pairs count twice
        bool skip = true;          ///< D
        bool liquid =
            false;  ///< the input moves the poles too: x[t] = (z + v) x[t-1] + v, v = b (B u[t])
        double rate = 1.0;  ///< time step relative to the training data
        typename Dynamics::Options dynamics{};
    };

    explicit Mimo(const Options& options, Rng rng = Rng())
        : bank((check(options), MimoSizes{options.channels, options.state}), options.dynamics, rng),
          B({bank.modes(), options.channels, 2}),
          C({options.channels, directions * bank.modes(), 2}),
          D({options.skip ? options.channels : 0}),
          liquid_(options.liquid) {
        const MimoSizes sizes{options.channels, options.state};
        const std::size_t P = bank.modes();
        const auto input = bank.initial_input(sizes, rng);
        for (std::size_t p = 0; p < P; ++p)
            for (std::size_t h = 0; h < sizes.channels; ++h)
                set_pair(B, p * sizes.channels + h, input(index(p), index(h)));
        for (std::size_t d = 0; d < directions; ++d) {
            const auto output = bank.initial_output(sizes, rng);
            for (std::size_t h = 0; h < sizes.channels; ++h)
                for (std::size_t p = 0; p < P; ++p)
                    set_pair(C, (h * directions + d) * P + p, output(index(h), index(p)));
        }
        for (T& d : D.flat())
            d = static_cast<T>(rng.normal());
        if constexpr (has_time_step)
            set_rate(options.rate);
        else
            require<ValueError>(options.rate == 1.0,
                                "ssm::Mimo: dynamics in discrete time have no rate");
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return C.extent(0); }
    [[nodiscard]] std::size_t out_channels() const noexcept { return C.extent(0); }
    /// P, the modes that are stored.
    [[nodiscard]] std::size_t modes() const noexcept { return bank.modes(); }

    /// Time step relative to the training data. A model trained at 16 kHz runs at 8 kHz with rate 2.
    [[nodiscard]] double rate() const noexcept { return rate_; }
    void set_rate(double rate) requires has_time_step {
        require<ValueError>(rate > 0.0 && std::isfinite(rate), "ssm::Mimo: rate = ", rate,
                            " must be positive");
        rate_ = rate;
    }

    [[nodiscard]] bool is_liquid() const noexcept { return liquid_; }
    /// Whether coefficients differ from step to step in such a call.
    [[nodiscard]] bool varies(const Context& context) const noexcept {
        return liquid_ || context.is_irregular();
    }

    using State = MimoState<T>;
    [[nodiscard]] State rest_state(std::size_t batch = 1) const requires streams {
        State state;
        prepare(state);
        state.reset(modes(), batch);
        return state;
    }
    /// Discretises the present weights for `state`, which keeps what it remembers.
    void prepare(State& state) const requires streams {
        Workspace workspace;
        const auto system = std::make_shared<MimoSystem<T>>();
        make(*system, has_time_step, workspace);
        state.system = system;
    }

    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        check_call(u, y, context);
        if (u.empty())
            return;
        const auto system = context.workspace.template borrow<MimoSystem<T>>();
        make(*system, context.is_irregular(), context.workspace);
        Forward(*this, *system, context).run_pieces(u, y, nullptr);
    }

    void forward(BatchView<const T> u, BatchView<T> y, State& state,
                 const Context& context) const requires streams {
        check_call(u, y, context);
        require<ShapeError>(
            state.system != nullptr && state.system->P == modes() &&
                state.system->H == in_channels() && state.x.size() == u.batch() * 2 * modes(),
            "ssm::Mimo: the state was not made by this layer for ", u.batch(), " streams");
        if (u.empty())
            return;
        Forward(*this, *state.system, context).run_pieces(u, y, state.x.data());
    }

    void step(std::span<const T> u, std::span<T> y, State& state) const noexcept requires streams {
        detail::mimo_step<Mimo>(*this, *state.system, u, y, state, false,
                                [](std::size_t, T*, T*) {});
    }
    /// A step that takes `intervals[b]` time steps for stream b.
    void step(std::span<const T> u, std::span<const double> intervals, std::span<T> y,
              State& state) const noexcept requires(streams&& has_time_step) {
        const MimoSystem<T>& system = *state.system;
        detail::IntervalModes room(system.lambda_re, system.lambda_im, system.dt, state.numbers);
        detail::mimo_step<Mimo>(*this, system, u, y, state, true, [&](std::size_t b, T* w, T* v) {
            detail::interval_row<T>(room, bank.discretization(), intervals[b], system.modes, w, v);
        });
    }
    /// Not there for layers that see the future; says so.
    template <class... Arguments>
    requires(!streams) void step(const Arguments&...) const {
        static_assert(streams || sizeof...(Arguments) > 99,
                      "ssm::Mimo: this layer is bidirectional, it sees the future: it cannot run "
                      "step by step");
    }

    struct Cache {
        MimoSystem<T> system;
        std::array<Batch<T>, directions> states;
        Batch<T> coefficients;  ///< of steps that differ from each other
    };
    void forward(BatchView<const T> u, BatchView<T> y, Cache& cache, const Context& context) const {
        check_call(u, y, context);
        if (u.empty())
            return;
        make(cache.system, context.is_irregular(), context.workspace);
        const Shape shape{u.batch(), u.length(), 2 * modes()};
        std::array<BatchView<T>, directions> states;
        for (std::size_t d = 0; d < directions; ++d) {
            cache.states[d].resize(shape);
            states[d] = cache.states[d];
        }
        cache.coefficients.resize(varies(context) ? shape : Shape{});
        Forward(*this, cache.system, context).run(u, y, nullptr, states, cache.coefficients);
    }

    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache& cache,
                  Mimo& gradient, const Context& context) const {
        require_backward("ssm::Mimo", *this, u, dy, du, context);
        if (u.empty())
            return;
        const Shape shape{u.batch(), u.length(), 2 * modes()};
        for (const Batch<T>& states : cache.states)
            require_shape("ssm::Mimo: cache", states.shape(), shape);
        require<ShapeError>(cache.coefficients.shape() == (varies(context) ? shape : Shape{}),
                            "ssm::Mimo: the cache is not one of these intervals");
        detail::MimoBackward<Mimo>(*this, cache, gradient, context).run(u, dy, du);
    }

    /// Poles A_bar of the discrete system, (P).
    [[nodiscard]] std::vector<std::complex<double>> poles() const {
        const MimoModes modes = discrete();
        std::vector<std::complex<double>> result;
        for (std::size_t p = 0; p < modes.size(); ++p)
            result.emplace_back(modes.pole_re[p], modes.pole_im[p]);
        return result;
    }
    /// Input matrix B_bar of the discrete system, (P, H).
    [[nodiscard]] std::vector<std::complex<double>> input_matrix() const {
        const MimoModes modes = discrete();
        std::vector<std::complex<double>> result;
        for (std::size_t i = 0; i < modes.size() * in_channels(); ++i) {
            const std::size_t p = i / in_channels();
            result.push_back(std::complex<double>(modes.input_re[p], modes.input_im[p]) *
                             std::complex<double>(static_cast<double>(B[2 * i]),
                                                  static_cast<double>(B[2 * i + 1])));
        }
        return result;
    }

    /// The state x as papers and other libraries have it, (batch, P, 2).
    [[nodiscard]] Tensor<T> state_values(const State& state) const requires streams {
        return state.values(modes());
    }
    /// Puts such values into `state`. Errors: ShapeError for another shape.
    void set_state_values(State& state, const Tensor<T>& values) const requires streams {
        state.set_values(modes(), values);
    }

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&& visitor, Layers&... layers) {
        const Mimo& first = first_of(layers...);
        Bank::visit_weights(visitor, layers.bank...);
        visitor("B", first.bank.input_traits(), layers.B...);
        visitor("C", WeightTraits{}, layers.C...);
        if ((!layers.D.empty() && ...))
            visitor("D", WeightTraits{}, layers.D...);
    }

    Bank bank;
    Tensor<T> B;  ///< (P, H, 2)
    Tensor<T> C;  ///< (H, directions P, 2)
    Tensor<T> D;  ///< (H); empty without skip

private:
    using Forward = detail::MimoForward<Mimo>;

    static void check(const Options& options) {
        require<ValueError>(options.channels > 0 && options.state > 0,
                            "ssm::Mimo: channels = ", options.channels,
                            " and state = ", options.state, " must be positive");
    }
    [[nodiscard]] static Eigen::Index index(std::size_t i) noexcept {
        return static_cast<Eigen::Index>(i);
    }
    static void set_pair(Tensor<T>& tensor, std::size_t i, std::complex<double> value) noexcept {
        tensor[2 * i] = static_cast<T>(value.real());
        tensor[2 * i + 1] = static_cast<T>(value.imag());
    }

    void check_call(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward("ssm::Mimo", *this, u, y, context);
        require<ValueError>(has_time_step || !context.is_irregular(),
                            "ssm::Mimo: intervals for dynamics in discrete time");
    }

    [[nodiscard]] MimoModes discrete() const {
        Workspace workspace;
        MimoModes result;
        bank.discretize(rate_, result, workspace);
        return result;
    }
    void make(MimoSystem<T>& system, bool intervals, Workspace& workspace) const {
        bank.discretize(rate_, system.modes, workspace);
        system.reset(B, C, bank.output_factor());
        if constexpr (has_time_step)
            if (intervals) {
                system.reset_plain(B);
                for (auto* values : {&system.lambda_re, &system.lambda_im, &system.dt})
                    values->resize(modes());
                bank.continuous(rate_, system.lambda_re, system.lambda_im, system.dt);
            }
    }

    bool liquid_ = false;
    double rate_ = 1.0;
};

}  // namespace ssm
