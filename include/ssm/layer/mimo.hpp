#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/padding.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/detail/mimo_intervals.hpp>
#include <ssm/layer/detail/row_pieces.hpp>
#include <ssm/layer/detail/row_sums.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/layer/mimo_modes.hpp>
#include <ssm/layer/mimo_system.hpp>
#include <ssm/math/product.hpp>
#include <ssm/math/row_product.hpp>
#include <ssm/scan/linear_scan.hpp>
#include <ssm/scan/linear_scan_adjoint.hpp>

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

    /// What a stream remembers.
    struct State {
        friend bool operator==(const State& a, const State& b) { return a.x == b.x; }

        /// What is remembered alone: the system is made anew from the weights.
        template <class Visitor, class... States>
        static void visit_numbers(Visitor&& visitor, States&... states) {
            visitor("x", states.x...);
        }

        std::shared_ptr<const MimoSystem<T>> system;  ///< shared by forks
        AlignedVector<T> x;                           ///< (batch, 2 P), real, then imaginary parts
        AlignedVector<T> rows;                        ///< room for steps
        AlignedVector<double> numbers;
    };
    [[nodiscard]] State rest_state(std::size_t batch = 1) const requires streams {
        State state;
        prepare(state);
        state.x.assign(batch * 2 * modes(), T(0));
        state.rows.assign(4 * modes(), T(0));
        state.numbers.assign(detail::interval_scratch * modes(), 0.0);
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
        make(*system, is_irregular(context), context.workspace);
        run_pieces(*system, u, y, nullptr, context);
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
        run_pieces(*state.system, u, y, state.x.data(), context);
    }

    void step(std::span<const T> u, std::span<T> y, State& state) const noexcept requires streams {
        step_streams(
            *state.system, u, y, state, [&](std::size_t, T*, T*) {}, false);
    }
    /// A step that takes `intervals[b]` time steps for stream b.
    void step(std::span<const T> u, std::span<const double> intervals, std::span<T> y,
              State& state) const noexcept requires(streams&& has_time_step) {
        const MimoSystem<T>& system = *state.system;
        detail::IntervalModes room(system.lambda_re, system.lambda_im, system.dt, state.numbers);
        step_streams(
            system, u, y, state,
            [&](std::size_t b, T* w, T* v) {
                detail::interval_row<T>(room, bank.discretization(), intervals[b], system.modes, w,
                                        v);
            },
            true);
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
        make(cache.system, is_irregular(context), context.workspace);
        const Shape shape{u.batch(), u.length(), 2 * modes()};
        std::array<BatchView<T>, directions> states;
        for (std::size_t d = 0; d < directions; ++d) {
            cache.states[d].resize(shape);
            states[d] = cache.states[d];
        }
        cache.coefficients.resize(varies(context) ? shape : Shape{});
        run(cache.system, u, y, nullptr, states, cache.coefficients, context);
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
        const Workspace::Frame frame = context.workspace.frame();
        u = without_padding(u, context);
        dy = without_padding(dy, context);
        skip_adjoint(u, dy, du, gradient, context);
        backward_system(cache, u, dy, du, gradient, context);
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
        const std::size_t P = modes();
        Tensor<T> values({state.x.size() / (2 * P), P, 2});
        for (std::size_t i = 0; i < state.x.size() / 2; ++i) {
            const std::size_t at = i / P * 2 * P + i % P;
            values[2 * i] = state.x[at];
            values[2 * i + 1] = state.x[at + P];
        }
        return values;
    }
    /// Puts such values into `state`. Errors: ShapeError for another shape.
    void set_state_values(State& state, const Tensor<T>& values) const requires streams {
        const std::size_t P = modes();
        const Extents expected{state.x.size() / (2 * P), P, 2};
        require<ShapeError>(values.extents() == expected, "ssm::Mimo: state values have shape ",
                            values.extents(), ", expected ", expected);
        for (std::size_t i = 0; i < state.x.size() / 2; ++i) {
            const std::size_t at = i / P * 2 * P + i % P;
            state.x[at] = values[2 * i];
            state.x[at + P] = values[2 * i + 1];
        }
    }

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&& visitor, Layers&... layers) {
        const Mimo& first = [](const Mimo& layer, const auto&...) -> const Mimo& {
            return layer;
        }(layers...);
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
    using Views = std::array<BatchView<T>, directions>;

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
        require<ValueError>(has_time_step || !is_irregular(context),
                            "ssm::Mimo: intervals for dynamics in discrete time");
    }
    [[nodiscard]] static bool is_irregular(const Context& context) noexcept {
        return context.intervals.data() != nullptr;
    }
    /// Whether coefficients differ from step to step.
    [[nodiscard]] bool varies(const Context& context) const noexcept {
        return liquid_ || is_irregular(context);
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

    // ---- steps -----------------------------------------------------------------------------------

    /// `vary(b, w, v)` replaces the coefficients w and inputs v of stream b.
    template <class Vary>
    void step_streams(const MimoSystem<T>& system, std::span<const T> u, std::span<T> y,
                      State& state, Vary&& vary, bool irregular) const noexcept {
        const std::size_t P = system.P;
        const std::size_t H = system.H;
        T* const v = state.rows.data();
        T* const w = v + 2 * P;
        const T* const in = (irregular ? system.plain : system.in).data();
        for (std::size_t b = 0; b * 2 * P < state.x.size(); ++b) {
            T* const x = state.x.data() + b * 2 * P;
            std::fill_n(v, 2 * P, T(0));
            math::add_row_product(u.data() + b * H, H, in, 2 * P, v);
            const T* coefficients = system.w.data();
            if (irregular || liquid_) {
                std::copy_n(coefficients, 2 * P, w);
                vary(b, w, v);
                coefficients = w;
            }
            if (liquid_)
                for (std::size_t p = 0; p < 2 * P; ++p)
                    w[p] += v[p];
            detail::advance_row(coefficients, v, x, P);
            detail::skip_row<T>(D.flat(), u.data() + b * H, y.data() + b * H, H);
            math::add_row_product(x, 2 * P, system.out.data(), H, y.data() + b * H);
        }
    }

    // ---- whole sequences -------------------------------------------------------------------------

    /// Numbers of states that are computed together in inference: they stay in the cache.
    static constexpr std::size_t piece_numbers = std::size_t{1} << 19U;

    void run_pieces(const MimoSystem<T>& system, BatchView<const T> u, BatchView<T> y, T* x,
                    const Context& context) const {
        const std::size_t width = 2 * modes();
        const std::size_t rows = std::max<std::size_t>(
            math::product_rows, piece_numbers / width / math::product_rows * math::product_rows);
        const Workspace::Frame frame = context.workspace.frame();
        if (streams && x == nullptr)
            x = context.workspace.template take_zero<T>(u.batch() * width).data();
        const std::span<std::size_t> lengths =
            context.workspace.template take<std::size_t>(u.batch());
        detail::for_each_row_piece(u.shape(), rows, !streams, [&](const detail::RowPiece& piece) {
            const Workspace::Frame inner = context.workspace.frame();
            const auto take = [&](bool wanted) {
                const Shape shape = wanted ? piece.shape(width) : Shape{};
                return BatchView<T>(context.workspace.template take<T>(shape.size()).data(), shape);
            };
            Views states;
            for (auto& view : states)
                view = take(true);
            run(system, piece.of(u), piece.of(y), streams ? x + piece.sequence * width : nullptr,
                states, take(varies(context)), piece.of(context, lengths));
        });
    }

    /// `x` goes through the states of the first direction; null: from rest. `coefficients` is empty unless they vary.
    void run(const MimoSystem<T>& system, BatchView<const T> u, BatchView<T> y, T* x,
             const Views& states, BatchView<T> coefficients, const Context& context) const {
        skip(u, y);
        math::product<T>(u.matrix(), system.in_matrix(is_irregular(context)), states[0].matrix());
        if (varies(context))
            vary(system, states[0], coefficients, context);
        for (std::size_t d = 1; d < directions; ++d)
            std::copy_n(states[0].data(), states[0].size(), states[d].data());
        for (std::size_t d = 0; d < directions; ++d) {
            const std::span<T> state =
                d > 0 || x == nullptr ? std::span<T>()
                                      : std::span<T>(x, states[d].batch() * states[d].channels());
            if (varies(context))
                linear_scan<ComplexIncrements>(coefficients, states[d], state, context, way(d));
            else
                linear_scan<ComplexIncrements>(system.w, states[d], state, context, way(d));
            math::add_product<T>(BatchView<const T>(states[d]).matrix(), system.out_matrix(d),
                                 y.matrix());
        }
        ssm::detail::clear_padding(y, context);
    }
    [[nodiscard]] static TimeDirection way(std::size_t direction) noexcept {
        return direction == 0 ? TimeDirection::forward : TimeDirection::backward;
    }

    /// y = D u
    void skip(BatchView<const T> u, BatchView<T> y) const {
        const std::size_t H = in_channels();
        parallel_ranges(u.shape().rows(), ssm::detail::row_grain(H),
                        [&](std::size_t begin, std::size_t end, std::size_t) {
                            for (std::size_t r = begin; r < end; ++r)
                                detail::skip_row<T>(D.flat(), u.data() + r * H, y.data() + r * H,
                                                    H);
                        });
    }

    // ---- coefficients that vary ------------------------------------------------------------------

    /// Calls `body(row, modes)` for all rows; `modes` is room to discretise one step.
    template <class Body>
    void for_each_interval(const MimoSystem<T>& system, const Context& context, std::size_t rows,
                           Body&& body) const {
        constexpr std::size_t grain = 64;
        const std::size_t room = detail::interval_scratch * system.P;
        const Workspace::Frame frame = context.workspace.frame();
        const std::span<double> scratch = context.workspace.template take<double>(threads() * room);
        parallel_ranges(rows, grain,
                        [&](std::size_t begin, std::size_t end, std::size_t worker) {
                            detail::IntervalModes modes(system.lambda_re, system.lambda_im,
                                                        system.dt,
                                                        scratch.subspan(worker * room, room));
                            for (std::size_t row = begin; row < end; ++row)
                                body(row, modes);
                        },
                        {static_cast<double>(grain * system.P) * 5.0});
    }

    /// Coefficients of all steps; v, the inputs, become b v.
    void vary(const MimoSystem<T>& system, BatchView<T> v, BatchView<T> w,
              const Context& context) const {
        const std::size_t width = 2 * system.P;
        if (!is_irregular(context)) {
            for (std::size_t row = 0; row < v.shape().rows(); ++row)
                std::copy_n(system.w.data(), width, w.data() + row * width);
        } else if constexpr (has_time_step) {
            for_each_interval(system, context, v.shape().rows(),
                              [&](std::size_t row, detail::IntervalModes& modes) {
                                  detail::interval_row<T>(
                                      modes, bank.discretization(), context.intervals.data()[row],
                                      system.modes, w.data() + row * width, v.data() + row * width);
                              });
        }
        if (liquid_)
            for (std::size_t i = 0; i < w.size(); ++i)
                w.data()[i] += v.data()[i];
    }

    /// Adjoint of `vary`: dw of the coefficients, g of b v, which becomes that of v.
    void vary_adjoint(const MimoSystem<T>& system, BatchView<const T> u, BatchView<T> dw,
                      BatchView<T> g, MimoModes& upstream, Mimo& gradient,
                      const Context& context) const {
        const std::size_t width = 2 * system.P;
        const std::size_t rows = g.shape().rows();
        if (liquid_)
            for (std::size_t i = 0; i < g.size(); ++i)
                g.data()[i] += dw.data()[i];
        if (!is_irregular(context)) {
            for (std::size_t row = 0; row < rows; ++row)
                for (std::size_t p = 0; p < system.P; ++p) {
                    upstream.pole_re[p] += static_cast<double>(dw.data()[row * width + p]);
                    upstream.pole_im[p] +=
                        static_cast<double>(dw.data()[row * width + system.P + p]);
                }
        } else if constexpr (has_time_step) {
            const Workspace::Frame frame = context.workspace.frame();
            const BatchView<T> v(context.workspace.template take<T>(g.size()).data(), g.shape());
            math::product<T>(u.matrix(), system.in_matrix(true), v.matrix());
            const std::span<double> sums =
                context.workspace.template take_zero<double>(5 * system.P);
            const std::size_t room = detail::interval_scratch * system.P;
            const std::span<double> scratch =
                context.workspace.template take<double>(threads() * room);
            detail::sum_over_rows<double>(
                rows, sums.size(), context.workspace, sums.data(),
                [&](std::size_t begin, std::size_t end, double* partial, std::size_t worker) {
                    detail::IntervalModes modes(system.lambda_re, system.lambda_im, system.dt,
                                                scratch.subspan(worker * room, room));
                    const auto parts = interval_gradient({partial, sums.size()});
                    for (std::size_t row = begin; row < end; ++row)
                        detail::interval_row_adjoint<T>(
                            modes, bank.discretization(), context.intervals.data()[row],
                            system.modes, dw.data() + row * width, v.data() + row * width,
                            g.data() + row * width, parts);
                });
            const detail::IntervalGradient total = interval_gradient(sums);
            bank.continuous_adjoint(rate_, total.lambda_re, total.lambda_im, total.dt,
                                    gradient.bank);
            for (std::size_t p = 0; p < system.P; ++p) {
                upstream.input_re[p] += total.own_re[p];
                upstream.input_im[p] += total.own_im[p];
            }
        }
    }
    [[nodiscard]] static detail::IntervalGradient interval_gradient(
        std::span<double> sums) noexcept {
        const std::size_t P = sums.size() / 5;
        return {sums.subspan(0, P), sums.subspan(P, P), sums.subspan(2 * P, P),
                sums.subspan(3 * P, P), sums.subspan(4 * P, P)};
    }

    // ---- backward --------------------------------------------------------------------------------

    /// `u`, or a copy with zeros behind the valid lengths: what is there may be no number.
    [[nodiscard]] static BatchView<const T> without_padding(BatchView<const T> u,
                                                            const Context& context) {
        if (context.lengths.empty())
            return u;
        const BatchView<T> copy(context.workspace.template take<T>(u.size()).data(), u.shape());
        std::copy_n(u.data(), u.size(), copy.data());
        ssm::detail::clear_padding(copy, context);
        return copy;
    }

    /// du = D dy, dD += sum u dy
    void skip_adjoint(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, Mimo& gradient,
                      const Context& context) const {
        if (!du.empty())
            skip(dy, du);
        if (D.empty())
            return;
        const std::size_t H = in_channels();
        ssm::detail::sum_over_rows<T>(
            u.shape().rows(), H, context.workspace, gradient.D.data(),
            [&](std::size_t begin, std::size_t end, T* sums, std::size_t) {
                for (std::size_t i = begin * H; i < end * H; ++i)
                    sums[i % H] += u.data()[i] * dy.data()[i];
            });
    }

    void backward_system(const Cache& cache, BatchView<const T> u, BatchView<const T> dy,
                         BatchView<T> du, Mimo& gradient, const Context& context) const {
        const MimoSystem<T>& system = cache.system;
        Workspace& workspace = context.workspace;
        const Shape shape{u.batch(), u.length(), 2 * system.P};
        const auto rows = [&](std::size_t size) {
            return BatchView<T>(workspace.template take<T>(size).data(),
                                size == 0 ? Shape{} : shape);
        };
        const auto upstream = workspace.template borrow<MimoModes>();
        upstream->reset(system.P);
        const std::span<double> dw = workspace.template take_zero<double>(2 * system.P);
        const BatchView<T> dcoefficients = rows(cache.coefficients.size());
        const BatchView<T> g = rows(shape.size());
        for (std::size_t d = 0; d < directions; ++d) {
            const Workspace::Frame frame = workspace.frame();
            const BatchView<T> gradients = d == 0 ? g : rows(shape.size());
            const BatchView<T> slopes = d == 0 ? dcoefficients : rows(cache.coefficients.size());
            math::product_transposed<T>(dy.matrix(), system.out_matrix(d), nullptr,
                                        gradients.matrix());
            output_adjoint(d, cache.states[d], dy, gradient, workspace);
            if (varies(context))
                linear_scan_adjoint<ComplexIncrements>(cache.coefficients.view(), cache.states[d],
                                                       gradients, slopes, {}, {}, context, way(d));
            else
                linear_scan_adjoint<ComplexIncrements>(system.w, cache.states[d], gradients, dw, {},
                                                       {}, context, way(d));
            if (d > 0) {
                add(gradients, g);
                add(slopes, dcoefficients);
            }
        }
        for (std::size_t p = 0; p < system.P; ++p) {
            upstream->pole_re[p] = dw[p];
            upstream->pole_im[p] = dw[system.P + p];
        }
        if (varies(context))
            vary_adjoint(system, u, dcoefficients, g, *upstream, gradient, context);
        if (!du.empty())
            math::add_product_transposed<T>(BatchView<const T>(g).matrix(),
                                            system.in_matrix(is_irregular(context)), du.matrix());
        input_adjoint(u, g, *upstream, system.modes, gradient, context);
        bank.adjoint(rate_, *upstream, gradient.bank, workspace);
    }
    static void add(BatchView<const T> from, BatchView<T> to) noexcept {
        for (std::size_t i = 0; i < from.size(); ++i)
            to.data()[i] += from.data()[i];
    }

    /// C += what y = out^T x says about it.
    void output_adjoint(std::size_t d, BatchView<const T> states, BatchView<const T> dy,
                        Mimo& gradient, Workspace& workspace) const {
        const std::size_t P = modes();
        const std::size_t H = in_channels();
        const Workspace::Frame frame = workspace.frame();
        const std::span<T> dout = workspace.template take_zero<T>(2 * P * H);
        math::add_product_of_transpose<T>(states.matrix(), dy.matrix(),
                                          matrix_map(dout.data(), 2 * P, H), workspace);
        const T factor = static_cast<T>(bank.output_factor());
        for (std::size_t h = 0; h < H; ++h)
            for (std::size_t p = 0; p < P; ++p) {
                T* const c = gradient.C.data() + 2 * ((h * directions + d) * P + p);
                c[0] += factor * dout[p * H + h];
                c[1] -= factor * dout[(P + p) * H + h];
            }
    }

    /// B += what v = b B u says about it, and the same for b.
    void input_adjoint(BatchView<const T> u, BatchView<const T> g, MimoModes& upstream,
                       const MimoModes& modes_of_cache, Mimo& gradient,
                       const Context& context) const {
        const std::size_t P = modes();
        const std::size_t H = in_channels();
        const Workspace::Frame frame = context.workspace.frame();
        const std::span<T> din = context.workspace.template take_zero<T>(2 * P * H);
        math::add_product_of_transpose<T>(g.matrix(), u.matrix(), matrix_map(din.data(), 2 * P, H),
                                          context.workspace);
        const bool plain = is_irregular(context);
        for (std::size_t p = 0; p < P; ++p) {
            const std::complex<double> b = plain ? 1.0
                                                 : std::complex<double>(modes_of_cache.input_re[p],
                                                                        modes_of_cache.input_im[p]);
            std::complex<double> db = 0.0;
            for (std::size_t h = 0; h < H; ++h) {
                const std::complex<double> d(static_cast<double>(din[p * H + h]),
                                             static_cast<double>(din[(P + p) * H + h]));
                T* const at = gradient.B.data() + 2 * (p * H + h);
                const T* const value = B.data() + 2 * (p * H + h);
                const std::complex<double> dB = std::conj(b) * d;
                at[0] += static_cast<T>(dB.real());
                at[1] += static_cast<T>(dB.imag());
                db += std::conj(std::complex<double>(static_cast<double>(value[0]),
                                                     static_cast<double>(value[1]))) *
                      d;
            }
            if (!plain) {
                upstream.input_re[p] += db.real();
                upstream.input_im[p] += db.imag();
            }
        }
    }

    bool liquid_ = false;
    double rate_ = 1.0;
};

}  // namespace ssm
