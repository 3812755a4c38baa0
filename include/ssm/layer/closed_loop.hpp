#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/discretize/companion.hpp>
#include <ssm/discretize/unit_norm.hpp>
#include <ssm/evaluation/fft.hpp>
#include <ssm/init/companion.hpp>
#include <ssm/kernel/companion.hpp>
#include <ssm/layer/detail/forecast_map.hpp>
#include <ssm/layer/lti_options.hpp>

namespace ssm {

/// The decoder of SpaceTime: one companion system for each channel reads a window of the past and then runs on alone,
/// on the inputs it predicts itself:
///
///   x_L = sum_l A^{L-1-l} b u_l      y_j = c_hat M^j x_L      u_hat_j = k M^j x_L      M = A + b_hat k_hat^T
///
/// for j = 0 .. horizon - 1, where a hat says that a row is divided by its norm; A has a_hat in its last column. y_0
/// belongs to the first step behind the window, and u_hat are the inputs that the layer expects there. A forecast of
/// any horizon is one linear map of the window.
///
/// It `reduces_time`: the window becomes `horizon` steps, behind which only pointwise layers may follow.
///
/// Shapes    u (batch, L, H) -> y (batch, horizon, H), or (batch, horizon, 2 H) = [y, u_hat] if inputs are wanted;
///           a, b, c, k (H, d), a only for initialisations with feedback
/// Resets    the window begins at the last reset and ends at the valid length
/// Errors    ValueError for sizes of zero, and for intervals of the context; ShapeError for views that do not fit
/// Cost      4 d (L + horizon) flops for each channel and 2 d (L + horizon) more for each sequence, in matrix products
/// Threads   parallel over channels; same bits for any number of threads
/// Source    arXiv:2303.09489, section 3.2. With norm `none` the original puts b for k into M; this does not
template <class T, class Init = init::NormalCompanion>
class ClosedLoop {
public:
    using value_type = T;
    using input_type = T;
    static constexpr bool reduces_time = true;
    struct Options {
        std::size_t channels = 0;     ///< H
        std::size_t state = 64;       ///< d
        std::size_t horizon = 1;      ///< steps to forecast
        bool predict_inputs = false;  ///< put out also u_hat
        RowNorm norm = RowNorm::l1;
        Init init{};
    };
    struct Cache {};

