#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <span>

#include <Eigen/Core>

#include <ssm/convolution/chunk_panel.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/dense_system.hpp>
#include <ssm/scan/diagonal_state.hpp>
#include <ssm/scan/real_state.hpp>
#include <ssm/scan/segments.hpp>

namespace ssm {

namespace detail {

/// The matrices that take one real channel through a chunk of Q steps, in the numbers of the evaluation:
///
///   x_out = A^Q x_in + R u      R[:, t] = A^(Q-1-t) B                 "reach"
///   y     = K u + O x_in        O[t] = C A^(t+1), K[t][s] = C A^(t-s) B, + D on the diagonal    "observe"
///
/// Computed in double and rounded once.
template <class T>
class RealChunkTables {
public:
    using Map = MatrixMap<T>;

    /// As many steps as states, where the products between chunks cost as much as those inside, within limits.
    [[nodiscard]] static std::size_t steps(const DenseShape& shape) noexcept {
        return std::clamp<std::size_t>(std::bit_ceil(shape.state), 16, 64);
    }
    /// Numbers of memory that the tables of one channel need.
    [[nodiscard]] static std::size_t size(const DenseShape& shape) noexcept {
        const std::size_t N = shape.state;
        const std::size_t Q = steps(shape);
        return padded<T>(N * N + N * Q + shape.heads * Q * (N + Q));
    }
    /// Doubles of scratch memory that `fill` needs.
    [[nodiscard]] static std::size_t scratch_size(const DenseShape& shape) noexcept {
        const std::size_t N = shape.state;
        return padded<double>(2 * N * N + N * steps(shape) + shape.heads * steps(shape) * (N + 1));
    }

    RealChunkTables(const DenseShape& shape, T* memory) noexcept
        : N_(shape.state), Q_(steps(shape)), heads_(shape.heads), memory_(memory) {}

    /// A^Q, (N, N).
    [[nodiscard]] Map power() const { return matrix_map(memory_, N_, N_); }
    /// R, (N, Q).
    [[nodiscard]] Map reach() const { return matrix_map(memory_ + N_ * N_, N_, Q_); }
    /// O of head `c`, (Q, N).
    [[nodiscard]] Map observe(std::size_t c) const {
        return matrix_map(memory_ + N_ * (N_ + Q_) + c * Q_ * N_, Q_, N_);
    }
    /// K of head `c`, (Q, Q).
    [[nodiscard]] Map toeplitz(std::size_t c) const {
        return matrix_map(memory_ + N_ * (N_ + Q_) + heads_ * Q_ * N_ + c * Q_ * Q_, Q_, Q_);
    }

    void fill(const DenseSystem& system, std::size_t h, std::span<const T> skip,
              double* scratch) const {
        using Double = MatrixMap<double>;
        const std::size_t count = heads_ * Q_;
        Double A = matrix_map(scratch, N_, N_);
        Double square = matrix_map(scratch + N_ * N_, N_, N_);
        Double X = matrix_map(scratch + 2 * N_ * N_, N_, Q_);
        Double O = matrix_map(X.data() + N_ * Q_, count, N_);
        Double K = matrix_map(O.data() + count * N_, heads_, Q_);
        // Of X[i] = A^i B and O[i] = C A^(i+1), all heads of a step together, the first m give the next m.
        A = system.transition(h);
        X.col(0) = system.input(h).col(0);
        for (std::size_t c = 0; c < heads_; ++c)
            O.row(index(c)).noalias() = system.output(c, h).row(0) * A;
        for (Eigen::Index m = 1; m < X.cols(); m *= 2) {
            const Eigen::Index rows = m * index(heads_);
            X.middleCols(m, m).noalias() = A * X.leftCols(m);
            O.middleRows(rows, rows).noalias() = O.topRows(rows) * A;
            square.noalias() = A * A;
            A = square;
        }
        for (std::size_t c = 0; c < heads_; ++c)
            K.row(index(c)).noalias() = system.output(c, h).row(0) * X;
        power() = A.cast<T>();
        reach() = X.rowwise().reverse().cast<T>();
        for (std::size_t c = 0; c < heads_; ++c) {
            for (Eigen::Index t = 0; t < X.cols(); ++t)
                observe(c).row(t) = O.row(t * index(heads_) + index(c)).cast<T>();
            const T d = skip.empty() ? T(0) : skip[c * system.shape.channels + h];
            fill_toeplitz(K.row(index(c)), d, toeplitz(c));
        }
    }

private:
    [[nodiscard]] static Eigen::Index index(std::size_t i) noexcept {
        return static_cast<Eigen::Index>(i);
    }
    template <class Taps>
    static void fill_toeplitz(const Taps& taps, T d, Map result) {
        result.setZero();
        for (Eigen::Index t = 0; t < result.rows(); ++t)
            for (Eigen::Index s = 0; s <= t; ++s)
                result(t, s) = static_cast<T>(taps(t - s));
        result.diagonal().array() += d;
    }

