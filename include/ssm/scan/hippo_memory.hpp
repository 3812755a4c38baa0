#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

#include <Eigen/Core>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/discretize/dense.hpp>
#include <ssm/discretize/zoh.hpp>
#include <ssm/init/hippo/basis.hpp>
#include <ssm/init/hippo/legendre.hpp>

namespace ssm {

namespace detail {

/// The coefficients of some signals, (channels, N), and how they are read: what all memories share.
template <class T>
class MemoryCoefficients {
public:
    MemoryCoefficients(std::size_t channels, std::size_t N) : x_({channels, N}) {
        require<ValueError>(channels > 0 && N > 0, "ssm::HippoMemory: channels = ", channels,
                            " and state = ", N, " must be positive");
    }

    [[nodiscard]] std::size_t channels() const noexcept { return x_.extent(0); }
    /// N.
    [[nodiscard]] std::size_t size() const noexcept { return x_.extent(1); }
    /// The N coefficients of a signal.
    ///
    /// Errors    ValueError for a channel that is not there
    [[nodiscard]] std::span<const T> coefficients(std::size_t channel = 0) const {
        require<ValueError>(channel < channels(), "ssm::HippoMemory: channel ", channel, " of ",
                            channels());
        return x_.flat().subspan(channel * size(), size());
    }
    /// Samples seen.
    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    /// Forgets everything.
    void reset() noexcept {
        x_.fill(T(0));
        count_ = 0;
    }

    friend bool operator==(const MemoryCoefficients&, const MemoryCoefficients&) = default;

protected:
    /// One value for each number of steps ago.
    template <class ValueAt>
    void reconstruct_with(std::span<const double> steps_ago, double most, std::span<T> values,
                          const ValueAt& value_at) const {
        require<ShapeError>(steps_ago.size() == values.size(),
                            "ssm::HippoMemory: ", steps_ago.size(), " times and room for ",
                            values.size(), " values");
        for (const double steps : steps_ago)
            require<ValueError>(steps >= 0.0 && steps <= most, "ssm::HippoMemory: ", steps,
                                " steps ago, but the memory reaches from 0 to ", most);
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = static_cast<T>(value_at(steps_ago[i]));
    }

    Tensor<T> x_;
    std::size_t count_ = 0;
};

}  // namespace detail

/// Remembers signals in N numbers each, and gives back the past from them: online projection onto the basis of a HiPPO
/// measure. With a sliding window of `window` samples for LegT, LMU, Fourier, Fourier2 (and LagT, which has a time
/// scale instead); the one for LegS, without measure, remembers everything since the start.
///
///   HippoMemory<double, init::hippo::LegT> memory({.state = 32, .window = 1000});
///   for (const double sample : signal)
///       memory.update({&sample, 1});
///   memory.reconstruct(0, steps_ago, values);    // 0 the latest sample, 500 the middle of the window
///
/// Real time   update: noexcept, no allocation, N^2 multiply-adds a signal (LegS: 6 N)
/// Accuracy    that of the best approximation in the basis: a signal with no more than N / 2 waves in the window;
///             polynomials are best near the present, Fourier wants ends that meet
/// Errors      ValueError for sizes that are not positive, for channels that are not there and times outside the window
/// Source      arXiv:2008.07669; LMU: Voelker, Kajic, Eliasmith, NeurIPS 2019
template <class T, class Measure = init::hippo::LegS>
class HippoMemory : public detail::MemoryCoefficients<T> {
    using Base = detail::MemoryCoefficients<T>;
    using Basis = init::hippo::Basis<Measure>;

public:
    struct Options {
        std::size_t state = 64;    ///< N
        std::size_t channels = 1;  ///< signals
        double window = 1000.0;    ///< samples that are remembered
    };

    /// Discretised by a zero-order hold: samples are constant for a step.
    explicit HippoMemory(const Options& options, const Measure& measure = {})
        : Base(options.channels, options.state), window_(options.window) {
        require<ValueError>(options.window > 0.0 && std::isfinite(options.window),
                            "ssm::HippoMemory: window = ", options.window, " must be positive");
        const auto [A, B] = measure.transition(options.state);
        const DenseTransition step = discretize(Zoh{}, A, B, Basis::window / options.window);
        A_.assign(step.A.data(), step.A.data() + step.A.size());
        B_.assign(step.B.data(), step.B.data() + step.B.size());
        next_.resize(options.state);
    }

