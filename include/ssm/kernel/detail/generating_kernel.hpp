#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <span>
#include <vector>

#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/dplr_system.hpp>
#include <ssm/kernel/cauchy.hpp>
#include <ssm/kernel/detail/generating_end.hpp>
#include <ssm/kernel/detail/generating_nodes.hpp>
#include <ssm/kernel/detail/generating_products.hpp>
#include <ssm/kernel/detail/generating_taps.hpp>
#include <ssm/kernel/detail/generating_value.hpp>
#include <ssm/math/fft.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::detail {

/// K of systems with C folded for L steps, from their generating function at the L-th roots of unity,
///
///   K^(w) = sum_l K_l w^l = C_tilde (I - w A_bar)^{-1} b      w = e^{-i theta}
///
/// With A_bar = diag(z) - p q^T this takes sums of c b, c p, q b, q p over 1 - w z, and
///
///   1 - w z = e^{-i theta / 2} (1 + z) cos(theta / 2) (m + i tan(theta / 2))      m = (1 - z) / (1 + z)
///
/// makes them Cauchy sums whose denominators do not cancel. K is then an inverse Fourier transform: of a register of
/// channels at once for lengths that `RightAngleFft` has, R 4^k with R up to 7, of one channel for others.
template <class T, class Arch = simd::Arch>
class GeneratingKernel {
    using Pack = simd::Pack<T>;
    using Nodes = GeneratingNodes<T>;
    using Number = GeneratingProducts::Number;
    static constexpr std::size_t lanes = GeneratingTaps<T>::lanes;

public:
    /// For kernels of `length` numbers of which the first `count` are not cut off.
    GeneratingKernel(const DplrSystem& system, std::size_t length, std::size_t count,
                     Workspace& workspace)
        : shape_(system.shape),
          products_(system),
          spectrum_{system.folded, shape_.heads},
          taps_(spectrum_, shape_.channels, length, count, workspace),
          nodes_(workspace.table<Nodes>(system.folded)),
          workspace_(workspace) {}

    /// Whether no pole is at -1, where m is infinite.
    [[nodiscard]] static bool is_possible(const DplrSystem& system) noexcept {
        for (std::size_t i = 0; i < system.z.re.size(); ++i)
            if (std::hypot(1.0 + system.z.re[i], system.z.im[i]) < 1e-9)
                return false;
        return true;
    }

    [[nodiscard]] static bool has_room(const DplrShape& shape) noexcept {
        return GeneratingValue<double>::products(shape.heads, shape.rank) <= most_products;
    }

    void forward(std::span<T> kernel) const {
        run([&](const Worker& worker, std::size_t first, std::size_t channels) {
            for (std::size_t i = 0; i < channels; ++i)
                evaluate(worker, first + i, worker.values + i * spectrum_.size());
            for (std::size_t head = 0; head < shape_.heads; ++head)
                taps_.forward(worker.taps, worker.values, head, first, channels, kernel);
        });
    }

    /// Adds to `gradient`, whose c is that of C_tilde.
    void adjoint(std::span<const T> dkernel, DplrSystem& gradient) const {
        run([&](const Worker& worker, std::size_t first, std::size_t channels) {
            for (std::size_t head = 0; head < shape_.heads; ++head)
                taps_.adjoint(worker.taps, worker.values, head, first, channels, dkernel);
            for (std::size_t i = 0; i < channels; ++i)
                add_channel(worker, first + i, worker.values + i * spectrum_.size(), gradient);
        });
    }

private:
    struct Worker {
        CauchyProblem<T, Arch> problem;
        T* values;  ///< half spectra of the channels of a register
        T *sum_re, *sum_im, *third;
        double* shifted;  ///< 1 / (2 (1 + z)) of each mode, [re, im][n]
        typename GeneratingTaps<T>::Scratch taps;
    };

