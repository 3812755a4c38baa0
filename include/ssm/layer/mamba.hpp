#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/conv1d.hpp>
#include <ssm/layer/detail/dt_init.hpp>
#include <ssm/layer/detail/linear_parts.hpp>
#include <ssm/layer/detail/mamba_block.hpp>
#include <ssm/layer/detail/row_norm.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/layer/mamba_options.hpp>
#include <ssm/math/product.hpp>
#include <ssm/math/weight_product.hpp>
#include <ssm/scan/selective.hpp>

namespace ssm {

/// The Mamba-1 block:
///
///   [x, z] = in_proj(u)          c = silu(conv1d(x))        [r, B, C] = x_proj(c)
///   y = out_proj(S6(c))          S6: the selective scan with delta = W_dt r, A = -exp(A_log), D, and gate z
///
/// `Mamba<float, Bfloat16>` keeps the four matrices rounded to 16 bits and computes in float: it is for inference
/// alone, and its steps take half of the time.
///
/// Shapes    u (batch, L, channels) -> y the same; E = expand channels, N states, rank R;
///           in_proj (2 E, channels), x_proj (R + 2 N, E), dt_proj (E, R), out_proj (channels, E), D (E);
///           A_log (N, E) and conv1d.weight (width, E) are the transposes of the original's:
///           vectors run across channels
/// Initial   as the original: A = -(1, ..., N), softplus(dt_proj.bias) log-uniform, D = 1, others as Linear
/// State     width - 1 inputs of the convolution and N states for each of the E channels; one value
/// Errors    ValueError for sizes of zero, and for intervals of the context; ShapeError for views, states and caches
///           that do not fit
/// Cost      2 E (3 channels + R + N) multiply-adds a step in matrix products, and the scan. Training keeps
///           5 E + 2 R + 4 N + E N / 16 numbers a step
/// Real time step: no allocation, no lock, bounded time; on one thread, but for matrices of tens of megabytes (see
///           `set_least_parallel_work`)
/// Source    Gu and Dao 2023; Zuo et al. 2024 (Falcon-Mamba); Lieber et al. 2024 (Jamba)
template <class T, class Stored = T>
class Mamba : public detail::MambaBlock<Mamba<T, Stored>, T, Stored, MambaOptions> {
    using Base = detail::MambaBlock<Mamba<T, Stored>, T, Stored, MambaOptions>;
    friend Base;

public:
    using Base::conv1d;
    using Base::forward;
    using Base::in_channels;
    using Base::in_proj;
    using Base::trains;
    using typename Base::Options;
    using typename Base::State;

    explicit Mamba(const Options& options, Rng rng = Rng())
        : Mamba(detail::resolved(options), rng, Resolved{}) {
        draw(rng);
    }
    Mamba(const Options& options, Undrawn source)
        : Mamba(detail::resolved(options), source, Resolved{}) {}

    /// What the training forward keeps; delta is computed again.
    struct Cache {
        Batch<T> x;     ///< in front of the convolution
        Batch<T> z;     ///< gate
        Batch<T> c;     ///< behind the convolution
        Batch<T> y;     ///< in front of out_proj
        Batch<T> raw;   ///< of x_proj; only with a norm
        Batch<T> maps;  ///< r, B, C as they are used
        SelectiveCheckpoints<T> checkpoints;
    };
    void forward(BatchView<const T> u, BatchView<T> y, Cache& cache,
                 const Context& context) const requires trains {
        Base::check(u, y, context);
        for_each_kept(cache, [&](Batch<T>& kept, std::size_t width) {
            kept.resize({u.batch(), u.length(), width});
        });
        if (u.empty())
            return;
        run(u, y,
            {cache.x, cache.z, cache.c, cache.y,
             options_.norm == MambaNorm::none ? cache.maps.view() : cache.raw.view(), cache.maps},
            nullptr, &cache.checkpoints, context);
    }

    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache& cache,
                  Mamba& gradient, const Context& context) const requires trains {
        require_backward(name, *this, u, dy, du, context);
        if (u.empty())
            return;
        for_each_kept(cache, [&](const Batch<T>& kept, std::size_t width) {
            require_shape("ssm::Mamba: cache", kept.shape(), {u.batch(), u.length(), width});
        });
        detail::check_selective_checkpoints("ssm::Mamba", system(),
                                            input(cache.c, {}, cache.maps.data(), cache.z),
                                            cache.checkpoints);
        const Workspace::Frame frame = context.workspace.frame();
        const auto inner = [&] { return take_inner(u, context); };
        const BatchView<T> dscan = inner();
        out_proj.backward(cache.y, dy, dscan, {}, gradient.out_proj, context);

        const BatchView<T> dc = inner();
        const BatchView<T> dz = inner();
        const BatchView<T> dmaps = take_maps(u, context);
        scan_backward(cache, dscan, dc, dz, dmaps, gradient, context);
        if (options_.norm != MambaNorm::none)
            norm_backward(cache.raw, dmaps, gradient);
        math::add_product_of_transpose<T>(read(dmaps), read(cache.c),
                                          gradient.x_proj.weight.matrix(), context.workspace);
        math::add_product<T>(read(dmaps), x_proj.weight.matrix(), dc.matrix());

        const BatchView<T> dx = dscan;
        conv1d.backward(cache.x, dc, dx, {}, gradient.conv1d, context);
        detail::linear_parts_backward<T>(in_proj, u, {dx, dz}, du, gradient.in_proj,
                                         context.workspace);
    }

