#pragma once

#include <cstddef>
#include <vector>

#include <ssm/discretize/companion.hpp>

namespace ssm_test {

/// One system of a companion bank, with its matrix written out, in long double.
struct CompanionReference {
    using Number = long double;
    using Vector = std::vector<Number>;

    Vector a, b, c;

    CompanionReference(const ssm::CompanionSystem& system, std::size_t head, std::size_t kernel) {
        const std::size_t d = system.shape.state;
        for (std::size_t i = 0; i < d; ++i) {
            a.push_back(system.a[kernel * d + i]);
            b.push_back(system.b[kernel * d + i]);
            c.push_back(system.c[(head * system.shape.kernels + kernel) * d + i]);
        }
    }

    [[nodiscard]] std::size_t size() const { return a.size(); }
    [[nodiscard]] Number A(std::size_t row, std::size_t column) const {
        const Number shift = row == column + 1 ? 1.0L : 0.0L;
        return shift + (column + 1 == size() ? a[row] : 0.0L);
    }
    [[nodiscard]] Vector times_A(const Vector& x) const {
        Vector result(size());
        for (std::size_t i = 0; i < size(); ++i)
            for (std::size_t j = 0; j < size(); ++j)
                result[i] += A(i, j) * x[j];
        return result;
    }
    [[nodiscard]] Vector transposed_times(const Vector& x) const {
        Vector result(size());
        for (std::size_t i = 0; i < size(); ++i)
            for (std::size_t j = 0; j < size(); ++j)
                result[j] += A(i, j) * x[i];
        return result;
    }
    [[nodiscard]] static Number dot(const Vector& x, const Vector& y) {
        Number sum = 0.0L;
        for (std::size_t i = 0; i < x.size(); ++i)
            sum += x[i] * y[i];
        return sum;
    }

    /// K[l] = c A^l b
    [[nodiscard]] std::vector<double> kernel(std::size_t length) const {
        std::vector<double> K;
        Vector x = b;
        for (std::size_t l = 0; l < length; ++l) {
            K.push_back(static_cast<double>(dot(c, x)));
            x = times_A(x);
        }
        return K;
    }

    struct Gradient {
        Vector a, b, c;
    };
    /// The gradient of sum(g K).
    [[nodiscard]] Gradient gradient(const std::vector<double>& g) const {
        std::vector<Vector> x = {b};
        for (std::size_t l = 1; l < g.size(); ++l)
            x.push_back(times_A(x.back()));
        Gradient result{Vector(size()), Vector(size()), Vector(size())};
        Vector mu(size());
        for (std::size_t l = g.size(); l-- > 0;) {
            for (std::size_t i = 0; i < size(); ++i) {
                result.c[i] += static_cast<Number>(g[l]) * x[l][i];
                result.a[i] += mu[i] * x[l].back();
            }
            mu = transposed_times(mu);
            for (std::size_t i = 0; i < size(); ++i)
                mu[i] += static_cast<Number>(g[l]) * c[i];
        }
        result.b = mu;
        return result;
    }
};

}  // namespace ssm_test
