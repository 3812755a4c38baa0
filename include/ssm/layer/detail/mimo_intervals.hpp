#pragma once

#include <cstddef>
#include <span>

#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/async.hpp>
#include <ssm/layer/mimo_modes.hpp>

namespace ssm::detail {

/// Numbers of double precision that the discretisation of one step of P modes needs.
inline constexpr std::size_t interval_scratch = 12;

/// A continuous system and the room to discretise it for one step after the other.
struct IntervalModes {
    std::span<const double> lambda_re, lambda_im, dt;
    std::span<double> step, z_re, z_im, b_re, b_im;
    std::span<double> dz_re, dz_im, db_re, db_im, dlambda_re, dlambda_im, ddt;

    IntervalModes(std::span<const double> re, std::span<const double> im,
                  std::span<const double> steps, std::span<double> scratch)
        : lambda_re(re), lambda_im(im), dt(steps) {
        std::size_t taken = 0;
        for (auto* values : {&step, &z_re, &z_im, &b_re, &b_im, &dz_re, &dz_im, &db_re, &db_im,
                             &dlambda_re, &dlambda_im, &ddt}) {
            *values = scratch.subspan(taken, dt.size());
            taken += dt.size();
        }
    }

    /// z and b of a step of `interval` time steps; `own` has the input weights of one.
    template <class Method>
    void discretize(const Method& method, double interval, const MimoModes& own) noexcept {
        for (std::size_t p = 0; p < dt.size(); ++p)
            step[p] = interval * dt[p];
        method.forward(lambda_re, lambda_im, step, z_re, z_im, b_re, b_im);
        if constexpr (input_ignores_intervals<Method>)
            for (std::size_t p = 0; p < dt.size(); ++p) {
                b_re[p] = own.input_re[p];
                b_im[p] = own.input_im[p];
            }
    }
};

/// Coefficients and inputs of one step: w = z - 1, and v becomes b v. Rows of P real, then imaginary parts.
template <class T, class Method>
void interval_row(IntervalModes& modes, const Method& method, double interval, const MimoModes& own,
                  T* w, T* v) noexcept {
    const std::size_t P = modes.dt.size();
    modes.discretize(method, interval, own);
    for (std::size_t p = 0; p < P; ++p) {
        w[p] = static_cast<T>(modes.z_re[p] - 1.0);
        w[P + p] = static_cast<T>(modes.z_im[p]);
        const double re = static_cast<double>(v[p]);
        const double im = static_cast<double>(v[P + p]);
        v[p] = static_cast<T>(modes.b_re[p] * re - modes.b_im[p] * im);
        v[P + p] = static_cast<T>(modes.b_re[p] * im + modes.b_im[p] * re);
    }
}

/// Sums of what steps say about a continuous system, and about the input weights of the layer's own time step.
struct IntervalGradient {
    std::span<double> lambda_re, lambda_im, dt, own_re, own_im;
};

/// Adjoint of `interval_row`: dw of the coefficients, g of b v, which becomes that of v; v is what it was before.
template <class T, class Method>
void interval_row_adjoint(IntervalModes& modes, const Method& method, double interval,
                          const MimoModes& own, const T* dw, const T* v, T* g,
                          const IntervalGradient& sums) noexcept {
    const std::size_t P = modes.dt.size();
    modes.discretize(method, interval, own);
    for (std::size_t p = 0; p < P; ++p) {
        const double v_re = static_cast<double>(v[p]);
        const double v_im = static_cast<double>(v[P + p]);
        const double g_re = static_cast<double>(g[p]);
        const double g_im = static_cast<double>(g[P + p]);
        modes.dz_re[p] = static_cast<double>(dw[p]);
        modes.dz_im[p] = static_cast<double>(dw[P + p]);
        modes.db_re[p] = v_re * g_re + v_im * g_im;
        modes.db_im[p] = v_re * g_im - v_im * g_re;
        g[p] = static_cast<T>(modes.b_re[p] * g_re + modes.b_im[p] * g_im);
        g[P + p] = static_cast<T>(modes.b_re[p] * g_im - modes.b_im[p] * g_re);
        if constexpr (input_ignores_intervals<Method>) {
            sums.own_re[p] += modes.db_re[p];
            sums.own_im[p] += modes.db_im[p];
            modes.db_re[p] = modes.db_im[p] = 0.0;
        }
    }
    method.adjoint(modes.lambda_re, modes.lambda_im, modes.step, modes.dz_re, modes.dz_im,
                   modes.db_re, modes.db_im, modes.dlambda_re, modes.dlambda_im, modes.ddt);
    for (std::size_t p = 0; p < P; ++p) {
        sums.lambda_re[p] += modes.dlambda_re[p];
        sums.lambda_im[p] += modes.dlambda_im[p];
        sums.dt[p] += interval * modes.ddt[p];
    }
}

}  // namespace ssm::detail
