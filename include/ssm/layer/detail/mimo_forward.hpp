#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/padding.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/detail/mimo_coefficients.hpp>
#include <ssm/layer/detail/row_pieces.hpp>
#include <ssm/layer/mimo_system.hpp>
#include <ssm/math/product.hpp>
#include <ssm/scan/linear_scan.hpp>

namespace ssm::detail {

/// Which way direction number `d` of a layer runs through time.
[[nodiscard]] constexpr TimeDirection way(std::size_t d) noexcept {
    return d == 0 ? TimeDirection::forward : TimeDirection::backward;
}

/// y = D u
template <class T>
void skip(std::span<const T> D, BatchView<const T> u, BatchView<T> y) {
    const std::size_t H = u.channels();
    parallel_ranges(u.shape().rows(), row_grain(H),
                    [&](std::size_t begin, std::size_t end, std::size_t) {
                        for (std::size_t r = begin; r < end; ++r)
                            skip_row<T>(D, u.data() + r * H, y.data() + r * H, H);
                    });
}

/// Whole sequences through a discrete system with many inputs and outputs; `Layer` is a `Mimo`.
template <class Layer>
class MimoForward {
    using T = typename Layer::value_type;
    using States = std::array<BatchView<T>, Layer::directions>;

public:
    MimoForward(const Layer& layer, const MimoSystem<T>& system, const Context& context)
        : layer_(layer), system_(system), context_(context) {}

    /// Inference, piece by piece. Goes on from `x` (batch, 2 P) and leaves there what is reached; null: from rest.
    void run_pieces(BatchView<const T> u, BatchView<T> y, T* x) const {
        constexpr bool streams = Layer::streams;
        Workspace& workspace = context_.workspace;
        const std::size_t width = 2 * system_.P;
        const std::size_t rows = std::max<std::size_t>(
            math::product_rows, piece_numbers / width / math::product_rows * math::product_rows);
        const Workspace::Frame frame = workspace.frame();
        if (streams && x == nullptr)
            x = workspace.template take_zero<T>(u.batch() * width).data();
        const std::span<std::size_t> lengths = workspace.template take<std::size_t>(u.batch());
        for_each_row_piece(u.shape(), rows, !streams, [&](const RowPiece& piece) {
            const Workspace::Frame inner = workspace.frame();
            const auto take = [&](bool wanted) {
                const Shape shape = wanted ? piece.shape(width) : Shape{};
                return BatchView<T>(workspace.template take<T>(shape.size()).data(), shape);
            };
            States states;
            for (auto& view : states)
                view = take(true);
            const Context context = piece.of(context_, lengths);
            MimoForward(layer_, system_, context)
                .run(piece.of(u), piece.of(y), streams ? x + piece.sequence * width : nullptr,
                     states, take(layer_.varies(context)));
        });
    }

    /// `x` goes through the states of the first direction; null: from rest. `coefficients` is empty unless they vary.
    void run(BatchView<const T> u, BatchView<T> y, T* x, const States& states,
             BatchView<T> coefficients) const {
        const bool varies = layer_.varies(context_);
        skip<T>(layer_.D.flat(), u, y);
        math::product<T>(u.matrix(), system_.in_matrix(context_.is_irregular()),
                         states[0].matrix());
        if (varies)
            MimoCoefficients<Layer>(layer_, system_, context_).forward(states[0], coefficients);
        for (std::size_t d = 1; d < states.size(); ++d)
            std::copy_n(states[0].data(), states[0].size(), states[d].data());
        for (std::size_t d = 0; d < states.size(); ++d) {
            const std::span<T> state =
                d > 0 || x == nullptr ? std::span<T>()
                                      : std::span<T>(x, states[d].batch() * states[d].channels());
            if (varies)
                linear_scan<ComplexIncrements>(coefficients, states[d], state, context_, way(d));
            else
                linear_scan<ComplexIncrements>(system_.w, states[d], state, context_, way(d));
            math::add_product<T>(BatchView<const T>(states[d]).matrix(), system_.out_matrix(d),
                                 y.matrix());
        }
        clear_padding(y, context_);
    }

private:
    /// Numbers of states that are computed together in inference: they stay in the cache.
    static constexpr std::size_t piece_numbers = std::size_t{1} << 19U;

    const Layer& layer_;
    const MimoSystem<T>& system_;
    const Context& context_;
};

}  // namespace ssm::detail
