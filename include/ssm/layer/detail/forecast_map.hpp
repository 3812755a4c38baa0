#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <Eigen/Core>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/workspace.hpp>

namespace ssm::detail {

/// The weights of one channel of a closed loop (d numbers each), or their gradients.
struct ForecastRows {
    std::span<double> a, b, b_hat, c_hat, k, k_hat;
};

/// A closed loop of one channel as two matrices, x_L = Z V and y = x_L R^T for all sequences at once:
///
///   Z (batch, L) the window backward in time, V (L, d) with rows A^l b, R (heads horizon, d) with rows r M^j
///
/// where r is c_hat, and k for the predicted inputs. The recursions run in double and once for all sequences.
template <class T>
class ForecastMap {
public:
    ForecastMap(const Shape& window, std::size_t state, std::size_t horizon, std::size_t heads,
                Workspace& workspace)
        : batch_(window.batch),
          length_(window.length),
          d_(state),
          horizon_(horizon),
          heads_(heads) {
        const std::size_t rows = heads * horizon;
        window_ = workspace.take<T>(batch_ * length_).data();
        dwindow_ = workspace.take<T>(batch_ * length_).data();
        powers_ = workspace.take<T>(length_ * d_).data();
        readout_ = workspace.take<T>(rows * d_).data();
        x_ = workspace.take<T>(batch_ * d_).data();
        y_ = workspace.take<T>(batch_ * rows).data();
        dx_ = workspace.take<T>(batch_ * d_).data();
        exact_powers_ = workspace.take<double>(length_ * d_).data();
        exact_readout_ = workspace.take<double>(rows * d_).data();
        row_ = workspace.take<double>(d_);
    }

    /// Both matrices, the window of channel `h`, and the states behind it.
    void prepare(const ForecastRows& rows, BatchView<const T> u, std::size_t h,
                 const Context& context) {
        fill_powers(rows);
        fill_readout(rows, 0, rows.c_hat);
        if (heads_ > 1)
            fill_readout(rows, 1, rows.k);
        for (std::size_t b = 0; b < batch_; ++b) {
            const Window steps = window_of(b, context);
            T* const z = window_ + b * length_;
            std::fill(z, z + length_, T(0));
            for (std::size_t l = steps.begin; l < steps.end; ++l)
                z[steps.end - 1 - l] = u(b, l, h);
        }
        x().noalias() = z() * powers();
    }

    /// Column h, and H + h for the inputs, of y (batch, horizon, heads H).
    void forecast(BatchView<T> y, std::size_t h) {
        outputs().noalias() = x() * readout().transpose();
        const std::size_t channels = y.channels() / heads_;
        for (std::size_t b = 0; b < batch_; ++b)
            for (std::size_t r = 0; r < heads_ * horizon_; ++r)
                y(b, r % horizon_, r / horizon_ * channels + h) = y_[b * heads_ * horizon_ + r];
    }

    /// Overwrites column h of du, unless empty, and adds to the gradients of the rows. `prepare` came before.
    void backward(const ForecastRows& rows, BatchView<const T> dy, BatchView<T> du, std::size_t h,
                  const Context& context, const ForecastRows& gradient) {
        const std::size_t channels = dy.channels() / heads_;
        for (std::size_t b = 0; b < batch_; ++b)
            for (std::size_t r = 0; r < heads_ * horizon_; ++r)
                y_[b * heads_ * horizon_ + r] = dy(b, r % horizon_, r / horizon_ * channels + h);
        dx().noalias() = outputs() * readout();
        readout().noalias() = outputs().transpose() * x();  // from here on its gradient
        adjoint_of_readout(rows, 0, gradient, gradient.c_hat);
        if (heads_ > 1)
            adjoint_of_readout(rows, 1, gradient, gradient.k);
        if (!du.empty())
            backward_window(du, h, context);
        powers().noalias() = z().transpose() * dx();  // its gradient too
        adjoint_of_powers(rows, gradient);
    }

private:
    struct Window {
        std::size_t begin, end;
    };
    [[nodiscard]] Window window_of(std::size_t b, const Context& context) const noexcept {
        Window window{0, context.valid_length(b, length_)};
        for (std::size_t l = 0; l < window.end; ++l)
            if (context.resets_at(b, l))
                window.begin = l;
        return window;
    }

    [[nodiscard]] MatrixMap<T> z() { return matrix_map(window_, batch_, length_); }
    [[nodiscard]] MatrixMap<T> x() { return matrix_map(x_, batch_, d_); }
    [[nodiscard]] MatrixMap<T> dx() { return matrix_map(dx_, batch_, d_); }
    [[nodiscard]] MatrixMap<T> powers() { return matrix_map(powers_, length_, d_); }
    [[nodiscard]] MatrixMap<T> readout() { return matrix_map(readout_, heads_ * horizon_, d_); }
    [[nodiscard]] MatrixMap<T> outputs() { return matrix_map(y_, batch_, heads_ * horizon_); }

