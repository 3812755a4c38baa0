#pragma once

#include <algorithm>
#include <complex>
#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/padding.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/detail/mimo_coefficients.hpp>
#include <ssm/layer/detail/mimo_forward.hpp>
#include <ssm/layer/detail/row_sums.hpp>
#include <ssm/layer/mimo_modes.hpp>
#include <ssm/layer/mimo_system.hpp>
#include <ssm/math/product.hpp>
#include <ssm/scan/linear_scan_adjoint.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>

namespace ssm::detail {

/// sums += u o dy
template <class T, class Arch = simd::Arch>
void add_products(const T* u, const T* dy, std::size_t size, T* sums) noexcept {
    simd::for_each_pack<T>(size, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
        lanes.store(sums + i,
                    simd::fma(lanes.load(u + i), lanes.load(dy + i), lanes.load(sums + i)));
    });
}

/// Adjoint of a training pass of a `Mimo`, of which `Cache` has system, states and coefficients. Adds to `gradient`.
template <class Layer>
class MimoBackward {
    using T = typename Layer::value_type;
    using Cache = typename Layer::Cache;

public:
    MimoBackward(const Layer& layer, const Cache& cache, Layer& gradient, const Context& context)
        : layer_(layer), cache_(cache), gradient_(gradient), context_(context) {}

    void run(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du) const {
        const Workspace::Frame frame = context_.workspace.frame();
        u = without_padding(u);
        dy = without_padding(dy);
        skip_adjoint(u, dy, du);
        system_adjoint(u, dy, du);
    }

private:
    /// `u`, or a copy with zeros behind the valid lengths: what is there may be no number.
    [[nodiscard]] BatchView<const T> without_padding(BatchView<const T> u) const {
        if (context_.lengths.empty())
            return u;
        const BatchView<T> copy(context_.workspace.template take<T>(u.size()).data(), u.shape());
        std::copy_n(u.data(), u.size(), copy.data());
        clear_padding(copy, context_);
        return copy;
    }

    /// du = D dy, dD += sum u dy
    void skip_adjoint(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du) const {
        if (!du.empty())
            skip<T>(layer_.D.flat(), dy, du);
        if (layer_.D.empty())
            return;
        const std::size_t H = u.channels();
        sum_over_rows<T>(u.shape().rows(), H, context_.workspace, gradient_.D.data(),
                         [&](std::size_t begin, std::size_t end, T* sums, std::size_t) {
                             for (std::size_t r = begin; r < end; ++r)
                                 add_products<T>(u.data() + r * H, dy.data() + r * H, H, sums);
                         });
    }

    void system_adjoint(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du) const {
        const MimoSystem<T>& system = cache_.system;
        const bool varies = layer_.varies(context_);
        Workspace& workspace = context_.workspace;
        const Shape shape{u.batch(), u.length(), 2 * system.P};
        const auto rows = [&](std::size_t size) {
            return BatchView<T>(workspace.template take<T>(size).data(),
                                size == 0 ? Shape{} : shape);
        };
        const auto upstream = workspace.template borrow<MimoModes>();
        upstream->reset(system.P);
        const std::span<double> dw = workspace.template take_zero<double>(2 * system.P);
        const BatchView<T> dcoefficients = rows(cache_.coefficients.size());
        const BatchView<T> g = rows(shape.size());
        for (std::size_t d = 0; d < Layer::directions; ++d) {
            const Workspace::Frame frame = workspace.frame();
            const BatchView<T> gradients = d == 0 ? g : rows(shape.size());
            const BatchView<T> slopes = d == 0 ? dcoefficients : rows(cache_.coefficients.size());
            math::product_transposed<T>(dy.matrix(), system.out_matrix(d), nullptr,
                                        gradients.matrix());
            output_adjoint(d, dy);
            if (varies)
                linear_scan_adjoint<ComplexIncrements>(cache_.coefficients.view(), cache_.states[d],
                                                       gradients, slopes, {}, {}, context_, way(d));
            else
                linear_scan_adjoint<ComplexIncrements>(system.w, cache_.states[d], gradients, dw,
                                                       {}, {}, context_, way(d));
            if (d > 0) {
                add(gradients, g);
                add(slopes, dcoefficients);
            }
        }
        for (std::size_t p = 0; p < system.P; ++p) {
            upstream->pole_re[p] = dw[p];
            upstream->pole_im[p] = dw[system.P + p];
        }
        if (varies)
            MimoCoefficients<Layer>(layer_, system, context_)
                .adjoint(u, dcoefficients, g, *upstream, gradient_);
        if (!du.empty())
            math::add_product_transposed<T>(BatchView<const T>(g).matrix(),
                                            system.in_matrix(context_.is_irregular()), du.matrix());
        input_adjoint(u, g, *upstream);
        layer_.bank.adjoint(layer_.rate(), *upstream, gradient_.bank, workspace);
    }
    static void add(BatchView<const T> from, BatchView<T> to) noexcept {
        for (std::size_t i = 0; i < from.size(); ++i)
            to.data()[i] += from.data()[i];
    }

