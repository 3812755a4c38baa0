#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/padding.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/math/smooth_activations.hpp>
#include <ssm/scan/segments.hpp>
#include <ssm/scan/selective_adjoint.hpp>
#include <ssm/scan/selective_discretization.hpp>
#include <ssm/scan/selective_forward.hpp>
#include <ssm/scan/selective_number.hpp>
#include <ssm/scan/selective_system.hpp>
#include <ssm/scan/selective_tile.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/prefetch.hpp>
#include <ssm/simd/sigmoid.hpp>
#include <ssm/simd/transpose.hpp>
#include <ssm/simd/unroll.hpp>

namespace ssm {

namespace detail {

/// Tiles of one task: the sums over its channels that dB and dC need are made once for all of them.
inline constexpr std::size_t selective_block = 8;

/// Hands out pieces of a task's scratch memory.
template <class T>
class SelectivePieces {
public:
    explicit SelectivePieces(T* memory) noexcept : memory_(memory) {}
    [[nodiscard]] T* operator()(std::size_t numbers) noexcept {
        T* piece = memory_;
        memory_ += numbers;
        return piece;
    }

private:
    T* memory_;
};

/// What one task of the backward sums over steps, for each of its vectors of channels; and over its channels, for each
/// step.
template <class T>
struct SelectiveResult {
    T* A;           ///< (vector, modes) vectors
    T* B;           ///< the same, of a constant B
    T* C;           ///< the same, of a constant C
    T* D;           ///< (vector)
    T* delta_bias;  ///< (vector)
    T* B_rows;      ///< (L, map) numbers, of a B that varies
    T* C_rows;      ///< the same of C
};

/// How the backward is cut: tasks are sequences times blocks of neighbouring tiles of a section.
template <class Number>
struct SelectiveBlocks {
    using T = RealOfNumber<Number>;
    static constexpr std::size_t w = simd::width<T>;
    static constexpr std::size_t packs = SelectiveTiles<Number>::packs;

    SelectiveTiles<Number> tiles;
    SelectiveLayout<Number> layout;
    std::size_t length;
    std::size_t per_section;  ///< blocks
    std::size_t vectors;      ///< of a block

    SelectiveBlocks(const SelectiveTiles<Number>& t, const SelectiveLayout<Number>& l,
                    std::size_t steps)
        : tiles(t),
          layout(l),
          length(steps),
          per_section((t.per_section + selective_block - 1) / selective_block),
          vectors(packs * std::min(selective_block, t.per_section)) {}

    [[nodiscard]] std::size_t count() const noexcept { return tiles.sections.count * per_section; }
    [[nodiscard]] std::size_t section(std::size_t block) const noexcept {
        return block / per_section;
    }
    [[nodiscard]] std::size_t first_tile(std::size_t block) const noexcept {
        return section(block) * tiles.per_section + block % per_section * selective_block;
    }
    [[nodiscard]] std::size_t channels(std::size_t block) const noexcept {
        const std::size_t before = block % per_section * selective_block * tiles.channels;
        return std::min(vectors * w, tiles.sections.channels - before);
    }
    /// Numbers of a `SelectiveResult`.
    [[nodiscard]] std::size_t result_size() const noexcept {
        return vectors * (3 * layout.state() + 2 * w) + 2 * length * layout.map();
    }
    [[nodiscard]] SelectiveResult<T> result(T* memory) const noexcept {
        SelectivePieces<T> piece(memory);
        SelectiveResult<T> r{};
        r.A = piece(vectors * layout.state());
        r.B = piece(vectors * layout.state());
        r.C = piece(vectors * layout.state());
        r.D = piece(vectors * w);
        r.delta_bias = piece(vectors * w);
        r.B_rows = piece(length * layout.map());
        r.C_rows = piece(length * layout.map());
        return r;
    }
};

/// Backward through one block of channels of one sequence.
template <class Number, class Discretization, class Maps>
class SelectiveBackwardBlock {
    using T = RealOfNumber<Number>;
    using P = simd::Pack<T>;
    using V = typename SelectiveVector<Number>::Vector;
    using Layout = SelectiveLayout<Number>;
    using Blocks = SelectiveBlocks<Number>;
    static constexpr std::size_t w = simd::width<T>;
    static constexpr std::size_t pair = selective_pair<Maps>;
    static constexpr std::size_t row_size = pair * selective_steps * w;
    template <std::size_t packs>
    using Adjoint = SelectiveAdjoint<packs, Number, Discretization, Maps>;
    static constexpr T weight = SelectiveVector<Number>::weight;

public:
    /// Scratch numbers of one task.
    [[nodiscard]] static std::size_t scratch(const Blocks& blocks) noexcept {
        const Layout& layout = blocks.layout;
        return blocks.vectors * 4 * layout.state() + 9 * row_size + Adjoint<pair>::kept_size +
               selective_steps * (2 * layout.state() + 3 * layout.map());
    }