    explicit ClosedLoop(const Options& options, Rng rng = Rng())
        : a({Init::has_feedback ? options.channels : 0, options.state}),
          b({options.channels, options.state}),
          c(b.extents()),
          k(b.extents()),
          options_(options) {
        require<ValueError>(options.channels > 0 && options.state > 0 && options.horizon > 0,
                            "ssm::ClosedLoop: channels = ", options.channels,
                            ", state = ", options.state, " and horizon = ", options.horizon,
                            " must be positive");
        for (std::size_t h = 0; h < options.channels; ++h) {
            const init::Companion system = options.init(options.state, 2, rng);
            const std::span<const double> outputs = system.c;
            put(system.a, a, h);
            put(system.b, b, h);
            put(outputs.first(options.state), c, h);
            put(outputs.subspan(options.state), k, h);
        }
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return options_.channels; }
    [[nodiscard]] std::size_t out_channels() const noexcept { return heads() * options_.channels; }
    /// Steps it makes of any window.
    [[nodiscard]] std::size_t output_length() const noexcept { return options_.horizon; }
    [[nodiscard]] const Options& options() const noexcept { return options_; }
    /// The same weights serve any horizon.
    void set_horizon(std::size_t horizon) {
        require<ValueError>(horizon > 0, "ssm::ClosedLoop: horizon must be positive");
        options_.horizon = horizon;
    }

    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward("ssm::ClosedLoop", *this, u, y, context);
        context.require_regular("ssm::ClosedLoop");
        if (y.empty())
            return;
        const auto frame = context.workspace.frame();
        const Rows rows = take_rows(context.workspace);
        using Worker = detail::ForecastMap<T>;
        const auto workers = make_workers<Worker>(u, context.workspace);
        parallel_for(
            options_.channels,
            [&](std::size_t h, std::size_t w) {
                Worker& worker = workers[w];
                worker.prepare(rows.of(h), u, h, context);
                worker.forecast(y, h);
            },
            cost(u));
    }
    void forward(BatchView<const T> u, BatchView<T> y, Cache&, const Context& context) const {
        forward(u, y, context);
    }

    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache&,
                  ClosedLoop& gradient, const Context& context) const {
        require_backward("ssm::ClosedLoop", *this, u, dy, du, context);
        context.require_regular("ssm::ClosedLoop");
        if (u.empty())
            return;
        const auto frame = context.workspace.frame();
        const Rows rows = take_rows(context.workspace);
        const Rows upstream = zero_rows(context.workspace);
        using Worker = detail::ForecastMap<T>;
        const auto workers = make_workers<Worker>(u, context.workspace);
        parallel_for(
            options_.channels,
            [&](std::size_t h, std::size_t w) {
                Worker& worker = workers[w];
                worker.prepare(rows.of(h), u, h, context);
                worker.backward(rows.of(h), dy, du, h, context, upstream.of(h));
            },
            cost(u));
        add_rows(upstream, gradient, context.workspace);
    }

    /// The open loop over the window itself, a training aid: what the layer puts out and which next input it expects
    /// while it still sees the true inputs, [y, u_hat] (batch, L, 2 H) with
    ///
    ///   y = (c_hat A^l b_hat) * u      u_hat = (k_hat A^l b_hat) * u
    using OpenCache = evaluation::Fft::Cache<T>;
    void forward_open(BatchView<const T> u, BatchView<T> y, OpenCache& cache,
                      const Context& context) const {
        check_open(u, y, context);
        if (u.empty())
            return;
        const auto frame = context.workspace.frame();
        const auto system = context.workspace.template borrow<CompanionSystem>();
        open_system(take_rows(context.workspace), *system);
        evaluation::Fft::forward<Causal, T>(*system, std::span<const T>(), u, y, cache, context);
    }
    /// Its adjoint: adds to `gradient`, overwrites `du`, which may be empty.
    void backward_open(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du,
                       const OpenCache& cache, ClosedLoop& gradient, const Context& context) const {
        check_open(u, dy, context);
        if (u.empty())
            return;
        const auto frame = context.workspace.frame();
        const auto system = context.workspace.template borrow<CompanionSystem>();
        open_system(take_rows(context.workspace), *system);
        const auto slopes = context.workspace.template borrow<CompanionSystem>();
        slopes->reset(system->shape);
        evaluation::Fft::backward<Causal, T>(*system, std::span<const T>(), u, dy, du, cache,
                                             *slopes, std::span<T>(), context);
        const Rows upstream = zero_rows(context.workspace);
        std::ranges::copy(slopes->a, upstream.a.begin());
        std::ranges::copy(slopes->b, upstream.b_hat.begin());
        std::copy_n(slopes->c.begin(), upstream.c_hat.size(), upstream.c_hat.begin());
        std::copy_n(slopes->c.begin() + static_cast<std::ptrdiff_t>(upstream.c_hat.size()),
                    upstream.k_hat.size(), upstream.k_hat.begin());
        add_rows(upstream, gradient, context.workspace);
    }

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&& visitor, Layers&... layers) {
        const WeightTraits dynamics{.learning_rate = DynamicsTraining{}.learning_rate,
                                    .weight_decay = 0.0};
        if (Init::has_feedback)
            visitor("a", dynamics, layers.a...);
        visitor("b", Init::has_feedback ? dynamics : WeightTraits{.role = WeightRole::frozen},
                layers.b...);
        visitor("c", WeightTraits{}, layers.c...);
        visitor("k", WeightTraits{}, layers.k...);
    }

    Tensor<T> a;  ///< empty without feedback
    Tensor<T> b;
    Tensor<T> c;
    Tensor<T> k;