    /// C += what y = out^T x says about it.
    void output_adjoint(std::size_t d, BatchView<const T> dy) const {
        const std::size_t P = cache_.system.P;
        const std::size_t H = cache_.system.H;
        const Workspace::Frame frame = context_.workspace.frame();
        const std::span<T> dout = context_.workspace.template take_zero<T>(2 * P * H);
        math::add_product_of_transpose<T>(cache_.states[d].view().matrix(), dy.matrix(),
                                          matrix_map(dout.data(), 2 * P, H), context_.workspace);
        const T factor = static_cast<T>(layer_.bank.output_factor());
        for (std::size_t h = 0; h < H; ++h)
            for (std::size_t p = 0; p < P; ++p) {
                T* const c = gradient_.C.data() + 2 * ((h * Layer::directions + d) * P + p);
                c[0] += factor * dout[p * H + h];
                c[1] -= factor * dout[(P + p) * H + h];
            }
    }

    /// B += what v = b B u says about it, and the same for b.
    void input_adjoint(BatchView<const T> u, BatchView<const T> g, MimoModes& upstream) const {
        using Number = std::complex<double>;
        const MimoModes& modes = cache_.system.modes;
        const std::size_t P = cache_.system.P;
        const std::size_t H = cache_.system.H;
        const Workspace::Frame frame = context_.workspace.frame();
        const std::span<T> din = context_.workspace.template take_zero<T>(2 * P * H);
        math::add_product_of_transpose<T>(g.matrix(), u.matrix(), matrix_map(din.data(), 2 * P, H),
                                          context_.workspace);
        const bool plain = context_.is_irregular();
        for (std::size_t p = 0; p < P; ++p) {
            const Number b = plain ? 1.0 : Number(modes.input_re[p], modes.input_im[p]);
            Number db = 0.0;
            for (std::size_t h = 0; h < H; ++h) {
                const Number d(static_cast<double>(din[p * H + h]),
                               static_cast<double>(din[(P + p) * H + h]));
                T* const at = gradient_.B.data() + 2 * (p * H + h);
                const T* const value = layer_.B.data() + 2 * (p * H + h);
                const Number dB = std::conj(b) * d;
                at[0] += static_cast<T>(dB.real());
                at[1] += static_cast<T>(dB.imag());
                db += std::conj(
                          Number(static_cast<double>(value[0]), static_cast<double>(value[1]))) *
                      d;
            }
            if (!plain) {
                upstream.input_re[p] += db.real();
                upstream.input_im[p] += db.imag();
            }
        }
    }

    const Layer& layer_;
    const Cache& cache_;
    Layer& gradient_;
    const Context& context_;
};

}  // namespace ssm::detail
