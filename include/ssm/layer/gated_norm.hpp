#pragma once

#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/detail/affine_weights.hpp>
#include <ssm/layer/detail/gated_row.hpp>
#include <ssm/layer/detail/row_sums.hpp>
#include <ssm/layer/stateless.hpp>

namespace ssm {

/// Order of normalising and gating.
enum class GateOrder {
    norm_first,  ///< y = norm(x) silu(z)
    gate_first,  ///< y = norm(x silu(z))
};

/// Normalisation over (groups of) channels with a SiLU gate, in either order; centered: as LayerNorm, else as
/// RMSNorm.
///
/// Shapes    as a layer: u (batch, L, 2 channels) = [x, z] -> y (batch, L, channels); weight, bias (channels).
///           `apply` takes x and z from views of their own, which may be rows of something wider.
/// Initial   weight 1, bias 0
/// Errors    ValueError for zero channels, groups that do not divide them, and a negative epsilon
/// Cost      one pass over memory; the backward computes the forward again
/// Source    the gated norms of Mamba-2
template <class T, bool centered>
class GatedNorm : public StatelessLayer<GatedNorm<T, centered>, T>,
                  public detail::AffineWeights<T> {
    using Base = StatelessLayer<GatedNorm<T, centered>, T>;
    using Affine = detail::AffineWeights<T>;
    static constexpr const char* name = centered ? "ssm::GatedLayerNorm" : "ssm::GatedRMSNorm";

public:
    using Affine::bias;
    using Affine::visit_weights;
    using Affine::weight;
    using typename Base::State;
    struct Options {
        std::size_t channels = 0;  ///< of the output; the input has twice as many
        std::size_t groups = 1;
        double epsilon = 1e-5;
        GateOrder order = GateOrder::gate_first;
        bool weight = true;
        bool bias = centered;
    };
    struct Cache {};

    explicit GatedNorm(Options options)
        : Affine(options.channels, options.weight, options.bias), options_(options) {
        detail::require_groups(name, options);
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return 2 * options_.channels; }
    [[nodiscard]] std::size_t out_channels() const noexcept { return options_.channels; }
    [[nodiscard]] const Options& options() const noexcept { return options_; }

    using Base::forward;
    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward(name, *this, u, y, context);
        apply(halves(u), y);
    }
    void forward(BatchView<const T> u, BatchView<T> y, Cache&, const Context& context) const {
        forward(u, y, context);
    }
    void step(std::span<const T> u, std::span<T> y, State&) const noexcept {
        apply_rows({u.data(), u.data() + options_.channels, in_channels(), in_channels()}, y.data(),
                   0, u.size() / in_channels());
    }
    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache&,
                  GatedNorm& gradient, const Context& context) const {
        require_backward(name, *this, u, dy, du, context);
        apply_adjoint(halves(u), dy, du.empty() ? detail::GatedRows<T>{} : halves(du), gradient,
                      context.workspace);
    }

    /// The same with x and z wherever they are: row r of x starts at x + r * x_stride. y may be x if that is
    /// contiguous.
    void apply(detail::GatedRows<const T> in, BatchView<T> y) const {
        parallel_ranges(y.shape().rows(), detail::row_grain(options_.channels),
                        [&](std::size_t begin, std::size_t end, std::size_t) {
                            apply_rows(in, y.data(), begin, end);
                        });
    }
    /// Adjoint of `apply`: overwrites the rows of `to` (null: not wanted), adds to the gradient.
    void apply_adjoint(detail::GatedRows<const T> in, BatchView<const T> dy,
                       detail::GatedRows<T> to, GatedNorm& gradient, Workspace& workspace) const {
        const std::size_t channels = options_.channels;
        const Workspace::Frame frame = workspace.frame();
        const std::span<T> sums = workspace.take_zero<T>(2 * channels);
        const std::span<T> scratch = workspace.take<T>(threads() * 2 * channels);
        detail::sum_over_rows<T>(
            dy.shape().rows(), 2 * channels, workspace, sums.data(),
            [&](std::size_t begin, std::size_t end, T* partial, std::size_t worker) {
                T* rows = scratch.data() + worker * 2 * channels;
                for (std::size_t r = begin; r < end; ++r)
                    for (std::size_t h = 0; h < channels; h += group_size())
                        detail::gated_row_backward<centered>(
                            group(h), in.at(r, h), dy.data() + r * channels + h, to.at(r, h),
                            weight.empty() ? nullptr : partial + h,
                            bias.empty() ? nullptr : partial + channels + h, rows);
            });
        gradient.add_gradients(sums.data(), sums.data() + channels);
    }

private:
    [[nodiscard]] std::size_t group_size() const noexcept {
        return options_.channels / options_.groups;
    }
    template <class U>
    [[nodiscard]] detail::GatedRows<U> halves(BatchView<U> u) const noexcept {
        U* const gate = u.data() == nullptr ? nullptr : u.data() + options_.channels;
        return {u.data(), gate, in_channels(), in_channels()};
    }
    [[nodiscard]] detail::GatedGroup<T> group(std::size_t h) const noexcept {
        return {group_size(), static_cast<T>(options_.epsilon),
                options_.order == GateOrder::norm_first, Affine::weight_at(h), Affine::bias_at(h)};
    }
    void apply_rows(detail::GatedRows<const T> in, T* y, std::size_t begin,
                    std::size_t end) const noexcept {
        for (std::size_t r = begin; r < end; ++r)
            for (std::size_t h = 0; h < options_.channels; h += group_size())
                detail::gated_row<centered>(group(h), in.at(r, h), y + r * options_.channels + h);
    }

    Options options_;
};

template <class T>
using GatedLayerNorm = GatedNorm<T, true>;
template <class T>
using GatedRMSNorm = GatedNorm<T, false>;

}  // namespace ssm