private:
    /// The weights of all channels in double, raw and divided by their norms (H, d), or their gradients.
    struct Rows {
        std::span<double> a, b, b_hat, c_hat, k, k_hat;
        std::size_t size;

        [[nodiscard]] detail::ForecastRows of(std::size_t h) const noexcept {
            const auto row = [&](std::span<double> rows) { return rows.subspan(h * size, size); };
            return {row(a), row(b), row(b_hat), row(c_hat), row(k), row(k_hat)};
        }
    };

    [[nodiscard]] std::size_t heads() const noexcept { return options_.predict_inputs ? 2 : 1; }
    [[nodiscard]] TaskCost cost(BatchView<const T> u) const noexcept {
        const double steps = static_cast<double>(u.length() + heads() * options_.horizon);
        return {0.1 * steps * static_cast<double>(options_.state * (u.batch() + 4))};
    }

    static void put(std::span<const double> numbers, Tensor<T>& rows, std::size_t h) {
        if (!rows.empty())  // of the shift register there are no a
            std::ranges::transform(numbers, rows.data() + h * rows.extent(1),
                                   [](double x) { return static_cast<T>(x); });
    }

    [[nodiscard]] Rows zero_rows(Workspace& workspace) const {
        const std::size_t size = b.size();
        const auto take = [&] { return workspace.take_zero<double>(size); };
        return {take(), take(), take(), take(), take(), take(), options_.state};
    }
    [[nodiscard]] Rows take_rows(Workspace& workspace) const {
        const Rows rows = zero_rows(workspace);
        const auto copy = [&](const Tensor<T>& weight, std::span<double> to, RowNorm norm) {
            std::copy(weight.data(), weight.data() + weight.size(), to.begin());
            normalize_rows(norm, to, options_.state);
        };
        copy(a, rows.a, options_.norm);
        copy(b, rows.b, RowNorm::none);
        copy(b, rows.b_hat, options_.norm);
        copy(c, rows.c_hat, options_.norm);
        copy(k, rows.k, RowNorm::none);
        copy(k, rows.k_hat, options_.norm);
        return rows;
    }
    /// From the gradients of the rows to those of the weights.
    void add_rows(const Rows& upstream, ClosedLoop& gradient, Workspace& workspace) const {
        const std::span<double> raw = workspace.take<double>(b.size());
        const auto add = [&](const Tensor<T>& weight, std::span<double> slopes, RowNorm norm,
                             Tensor<T>& to) {
            std::copy(weight.data(), weight.data() + weight.size(), raw.begin());
            normalize_rows_adjoint(norm, raw.first(weight.size()), options_.state,
                                   slopes.first(weight.size()));
            for (std::size_t i = 0; i < to.size(); ++i)
                to[i] += static_cast<T>(slopes[i]);
        };
        add(a, upstream.a, options_.norm, gradient.a);
        add(b, upstream.b, RowNorm::none, gradient.b);
        add(b, upstream.b_hat, options_.norm, gradient.b);
        add(c, upstream.c_hat, options_.norm, gradient.c);
        add(k, upstream.k, RowNorm::none, gradient.k);
        add(k, upstream.k_hat, options_.norm, gradient.k);
    }

    template <class Worker>
    [[nodiscard]] std::span<Worker> make_workers(BatchView<const T> u, Workspace& workspace) const {
        const std::span<Worker> workers = workspace.take<Worker>(threads());
        for (Worker& worker : workers)
            std::construct_at(&worker, u.shape(), options_.state, options_.horizon, heads(),
                              workspace);
        return workers;
    }

    void check_open(BatchView<const T> u, BatchView<const T> y, const Context& context) const {
        require<ShapeError>(u.channels() == options_.channels, "ssm::ClosedLoop: input has ",
                            u.channels(), " channels, expected ", options_.channels);
        require_shape("ssm::ClosedLoop: open loop", y.shape(),
                      {u.batch(), u.length(), 2 * options_.channels});
        context.check(u.shape());
        context.require_regular("ssm::ClosedLoop");
    }
    void open_system(const Rows& rows, CompanionSystem& system) const {
        system.reset({options_.channels, options_.state, 2, options_.channels, 1});
        std::ranges::copy(rows.a, system.a.begin());
        std::ranges::copy(rows.b_hat, system.b.begin());
        std::ranges::copy(rows.k_hat, std::ranges::copy(rows.c_hat, system.c.begin()).out);
    }

    Options options_;
};

}  // namespace ssm