    SelectiveBackwardBlock(const SelectiveSystem<Number>& system,
                           const SelectiveInput<Number>& input,
                           const SelectiveGradient<Number>& gradient, const Blocks& blocks,
                           std::size_t block, const SelectiveResult<T>& result, T* memory) noexcept
        : system_(system),
          input_(input),
          gradient_(gradient),
          layout_(blocks.layout),
          result_(result),
          first_(blocks.tiles.begin(blocks.first_tile(block))),
          count_(blocks.channels(block)),
          B_group_(blocks.tiles.sections.B_group(blocks.section(block))),
          C_group_(blocks.tiles.sections.C_group(blocks.section(block))) {
        SelectivePieces<T> piece(memory);
        rates_ = piece(blocks.vectors * layout_.state());
        carry_ = piece(blocks.vectors * layout_.state());
        B_vectors_ = piece(blocks.vectors * layout_.state());
        C_vectors_ = piece(blocks.vectors * layout_.state());
        for (T** row : {&dt_, &dtu_, &dy_, &y_, &du_by_dt_, &by_rate_, &by_u_, &slope_, &dgate_})
            *row = piece(row_size);
        kept_ = piece(Adjoint<pair>::kept_size);
        B_sums_ = piece(selective_steps * layout_.state());
        C_sums_ = piece(selective_steps * layout_.state());
        B_rows_ = piece(selective_steps * layout_.map());
        C_rows_ = piece(selective_steps * layout_.map());
        lane_sums_ = piece(selective_steps * layout_.map());
        std::fill_n(result_.A, blocks.vectors * (3 * layout_.state() + 2 * w), T(0));
        load_weights();
    }

    /// All steps of sequence b; the checkpoints of tile i of this block are at checkpoints + i tile_stride.
    void run(std::size_t b, BatchView<const T> dy, const T* checkpoints, std::size_t tile_stride,
             const Context& context) noexcept {
        const std::size_t state_offset = b * system_.modes * system_.channels;
        for_each_vector([&](std::size_t p, std::size_t channel, std::size_t lanes) {
            pack_vectors<Number>(
                gradient_.state == nullptr ? nullptr : gradient_.state + state_offset + channel,
                system_.channels, system_.modes, lanes, layout_, [](V x) { return x; },
                carry_ + p * layout_.state());
        });
        const std::size_t valid = context.valid_length(b, dy.length());
        for (std::size_t end = valid; end > 0;) {
            const std::size_t begin = end - ((end - 1) % selective_steps + 1);
            run_tile(b, begin, end, dy, checkpoints, tile_stride, context);
            end = begin;
        }
        if (gradient_.state != nullptr)
            for_each_vector([&](std::size_t p, std::size_t channel, std::size_t lanes) {
                for (std::size_t n = 0; n < system_.modes; ++n)
                    scatter(gradient_.state + state_offset + n * system_.channels + channel,
                            load_vector<V>(carry_ + p * layout_.state() + n * Layout::vector),
                            lanes);
            });
    }

private:
    template <class Body>
    void for_each_vector(Body&& body) noexcept {
        for (std::size_t p = 0; p * w < count_; ++p)
            body(p, first_ + p * w, std::min(w, count_ - p * w));
    }

