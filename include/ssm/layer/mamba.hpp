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
/// Errors    ValueError for sizes of zero
/// Cost      2 E (3 channels + R + N) multiply-adds a step in matrix products, and the scan. Training keeps
///           5 E + 2 R + 4 N + E N / 16 numbers a step
/// Real time step: no allocation, no lock, bounded time
/// Source    Gu and Dao 2023; Zuo et al. 2024 (Falcon-Mamba); Lieber et al. 2024 (Jamba)
template <class T, class Stored = T>
class Mamba {
public:
    using value_type = T;
    using input_type = T;
    using stored_type = Stored;
    using Options = MambaOptions;
    static constexpr bool trains = std::same_as<T, Stored>;

    explicit Mamba(const Options& options, Rng rng = Rng())
        : Mamba(detail::resolved(options), rng, Resolved{}) {}

    [[nodiscard]] std::size_t in_channels() const noexcept { return options_.channels; }
    [[nodiscard]] std::size_t out_channels() const noexcept { return options_.channels; }
    /// Options with `inner` and `rank` filled in.
    [[nodiscard]] const Options& options() const noexcept { return options_; }

    /// What a stream remembers.
    struct State {
        typename Conv1d<T>::State conv;
        AlignedVector<T> ssm;      ///< (batch, N, E)
        AlignedVector<T> scratch;  ///< of `step`, which must not allocate: nothing remembered

        friend bool operator==(const State& a, const State& b) {
            return a.conv == b.conv && a.ssm == b.ssm;
        }