    void step(std::span<const T> u, std::span<T> y, State& state) const noexcept {
        const std::size_t e = options_.inner;
        const std::size_t r = options_.rank;
        detail::StreamRows<T> rows(state.scratch, u.size() / in_channels());
        const BatchView<T> x = rows(e);
        const BatchView<T> z = rows(e);
        const BatchView<T> c = rows(e);
        const BatchView<T> delta = rows(e);
        const BatchView<T> maps = rows(maps_width());
        const BatchView<T> ranks = rows(r);
        detail::linear_parts_step<T>(in_proj, u, {x, z});
        conv1d.step(x.flat(), c.flat(), state.conv);
        detail::linear_part_step<T>(x_proj, 0, c.flat(), maps.flat());
        for (std::size_t b = 0; b < maps.batch(); ++b) {
            T* const row = maps.row(b, 0).data();
            if (options_.norm != MambaNorm::none)
                normalise(row, row);
            std::copy_n(row, r, ranks.row(b, 0).data());
        }
        detail::linear_part_step<T>(dt_proj, 0, ranks.flat(), delta.flat());  // with its bias
        SelectiveSystem<T> scan = system();
        scan.delta_bias = nullptr;
        selective_step(scan, input(c, delta, maps.data(), z), x, state.ssm.data());
        detail::linear_part_step<T>(out_proj, 0, x.flat(), y);
    }

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&& visitor, Layers&... layers) {
        using Matrix = Linear<T, Stored>;
        const WeightTraits no_decay{.weight_decay = 0.0};
        visitor("A_log", no_decay, layers.A_log...);
        visitor("D", no_decay, layers.D...);
        Matrix::visit_weights(nested(visitor, "in_proj"), layers.in_proj...);
        Conv1d<T>::visit_weights(nested(visitor, "conv1d"), layers.conv1d...);
        Matrix::visit_weights(nested(visitor, "x_proj"), layers.x_proj...);
        Matrix::visit_weights(nested(visitor, "dt_proj"), layers.dt_proj...);
        if ((!layers.dt_layernorm.empty() && ...)) {
            visitor("dt_layernorm.weight", no_decay, layers.dt_layernorm...);
            visitor("b_layernorm.weight", no_decay, layers.b_layernorm...);
            visitor("c_layernorm.weight", no_decay, layers.c_layernorm...);
        }
        Matrix::visit_weights(nested(visitor, "out_proj"), layers.out_proj...);
    }

    Linear<T, Stored> x_proj;
    Linear<T, Stored> dt_proj;  ///< its bias is added inside the scan
    Tensor<T> A_log;            ///< (N, E)
    Tensor<T> D;                ///< (E)
    Linear<T, Stored> out_proj;
    Tensor<T> dt_layernorm;  ///< (R); empty unless MambaNorm::learned, as the next two
    Tensor<T> b_layernorm;   ///< (N)
    Tensor<T> c_layernorm;   ///< (N)