    void load_weights() noexcept {
        for_each_vector([&](std::size_t p, std::size_t channel, std::size_t lanes) {
            const std::size_t at = p * layout_.state();
            pack_rates(system_, channel, lanes, layout_, static_cast<T>(Discretization::unit(V{})),
                       rates_ + at);
            if (input_.B.is_constant())
                pack_vectors<Number>(
                    input_.B.data + channel, system_.channels, system_.modes, lanes, layout_,
                    [](V x) { return x; }, B_vectors_ + at);
            if (input_.C.is_constant())
                pack_vectors<Number>(
                    input_.C.data + channel, system_.channels, system_.modes, lanes, layout_,
                    [](V x) { return x * P(weight); }, C_vectors_ + at);
        });
    }

    void run_tile(std::size_t b, std::size_t begin, std::size_t end, BatchView<const T> dy,
                  const T* checkpoints, std::size_t tile_stride, const Context& context) noexcept {
        const std::size_t row = b * dy.length() + begin;
        const std::size_t steps = end - begin;
        const std::size_t packs = Blocks::packs;
        if (!input_.B.is_constant())
            pack_map<Number>(input_.B, row, steps, B_group_, system_.modes, layout_, T(1), B_rows_);
        if (!input_.C.is_constant())
            pack_map<Number>(input_.C, row, steps, C_group_, system_.modes, layout_, weight,
                             C_rows_);
        std::fill_n(B_sums_, steps * layout_.state(), T(0));
        std::fill_n(C_sums_, steps * layout_.state(), T(0));
        for (T* sum : {du_by_dt_, by_rate_, by_u_})
            std::fill_n(sum, row_size, T(0));
        for (std::size_t p = 0; p * w < count_; p += pair) {
            const std::size_t channels = std::min(pair * w, count_ - p * w);
            const T* checkpoint = checkpoints + p / packs * tile_stride +
                                  (begin / selective_steps * packs + p % packs) * layout_.state();
            prepare(row, steps, first_ + p * w, channels, dy.data());
            if (channels > w)
                go_back<pair>(p, b, begin, end, checkpoint, context);
            else
                go_back<1>(p, b, begin, end, checkpoint, context);
            finish(p, row, steps, first_ + p * w, channels);
        }
        sum_channels(input_.B, B_sums_, begin, steps, T(1), result_.B_rows);
        sum_channels(input_.C, C_sums_, begin, steps, weight, result_.C_rows);
    }

    /// Loads what a pair of vectors of channels needs, and asks for what the next one will.
    void prepare(std::size_t row, std::size_t steps, std::size_t channel, std::size_t channels,
                 const T* dy) noexcept {
        simd::for_each_pack<T>(channels, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const P bias = weight_of(lanes, system_.delta_bias, channel + i);
            const P skip = weight_of(lanes, system_.D, channel + i);
            for (std::size_t t = 0; t < steps; ++t) {
                const std::size_t at = (row + t) * system_.channels + channel + i;
                const std::size_t to = i * selective_steps + t * w;
                const std::size_t ahead = at + pair * w;
                simd::prefetch(input_.u.data() + ahead);
                simd::prefetch(input_.delta.data() + ahead);
                simd::prefetch(dy + ahead);
                const P x = lanes.load(input_.u.data() + at);
                const P raw = lanes.load(input_.delta.data() + at) + bias;
                const P dt = system_.softplus ? simd::softplus(raw) : raw;
                P g = lanes.load(dy + at);
                P dgate(T(0));
                if (!input_.z.empty()) {
                    simd::prefetch(input_.z.data() + ahead);
                    const P z = lanes.load(input_.z.data() + at);
                    const P s = simd::sigmoid(z);  // once for the gate and its derivative
                    const P low = simd::max(P(T(-800)), z);
                    dgate = g * simd::fma(s * simd::min(P(T(800)), low), P(T(1)) - s, s);
                    g *= low * s;
                }
                simd::store_aligned(dt_ + to, dt);
                simd::store_aligned(slope_ + to,
                                    system_.softplus ? math::Softplus{}.derivative(raw) : P(T(1)));
                simd::store_aligned(dtu_ + to, dt * x);
                simd::store_aligned(dy_ + to, g);
                simd::store_aligned(dgate_ + to, dgate);
                simd::store_aligned(y_ + to, skip * x);
            }
        });
    }

