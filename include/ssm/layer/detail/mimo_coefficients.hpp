#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/detail/mimo_intervals.hpp>
#include <ssm/layer/detail/row_sums.hpp>
#include <ssm/layer/mimo_modes.hpp>
#include <ssm/layer/mimo_system.hpp>
#include <ssm/math/product.hpp>

namespace ssm::detail {

/// The coefficients w of x = x + (w x + v) where they differ from step to step: because steps take times of their own,
/// or because the input moves the poles. `Layer` is a `Mimo`.
template <class Layer>
class MimoCoefficients {
    using T = typename Layer::value_type;

public:
    MimoCoefficients(const Layer& layer, const MimoSystem<T>& system, const Context& context)
        : layer_(layer), system_(system), context_(context) {}

    /// Coefficients of all steps; v, the inputs, become b v.
    void forward(BatchView<T> v, BatchView<T> w) const {
        const std::size_t width = 2 * system_.P;
        if (!context_.is_irregular()) {
            for (std::size_t row = 0; row < v.shape().rows(); ++row)
                std::copy_n(system_.w.data(), width, w.data() + row * width);
        } else if constexpr (Layer::has_time_step) {
            const std::size_t grain = 64;
            const Workspace::Frame frame = context_.workspace.frame();
            const std::span<double> scratch = take_scratch();
            parallel_ranges(v.shape().rows(), grain,
                            [&](std::size_t begin, std::size_t end, std::size_t worker) {
                                IntervalModes modes = room(scratch, worker);
                                for (std::size_t row = begin; row < end; ++row)
                                    interval_row<T>(modes, layer_.bank.discretization(),
                                                    interval(row), system_.modes,
                                                    w.data() + row * width, v.data() + row * width);
                            },
                            {static_cast<double>(grain * system_.P) * 5.0});
        }
        if (layer_.is_liquid())
            for (std::size_t i = 0; i < w.size(); ++i)
                w.data()[i] += v.data()[i];
    }

    /// Adjoint: dw of the coefficients, g of b v, which becomes that of v.
    void adjoint(BatchView<const T> u, BatchView<T> dw, BatchView<T> g, MimoModes& upstream,
                 Layer& gradient) const {
        if (layer_.is_liquid())
            for (std::size_t i = 0; i < g.size(); ++i)
                g.data()[i] += dw.data()[i];
        if (!context_.is_irregular())
            adjoint_of_poles(dw, upstream);
        else if constexpr (Layer::has_time_step)
            adjoint_of_intervals(u, dw, g, upstream, gradient);
    }

private:
    void adjoint_of_poles(BatchView<const T> dw, MimoModes& upstream) const {
        const std::size_t P = system_.P;
        for (std::size_t row = 0; row < dw.shape().rows(); ++row)
            for (std::size_t p = 0; p < P; ++p) {
                upstream.pole_re[p] += static_cast<double>(dw.data()[row * 2 * P + p]);
                upstream.pole_im[p] += static_cast<double>(dw.data()[row * 2 * P + P + p]);
            }
    }

    void adjoint_of_intervals(BatchView<const T> u, BatchView<const T> dw, BatchView<T> g,
                              MimoModes& upstream, Layer& gradient) const {
        const std::size_t width = 2 * system_.P;
        Workspace& workspace = context_.workspace;
        const Workspace::Frame frame = workspace.frame();
        const BatchView<T> v(workspace.template take<T>(g.size()).data(), g.shape());
        math::product<T>(u.matrix(), system_.in_matrix(true), v.matrix());
        const std::span<double> sums = workspace.template take_zero<double>(5 * system_.P);
        const std::span<double> scratch = take_scratch();
        sum_over_rows<double>(
            g.shape().rows(), sums.size(), workspace, sums.data(),
            [&](std::size_t begin, std::size_t end, double* partial, std::size_t worker) {
                IntervalModes modes = room(scratch, worker);
                const IntervalGradient parts = parts_of({partial, sums.size()});
                for (std::size_t row = begin; row < end; ++row)
                    interval_row_adjoint<T>(modes, layer_.bank.discretization(), interval(row),
                                            system_.modes, dw.data() + row * width,
                                            v.data() + row * width, g.data() + row * width, parts);
            });
        const IntervalGradient total = parts_of(sums);
        layer_.bank.continuous_adjoint(layer_.rate(), total.lambda_re, total.lambda_im, total.dt,
                                       gradient.bank);
        for (std::size_t p = 0; p < system_.P; ++p) {
            upstream.input_re[p] += total.own_re[p];
            upstream.input_im[p] += total.own_im[p];
        }
    }

    [[nodiscard]] double interval(std::size_t row) const noexcept {
        return context_.intervals.data()[row];
    }
    /// Room to discretise one step, for each thread.
    [[nodiscard]] std::span<double> take_scratch() const {
        return context_.workspace.template take<double>(threads() * interval_scratch * system_.P);
    }
    [[nodiscard]] IntervalModes room(std::span<double> scratch, std::size_t worker) const {
        const std::size_t size = interval_scratch * system_.P;
        return {system_.lambda_re, system_.lambda_im, system_.dt,
                scratch.subspan(worker * size, size)};
    }
    [[nodiscard]] static IntervalGradient parts_of(std::span<double> sums) noexcept {
        const std::size_t P = sums.size() / 5;
        return {sums.subspan(0, P), sums.subspan(P, P), sums.subspan(2 * P, P),
                sums.subspan(3 * P, P), sums.subspan(4 * P, P)};
    }

    const Layer& layer_;
    const MimoSystem<T>& system_;
    const Context& context_;
};

}  // namespace ssm::detail