    std::size_t N_;
    std::size_t Q_;
    std::size_t heads_;
    T* memory_;
};

/// The evaluation of one call in chunks of a bank of real systems. A task takes a cache line of channels and some
/// sequences, and goes through time in panels. `step(h, u, x, y, scratch)` advances channel h by one step, for what
/// fills no chunk: x (N) is changed, y gets one number for each head.
template <class T, class Step>
class RealChunkedCall {
public:
    using Tables = RealChunkTables<T>;
    static constexpr std::size_t chunks = 16;

    RealChunkedCall(const DenseSystem& system, std::span<const T> skip, BatchView<const T> u,
                    BatchView<T> y, RealState<T>& state, const Context& context, const Step& step)
        : system_(system),
          skip_(skip),
          u_(u),
          y_(y),
          state_(state),
          context_(context),
          step_(step),
          steps_(Tables::steps(system.shape)),
          rows_(std::max<std::size_t>(1, 16384 / u.length())),
          uses_chunks_(pays(std::min(rows_, u.batch()) * u.length())) {}

    void run() const {
        const auto frame = context_.workspace.frame();
        const DenseShape& shape = system_.shape;
        const std::size_t tiles = (shape.channels + line<T> - 1) / line<T>;
        const std::size_t scratch = scratch_size();
        const std::size_t doubles = uses_chunks_ ? Tables::scratch_size(shape) : 0;
        T* const memory = context_.workspace.template take<T>(threads() * scratch).data();
        double* const wide = context_.workspace.template take<double>(threads() * doubles).data();
        parallel_for((u_.batch() + rows_ - 1) / rows_ * tiles,
                     [&](std::size_t task, std::size_t worker) {
                         const Scratch mine = scratch_at(memory + worker * scratch);
                         const std::size_t first = task % tiles * line<T>;
                         const std::size_t channels = std::min(line<T>, shape.channels - first);
                         for (std::size_t c = 0; uses_chunks_ && c < channels; ++c)
                             tables(mine, c).fill(system_, first + c, skip_,
                                                  wide + worker * doubles);
                         const std::size_t b = task / tiles * rows_;
                         for (std::size_t row = b; row < std::min(b + rows_, u_.batch()); ++row)
                             run_sequence(row, first, channels, mine);
                     },
                     TaskCost{task_cost()});
    }

private:
    struct Scratch {
        T* tables;  ///< [channel]
        T* u;       ///< [channel][panel]
        T* y;       ///< [head][channel][panel]
        T* states;  ///< (chunks, N): the state each chunk starts with
        T* inputs;  ///< (chunks, N): what its inputs add
        T* step;    ///< N numbers, and one for each head
    };

    /// Tables cost about as much as N log2 Q steps.
    [[nodiscard]] bool pays(std::size_t count) const noexcept {
        return u_.length() >= steps_ && count >= 8 * system_.shape.state;
    }
    [[nodiscard]] double task_cost() const noexcept {
        const auto N = static_cast<double>(system_.shape.state);
        const auto numbers =
            static_cast<double>(u_.length() * std::min(rows_, u_.batch()) * line<T>);
        return 0.1 * numbers * (uses_chunks_ ? 4.0 * N : N * N);
    }
    [[nodiscard]] std::size_t panel() const noexcept { return chunks * steps_; }
    /// Numbers of each array of `Scratch`, in its order.
    [[nodiscard]] std::array<std::size_t, 6> scratch_sizes() const noexcept {
        const DenseShape& shape = system_.shape;
        const std::size_t states = padded<T>(chunks * shape.state);
        return {uses_chunks_ ? line<T> * Tables::size(shape) : 0,
                line<T> * panel(),
                shape.heads * line<T> * panel(),
                states,
                states,
                padded<T>(shape.state + shape.heads)};
    }
    [[nodiscard]] std::size_t scratch_size() const noexcept {
        const auto sizes = scratch_sizes();
        return std::accumulate(sizes.begin(), sizes.end(), std::size_t(0));
    }
    [[nodiscard]] Scratch scratch_at(T* memory) const noexcept {
        const auto sizes = scratch_sizes();
        std::array<T*, 6> at{};
        for (std::size_t i = 0; i < sizes.size(); memory += sizes[i++])
            at[i] = memory;
        return {at[0], at[1], at[2], at[3], at[4], at[5]};
    }
    [[nodiscard]] Tables tables(const Scratch& scratch, std::size_t c) const noexcept {
        return Tables(system_.shape, scratch.tables + c * Tables::size(system_.shape));
    }

