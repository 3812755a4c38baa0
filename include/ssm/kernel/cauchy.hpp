#pragma once

#include <complex>
#include <cstddef>
#include <span>

#include <ssm/core/error.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/kernel/detail/cauchy_sums.hpp>
#include <ssm/scan/diagonal_state.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm {

/// A Cauchy matrix times some vectors, over conjugate pairs of poles and at nodes on the imaginary axis:
///
///   h_j(y_k) = sum_n v_jn / (i y_k + m_n) + conj(v_jn) / (i y_k + conj(m_n))
///
/// With m = -dt lambda / 2 and y_k = tan(theta_k / 2) these are the sums of S4's generating function at the roots of
/// unity e^{-i theta_k}, multiplied by cos(theta_k / 2), so that nothing divides by 1 + e^{-i theta}.
///
/// Shapes    poles m (n), Re m > 0; numerators v (J, n); nodes y (K); sums h (J, K)
/// Cost      3 + 4 J multiply-adds (or products, or sums) for each (k, n), beside a reciprocal: a division, with AVX-512
///           an estimate and 2 more of them in float, 4 in double; on one such port (Zen 4) 0.57 cycles in float for J = 1,
///           0.36 for each of J = 4
/// Accuracy  some units of rounding relative to the sum of all |terms|, times |m| / Re m next to a resonance
/// Errors    ShapeError for arguments that do not fit together
/// Source    arXiv:2111.00396, section 3.3
template <class T, class Arch = simd::Arch>
void cauchy(std::span<const std::complex<double>> poles,
            std::span<const std::complex<double>> numerators, std::span<const T> nodes,
            std::span<std::complex<T>> sums, Workspace& workspace);

/// Adjoint of `cauchy`: adds to the gradients of poles and numerators what upstream g (J, K) says,
/// each d loss / d Re + i d loss / d Im.
///
/// Cost      14 + 8 J multiply-adds for each (k, n), beside the reciprocal
template <class T, class Arch = simd::Arch>
void cauchy_adjoint(std::span<const std::complex<double>> poles,
                    std::span<const std::complex<double>> numerators, std::span<const T> nodes,
                    std::span<const std::complex<T>> upstream,
                    std::span<std::complex<double>> of_poles,
                    std::span<std::complex<double>> of_numerators, Workspace& workspace);

namespace detail {

/// Poles and numerators of one channel with real and imaginary parts apart, and the sums made of them.
template <class T, class Arch>
class CauchyProblem {
public:
    CauchyProblem(std::size_t modes, std::size_t products, Workspace& workspace)
        : modes_(modes),
          products_(products),
          m_re(workspace.take<double>(modes).data()),
          m_im(workspace.take<double>(modes).data()),
          v_re(workspace.take<double>(modes * products).data()),
          v_im(workspace.take<double>(modes * products).data()),
          of_kappa(workspace.take<double>(modes * products).data()),
          of_nu(workspace.take<double>(modes * products).data()),
          of_square(workspace.take<double>(modes).data()),
          of_rho(workspace.take<double>(modes).data()),
          sums_(modes, products, workspace) {}

    /// After m and v were written.
    void prepare() noexcept {
        sums_.set_poles(m_re, m_im);
        for (std::size_t j = 0; j < products_; ++j)
            sums_.set_numerators(j, m_re, m_im, v_re + j * modes_, v_im + j * modes_);
    }
    [[nodiscard]] const CauchySums<T, Arch>& sums() const noexcept { return sums_; }