        template <class Visitor, class... States>
        static void visit_numbers(Visitor&& visitor, States&... states) {
            visitor("conv", states.conv...);
            visitor("ssm", states.ssm...);
        }
    };
    [[nodiscard]] State rest_state(std::size_t batch = 1) const {
        const auto& o = options_;
        State state;
        state.conv = conv1d.rest_state(batch);
        state.ssm.resize(batch * o.state * o.inner);
        state.scratch.resize(batch * (4 * o.inner + 2 * o.rank + 2 * o.state));
        return state;
    }

    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward("ssm::Mamba", *this, u, y, context);
        infer(u, y, nullptr, context);
    }
    void forward(BatchView<const T> u, BatchView<T> y, State& state, const Context& context) const {
        require_forward("ssm::Mamba", *this, u, y, context);
        require<ShapeError>(state.ssm.size() == u.batch() * options_.state * options_.inner,
                            "ssm::Mamba: the state was not made by this layer for ", u.batch(),
                            " streams");
        infer(u, y, &state, context);
    }

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
        require_forward("ssm::Mamba", *this, u, y, context);
        for (Batch<T>* batch : {&cache.x, &cache.z, &cache.c, &cache.y})
            batch->resize(inner_shape(u));
        cache.maps.resize(maps_shape(u));
        if (options_.norm != MambaNorm::none)
            cache.raw.resize(maps_shape(u));
        if (u.empty())
            return;
        run(u, y,
            {cache.x, cache.z, cache.c, cache.y,
             options_.norm == MambaNorm::none ? cache.maps.view() : cache.raw.view(), cache.maps},
            nullptr, &cache.checkpoints, context);
    }

    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache& cache,
                  Mamba& gradient, const Context& context) const requires trains {
        require_backward("ssm::Mamba", *this, u, dy, du, context);
        if (u.empty())
            return;
        const Workspace::Frame frame = context.workspace.frame();
        const auto inner = [&] { return take(inner_shape(u), context); };
        const BatchView<T> dscan = inner();
        out_proj.backward(cache.y, dy, dscan, {}, gradient.out_proj, context);

        const BatchView<T> dc = inner();
        const BatchView<T> dz = inner();
        const BatchView<T> dmaps = take(maps_shape(u), context);
        scan_backward(cache, dscan, dc, dz, dmaps, gradient, context);
        if (options_.norm != MambaNorm::none)
            norm_backward(cache.raw, dmaps, gradient);
        math::add_product_of_transpose<T>(read(dmaps), read(cache.c),
                                          gradient.x_proj.weight.matrix(), context.workspace);
        math::add_product<T>(read(dmaps), x_proj.weight.matrix(), dc.matrix());

        const BatchView<T> dx = dscan;
        conv1d.backward(cache.x, dc, dx, {}, gradient.conv1d, context);
        detail::linear_part_backward<T>(in_proj, 0, u, dx, du, false, gradient.in_proj,
                                        context.workspace);
        detail::linear_part_backward<T>(in_proj, options_.inner, u, dz, du, true, gradient.in_proj,
                                        context.workspace);
    }

    void step(std::span<const T> u, std::span<T> y, State& state) const noexcept {
        const std::size_t n = options_.state;
        const std::size_t e = options_.inner;
        const std::size_t r = options_.rank;
        const std::size_t batch = u.size() / in_channels();
        T* memory = state.scratch.data();
        const auto piece = [&](std::size_t numbers) {
            const std::span<T> taken(memory, batch * numbers);
            memory += taken.size();
            return taken;
        };
        const std::span<T> x = piece(e);
        const std::span<T> z = piece(e);
        const std::span<T> c = piece(e);
        const std::span<T> delta = piece(e);
        const std::span<T> maps = piece(r + 2 * n);
        const std::span<T> rows = piece(r);
        detail::linear_part_step<T>(in_proj, 0, u, x);
        detail::linear_part_step<T>(in_proj, e, u, z);
        conv1d.step(x, c, state.conv);
        detail::linear_part_step<T>(x_proj, 0, c, maps);
        for (std::size_t b = 0; b < batch; ++b) {
            T* row = maps.data() + b * (r + 2 * n);
            if (options_.norm != MambaNorm::none)
                normalise(row, row);
            std::copy_n(row, r, rows.data() + b * r);
        }
        detail::linear_part_step<T>(dt_proj, 0, rows, delta);  // with its bias
        const Shape shape{batch, 1, e};
        SelectiveSystem<T> scan = system();
        scan.delta_bias = nullptr;
        selective_step(
            scan, input({c.data(), shape}, {delta.data(), shape}, maps.data(), {z.data(), shape}),
            BatchView<T>(x.data(), shape), state.ssm.data());
        detail::linear_part_step<T>(out_proj, 0, x, y);
    }

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&& visitor, Layers&... layers) {
        const auto part = [&](const char* name, auto& part_layer, auto&... others) {
            auto inner = nested(visitor, name);
            std::remove_cvref_t<decltype(part_layer)>::visit_weights(inner, part_layer, others...);
        };
        visitor("A_log", WeightTraits{.weight_decay = 0.0}, layers.A_log...);
        visitor("D", WeightTraits{.weight_decay = 0.0}, layers.D...);
        part("in_proj", layers.in_proj...);
        part("conv1d", layers.conv1d...);
        part("x_proj", layers.x_proj...);
        part("dt_proj", layers.dt_proj...);
        if ((!layers.dt_layernorm.empty() && ...)) {
            visitor("dt_layernorm.weight", WeightTraits{.weight_decay = 0.0},
                    layers.dt_layernorm...);
            visitor("b_layernorm.weight", WeightTraits{.weight_decay = 0.0}, layers.b_layernorm...);
            visitor("c_layernorm.weight", WeightTraits{.weight_decay = 0.0}, layers.c_layernorm...);
        }
        part("out_proj", layers.out_proj...);
    }

    Linear<T, Stored> in_proj;
    Conv1d<T> conv1d;
    Linear<T, Stored> x_proj;
    Linear<T, Stored> dt_proj;  ///< its bias is added inside the scan
    Tensor<T> A_log;            ///< (N, E)
    Tensor<T> D;                ///< (E)
    Linear<T, Stored> out_proj;
    Tensor<T> dt_layernorm;  ///< (R); empty unless MambaNorm::learned, as the next two
    Tensor<T> b_layernorm;   ///< (N)
    Tensor<T> c_layernorm;   ///< (N)