    void run_sequence(std::size_t b, std::size_t first, std::size_t channels,
                      const Scratch& scratch) const {
        const std::size_t length = context_.valid_length(b, u_.length());
        for (std::size_t t = 0; t < length; t += panel()) {
            const std::size_t count = std::min(panel(), length - t);
            gather_panel(&u_(b, t, first), u_.channels(), count, channels, scratch.u, panel());
            for (std::size_t c = 0; c < channels; ++c)
                run_channel(b, first + c, t, count, c, scratch);
            for (std::size_t head = 0; head < system_.shape.heads; ++head)
                scatter_panel(scratch.y + head * line<T> * panel(), panel(), count, channels,
                              &y_(b, t, head * u_.channels() + first), y_.channels());
        }
    }

    void run_channel(std::size_t b, std::size_t h, std::size_t t, std::size_t count, std::size_t c,
                     const Scratch& scratch) const {
        T* const x = state_.row(b, h);
        const T* const u = scratch.u + c * panel();
        T* const y = scratch.y + c * panel();
        for_each_segment(context_, b, t, t + count,
                         [&](std::size_t begin, std::size_t end, bool fresh) {
                             if (fresh)
                                 std::fill_n(x, state_.size(), T(0));
                             const std::size_t whole = uses_chunks_ ? (end - begin) / steps_ : 0;
                             if (whole > 0)
                                 run_chunks(tables(scratch, c), whole, u + (begin - t),
                                            y + (begin - t), x, scratch);
                             for (std::size_t s = begin - t + whole * steps_; s < end - t; ++s)
                                 run_step(h, u[s], x, y + s, scratch);
                         });
    }

    /// Rows are chunks: U (count, Q), states (count, N).
    void run_chunks(const Tables& tables, std::size_t count, const T* u, T* y, T* x,
                    const Scratch& scratch) const {
        const std::size_t N = system_.shape.state;
        const MatrixMap<const T> U = matrix_map(u, count, steps_);
        MatrixMap<T> inputs = matrix_map(scratch.inputs, count, N);
        const MatrixMap<T> states = matrix_map(scratch.states, count, N);
        inputs.noalias() = U * tables.reach().transpose();
        Eigen::Map<Eigen::VectorX<T>> state(x, static_cast<Eigen::Index>(N));
        for (std::size_t j = 0; j < count; ++j) {
            Eigen::Map<Eigen::VectorX<T>> before(scratch.states + j * N, state.size());
            before = state;
            state = Eigen::Map<Eigen::VectorX<T>>(scratch.inputs + j * N, state.size());
            state.noalias() += tables.power() * before;
        }
        for (std::size_t c = 0; c < system_.shape.heads; ++c) {
            MatrixMap<T> Y = matrix_map(y + c * line<T> * panel(), count, steps_);
            Y.noalias() = U * tables.toeplitz(c).transpose();
            Y.noalias() += states * tables.observe(c).transpose();
        }
    }

    void run_step(std::size_t h, T u, T* x, T* y, const Scratch& scratch) const {
        T* const outputs = scratch.step + state_.size();
        step_(h, u, x, outputs, scratch.step);
        for (std::size_t c = 0; c < system_.shape.heads; ++c)
            y[c * line<T> * panel()] =
                outputs[c] + (skip_.empty() ? T(0) : skip_[c * system_.shape.channels + h] * u);
    }

    const DenseSystem& system_;
    std::span<const T> skip_;
    BatchView<const T> u_;
    BatchView<T> y_;
    RealState<T>& state_;
    const Context& context_;
    const Step& step_;
    std::size_t steps_;
    std::size_t rows_;
    bool uses_chunks_;
};

}  // namespace detail

/// A bank of real systems evaluated in chunks of Q steps by "reach" and "observe" matrices, state passed from chunk to
/// chunk; short calls, where these matrices would cost more than they save, and what is left of a chunk, step by
/// step. For any structure: `system` is its dense form, and `step` its way to take one step:
///
///   step(h, u, x, y, scratch)    x (N) of channel h becomes A x + B u, y (heads) becomes C x; N numbers of scratch
///
/// Continues the streams of `state`; resets and lengths of the context are honoured.
///
/// Shapes    u (batch, L, H) -> y (batch, L, heads * H), head c of channel h at c * H + h; D `skip` (heads, H) or empty
/// Cost      (1 + heads) N + heads Q + N^2 / Q multiply-adds a number of u as matrix products, Q about N but at most
///           64; tables about N log2 Q steps
/// Threads   cut over channels and sequences: the same bits for any number
template <class T, class Step>
void real_chunked_forward(const DenseSystem& system, std::span<const T> skip, BatchView<const T> u,
                          BatchView<T> y, RealState<T>& state, const Context& context,
                          const Step& step) {
    if (u.empty())
        return;
    detail::RealChunkedCall<T, Step>(system, skip, u, y, state, context, step).run();
    detail::clear_after_end(y, context);
}

}  // namespace ssm
