#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <limits>
#include <span>
#include <type_traits>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/conv1d.hpp>
#include <ssm/layer/detail/dt_init.hpp>
#include <ssm/layer/detail/gated_row.hpp>
#include <ssm/layer/detail/linear_parts.hpp>
#include <ssm/layer/detail/mamba_block.hpp>
#include <ssm/layer/gated_norm.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/layer/mamba2_options.hpp>
#include <ssm/scan/ssd.hpp>

namespace ssm {

/// The Mamba-2 block:
///
///   [z, xBC, delta] = in_proj(u)         [x, B, C] = silu(conv1d(xBC))
///   y = out_proj(norm(SSD(x, delta, B, C), z))
///
/// SSD is the state space dual scan with A = -exp(A_log), D and dt_bias; norm is the gated RMSNorm, or the gate alone.
/// With `inner` larger than `ssm_channels`, in_proj begins with two more parts [z0, x0] and silu(z0) x0 stands in front
/// of the norm's output.
///
/// `Mamba2<float, Bfloat16>` keeps in_proj and out_proj rounded to 16 bits and computes in float: it is for inference
/// alone, and its steps take half of the time.
///
/// Shapes    u (batch, L, channels) -> y the same; E = inner, S = ssm_channels = H P for H heads of P, N states,
///           G groups of B and C; in_proj (2 E + 2 G N + H, channels), out_proj (channels, E), conv1d of S + 2 G N
///           channels; dt_bias, A_log (H); D (H) or (S); norm.weight (S); init_states (H, N, P), where a stream begins.
///           conv1d.weight (width, ...) and init_states are the transposes of the original's: vectors run across
///           channels
/// Initial   as the original: A uniform in -[1, 16], softplus(dt_bias) log-uniform, D = 1, init_states = 0, norm 1,
///           others as Linear and Conv1d
/// State     width - 1 inputs of the convolution and N states for each of the S channels; one value
/// Errors    ValueError for sizes that are zero or do not divide each other, for limits out of order, and for
///           intervals of the context; ShapeError for views, states and caches that do not fit
/// Cost      channels (3 E + 2 G N + H) multiply-adds a step in matrix products, and the scan's 2 N S. Training keeps
///           2 E + 2 S + 4 G N + H numbers a step
/// Real time step: no allocation, no lock, bounded time; on one thread, but for matrices of tens of megabytes (see
///           `set_least_parallel_work`)
/// Source    Dao and Gu 2024, arXiv:2405.21060
template <class T, class Stored = T>
class Mamba2 : public detail::MambaBlock<Mamba2<T, Stored>, T, Stored, Mamba2Options> {
    using Base = detail::MambaBlock<Mamba2<T, Stored>, T, Stored, Mamba2Options>;
    friend Base;

public:
    using Base::conv1d;
    using Base::forward;
    using Base::in_proj;
    using Base::trains;
    using typename Base::Options;
    using typename Base::State;

    explicit Mamba2(const Options& options, Rng rng = Rng())
        : Mamba2(detail::resolved(options), rng, Resolved{}) {
        draw(rng);
    }
    Mamba2(const Options& options, Undrawn source)
        : Mamba2(detail::resolved(options), source, Resolved{}) {}

    [[nodiscard]] std::size_t heads() const noexcept {
        return options_.ssm_channels / options_.head_channels;
    }

    [[nodiscard]] State rest_state(std::size_t batch = 1) const {
        State state = Base::rest_state(batch);
        for (std::size_t b = 0; b < batch; ++b)
            std::ranges::copy(init_states.flat(), state.ssm.data() + b * init_states.size());
        return state;
    }

