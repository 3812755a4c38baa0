#pragma once

#include <cmath>
#include <cstddef>
#include <span>

#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/discretize/transform.hpp>
#include <ssm/init/timescale.hpp>

namespace ssm {

/// How the time steps of a bank start and are stored:
///
///   dt = f(w), or f(sinh w) if fast
///
/// Source  the released S4 code
struct Timescale {
    double min = 1e-3;  ///< smallest dt at the start, in steps of the training rate
    double max = 1e-1;  ///< largest
    bool tied = true;   ///< one dt for a channel, or else one for each of its modes
    Transform transform = Transform::exp;  ///< f, dt as a function of the stored weight
    bool fast =
        false;  ///< the weight is stored as its inverse hyperbolic sine, which learns large dt faster

    /// Time steps of stored weights.
    template <class T>
    void steps(const Tensor<T>& weights, std::span<double> dt) const noexcept {
        for (std::size_t i = 0; i < dt.size(); ++i)
            dt[i] = plain(static_cast<double>(weights[i]));
        values(transform, dt, dt);
    }
    /// d dt / d weight at a stored weight.
    [[nodiscard]] double slope(double weight) const noexcept {
        return (fast ? std::cosh(weight) : 1.0) * derivative(transform, plain(weight));
    }
    /// Sets weights to those of time steps at the start.
    template <class T>
    void set(Tensor<T>& weights, std::span<const double> dt) const {
        for (std::size_t i = 0; i < dt.size(); ++i) {
            const double stored = initial_weight(transform, dt[i]);
            weights[i] = static_cast<T>(fast ? std::asinh(stored) : stored);
        }
    }
    /// Time steps whose logarithms are uniform from min to max.
    ///
    /// Errors  ValueError unless 0 < min <= max
    template <class T>
    void start(Tensor<T>& weights, Rng& rng) const {
        set(weights, init::LogUniform{min, max}(weights.size(), rng));
    }

private:
    [[nodiscard]] double plain(double weight) const noexcept {
        return fast ? std::sinh(weight) : weight;
    }
};

}  // namespace ssm