    [[nodiscard]] double dot(std::span<const double> p, const double* q) const noexcept {
        const auto size = static_cast<Eigen::Index>(d_);
        return Eigen::Map<const Eigen::VectorXd>(p.data(), size)
            .dot(Eigen::Map<const Eigen::VectorXd>(q, size));
    }

    /// Rows A^l b.
    void fill_powers(const ForecastRows& rows) noexcept {
        if (length_ == 0)
            return;
        std::copy(rows.b.begin(), rows.b.end(), exact_powers_);
        for (std::size_t l = 1; l < length_; ++l) {
            const double* const before = exact_powers_ + (l - 1) * d_;
            double* const now = exact_powers_ + l * d_;
            const double last = before[d_ - 1];
            now[0] = rows.a[0] * last;
            for (std::size_t i = 1; i < d_; ++i)
                now[i] = before[i - 1] + rows.a[i] * last;
        }
        round(exact_powers_, length_ * d_, powers_);
    }

    /// Rows r M^j = r A + (r . b_hat) k_hat.
    void fill_readout(const ForecastRows& rows, std::size_t head,
                      std::span<const double> first) noexcept {
        double* const r = exact_readout_ + head * horizon_ * d_;
        std::copy(first.begin(), first.end(), r);
        for (std::size_t j = 1; j < horizon_; ++j) {
            const double* const before = r + (j - 1) * d_;
            double* const now = r + j * d_;
            const double feedback = dot(rows.b_hat, before);
            for (std::size_t i = 0; i + 1 < d_; ++i)
                now[i] = before[i + 1] + feedback * rows.k_hat[i];
            now[d_ - 1] = dot(rows.a, before) + feedback * rows.k_hat[d_ - 1];
        }
        round(r, horizon_ * d_, readout_ + head * horizon_ * d_);
    }

    static void round(const double* from, std::size_t count, T* to) noexcept {
        std::transform(from, from + count, to, [](double x) { return static_cast<T>(x); });
    }

    /// Backward through r_{j+1} = r_j A + (r_j . b_hat) k_hat, for the gradient of all r_j.
    void adjoint_of_readout(const ForecastRows& rows, std::size_t head,
                            const ForecastRows& gradient, std::span<double> dfirst) noexcept {
        const double* const r = exact_readout_ + head * horizon_ * d_;
        const T* const dr = readout_ + head * horizon_ * d_;
        std::fill(row_.begin(), row_.end(), 0.0);
        for (std::size_t j = horizon_; j-- > 0;) {
            // row_ is the gradient of r_{j+1}, and becomes that of r_j.
            const double* const now = r + j * d_;
            const double last = row_[d_ - 1];
            const double along_k = dot(rows.k_hat, row_.data());
            const double feedback = dot(rows.b_hat, now);
            for (std::size_t i = 0; i < d_; ++i) {
                gradient.a[i] += now[i] * last;
                gradient.b_hat[i] += now[i] * along_k;
                gradient.k_hat[i] += feedback * row_[i];
            }
            for (std::size_t i = d_; i-- > 0;)
                row_[i] = (i > 0 ? row_[i - 1] : 0.0) + rows.a[i] * last + along_k * rows.b_hat[i] +
                          static_cast<double>(dr[j * d_ + i]);
        }
        for (std::size_t i = 0; i < d_; ++i)
            dfirst[i] += row_[i];
    }

    /// Backward through v_{l+1} = A v_l, for the gradient of all v_l.
    void adjoint_of_powers(const ForecastRows& rows, const ForecastRows& gradient) noexcept {
        std::fill(row_.begin(), row_.end(), 0.0);
        for (std::size_t l = length_; l-- > 0;) {
            const double last = exact_powers_[l * d_ + d_ - 1];
            const double into_last = dot(rows.a, row_.data());
            for (std::size_t i = 0; i < d_; ++i)
                gradient.a[i] += last * row_[i];
            for (std::size_t i = 0; i < d_; ++i)
                row_[i] = (i + 1 < d_ ? row_[i + 1] : into_last) +
                          static_cast<double>(powers_[l * d_ + i]);
        }
        for (std::size_t i = 0; i < d_; ++i)
            gradient.b[i] += row_[i];
    }

    /// dZ = dX V^T, put back into time.
    void backward_window(BatchView<T> du, std::size_t h, const Context& context) {
        matrix_map(dwindow_, batch_, length_).noalias() = dx() * powers().transpose();
        for (std::size_t b = 0; b < batch_; ++b) {
            const Window steps = window_of(b, context);
            for (std::size_t l = 0; l < length_; ++l)
                du(b, l, h) = l < steps.begin || l >= steps.end
                                  ? T(0)
                                  : dwindow_[b * length_ + steps.end - 1 - l];
        }
    }

    std::size_t batch_, length_, d_, horizon_, heads_;
    T *window_, *dwindow_, *powers_, *readout_, *x_, *y_, *dx_;
    double *exact_powers_, *exact_readout_;
    std::span<double> row_;
};

}  // namespace ssm::detail