    /// What the training forward keeps.
    struct Cache {
        Batch<T> mlp_gate;  ///< z0
        Batch<T> mlp;       ///< x0
        Batch<T> z;
        Batch<T> xBC;  ///< in front of the convolution
        Batch<T> delta;
        Batch<T> c;  ///< behind the convolution
        Batch<T> y;  ///< of the scan
    };
    void forward(BatchView<const T> u, BatchView<T> y, Cache& cache,
                 const Context& context) const requires trains {
        Base::check(u, y, context);
        for_each_kept(cache, [&](Batch<T>& kept, std::size_t width) {
            kept.resize({u.batch(), u.length(), width});
        });
        if (u.empty())
            return;
        const Workspace::Frame frame = context.workspace.frame();
        const BatchView<T> out = detail::take_rows<T>(u, options_.inner, context);
        run(u, y,
            {cache.mlp_gate, cache.mlp, cache.z, cache.xBC, cache.delta, cache.c, cache.y, out},
            nullptr, context);
    }

    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache& cache,
                  Mamba2& gradient, const Context& context) const requires trains {
        require_backward(name, *this, u, dy, du, context);
        if (u.empty())
            return;
        for_each_kept(cache, [&](const Batch<T>& kept, std::size_t width) {
            require_shape("ssm::Mamba2: cache", kept.shape(), {u.batch(), u.length(), width});
        });
        const Workspace::Frame frame = context.workspace.frame();
        const auto rows = [&](std::size_t width) {
            return detail::take_rows<T>(u, width, context);
        };
        const BatchView<T> dmlp_gate = rows(mlp_channels());
        const BatchView<T> dmlp = rows(mlp_channels());
        const BatchView<T> dz = rows(options_.ssm_channels);
        const BatchView<T> dscan = rows(options_.ssm_channels);
        const BatchView<T> ddelta = rows(heads());
        const BatchView<T> dc = rows(conv_channels());
        const BatchView<T> dxBC = rows(conv_channels());
        out_backward(dy, cache, dmlp_gate, dmlp, dz, dscan, gradient, context);
        scan_backward(cache, dscan, dc, ddelta, gradient, context);
        conv1d.backward(cache.xBC, dc, dxBC, {}, gradient.conv1d, context);
        detail::linear_parts_backward<T>(in_proj, u, {dmlp_gate, dmlp, dz, dxBC, ddelta}, du,
                                         gradient.in_proj, context.workspace);
    }

    void step(std::span<const T> u, std::span<T> y, State& state) const noexcept {
        detail::StreamRows<T> rows(state.scratch, u.size() / options_.channels);
        const Rows r{rows(mlp_channels()),        rows(mlp_channels()), rows(options_.ssm_channels),
                     rows(conv_channels()),       rows(heads()),        rows(conv_channels()),
                     rows(options_.ssm_channels), rows(options_.inner)};
        detail::linear_parts_step<T>(in_proj, u, {r.mlp_gate, r.mlp, r.z, r.xBC, r.delta});
        conv1d.step(r.xBC.flat(), r.c.flat(), state.conv);
        ssd_step<T>(system(), input(r.c, r.delta), {r.y.data(), r.y.channels()}, state.ssm.data());
        combine({r.mlp_gate, r.mlp, r.z, r.y}, r.out);
        detail::linear_part_step<T>(out_proj, 0, r.out.flat(), y);
    }

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&& visitor, Layers&... layers) {
        using Matrix = Linear<T, Stored>;
        const WeightTraits no_decay{.weight_decay = 0.0};
        visitor("dt_bias", no_decay, layers.dt_bias...);
        visitor("A_log", no_decay, layers.A_log...);
        visitor("D", no_decay, layers.D...);
        if ((!layers.init_states.empty() && ...))
            visitor("init_states", no_decay, layers.init_states...);
        Matrix::visit_weights(nested(visitor, "in_proj"), layers.in_proj...);
        Conv1d<T>::visit_weights(nested(visitor, "conv1d"), layers.conv1d...);
        GatedRMSNorm<T>::visit_weights(nested(visitor, "norm"), layers.norm...);
        Matrix::visit_weights(nested(visitor, "out_proj"), layers.out_proj...);
    }

    Tensor<T> dt_bias;      ///< (H)
    Tensor<T> A_log;        ///< (H)
    Tensor<T> D;            ///< (H) or (S)
    Tensor<T> init_states;  ///< (H, N, P), or empty: zeros
    GatedRMSNorm<T> norm;   ///< without weight where there is no norm
    Linear<T, Stored> out_proj;

