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
#include <ssm/kernel/detail/generating_nodes.hpp>
#include <ssm/kernel/detail/generating_value.hpp>
#include <ssm/math/fft.hpp>
#include <ssm/math/right_angle_fft.hpp>
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
    using Transform = UnityTransform<T>;
    using Fft = math::RightAngleFft<T>;
    using Number = simd::Complex<double>;
    static constexpr std::size_t lanes = Fft::lanes;

public:
    /// For kernels of `length` numbers of which the first `count` are not cut off.
    GeneratingKernel(const DplrSystem& system, std::size_t length, std::size_t count,
                     Workspace& workspace)
        : system_(system),
          shape_(system.shape),
          L_(system.folded),
          length_(length),
          count_(std::min(count, L_)),
          products_(GeneratingValue<double>::products(shape_.heads, shape_.rank)),
          nodes_(workspace.table<Nodes>(L_)),
          workspace_(workspace) {
        if (Transform::has_size(L_)) {
            fft_ = &workspace.table<Fft>(L_);
            transform_ = &workspace.table<Transform>(L_);
        }
    }

    /// Whether no pole is at -1, where m is infinite.
    [[nodiscard]] static bool is_possible(const DplrSystem& system) noexcept {
        for (std::size_t i = 0; i < system.z.re.size(); ++i)
            if (std::hypot(1.0 + system.z.re[i], system.z.im[i]) < 1e-9)
                return false;
        return true;
    }

    void forward(std::span<T> kernel) const {
        run([&](const Worker& worker, std::size_t first, std::size_t channels) {
            for (std::size_t i = 0; i < channels; ++i)
                evaluate(worker, first + i, worker.values + i * value_size());
            for (std::size_t head = 0; head < shape_.heads; ++head)
                to_taps(worker, head, first, channels, kernel);
        });
    }

    /// Adds to `gradient`, whose c is that of C_tilde.
    void adjoint(std::span<const T> dkernel, DplrSystem& gradient) const {
        run([&](const Worker& worker, std::size_t first, std::size_t channels) {
            for (std::size_t head = 0; head < shape_.heads; ++head)
                from_taps(worker, head, first, channels, dkernel);
            for (std::size_t i = 0; i < channels; ++i)
                add_channel(worker, first + i, worker.values + i * value_size(), gradient);
        });
    }