    template <class Body>
    void run(Body&& body) const {
        const auto frame = workspace_.frame();
        struct Plain {
            std::vector<math::Fft<T>> ffts;
            std::vector<std::vector<std::complex<T>>> bins;
        };
        const auto plain = workspace_.template borrow<Plain>();
        if (plain->ffts.size() < threads()) {
            plain->ffts.resize(threads());
            plain->bins.resize(threads());
        }
        const std::size_t count = threads();
        const std::span<Worker> workers = workspace_.template take<Worker>(count);
        for (std::size_t i = 0; i < count; ++i) {
            const auto sums = [&] {
                return workspace_.template take_zero<T>(products_.count() * nodes_.stride).data();
            };
            CauchyProblem<T, Arch> problem(shape_.modes, products_.count(), workspace_);
            T* const values = workspace_.template take<T>(lanes * spectrum_.size()).data();
            T* const x = workspace_.template take<T>(taps_.numbers()).data();
            T *const re = sums(), *const im = sums(), *const third = sums();
            std::construct_at(&workers[i],
                              Worker{problem,
                                     values,
                                     re,
                                     im,
                                     third,
                                     workspace_.template take<double>(2 * shape_.modes).data(),
                                     {x, &plain->ffts[i], &plain->bins[i]}});
        }
        const std::size_t groups = (shape_.channels + lanes - 1) / lanes;
        parallel_for(
            groups,
            [&](std::size_t group, std::size_t worker) {
                const std::size_t first = group * lanes;
                body(workers[worker], first, std::min(lanes, shape_.channels - first));
            },
            TaskCost{0.1 * static_cast<double>(lanes * spectrum_.length * shape_.modes *
                                               products_.count())});
    }

    // ---- sums ------------------------------------------------------------------------------------

    /// Numerators v / (2 (1 + z)) and poles m of a channel: the factor 2 of conjugate pairs is in c and q.
    void set_channel(Worker& worker, std::size_t h) const noexcept {
        CauchyProblem<T, Arch>& problem = worker.problem;
        const std::size_t modes = shape_.modes;
        for (std::size_t n = 0; n < modes; ++n) {
            const Number z = products_.pole(h, n);
            const Number inverse = divide(Number{0.5, 0.0}, Number{1.0 + z.re, z.im});
            worker.shifted[n] = inverse.re;
            worker.shifted[modes + n] = inverse.im;
            const Number m = Number{1.0 - z.re, -z.im} * inverse * 2.0;
            problem.m_re[n] = m.re;
            problem.m_im[n] = m.im;
        }
        for (std::size_t j = 0; j < products_.count(); ++j) {
            const auto of = products_.factors(h, j);
            for (std::size_t n = 0; n < modes; ++n) {
                const Number v =
                    products_.product(of, n) * Number{worker.shifted[n], worker.shifted[modes + n]};
                problem.v_re[j * modes + n] = v.re;
                problem.v_im[j * modes + n] = v.im;
            }
        }
        problem.prepare();
        problem.sums().evaluate(nodes_.y.data(), nodes_.count, nodes_.stride, worker.sum_re,
                                worker.sum_im);
    }

    /// The sums at a pack of nodes.
    struct PackSums {
        const Worker& worker;
        std::size_t stride;
        std::size_t k;
        Pack scale;
        SSM_INLINE simd::Complex<Pack> operator()(std::size_t j) const noexcept {
            const std::size_t at = j * stride + k;
            return {scale * simd::load(worker.sum_re + at), scale * simd::load(worker.sum_im + at)};
        }
    };

    [[nodiscard]] GeneratingValue<Pack> value_at(const PackSums& sums,
                                                 std::size_t k) const noexcept {
        return {shape_.heads, shape_.rank,
                simd::Complex<Pack>{simd::load(nodes_.cos.data() + k),
                                    simd::load(nodes_.sin.data() + k)},
                sums};
    }