    /// From the upstream of the sums to gradients: body(n, of_m_re, of_m_im) for each pole and
    /// body_of_v(j, n, re, im) for each numerator.
    template <class OfPole, class OfNumerator>
    void adjoint(const T* y, std::size_t count, std::size_t stride,
                 const typename CauchySums<T, Arch>::Upstream& upstream, OfPole&& of_pole,
                 OfNumerator&& of_numerator) noexcept {
        for (std::size_t n = 0; n < modes_; ++n)
            of_square[n] = of_rho[n] = 0.0;
        sums_.adjoint(y, count, stride, upstream, {of_kappa, of_nu, of_square, of_rho});
        for (std::size_t n = 0; n < modes_; ++n) {
            double re = 2.0 * (of_square[n] * m_re[n] + of_rho[n]);
            double im = 2.0 * of_square[n] * m_im[n];
            for (std::size_t j = 0; j < products_; ++j) {
                const std::size_t i = j * modes_ + n;
                re += 2.0 * of_kappa[i] * v_re[i];
                im += 2.0 * of_kappa[i] * v_im[i];
                of_numerator(j, n, 2.0 * (of_kappa[i] * m_re[n] + of_nu[i]),
                             2.0 * of_kappa[i] * m_im[n]);
            }
            of_pole(n, re, im);
        }
    }

private:
    std::size_t modes_, products_;

public:
    double *m_re, *m_im;  ///< [n]
    double *v_re, *v_im;  ///< [product][n]

private:
    double *of_kappa, *of_nu, *of_square, *of_rho;
    CauchySums<T, Arch> sums_;
};

/// Checks shapes and returns the number of products.
inline std::size_t cauchy_products(std::size_t poles, std::size_t numerators, std::size_t nodes,
                                   std::size_t sums) {
    const std::size_t products = poles == 0 ? 0 : numerators / poles;
    require<ShapeError>(poles > 0 && numerators == products * poles && sums == products * nodes,
                        "ssm::cauchy: ", poles, " poles, ", numerators, " numerators, ", nodes,
                        " nodes and ", sums, " sums do not fit: expected n, J n, K and J K");
    return products;
}

template <class T, class Arch>
[[nodiscard]] CauchyProblem<T, Arch> cauchy_problem(
    std::span<const std::complex<double>> poles, std::span<const std::complex<double>> numerators,
    Workspace& workspace) {
    CauchyProblem<T, Arch> problem(poles.size(), numerators.size() / poles.size(), workspace);
    for (std::size_t n = 0; n < poles.size(); ++n) {
        problem.m_re[n] = poles[n].real();
        problem.m_im[n] = poles[n].imag();
    }
    for (std::size_t i = 0; i < numerators.size(); ++i) {
        problem.v_re[i] = numerators[i].real();
        problem.v_im[i] = numerators[i].imag();
    }
    problem.prepare();
    return problem;
}

}  // namespace detail

template <class T, class Arch>
void cauchy(std::span<const std::complex<double>> poles,
            std::span<const std::complex<double>> numerators, std::span<const T> nodes,
            std::span<std::complex<T>> sums, Workspace& workspace) {
    const std::size_t products =
        detail::cauchy_products(poles.size(), numerators.size(), nodes.size(), sums.size());
    const auto frame = workspace.frame();
    const auto problem = detail::cauchy_problem<T, Arch>(poles, numerators, workspace);
    const std::size_t stride = detail::padded<T>(nodes.size());
    const std::span<T> y = workspace.take_zero<T>(stride);
    std::copy(nodes.begin(), nodes.end(), y.begin());
    const std::span<T> re = workspace.take<T>(products * stride);
    const std::span<T> im = workspace.take<T>(products * stride);
    problem.sums().evaluate(y.data(), nodes.size(), stride, re.data(), im.data());
    for (std::size_t j = 0; j < products; ++j)
        for (std::size_t k = 0; k < nodes.size(); ++k)
            sums[j * nodes.size() + k] = {re[j * stride + k], im[j * stride + k]};
}

template <class T, class Arch>
void cauchy_adjoint(std::span<const std::complex<double>> poles,
                    std::span<const std::complex<double>> numerators, std::span<const T> nodes,
                    std::span<const std::complex<T>> upstream,
                    std::span<std::complex<double>> of_poles,
                    std::span<std::complex<double>> of_numerators, Workspace& workspace) {
    const std::size_t products =
        detail::cauchy_products(poles.size(), numerators.size(), nodes.size(), upstream.size());
    require<ShapeError>(
        of_poles.size() == poles.size() && of_numerators.size() == numerators.size(),
        "ssm::cauchy_adjoint: gradients of ", of_poles.size(), " poles and ", of_numerators.size(),
        " numerators, expected ", poles.size(), " and ", numerators.size());
    const auto frame = workspace.frame();
    auto problem = detail::cauchy_problem<T, Arch>(poles, numerators, workspace);
    const std::size_t stride = detail::padded<T>(nodes.size());
    const std::span<T> y = workspace.take_zero<T>(stride);
    std::copy(nodes.begin(), nodes.end(), y.begin());
    const std::span<T> g_re = workspace.take_zero<T>(products * stride);
    const std::span<T> g_im = workspace.take_zero<T>(products * stride);
    const std::span<T> g_Y = workspace.take_zero<T>(products * stride);
    for (std::size_t j = 0; j < products; ++j)
        for (std::size_t k = 0; k < nodes.size(); ++k) {
            const std::complex<T> g = upstream[j * nodes.size() + k];
            g_re[j * stride + k] = g.real();
            g_im[j * stride + k] = y[k] * g.imag();
            g_Y[j * stride + k] = y[k] * y[k] * g.real();
        }
    problem.adjoint(
        y.data(), nodes.size(), stride, {g_re.data(), g_im.data(), g_Y.data()},
        [&](std::size_t n, double re, double im) { of_poles[n] += std::complex(re, im); },
        [&](std::size_t j, std::size_t n, double re, double im) {
            of_numerators[j * poles.size() + n] += std::complex(re, im);
        });
}

}  // namespace ssm