private:
    /// Bins 0 .. L / 2.
    [[nodiscard]] std::size_t bins() const noexcept { return L_ / 2 + 1; }
    /// Numbers of the half spectra of one channel, [head][re, im][bins padded].
    [[nodiscard]] std::size_t value_size() const noexcept {
        return shape_.heads * 2 * padded<T>(bins());
    }
    [[nodiscard]] T* re_of(T* values, std::size_t head) const noexcept {
        return values + head * 2 * padded<T>(bins());
    }
    [[nodiscard]] T* im_of(T* values, std::size_t head) const noexcept {
        return re_of(values, head) + padded<T>(bins());
    }

    struct Worker {
        CauchyProblem<T, Arch> problem;
        T* values;  ///< half spectra of the channels of a register
        T* x;       ///< [L][re, im][lanes]
        T *sum_re, *sum_im, *third;
        double* shifted;  ///< 1 + z of each mode, [re, im][n]
        math::Fft<T>* fft;
        std::vector<std::complex<T>>* bins;
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
                return workspace_.template take_zero<T>(products_ * nodes_.stride).data();
            };
            CauchyProblem<T, Arch> problem(shape_.modes, products_, workspace_);
            T* const values = workspace_.template take<T>(lanes * value_size()).data();
            T* const x = workspace_.template take<T>(fft_ == nullptr ? L_ : fft_->numbers()).data();
            T *const re = sums(), *const im = sums(), *const third = sums();
            std::construct_at(&workers[i],
                              Worker{problem, values, x, re, im, third,
                                     workspace_.template take<double>(2 * shape_.modes).data(),
                                     &plain->ffts[i], &plain->bins[i]});
        }
        const std::size_t groups = (shape_.channels + lanes - 1) / lanes;
        parallel_for(
            groups,
            [&](std::size_t group, std::size_t worker) {
                const std::size_t first = group * lanes;
                body(workers[worker], first, std::min(lanes, shape_.channels - first));
            },
            TaskCost{0.1 * static_cast<double>(lanes * L_ * shape_.modes * products_)});
    }

    // ---- sums ------------------------------------------------------------------------------------

    /// The factors of product j: rows of c or q, and of b or p.
    struct Factors {
        const ComplexNumbers* left;
        std::size_t left_at;
        const ComplexNumbers* right;
        std::size_t right_at;
    };
    [[nodiscard]] Factors factors(std::size_t h, std::size_t j) const noexcept {
        const std::size_t b = system_.pole(h, 0);
        if (j < shape_.heads)
            return {&system_.c, system_.readout(j, h, 0), &system_.b, b};
        j -= shape_.heads;
        if (j < shape_.heads * shape_.rank)
            return {&system_.c, system_.readout(j / shape_.rank, h, 0), &system_.p,
                    system_.correction(j % shape_.rank, h, 0)};
        j -= shape_.heads * shape_.rank;
        if (j < shape_.rank)
            return {&system_.q, system_.correction(j, h, 0), &system_.b, b};
        j -= shape_.rank;
        return {&system_.q, system_.correction(j / shape_.rank, h, 0), &system_.p,
                system_.correction(j % shape_.rank, h, 0)};
    }
    [[nodiscard]] static Number number(const ComplexNumbers& from, std::size_t at) noexcept {
        return {from.re[at], from.im[at]};
    }
    static void add(ComplexNumbers& to, std::size_t at, Number x) noexcept {
        to.re[at] += x.re;
        to.im[at] += x.im;
    }
    [[nodiscard]] Number product(const Factors& of, std::size_t n) const noexcept {
        return number(*of.left, of.left_at + n) * number(*of.right, of.right_at + n);
    }
    [[nodiscard]] Number one_plus_z(std::size_t h, std::size_t n) const noexcept {
        return Number{1.0, 0.0} + number(system_.z, system_.pole(h, n));
    }

    /// Numerators v / (2 (1 + z)) and poles m of a channel: the factor 2 of conjugate pairs is in c and q.
    void set_channel(Worker& worker, std::size_t h) const noexcept {
        CauchyProblem<T, Arch>& problem = worker.problem;
        const std::size_t modes = shape_.modes;
        for (std::size_t n = 0; n < modes; ++n) {
            const Number inverse = divide(Number{0.5, 0.0}, one_plus_z(h, n));
            worker.shifted[n] = inverse.re;
            worker.shifted[modes + n] = inverse.im;
            const Number z = number(system_.z, system_.pole(h, n));
            const Number m = Number{1.0 - z.re, -z.im} * inverse * 2.0;
            problem.m_re[n] = m.re;
            problem.m_im[n] = m.im;
        }
        for (std::size_t j = 0; j < products_; ++j) {
            const Factors of = factors(h, j);
            for (std::size_t n = 0; n < modes; ++n) {
                const Number v =
                    product(of, n) * Number{worker.shifted[n], worker.shifted[modes + n]};
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
                std::copy_n(lane, here, re_of(values, head) + 1 + k);
                simd::store(lane, result.im);
                std::copy_n(lane, here, im_of(values, head) + 1 + k);
            }
        }
        for_each_end([&](std::size_t bin, double cos, double sin) {
            const EndSums sums(*this, h, cos, sin);
            const GeneratingValue<double> value(shape_.heads, shape_.rank, {cos, sin}, sums);
            for (std::size_t head = 0; head < shape_.heads; ++head) {
                const Number result = value.of_head(head, sums);
                re_of(values, head)[bin] = static_cast<T>(result.re);
                im_of(values, head)[bin] = static_cast<T>(result.im);
            }
        });
    }

    /// body(bin, cos, sin of theta / 2) at theta = 0 and, for even L, pi.
    template <class Body>
    void for_each_end(Body&& body) const {
        body(std::size_t{0}, 1.0, 0.0);
        if (L_ % 2 == 0)
            body(L_ / 2, 0.0, 1.0);
    }

    /// The sums of v / d and their conjugates at one node, in double: d = cos (1 - z) + i sin (1 + z).
    class EndSums {
    public:
        EndSums(const GeneratingKernel& kernel, std::size_t h, double cos, double sin) noexcept
            : kernel_(kernel), h_(h), cos_(cos), sin_(sin) {}

        [[nodiscard]] Number reciprocal(std::size_t n) const noexcept {
            const Number z = number(kernel_.system_.z, kernel_.system_.pole(h_, n));
            return divide(Number{1.0, 0.0}, Number{cos_ * (1.0 - z.re) - sin_ * z.im,
                                                   sin_ * (1.0 + z.re) - cos_ * z.im});
        }
        /// The same for the conjugate partner.
        [[nodiscard]] Number partner(std::size_t n) const noexcept {
            const Number z = number(kernel_.system_.z, kernel_.system_.pole(h_, n));
            return divide(Number{1.0, 0.0}, Number{cos_ * (1.0 - z.re) + sin_ * z.im,
                                                   sin_ * (1.0 + z.re) + cos_ * z.im});
        }
        [[nodiscard]] Number operator()(std::size_t j) const noexcept {
            const Factors of = kernel_.factors(h_, j);
            Number sum{0.0, 0.0};
            for (std::size_t n = 0; n < kernel_.shape_.modes; ++n) {
                const Number v = kernel_.product(of, n) * 0.5;
                sum += v * reciprocal(n) + simd::conj(v) * partner(n);
            }
            return sum;
        }

    private:
        const GeneratingKernel& kernel_;
        std::size_t h_;
        double cos_, sin_;
    };

    // ---- Fourier transforms ----------------------------------------------------------------------

    [[nodiscard]] std::size_t first_tap(std::size_t head, std::size_t h) const noexcept {
        return (head * shape_.channels + h) * length_;
    }

    void to_taps(const Worker& worker, std::size_t head, std::size_t first, std::size_t channels,
                 std::span<T> kernel) const {
        const std::size_t used = std::min(length_, count_);
        if (fft_ == nullptr) {
            for (std::size_t i = 0; i < channels; ++i) {
                T* const values = worker.values + i * value_size();
                worker.bins->resize(bins());
                for (std::size_t k = 0; k < bins(); ++k)
                    (*worker.bins)[k] = {re_of(values, head)[k], im_of(values, head)[k]};
                worker.fft->irfft(*worker.bins, {worker.x, L_});
                std::copy_n(worker.x, used, kernel.data() + first_tap(head, first + i));
            }
        } else {
            for (std::size_t i = 0; i < channels; ++i) {
                T* const re = re_of(worker.values + i * value_size(), head);
                T* const im = im_of(worker.values + i * value_size(), head);
                T* to = worker.x + i;
                for (std::size_t point = 0; point < L_; ++point, to += 2 * lanes) {
                    const std::size_t k = transform_->node[point];
                    const bool upper = 2 * k > L_;
                    const std::size_t bin = upper ? L_ - k : k;
                    to[0] = re[bin];
                    to[lanes] = upper ? -im[bin] : im[bin];
                }
            }
            fft_->inverse(worker.x);
            const T scale = T(1) / static_cast<T>(L_);
            for (std::size_t l = 0; l < used; ++l) {
                const T re = scale * transform_->turn_re[l];
                const T im = scale * transform_->turn_im[l];
                const T* const x = worker.x + 2 * l * lanes;
                for (std::size_t i = 0; i < channels; ++i)
                    kernel[first_tap(head, first + i) + l] = re * x[i] + im * x[lanes + i];
            }
        }
        for (std::size_t i = 0; i < channels; ++i)
            std::fill_n(kernel.data() + first_tap(head, first + i) + used, length_ - used, T(0));
    }

    /// The gradients of the bins: 2 / L sum_l dK_l w^l, half of it at the ends.
    void from_taps(const Worker& worker, std::size_t head, std::size_t first, std::size_t channels,
                   std::span<const T> dkernel) const {
        const std::size_t used = std::min(length_, count_);
        const T scale = T(2) / static_cast<T>(L_);
        if (fft_ == nullptr) {
            for (std::size_t i = 0; i < channels; ++i) {
                const T* const taps = dkernel.data() + first_tap(head, first + i);
                std::fill(std::copy_n(taps, used, worker.x), worker.x + L_, T(0));
                worker.bins->resize(bins());
                worker.fft->rfft({worker.x, L_}, *worker.bins);
                T* const values = worker.values + i * value_size();
                for (std::size_t k = 0; k < bins(); ++k) {
                    re_of(values, head)[k] = scale * (*worker.bins)[k].real();
                    im_of(values, head)[k] = scale * (*worker.bins)[k].imag();
                }
            }
        } else {
            std::fill_n(worker.x, fft_->numbers(), T(0));
            for (std::size_t l = 0; l < used; ++l) {
                const T re = scale * transform_->turn_re[l];
                const T im = scale * transform_->turn_im[l];
                T* const x = worker.x + 2 * l * lanes;
                for (std::size_t i = 0; i < channels; ++i) {
                    const T tap = dkernel[first_tap(head, first + i) + l];
                    x[i] = re * tap;
                    x[lanes + i] = im * tap;
                }
            }
            fft_->forward(worker.x);
            for (std::size_t i = 0; i < channels; ++i) {
                T* const re = re_of(worker.values + i * value_size(), head);
                T* const im = im_of(worker.values + i * value_size(), head);
                const T* from = worker.x + i;
                for (std::size_t point = 0; point < L_; ++point, from += 2 * lanes) {
                    const std::size_t k = transform_->node[point];
                    if (2 * k > L_)
                        continue;
                    re[k] = from[0];
                    im[k] = from[lanes];
                }
            }
        }
        for (std::size_t i = 0; i < channels; ++i)
            for_each_end([&](std::size_t bin, double, double) {
                re_of(worker.values + i * value_size(), head)[bin] *= T(0.5);
                im_of(worker.values + i * value_size(), head)[bin] *= T(0.5);
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
                    std::copy_n(re_of(values, head) + 1 + k, here, re_lane);
                    std::copy_n(im_of(values, head) + 1 + k, here, im_lane);
                    return simd::Complex<Pack>{simd::load(re_lane), simd::load(im_lane)};
                },
                [&](std::size_t j, simd::Complex<Pack> g) { gradients[j] = g * scale; });
            for (std::size_t j = 0; j < products_; ++j) {
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
                add(gradient.z, system_.pole(h, n),
                    simd::conj_mul(inverse(n) * inverse(n) * -8.0, Number{re, im}));
            },
            [&](std::size_t j, std::size_t n, double re, double im) {
                const Number g{re, im};
                const Factors of = factors(h, j);
                add_product(of, n, simd::conj_mul(inverse(n), g), gradient);
                add(gradient.z, system_.pole(h, n),
                    simd::conj_mul(product(of, n) * inverse(n) * inverse(n) * -2.0, g));
            });
        for_each_end([&](std::size_t bin, double cos, double sin) {
            add_end(h, bin, cos, sin, values, gradient);
        });
    }

    /// From the gradient of a product to its factors.
    void add_product(const Factors& of, std::size_t n, Number g,
                     DplrSystem& gradient) const noexcept {
        ComplexNumbers& left = of.left == &system_.c ? gradient.c : gradient.q;
        ComplexNumbers& right = of.right == &system_.b ? gradient.b : gradient.p;
        add(left, of.left_at + n, simd::conj_mul(number(*of.right, of.right_at + n), g));
        add(right, of.right_at + n, simd::conj_mul(number(*of.left, of.left_at + n), g));
    }

    /// One of the ends, in double: h = (v / d + conj(v) / d') / 2.
    void add_end(std::size_t h, std::size_t bin, double cos, double sin, T* values,
                 DplrSystem& gradient) const noexcept {
        const EndSums sums(*this, h, cos, sin);
        const GeneratingValue<double> value(shape_.heads, shape_.rank, {cos, sin}, sums);
        value.adjoint(
            sums,
            [&](std::size_t head) {
                return Number{static_cast<double>(re_of(values, head)[bin]),
                              static_cast<double>(im_of(values, head)[bin])};
            },
            [&](std::size_t j, Number g) {
                const Factors of = factors(h, j);
                for (std::size_t n = 0; n < shape_.modes; ++n) {
                    const Number v = product(of, n);
                    const Number a = sums.reciprocal(n);
                    const Number b = sums.partner(n);
                    const Number of_v = simd::conj_mul(a, g) + simd::conj(g) * b;
                    add_product(of, n, of_v * 0.5, gradient);
                    // d = cos (1 - z) + i sin (1 + z): dd/dz = i sin - cos, and so for the partner of conj(z).
                    const Number slope{-cos, sin};
                    const Number along = simd::conj_mul(v * a * a * slope, g) +
                                         simd::conj(g) * (simd::conj(v) * b * b * slope);
                    add(gradient.z, system_.pole(h, n), along * -0.5);
                }
            });
    }

    /// Products of rank 8 with 24 heads; more are computed by the recurrence.
    static constexpr std::size_t most_products = 288;

public:
    [[nodiscard]] static bool has_room(const DplrShape& shape) noexcept {
        return GeneratingValue<double>::products(shape.heads, shape.rank) <= most_products;
    }

private:
    const DplrSystem& system_;
    const DplrShape& shape_;
    std::size_t L_, length_, count_, products_;
    const Nodes& nodes_;
    Workspace& workspace_;
    const Fft* fft_ = nullptr;
    const Transform* transform_ = nullptr;
};

}  // namespace ssm::detail