private:
    struct Resolved {};

    Mamba(const Options& o, Rng& rng, Resolved)
        : in_proj({.in = o.channels, .out = 2 * o.inner, .bias = o.bias}, rng.split()),
          conv1d({.channels = o.inner, .width = o.width, .bias = o.conv_bias, .silu = true},
                 rng.split()),
          x_proj({.in = o.inner, .out = o.rank + 2 * o.state, .bias = false}, rng.split()),
          dt_proj({.in = o.rank, .out = o.inner}),
          A_log({o.state, o.inner}),
          D({o.inner}, T(1)),
          out_proj({.in = o.inner, .out = o.channels, .bias = o.bias}, rng.split()),
          dt_layernorm({o.norm == MambaNorm::learned ? o.rank : 0}, T(1)),
          b_layernorm({o.norm == MambaNorm::learned ? o.state : 0}, T(1)),
          c_layernorm({o.norm == MambaNorm::learned ? o.state : 0}, T(1)),
          options_(o) {
        const double bound = o.dt_scale / std::sqrt(static_cast<double>(o.rank));
        for (Stored& w : dt_proj.weight.flat())
            w = static_cast<Stored>(o.dt_init == DtProjInit::random ? rng.uniform(-bound, bound)
                                                                    : bound);
        detail::init_dt_bias(o.timescale, rng, dt_proj.bias.flat());
        for (std::size_t n = 0; n < o.state; ++n)
            std::fill_n(A_log.data() + n * o.inner, o.inner,
                        static_cast<T>(std::log(static_cast<double>(n + 1))));
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

    [[nodiscard]] Shape inner_shape(const BatchView<const T>& u) const noexcept {
        return {u.batch(), u.length(), options_.inner};
    }
    [[nodiscard]] Shape maps_shape(const BatchView<const T>& u) const noexcept {
        return {u.batch(), u.length(), options_.rank + 2 * options_.state};
    }
    [[nodiscard]] static BatchView<T> take(Shape shape, const Context& context) {
        return {context.workspace.template take<T>(shape.size()).data(), shape};
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
        return {c, delta, {maps + r, 1, r + 2 * n}, {maps + r + n, 1, r + 2 * n}, z};
    }

    void infer(BatchView<const T> u, BatchView<T> y, State* state, const Context& context) const {
        if (u.empty())
            return;
        const Workspace::Frame frame = context.workspace.frame();
        const BatchView<T> x = take(inner_shape(u), context);
        const BatchView<T> z = take(inner_shape(u), context);
        const BatchView<T> c = take(inner_shape(u), context);
        const BatchView<T> maps = take(maps_shape(u), context);
        run(u, y, {x, z, c, x, maps, maps}, state, nullptr, context);
    }

    void run(BatchView<const T> u, BatchView<T> y, const Rows& rows, State* state,
             SelectiveCheckpoints<T>* checkpoints, const Context& context) const {
        detail::linear_part<T>(in_proj, 0, u, rows.x, context.workspace);
        detail::linear_part<T>(in_proj, options_.inner, u, rows.z, context.workspace);
        if (state == nullptr)
            conv1d.forward(rows.x, rows.c, context);
        else
            conv1d.forward(rows.x, rows.c, state->conv, context);
        x_proj.forward(rows.c, rows.raw, context);
        if (options_.norm != MambaNorm::none)
            for (std::size_t b = 0; b < u.batch(); ++b)
                for (std::size_t l = 0; l < u.length(); ++l)
                    normalise(rows.raw.row(b, l).data(), rows.maps.row(b, l).data());

        const Workspace::Frame frame = context.workspace.frame();
        const BatchView<T> delta = take(inner_shape(u), context);
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
        const BatchView<T> delta = take(dscan.shape(), context);
        const BatchView<T> ddelta = take(dscan.shape(), context);
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

    Options options_;
};

}  // namespace ssm