    /// Takes one sample of each signal.
    void update(std::span<const T> u) noexcept {
        const auto N = static_cast<Eigen::Index>(this->size());
        const Eigen::Map<const Eigen::VectorX<T>> B(B_.data(), N);
        Eigen::Map<Eigen::VectorX<T>> next(next_.data(), N);
        for (std::size_t c = 0; c < this->channels(); ++c) {
            Eigen::Map<Eigen::VectorX<T>> x(this->x_.data() + c * this->size(), N);
            next = B * u[c];
            next.noalias() += matrix_map(A_.data(), this->size(), this->size()) * x;
            x = next;
        }
        ++this->count_;
    }

    /// The signal `steps_ago` steps before the latest sample, any real numbers from 0 to window - 1.
    void reconstruct(std::size_t channel, std::span<const double> steps_ago,
                     std::span<T> values) const {
        const std::span<const T> x = this->coefficients(channel);
        this->reconstruct_with(steps_ago, window_ - 1.0, values, [&](double steps) {
            double sum = 0.0;
            Basis::for_each((steps + 0.5) / window_, x.size(),
                            [&](std::size_t n, double p) { sum += p * static_cast<double>(x[n]); });
            return sum;
        });
    }

private:
    double window_;
    AlignedVector<T> A_;
    AlignedVector<T> B_;
    AlignedVector<T> next_;
};

/// The whole history of signals, every moment weighted alike: HiPPO-LegS, whose time scale grows with what it has
/// seen. `alpha` is that of the generalised bilinear transform (0.5 bilinear; 0, forward Euler, needs more samples than
/// N). After the first sample, the history is that constant.
template <class T>
class HippoMemory<T, init::hippo::LegS> : public detail::MemoryCoefficients<T> {
    using Base = detail::MemoryCoefficients<T>;

public:
    struct Options {
        std::size_t state = 64;    ///< N
        std::size_t channels = 1;  ///< signals
        double alpha = 0.5;        ///< of the discretisation
    };

    explicit HippoMemory(const Options& options)
        : Base(options.channels, options.state),
          alpha_(static_cast<T>(options.alpha)),
          root_(options.state) {
        require<ValueError>(options.alpha >= 0.0 && options.alpha <= 1.0,
                            "ssm::HippoMemory: alpha = ", options.alpha, ", expected 0 to 1");
        for (std::size_t n = 0; n < root_.size(); ++n)
            root_[n] = static_cast<T>(std::sqrt(2.0 * static_cast<double>(n) + 1.0));
    }

    /// Takes one sample of each signal.
    void update(std::span<const T> u) noexcept {
        ++this->count_;
        for (std::size_t c = 0; c < this->channels(); ++c)
            advance(u[c], this->x_.data() + c * this->size());
    }

    /// The signal `steps_ago` steps before the latest sample, any real numbers from 0 to count() - 1.
    void reconstruct(std::size_t channel, std::span<const double> steps_ago,
                     std::span<T> values) const {
        const std::span<const T> x = this->coefficients(channel);
        const auto count = static_cast<double>(this->count_);
        this->reconstruct_with(steps_ago, count - 1.0, values, [&](double steps) {
            double sum = 0.0;
            init::hippo::detail::legendre(
                1.0 - 2.0 * (steps + 0.5) / count, x.size(), [&](std::size_t n, double p) {
                    sum += static_cast<double>(root_[n]) * p * static_cast<double>(x[n]);
                });
            return sum;
        });
    }

private:
    /// (I - alpha A / k) x_k = (I + (1 - alpha) A / k) x_{k-1} + B u / k. Row n of A x is -r_n sum_{m<n} r_m x_m
    /// - (n + 1) x_n with r_n = sqrt(2n+1): both sides need one running sum.
    void advance(T u, T* x) noexcept {
        if (this->count_ == 1) {
            x[0] = u;
            return;
        }
        const T step = T(1) / static_cast<T>(this->count_);
        const T ahead = alpha_ * step;
        const T behind = step - ahead;
        T before = T(0);
        T after = T(0);
        for (std::size_t n = 0; n < root_.size(); ++n) {
            const T r = root_[n];
            const auto decay = static_cast<T>(n + 1);
            const T right = x[n] - behind * (r * before + decay * x[n]) + step * r * u;
            before += r * x[n];
            x[n] = (right - ahead * r * after) / (T(1) + ahead * decay);
            after += r * x[n];
        }
    }

    T alpha_;
    AlignedVector<T> root_;
};

}  // namespace ssm