    template <class Lanes>
    [[nodiscard]] SSM_INLINE static P weight_of(Lanes lanes, const T* data,
                                                std::size_t channel) noexcept {
        return data == nullptr ? P(T(0)) : lanes.load(data + channel);
    }

    /// The adjoint between resets, from the last to the first.
    template <std::size_t packs>
    void go_back(std::size_t p, std::size_t b, std::size_t begin, std::size_t end,
                 const T* checkpoint, const Context& context) noexcept {
        const auto rows_of = [&](const SelectiveMap<const Number>& map, const T* rows,
                                 const T* vectors) {
            return map.is_constant()
                       ? SelectiveMapRows<T>{vectors + p * layout_.state(), 0, 0, true}
                       : SelectiveMapRows<T>{rows, layout_.map(), layout_.modes, false};
        };
        const std::size_t state = p * layout_.state();
        const bool sums_B = input_.B.is_constant();
        const bool sums_C = input_.C.is_constant();
        const SelectiveSums<T> sums{result_.A + state, sums_B ? result_.B + state : B_sums_,
                                    sums_C ? result_.C + state : C_sums_,
                                    sums_B ? 0 : layout_.state(), sums_C ? 0 : layout_.state()};
        const SelectiveMapRows<T> B = rows_of(input_.B, B_rows_, B_vectors_);
        const SelectiveMapRows<T> C = rows_of(input_.C, C_rows_, C_vectors_);
        const SelectiveAdjointRows<T> rows{dt_, dtu_, dy_, y_, du_by_dt_, by_rate_, by_u_};
        const Adjoint<packs> adjoint(B, C, rates_ + state, rows, sums, layout_.modes, kept_);
        for (std::size_t last = end; last > begin;) {
            std::size_t first = last - 1;
            while (first > begin && !context.resets_at(b, first))
                --first;
            const bool fresh = context.resets_at(b, first);
            adjoint.run(first - begin, last - begin, fresh ? nullptr : checkpoint, carry_ + state);
            if (fresh)
                std::fill_n(carry_ + state, packs * layout_.state(), T(0));
            last = first;
        }
    }

    /// The gradients of u, delta and z, and the sums for D and the bias. Clears the sums of a tile for the next one.
    void finish(std::size_t p, std::size_t row, std::size_t steps, std::size_t channel,
                std::size_t channels) noexcept {
        const P per_unit(T(1) / static_cast<T>(Discretization::unit(V{})));
        simd::for_each_pack<T>(channels, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            const P skip = weight_of(lanes, system_.D, channel + i);
            T* const D_sums = result_.D + p * w + i;
            T* const bias_sums = result_.delta_bias + p * w + i;
            P D_sum = simd::load_aligned(D_sums);
            P bias_sum = simd::load_aligned(bias_sums);
            const auto taken = [](T* row_data) {
                const P value = simd::load_aligned(row_data);
                simd::store_aligned(row_data, P(T(0)));
                return value;
            };
            for (std::size_t t = 0; t < steps; ++t) {
                const std::size_t at = (row + t) * system_.channels + channel + i;
                const std::size_t from = i * selective_steps + t * w;
                const P x = lanes.load(input_.u.data() + at);
                const P g = simd::load_aligned(dy_ + from);
                const P by_dt = taken(du_by_dt_ + from);
                const P by_u = Discretization::has_gain ? taken(by_u_ + from) : by_dt;
                const P du = simd::fma(simd::load_aligned(dt_ + from), by_dt, skip * g);
                const P ddelta = simd::fma(taken(by_rate_ + from), per_unit, x * by_u) *
                                 simd::load_aligned(slope_ + from);
                D_sum = simd::fma(g, x, D_sum);
                bias_sum += ddelta;
                if (!gradient_.u.empty())
                    lanes.store(gradient_.u.data() + at, du);
                if (!gradient_.delta.empty())
                    lanes.store(gradient_.delta.data() + at, ddelta);
                if (!gradient_.z.empty())
                    lanes.store(gradient_.z.data() + at,
                                simd::load_aligned(dgate_ + from) * simd::load_aligned(y_ + from));
            }
            simd::store_aligned(D_sums, D_sum);
            simd::store_aligned(bias_sums, bias_sum);
        });
    }

