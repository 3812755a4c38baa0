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
#include <ssm/scan/selective_backward_block.hpp>
#include <ssm/scan/selective_blocks.hpp>
#include <ssm/scan/selective_discretization.hpp>
#include <ssm/scan/selective_forward.hpp>
#include <ssm/scan/selective_number.hpp>
#include <ssm/scan/selective_system.hpp>
#include <ssm/scan/selective_tile.hpp>
#include <ssm/simd/exp.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm {

namespace detail {

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
    const SelectiveLayout<Number> layout(system.modes, Maps::group);
    const SelectiveTiles<Number> tiles(selective_sections(system, input));
    const SelectiveBlocks<Number> blocks(tiles, layout, shape.length, selective_block);
    const std::size_t kept = selective_tile_checkpoints(layout, shape.length);
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
                      SelectivePieces<T>(scratch.data() + worker * scratch_size));
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
    detail::check_selective_checkpoints<Discretization>("ssm::selective_backward", system, input,
                                                        checkpoints);
    detail::with_selective_maps<Number, Discretization>(input, [&]<class Maps>(Maps) {
        detail::run_selective_backward<Number, Discretization, Maps>(system, input, dy, checkpoints,
                                                                     gradient, context);
    });
}

}  // namespace ssm
