#pragma once

#include <cmath>
#include <cstddef>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/error.hpp>
#include <ssm/train/loss.hpp>

/// Losses that are a mean (or sum) over numbers: loss = mean_i f(y_i, t_i), with its gradient.
///
/// Shapes    y, target and dy have one shape; an empty dy is not wanted
/// Aliasing  dy may be y or target exactly
/// Errors    ShapeError for shapes that differ; ValueError for a parameter outside its range. NaN
///           spreads into the loss; the mean over nothing is 0.
/// Threads   in parallel, the same bits for any number of threads
namespace ssm::loss {

/// Loss of one number and its derivative by y.
template <class T>
struct Point {
    T value;
    T slope;
};

namespace detail {

template <class T>
void check_shapes(BatchView<const T> y, BatchView<const T> target, BatchView<T> dy) {
    require_shape("ssm::loss: target", target.shape(), y.shape());
    ssm::detail::require_gradient("ssm::loss: gradient", dy, y.shape());
}

/// Sum or mean of `f.point(y_i, t_i).value`; scaled slopes go to dy.
template <class T, class Function>
Loss reduce(const Function& f, BatchView<const T> y, BatchView<const T> target, BatchView<T> dy) {
    check_shapes(y, target, dy);
    f.check();
    const double weight = static_cast<double>(y.size());
    const double scale = ssm::detail::reduction_scale(f.reduction, weight);
    const T slope_scale = static_cast<T>(scale);
    const double sum = ssm::detail::parallel_sum(
        y.size(), std::size_t{16384}, [&](std::size_t begin, std::size_t end) {
            return ssm::detail::interleaved_sum(begin, end, [&](std::size_t i) {
                const Point<T> at = f.point(y.data()[i], target.data()[i]);
                if (!dy.empty())
                    dy.data()[i] = slope_scale * at.slope;
                return static_cast<double>(at.value);
            });
        });
    return {scale * sum, weight};
}

}  // namespace detail

/// Any of these losses without reduction: `losses_i = f(y_i, t_i)`, and `dy_i = upstream_i f'(y_i,
/// t_i)` unless dy is empty; an empty upstream is all ones.
template <class Function>
void each(const Function& f, BatchView<const value_t<Function>> y,
          BatchView<const value_t<Function>> target, BatchView<value_t<Function>> losses,
          BatchView<const value_t<Function>> upstream = {}, BatchView<value_t<Function>> dy = {}) {
    using T = value_t<Function>;
    detail::check_shapes(y, target, dy);
    require_shape("ssm::loss: losses", losses.shape(), y.shape());
    if (upstream.data() != nullptr)
        require_shape("ssm::loss: upstream gradient", upstream.shape(), y.shape());
    f.check();
    for (std::size_t i = 0; i < y.size(); ++i) {
        const Point<T> at = f.point(y.data()[i], target.data()[i]);
        if (!dy.empty())
            dy.data()[i] = upstream.empty() ? at.slope : upstream.data()[i] * at.slope;
        losses.data()[i] = at.value;
    }
}

/// Mean squared error, f = (y - t)^2.
template <class T>
struct MSE {
    using value_type = T;
    Reduction reduction = Reduction::mean;

    Loss operator()(BatchView<const T> y, BatchView<const T> target, BatchView<T> dy = {}) const {
        return detail::reduce(*this, y, target, dy);
    }
    [[nodiscard]] Point<T> point(T y, T t) const noexcept {
        return {(y - t) * (y - t), T(2) * (y - t)};
    }
    void check() const noexcept {}
};

/// Mean absolute error (L1), f = |y - t|; the slope at 0 is 0.
template <class T>
struct MAE {
    using value_type = T;
    Reduction reduction = Reduction::mean;

    Loss operator()(BatchView<const T> y, BatchView<const T> target, BatchView<T> dy = {}) const {
        return detail::reduce(*this, y, target, dy);
    }
    [[nodiscard]] Point<T> point(T y, T t) const noexcept {
        return {std::abs(y - t), static_cast<T>(y > t) - static_cast<T>(y < t)};
    }
    void check() const noexcept {}
};

/// f = e^2 / 2 where |e| < delta, delta (|e| - delta / 2) elsewhere; e = y - t, delta > 0.
template <class T>
struct Huber {
    using value_type = T;
    double delta = 1.0;
    Reduction reduction = Reduction::mean;

    Loss operator()(BatchView<const T> y, BatchView<const T> target, BatchView<T> dy = {}) const {
        return detail::reduce(*this, y, target, dy);
    }
    [[nodiscard]] Point<T> point(T y, T t) const noexcept {
        const T width = static_cast<T>(delta);
        const T error = y - t;
        if (std::abs(error) < width)
            return {T(0.5) * error * error, error};
        return {width * (std::abs(error) - T(0.5) * width), std::copysign(width, error)};
    }
    void check() const {
        require<ValueError>(delta > 0.0 && std::isfinite(delta), "ssm::loss::Huber: delta ", delta,
                            " is not a positive number");
    }
};

/// f = e^2 / (2 beta) where |e| < beta, |e| - beta / 2 elsewhere; e = y - t, beta >= 0; beta = 0 is
/// MAE.
template <class T>
struct SmoothL1 {
    using value_type = T;
    double beta = 1.0;
    Reduction reduction = Reduction::mean;

    Loss operator()(BatchView<const T> y, BatchView<const T> target, BatchView<T> dy = {}) const {
        return detail::reduce(*this, y, target, dy);
    }
    [[nodiscard]] Point<T> point(T y, T t) const noexcept {
        const T width = static_cast<T>(beta);
        const T error = y - t;
        if (std::abs(error) < width)
            return {T(0.5) * error * error / width, error / width};
        return {std::abs(error) - T(0.5) * width, static_cast<T>(y > t) - static_cast<T>(y < t)};
    }
    void check() const {
        require<ValueError>(beta >= 0.0 && std::isfinite(beta), "ssm::loss::SmoothL1: beta ", beta,
                            " is negative or not finite");
    }
};

/// Binary cross-entropy of the logistic function of logits, f = -t log s(y) - (1 - t) log(1 - s(y))
/// with s(y) = 1 / (1 + exp(-y)), without overflow; targets in [0, 1].
template <class T>
struct BinaryCrossEntropy {
    using value_type = T;
    Reduction reduction = Reduction::mean;

    Loss operator()(BatchView<const T> y, BatchView<const T> target, BatchView<T> dy = {}) const {
        return detail::reduce(*this, y, target, dy);
    }
    [[nodiscard]] Point<T> point(T y, T t) const noexcept {
        const T small = std::exp(-std::abs(y));
        const T positive = y > T(0) ? y : T(0);
        const T logistic = (y > T(0) ? T(1) : small) / (T(1) + small);
        return {positive - y * t + std::log1p(small), logistic - t};
    }
    void check() const noexcept {}
};

}  // namespace ssm::loss