private:
    using Base::options_;
    static constexpr const char* name = "ssm::Mamba";
    struct Resolved {};

    template <class Source>
    Mamba(const Options& o, Source& source, Resolved)
        : Base(o, 2 * o.inner, o.inner, source),
          x_proj({.in = o.inner, .out = o.rank + 2 * o.state, .bias = false}, source.split()),
          dt_proj({.in = o.rank, .out = o.inner}, Undrawn{}),
          A_log({o.state, o.inner}),
          D({o.inner}, T(1)),
          out_proj({.in = o.inner, .out = o.channels, .bias = o.bias}, source.split()),
          dt_layernorm({o.norm == MambaNorm::learned ? o.rank : 0}, T(1)),
          b_layernorm({o.norm == MambaNorm::learned ? o.state : 0}, T(1)),
          c_layernorm({o.norm == MambaNorm::learned ? o.state : 0}, T(1)) {
        for (std::size_t n = 0; n < o.state; ++n)
            std::fill_n(A_log.data() + n * o.inner, o.inner,
                        static_cast<T>(std::log(static_cast<double>(n + 1))));
    }

    /// Draws what makes the first time steps.
    void draw(Rng& rng) {
        const Options& o = options_;
        const double bound = o.dt_scale / std::sqrt(static_cast<double>(o.rank));
        for (Stored& w : dt_proj.weight.flat())
            w = static_cast<Stored>(o.dt_init == DtProjInit::random ? rng.uniform(-bound, bound)
                                                                    : bound);
        detail::init_dt_bias(o.timescale, rng, dt_proj.bias.flat());
    }

    /// The intermediate sequences of a forward.
    struct Rows {
        BatchView<T> x;
        BatchView<T> z;
        BatchView<T> c;
        BatchView<T> y;  ///< may be x
        BatchView<T> raw;
        BatchView<T> maps;  ///< may be raw
    };

    [[nodiscard]] std::size_t states() const noexcept { return options_.state * options_.inner; }
    [[nodiscard]] std::size_t scratch() const noexcept {
        return 4 * options_.inner + maps_width() + options_.rank;
    }
    [[nodiscard]] std::size_t maps_width() const noexcept {
        return options_.rank + 2 * options_.state;
    }
    /// Calls body(sequences, channels) for everything in a cache but the checkpoints.
    template <class Kept, class Body>
    void for_each_kept(Kept& cache, Body&& body) const {
        body(cache.x, options_.inner);
        body(cache.z, options_.inner);
        body(cache.c, options_.inner);
        body(cache.y, options_.inner);
        body(cache.maps, maps_width());
        if (options_.norm != MambaNorm::none)
            body(cache.raw, maps_width());
    }
    [[nodiscard]] BatchView<T> take_inner(BatchView<const T> u, const Context& context) const {
        return detail::take_rows<T>(u, options_.inner, context);
    }
    [[nodiscard]] BatchView<T> take_maps(BatchView<const T> u, const Context& context) const {
        return detail::take_rows<T>(u, maps_width(), context);
    }
    [[nodiscard]] static MatrixMap<const T> read(BatchView<const T> rows) { return rows.matrix(); }

    [[nodiscard]] SelectiveSystem<T> system() const noexcept {
        SelectiveSystem<T> s{options_.inner, options_.state, A_log.data()};
        s.log_A = true;
        s.D = D.data();
        s.delta_bias = dt_proj.bias.data();
        s.softplus = true;
        return s;
    }
    [[nodiscard]] SelectiveInput<T> input(BatchView<const T> c, BatchView<const T> delta,
                                          const T* maps, BatchView<const T> z) const noexcept {
        const std::size_t r = options_.rank;
        const std::size_t n = options_.state;
        return {c, delta, {maps + r, 1, maps_width()}, {maps + r + n, 1, maps_width()}, z};
    }

    void infer(BatchView<const T> u, BatchView<T> y, State* state, const Context& context) const {
        const Workspace::Frame frame = context.workspace.frame();
        const BatchView<T> x = take_inner(u, context);
        const BatchView<T> z = take_inner(u, context);
        const BatchView<T> c = take_inner(u, context);
        const BatchView<T> maps = take_maps(u, context);
        run(u, y, {x, z, c, x, maps, maps}, state, nullptr, context);
    }

    void run(BatchView<const T> u, BatchView<T> y, const Rows& rows, State* state,
             SelectiveCheckpoints<T>* checkpoints, const Context& context) const {
        detail::linear_parts<T>(in_proj, u, {rows.x, rows.z}, context.workspace);
        Base::convolve(rows.x, rows.c, state, context);
        x_proj.forward(rows.c, rows.raw, context);
        if (options_.norm != MambaNorm::none)
            for (std::size_t b = 0; b < u.batch(); ++b)
                for (std::size_t l = 0; l < u.length(); ++l)
                    normalise(rows.raw.row(b, l).data(), rows.maps.row(b, l).data());

        const Workspace::Frame frame = context.workspace.frame();
        const BatchView<T> delta = take_inner(u, context);
        make_delta(ranks_of(rows.maps, context), delta, context.workspace);
        selective_forward(system(), input(rows.c, delta, rows.maps.data(), rows.z), rows.y,
                          state == nullptr ? nullptr : state->ssm.data(), checkpoints, context);
        out_proj.forward(rows.y, y, context);
    }

    /// The r of all rows next to each other, (rows, R).
    [[nodiscard]] MatrixMap<const T> ranks_of(BatchView<const T> maps,
                                              const Context& context) const {
        const std::size_t r = options_.rank;
        const std::size_t count = maps.shape().rows();
        T* const ranks = context.workspace.template take<T>(count * r).data();
        for (std::size_t row = 0; row < count; ++row)
            std::copy_n(maps.data() + row * maps.channels(), r, ranks + row * r);
        return matrix_map<const T>(ranks, count, r);
    }
    void make_delta(MatrixMap<const T> ranks, BatchView<T> delta, Workspace& workspace) const {
        math::weight_product<T>(ranks, dt_proj.weight.data(), nullptr, delta.matrix(), workspace);
    }

    void scan_backward(const Cache& cache, BatchView<const T> dscan, BatchView<T> dc,
                       BatchView<T> dz, BatchView<T> dmaps, Mamba& gradient,
                       const Context& context) const {
        const std::size_t r = options_.rank;
        const std::size_t n = options_.state;
        const std::size_t stride = r + 2 * n;
        const Workspace::Frame frame = context.workspace.frame();
        const BatchView<T> delta = take_inner(dscan, context);
        const BatchView<T> ddelta = take_inner(dscan, context);
        const MatrixMap<const T> ranks = ranks_of(cache.maps, context);
        make_delta(ranks, delta, context.workspace);

        SelectiveGradient<T> to{
            dc, ddelta, {dmaps.data() + r, 1, stride}, {dmaps.data() + r + n, 1, stride}, dz};
        to.A = gradient.A_log.data();
        to.D = gradient.D.data();
        to.delta_bias = gradient.dt_proj.bias.data();
        selective_backward(system(), input(cache.c, delta, cache.maps.data(), cache.z), dscan,
                           cache.checkpoints, to, context);

        math::add_product_of_transpose<T>(read(ddelta), ranks, gradient.dt_proj.weight.matrix(),
                                          context.workspace);
        const std::size_t rows = dmaps.shape().rows();
        T* const dranks = context.workspace.template take<T>(rows * r).data();
        math::product<T>(read(ddelta), dt_proj.weight.matrix(), matrix_map(dranks, rows, r));
        for (std::size_t row = 0; row < rows; ++row)
            std::copy_n(dranks + row * r, r, dmaps.data() + row * stride);
    }

    /// Calls body(first, count, weight) for r, B and C of a row.
    template <class Self, class Body>
    static void for_each_map(Self& self, Body&& body) {
        const std::size_t r = self.options_.rank;
        const std::size_t n = self.options_.state;
        const auto data = [](auto& weight) { return weight.empty() ? nullptr : weight.data(); };
        body(std::size_t{0}, r, data(self.dt_layernorm));
        body(r, n, data(self.b_layernorm));
        body(r + n, n, data(self.c_layernorm));
    }
    [[nodiscard]] detail::RowStatistics<T> statistics(const T* row, std::size_t count) const {
        return detail::row_statistics<false>(row, count, static_cast<T>(options_.epsilon));
    }
    void normalise(const T* raw, T* row) const noexcept {
        for_each_map(*this, [&](std::size_t first, std::size_t count, const T* weight) {
            detail::normalise_row<false, T>(raw + first, count, statistics(raw + first, count),
                                            weight, nullptr, row + first);
        });
    }
    /// The gradients of r, B, C become those of what x_proj gave.
    void norm_backward(BatchView<const T> raw, BatchView<T> dmaps, Mamba& gradient) const {
        for (std::size_t i = 0; i < raw.shape().rows(); ++i) {
            const T* row = raw.data() + i * raw.channels();
            T* drow = dmaps.data() + i * raw.channels();
            T* sums[3];
            T** sum = sums;
            for_each_map(gradient, [&](std::size_t, std::size_t, T* dweight) { *sum++ = dweight; });
            sum = sums;
            for_each_map(*this, [&](std::size_t first, std::size_t count, const T* weight) {
                detail::normalise_row_backward<false, T>(row + first, drow + first, count,
                                                         statistics(row + first, count), weight,
                                                         drow + first, *sum++, nullptr);
            });
        }
    }
};

}  // namespace ssm
