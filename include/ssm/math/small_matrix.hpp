#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <utility>

namespace ssm::math {

/// A square matrix of a few rows on the stack: what rank corrections need. Row-major, the first `size` rows and
/// columns count.
struct SmallMatrix {
    static constexpr std::size_t most = 8;

    std::size_t size = 0;
    std::array<std::array<double, most>, most> entries{};

    [[nodiscard]] static SmallMatrix identity(std::size_t size) noexcept {
        SmallMatrix result{size, {}};
        for (std::size_t i = 0; i < size; ++i)
            result(i, i) = 1.0;
        return result;
    }
    [[nodiscard]] double& operator()(std::size_t i, std::size_t j) noexcept {
        return entries[i][j];
    }
    [[nodiscard]] double operator()(std::size_t i, std::size_t j) const noexcept {
        return entries[i][j];
    }
};

/// The inverse: by formula up to 2 rows, by elimination with pivots above. Not finite for a singular matrix.
[[nodiscard]] inline SmallMatrix inverse(SmallMatrix m) noexcept {
    SmallMatrix result = SmallMatrix::identity(m.size);
    if (m.size == 1) {
        result(0, 0) = 1.0 / m(0, 0);
        return result;
    }
    if (m.size == 2) {
        const double scale = 1.0 / (m(0, 0) * m(1, 1) - m(0, 1) * m(1, 0));
        result(0, 0) = scale * m(1, 1);
        result(0, 1) = -scale * m(0, 1);
        result(1, 0) = -scale * m(1, 0);
        result(1, 1) = scale * m(0, 0);
        return result;
    }
    for (std::size_t column = 0; column < m.size; ++column) {
        std::size_t pivot = column;
        for (std::size_t i = column + 1; i < m.size; ++i)
            if (std::abs(m(i, column)) > std::abs(m(pivot, column)))
                pivot = i;
        std::swap(m.entries[pivot], m.entries[column]);
        std::swap(result.entries[pivot], result.entries[column]);
        const double scale = 1.0 / m(column, column);
        for (std::size_t j = 0; j < m.size; ++j) {
            m(column, j) *= scale;
            result(column, j) *= scale;
        }
        for (std::size_t i = 0; i < m.size; ++i) {
            if (i == column)
                continue;
            const double factor = m(i, column);
            for (std::size_t j = 0; j < m.size; ++j) {
                m(i, j) -= factor * m(column, j);
                result(i, j) -= factor * result(column, j);
            }
        }
    }
    return result;
}

/// The gradient of a matrix whose inverse is `inverse`, from the gradient of the inverse: -inverse^T g inverse^T.
[[nodiscard]] inline SmallMatrix inverse_adjoint(const SmallMatrix& inverse,
                                                 const SmallMatrix& g) noexcept {
    SmallMatrix result{g.size, {}};
    for (std::size_t i = 0; i < g.size; ++i)
        for (std::size_t j = 0; j < g.size; ++j)
            for (std::size_t k = 0; k < g.size; ++k)
                for (std::size_t l = 0; l < g.size; ++l)
                    result(i, j) -= inverse(k, i) * g(k, l) * inverse(j, l);
    return result;
}

}  // namespace ssm::math