private:
    using Base::options_;
    static constexpr const char* name = "ssm::Mamba2";
    struct Resolved {};

    template <class Source>
    Mamba2(const Options& o, Source& source, Resolved)
        : Base(o, 2 * o.inner + 2 * o.groups * o.state + o.ssm_channels / o.head_channels,
               o.ssm_channels + 2 * o.groups * o.state, source),
          dt_bias({o.ssm_channels / o.head_channels}),
          A_log({o.ssm_channels / o.head_channels}),
          D({o.D_per_channel ? o.ssm_channels : o.ssm_channels / o.head_channels}, T(1)),
          init_states({o.learns_init_state ? o.ssm_channels / o.head_channels : 0, o.state,
                       o.head_channels}),
          norm({.channels = o.ssm_channels,
                .groups = o.norm_groups,
                .epsilon = o.epsilon,
                .order = o.order,
                .weight = o.norm}),
          out_proj({.in = o.inner, .out = o.channels, .bias = o.bias}, source.split()) {}

    /// Draws what makes the first time steps, and the convolution where the options say how.
    void draw(Rng& rng) {
        const Options& o = options_;
        if (o.conv_init > 0.0)
            for (T& w : conv1d.weight.flat())
                w = static_cast<T>(rng.uniform(-o.conv_init, o.conv_init));
        detail::init_dt_bias(o.timescale, rng, dt_bias.flat());
        for (T& a : A_log.flat())
            a = static_cast<T>(std::log(rng.uniform(o.A_lowest, o.A_highest)));
    }

    /// The intermediate sequences of a forward.
    struct Rows {
        BatchView<T> mlp_gate;
        BatchView<T> mlp;
        BatchView<T> z;
        BatchView<T> xBC;
        BatchView<T> delta;
        BatchView<T> c;
        BatchView<T> y;
        BatchView<T> out;
    };

    /// What `combine` reads.
    struct Gated {
        BatchView<const T> mlp_gate;
        BatchView<const T> mlp;
        BatchView<const T> z;
        BatchView<const T> y;
    };

    [[nodiscard]] std::size_t states() const noexcept { return system().state_size(); }
    [[nodiscard]] std::size_t scratch() const noexcept {
        return in_proj.out_channels() + conv_channels() + options_.ssm_channels + options_.inner;
    }
    [[nodiscard]] std::size_t mlp_channels() const noexcept {
        return options_.inner - options_.ssm_channels;
    }
    [[nodiscard]] std::size_t conv_channels() const noexcept { return conv1d.in_channels(); }
    template <class U>
    [[nodiscard]] static U* row_of(BatchView<U> rows, std::size_t row) noexcept {
        return rows.data() + row * rows.channels();
    }

    /// Calls body(sequences, channels) for everything in a cache.
    template <class Kept, class Body>
    void for_each_kept(Kept& cache, Body&& body) const {
        body(cache.mlp_gate, mlp_channels());
        body(cache.mlp, mlp_channels());
        body(cache.z, options_.ssm_channels);
        body(cache.xBC, conv_channels());
        body(cache.delta, heads());
        body(cache.c, conv_channels());
        body(cache.y, options_.ssm_channels);
    }

    [[nodiscard]] SsdSystem<T> system() const noexcept {
        return {.heads = heads(),
                .channels = options_.head_channels,
                .modes = options_.state,
                .groups = options_.groups,
                .A = A_log.data(),
                .log_A = true,
                .D = D.data(),
                .D_per_channel = options_.D_per_channel,
                .dt_bias = dt_bias.data(),
                .softplus = true,
                .dt_min = options_.dt_lowest,
                .dt_max = options_.dt_highest,
                .rest = init_states.empty() ? nullptr : init_states.data()};
    }
    [[nodiscard]] SsdInput<T> input(BatchView<const T> c, BatchView<const T> delta) const noexcept {
        const std::size_t stride = c.channels();
        const T* const maps = c.data() + options_.ssm_channels;
        return {c.batch(),          c.length(),
                {c.data(), stride}, {delta.data(), delta.channels()},
                {maps, stride},     {maps + options_.groups * options_.state, stride}};
    }

    void infer(BatchView<const T> u, BatchView<T> y, State* state, const Context& context) const {
        const Workspace::Frame frame = context.workspace.frame();
        const auto rows = [&](std::size_t width) {
            return detail::take_rows<T>(u, width, context);
        };
        const BatchView<T> mlp_gate = rows(mlp_channels());
        const BatchView<T> mlp = rows(mlp_channels());
        const BatchView<T> z = rows(options_.ssm_channels);
        const BatchView<T> scanned = rows(options_.ssm_channels);
        run(u, y,
            {mlp_gate, mlp, z, rows(conv_channels()), rows(heads()), rows(conv_channels()), scanned,
             mlp.empty() ? scanned : rows(options_.inner)},
            state, context);
    }

    void run(BatchView<const T> u, BatchView<T> y, const Rows& rows, State* state,
             const Context& context) const {
        detail::linear_parts<T>(in_proj, u, {rows.mlp_gate, rows.mlp, rows.z, rows.xBC, rows.delta},
                                context.workspace);
        Base::convolve(rows.xBC, rows.c, state, context);
        ssd_forward<T>(system(), input(rows.c, rows.delta), {rows.y.data(), rows.y.channels()},
                       state == nullptr ? nullptr : state->ssm.data(), context);
        combine({rows.mlp_gate, rows.mlp, rows.z, rows.y}, rows.out);
        out_proj.forward(rows.out, y, context);
    }

    /// out = [silu(mlp_gate) mlp, norm(y, z)], what out_proj reads; may be y without the first.
    void combine(const Gated& rows, BatchView<T> out) const {
        const std::size_t mlp = mlp_channels();
        const std::size_t width = options_.ssm_channels;
        if (mlp == 0 && options_.norm) {
            norm.apply({rows.y.data(), rows.z.data(), width, width}, out);
            return;
        }
        parallel_ranges(out.shape().rows(), detail::row_grain(options_.inner),
                        [&](std::size_t begin, std::size_t end, std::size_t) {
                            for (std::size_t r = begin; r < end; ++r) {
                                T* const to = row_of(out, r);
                                const T* const y = row_of(rows.y, r);
                                const T* const z = row_of(rows.z, r);
                                if (mlp > 0)
                                    detail::gate_row<T>(row_of(rows.mlp, r),
                                                        row_of(rows.mlp_gate, r), mlp, to);
                                if (options_.norm)
                                    norm.apply({y, z, width, width}, {to + mlp, {1, 1, width}});
                                else
                                    detail::gate_row<T>(y, z, width, to + mlp);
                            }
                        });
    }

    /// From dy to the gradients of everything that `combine` reads.
    void out_backward(BatchView<const T> dy, const Cache& cache, BatchView<T> dmlp_gate,
                      BatchView<T> dmlp, BatchView<T> dz, BatchView<T> dscan, Mamba2& gradient,
                      const Context& context) const {
        const std::size_t mlp = mlp_channels();
        const std::size_t width = options_.ssm_channels;
        const Workspace::Frame frame = context.workspace.frame();
        const BatchView<T> out = detail::take_rows<T>(dy, options_.inner, context);
        const BatchView<T> dout = detail::take_rows<T>(dy, options_.inner, context);
        const Gated gated{cache.mlp_gate, cache.mlp, cache.z, cache.y};
        combine(gated, out);
        out_proj.backward(out, dy, dout, {}, gradient.out_proj, context);
        parallel_ranges(
            dy.shape().rows(), detail::row_grain(options_.inner),
            [&](std::size_t begin, std::size_t end, std::size_t) {
                for (std::size_t r = begin; r < end; ++r) {
                    if (mlp > 0)
                        detail::gate_row_backward<T>(row_of(gated.mlp, r),
                                                     row_of(gated.mlp_gate, r), row_of(dout, r),
                                                     mlp, row_of(dmlp, r), row_of(dmlp_gate, r));
                    if (options_.norm)  // `out` has served its purpose
                        std::copy_n(row_of(dout, r) + mlp, width, out.data() + r * width);
                    else
                        detail::gate_row_backward<T>(row_of(gated.y, r), row_of(gated.z, r),
                                                     row_of(dout, r) + mlp, width, row_of(dscan, r),
                                                     row_of(dz, r));
                }
            });
        if (options_.norm) {
            const BatchView<const T> dnorm(out.data(), dscan.shape());
            norm.apply_adjoint({gated.y.data(), gated.z.data(), width, width}, dnorm,
                               {dscan.data(), dz.data(), width, width}, gradient.norm,
                               context.workspace);
        }
    }

    void scan_backward(const Cache& cache, BatchView<const T> dscan, BatchView<T> dc,
                       BatchView<T> ddelta, Mamba2& gradient, const Context& context) const {
        const std::size_t stride = dc.channels();
        T* const maps = dc.data() + options_.ssm_channels;
        const SsdGradient<T> to{
            .x = {dc.data(), stride},
            .delta = {ddelta.data(), ddelta.channels()},
            .B = {maps, stride},
            .C = {maps + options_.groups * options_.state, stride},
            .A = gradient.A_log.data(),
            .D = gradient.D.data(),
            .dt_bias = gradient.dt_bias.data(),
            .rest = init_states.empty() ? nullptr : gradient.init_states.data(),
            .state = nullptr,
        };
        ssd_backward<T>(system(), input(cache.c, cache.delta), {dscan.data(), dscan.channels()},
                        nullptr, to, context);
    }
};

}  // namespace ssm