    void sum_channels(const SelectiveMap<const Number>& map, const T* sums, std::size_t begin,
                      std::size_t steps, T scale, T* rows) noexcept {
        if (map.is_constant())
            return;
        const std::size_t numbers = layout_.modes * Layout::parts;
        sum_all_lanes(sums, steps * numbers, lane_sums_);
        for (std::size_t t = 0; t < steps; ++t)
            for (std::size_t i = 0; i < numbers; ++i)
                rows[(begin + t) * layout_.map() + i] = scale * lane_sums_[t * numbers + i];
    }

    /// The sum over the lanes of each of `count` vectors.
    static void sum_all_lanes(const T* vectors, std::size_t count, T* sums) noexcept {
        std::size_t i = 0;
        for (; i + w <= count; i += w) {
            P rows[w];
            simd::unroll<w>([&](auto j) SSM_INLINE_LAMBDA {
                rows[j] = simd::load_aligned(vectors + (i + j) * w);
            });
            simd::transpose(rows);
            for (std::size_t half = w / 2; half > 0; half /= 2)
                for (std::size_t j = 0; j < half; ++j)
                    rows[j] += rows[j + half];
            simd::store(sums + i, rows[0]);
        }
        for (; i < count; ++i)
            sums[i] = simd::reduce_add(simd::load_aligned(vectors + i * w));
    }

    const SelectiveSystem<Number>& system_;
    const SelectiveInput<Number>& input_;
    const SelectiveGradient<Number>& gradient_;
    const Layout& layout_;
    SelectiveResult<T> result_;
    std::size_t first_;
    std::size_t count_;
    std::size_t B_group_;
    std::size_t C_group_;
    T* rates_;
    T* carry_;
    T* B_vectors_;
    T* C_vectors_;
    T* dt_;
    T* dtu_;
    T* dy_;
    T* y_;
    T* du_by_dt_;
    T* by_rate_;
    T* by_u_;
    T* slope_;
    T* dgate_;
    T* kept_;
    T* B_sums_;
    T* C_sums_;
    T* B_rows_;
    T* C_rows_;
    T* lane_sums_;
};

/// Adds the parts that tasks computed of one sum over channels, in order: row b L + l of dB or dC.
template <class Number, class T, class Rows, class Group>
void add_selective_rows(const SelectiveMap<Number>& to, const SelectiveBlocks<Number>& blocks,
                        std::size_t modes, Shape shape, Rows&& rows, Group&& group_of,
                        const Context& context) {
    if (to.data == nullptr || to.is_constant())
        return;
    parallel_ranges(shape.rows(), 256, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (std::size_t row = begin; row < end; ++row) {
            const std::size_t b = row / shape.length;
            const std::size_t l = row % shape.length;
            for (std::size_t g = 0; g < to.groups; ++g)
                std::fill_n(to.at(row, g, modes), modes, Number(0));
            if (l >= context.valid_length(b, shape.length))
                continue;
            for (std::size_t block = 0; block < blocks.count(); ++block) {
                Number* target = to.at(row, group_of(blocks.section(block)), modes);
                const T* part = rows(b * blocks.count() + block) + l * blocks.layout.map();
                for (std::size_t n = 0; n < modes; ++n)
                    if constexpr (SelectiveLayout<Number>::parts == 1)
                        target[n] += part[n];
                    else
                        target[n] += Number(part[2 * n], part[2 * n + 1]);
            }
        }
    });
}