    void evaluate(Worker worker, std::size_t h, T* values) const noexcept {
        set_channel(worker, h);
        T lane[lanes];
        for (std::size_t k = 0; k < nodes_.count; k += lanes) {
            const PackSums sums{worker, nodes_.stride, k,
                                simd::load(nodes_.inverse_cos.data() + k)};
            const auto value = value_at(sums, k);
            const std::size_t here = std::min(lanes, nodes_.count - k);
            for (std::size_t head = 0; head < shape_.heads; ++head) {
                const auto result = value.of_head(head, sums);
                simd::store(lane, result.re);
                std::copy_n(lane, here, spectrum_.re(values, head) + 1 + k);
                simd::store(lane, result.im);
                std::copy_n(lane, here, spectrum_.im(values, head) + 1 + k);
            }
        }
        spectrum_.for_each_end([&](std::size_t bin, double cos, double sin) {
            const GeneratingEnd end(products_, h, cos, sin);
            for (std::size_t head = 0; head < shape_.heads; ++head) {
                const Number result = end.of_head(head);
                spectrum_.re(values, head)[bin] = static_cast<T>(result.re);
                spectrum_.im(values, head)[bin] = static_cast<T>(result.im);
            }
        });
    }

    // ---- adjoint of the sums ---------------------------------------------------------------------

    void add_channel(Worker worker, std::size_t h, T* values, DplrSystem& gradient) const noexcept {
        set_channel(worker, h);
        T re_lane[lanes], im_lane[lanes];
        for (std::size_t k = 0; k < nodes_.count; k += lanes) {
            const Pack scale = simd::load(nodes_.inverse_cos.data() + k);
            const Pack y = simd::load(nodes_.y.data() + k);
            const PackSums sums{worker, nodes_.stride, k, scale};
            const auto value = value_at(sums, k);
            const std::size_t here = std::min(lanes, nodes_.count - k);
            // The sums are read until the last gradient is known.
            simd::Complex<Pack> gradients[most_products];
            value.adjoint(
                sums,
                [&](std::size_t head) {
                    std::fill_n(re_lane, lanes, T(0));
                    std::fill_n(im_lane, lanes, T(0));
                    std::copy_n(spectrum_.re(values, head) + 1 + k, here, re_lane);
                    std::copy_n(spectrum_.im(values, head) + 1 + k, here, im_lane);
                    return simd::Complex<Pack>{simd::load(re_lane), simd::load(im_lane)};
                },
                [&](std::size_t j, simd::Complex<Pack> g) { gradients[j] = g * scale; });
            for (std::size_t j = 0; j < products_.count(); ++j) {
                const std::size_t at = j * nodes_.stride + k;
                simd::store(worker.sum_re + at, gradients[j].re);
                simd::store(worker.sum_im + at, y * gradients[j].im);
                simd::store(worker.third + at, y * y * gradients[j].re);
            }
        }
        const std::size_t modes = shape_.modes;
        const auto inverse = [&](std::size_t n) {
            return Number{worker.shifted[n], worker.shifted[modes + n]};
        };
        worker.problem.adjoint(
            nodes_.y.data(), nodes_.count, nodes_.stride,
            {worker.sum_re, worker.sum_im, worker.third},
            [&](std::size_t n, double re, double im) {  // dm = -2 dz / (1 + z)^2
                products_.add_pole(
                    h, n, simd::conj_mul(inverse(n) * inverse(n) * -8.0, Number{re, im}), gradient);
            },
            [&](std::size_t j, std::size_t n, double re, double im) {
                const Number g{re, im};
                const auto of = products_.factors(h, j);
                products_.add_product(of, n, simd::conj_mul(inverse(n), g), gradient);
                products_.add_pole(
                    h, n,
                    simd::conj_mul(products_.product(of, n) * inverse(n) * inverse(n) * -2.0, g),
                    gradient);
            });
        spectrum_.for_each_end([&](std::size_t bin, double cos, double sin) {
            GeneratingEnd(products_, h, cos, sin)
                .adjoint(
                    [&](std::size_t head) {
                        return Number{static_cast<double>(spectrum_.re(values, head)[bin]),
                                      static_cast<double>(spectrum_.im(values, head)[bin])};
                    },
                    gradient);
        });
    }

    /// Products of rank 8 with 24 heads; more are computed by the recurrence.
    static constexpr std::size_t most_products = 288;

    const DplrShape& shape_;
    GeneratingProducts products_;
    HalfSpectrum<T> spectrum_;
    GeneratingTaps<T> taps_;
    const Nodes& nodes_;
    Workspace& workspace_;
};

}  // namespace ssm::detail