/// Adds sums over steps, (vector, modes) vectors of each task, to (modes, channels) numbers.
template <class Number, class T, class F>
void add_selective_vectors(const T* vectors, std::size_t channel, std::size_t count,
                           std::size_t channels, std::size_t modes,
                           const SelectiveLayout<Number>& layout, Number* to, F&& f) {
    constexpr std::size_t w = simd::width<T>;
    using V = typename SelectiveVector<Number>::Vector;
    for (std::size_t i = 0; i < count; i += w)
        for (std::size_t n = 0; n < modes; ++n) {
            const std::size_t lanes = std::min(w, count - i);
            const std::size_t at = n * channels + channel + i;
            const V sum = load_vector<V>(vectors + i / w * layout.state() + n * layout.vector);
            scatter(to + at, gather(to + at, lanes) + f(sum, at, lanes), lanes);
        }
}

template <class Number, class Discretization, class Maps, class T>
void run_selective_backward(const SelectiveSystem<Number>& system,
                            const SelectiveInput<Number>& input, BatchView<const T> dy,
                            const SelectiveCheckpoints<Number>& checkpoints,
                            const SelectiveGradient<Number>& gradient, const Context& context) {
    using Block = SelectiveBackwardBlock<Number, Discretization, Maps>;
    using V = typename SelectiveVector<Number>::Vector;
    using P = simd::Pack<T>;
    const Shape shape = dy.shape();
    const SelectiveLayout<Number> layout(system.modes);
    const SelectiveTiles<Number> tiles(selective_sections(system, input));
    const SelectiveBlocks<Number> blocks(tiles, layout, shape.length);
    const std::size_t cuts = (shape.length + selective_steps - 1) / selective_steps;
    const std::size_t kept = cuts * tiles.packs * layout.state();
    require<ShapeError>(checkpoints.states.size() == shape.batch * tiles.count() * kept,
                        "ssm::selective_backward: the checkpoints are those of another forward");

    const Workspace::Frame frame = context.workspace.frame();
    const std::size_t tasks = shape.batch * blocks.count();
    const std::size_t scratch_size = Block::scratch(blocks);
    const std::span<T> scratch = context.workspace.take<T>(threads() * scratch_size);
    const std::span<T> results = context.workspace.take<T>(tasks * blocks.result_size());
    const auto result_of = [&](std::size_t task) {
        return blocks.result(results.data() + task * blocks.result_size());
    };
    parallel_for(
        tasks,
        [&](std::size_t task, std::size_t worker) {
            const std::size_t b = task / blocks.count();
            const std::size_t block = task % blocks.count();
            Block run(system, input, gradient, blocks, block, result_of(task),
                      scratch.data() + worker * scratch_size);
            const std::size_t tile = b * tiles.count() + blocks.first_tile(block);
            run.run(b, dy, checkpoints.states.data() + tile * kept, kept, context);
        },
        {selective_cost(layout, shape.length, blocks.vectors * simd::width<T>).nanoseconds * 3});

    const SelectiveSections& sections = tiles.sections;
    add_selective_rows<Number, T>(
        gradient.B, blocks, system.modes, shape,
        [&](std::size_t task) { return result_of(task).B_rows; },
        [&](std::size_t section) { return sections.B_group(section); }, context);
    add_selective_rows<Number, T>(
        gradient.C, blocks, system.modes, shape,
        [&](std::size_t task) { return result_of(task).C_rows; },
        [&](std::size_t section) { return sections.C_group(section); }, context);
    for (std::size_t task = 0; task < tasks; ++task) {
        const std::size_t block = task % blocks.count();
        const std::size_t channel = tiles.begin(blocks.first_tile(block));
        const std::size_t count = blocks.channels(block);
        const SelectiveResult<T> result = result_of(task);
        const auto add = [&](const T* vectors, Number* to, auto&& f) {
            if (to != nullptr)
                add_selective_vectors<Number>(vectors, channel, count, system.channels,
                                              system.modes, layout, to, f);
        };
        add(result.A, gradient.A, [&](V sum, std::size_t at, std::size_t lanes) {
            if constexpr (SelectiveLayout<Number>::parts == 1)
                return system.log_A ? -(sum * simd::exp(gather(system.A + at, lanes))) : sum;
            else
                return sum;
        });
        if (input.B.is_constant())
            add(result.B, gradient.B.data, [](V sum, std::size_t, std::size_t) { return sum; });
        if (input.C.is_constant())
            add(result.C, gradient.C.data, [](V sum, std::size_t, std::size_t) {
                return sum * P(SelectiveVector<Number>::weight);
            });
        for (std::size_t i = 0; i < count; ++i) {
            if (gradient.D != nullptr)
                gradient.D[channel + i] += result.D[i];
            if (gradient.delta_bias != nullptr)
                gradient.delta_bias[channel + i] += result.delta_bias[i];
        }
    }
    for (const BatchView<T>& view : {gradient.u, gradient.delta, gradient.z})
        if (!view.empty())
            clear_padding(view, context);
}

template <class Number>
void check_selective_gradient(const SelectiveInput<Number>& input,
                              const SelectiveGradient<Number>& gradient) {
    const char* what = "ssm::selective_backward";
    const Shape& shape = input.u.shape();
    require<ShapeError>(gradient.u.empty() || gradient.u.shape() == shape, what,
                        ": the gradient of u has shape ", gradient.u.shape(), ", expected ", shape);
    require<ShapeError>(gradient.delta.empty() || gradient.delta.shape() == shape, what,
                        ": the gradient of delta has shape ", gradient.delta.shape(), ", expected ",
                        shape);
    require<ShapeError>(gradient.z.empty() || (gradient.z.shape() == shape && !input.z.empty()),
                        what, ": the gradient of z has shape ", gradient.z.shape(), ", expected ",
                        input.z.shape());
    require<ShapeError>(gradient.B.data == nullptr || gradient.B.groups == input.B.groups, what,
                        ": the gradient of B has ", gradient.B.groups, " groups, expected ",
                        input.B.groups);
    require<ShapeError>(gradient.C.data == nullptr || gradient.C.groups == input.C.groups, what,
                        ": the gradient of C has ", gradient.C.groups, " groups, expected ",
                        input.C.groups);
}

}  // namespace detail

/// Adjoint of `selective_forward`, from the checkpoints it kept: states are computed again, a few steps at a time.
///
/// Shapes    dy (batch, L, channels), the gradient of y
/// Errors    ShapeError for what does not fit together or belongs to another forward
/// Cost      the forward's states again and twice as much
/// Memory    2 modes / 512 numbers of scratch for each number of u
/// Threads   cut into sequences and blocks of channels, whose sums are added in order
template <class Discretization = SimplifiedZoh, class Number, class T>
void selective_backward(const SelectiveSystem<Number>& system, const SelectiveInput<Number>& input,
                        BatchView<const T> dy, const SelectiveCheckpoints<Number>& checkpoints,
                        const SelectiveGradient<Number>& gradient, const Context& context) {
    detail::check_selective("ssm::selective_backward", system, input, dy, context);
    detail::check_selective_gradient(input, gradient);
    detail::with_selective_maps<Number, Discretization>(input, [&]<class Maps>(Maps) {
        detail::run_selective_backward<Number, Discretization, Maps>(system, input, dy, checkpoints,
                                                                     gradient, context);
    });
}

}  // namespace ssm
