#include <ssm/math/matrix_vector.hpp>

#include <cmath>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/math/small_float.hpp>
#include <ssm/math/weight_product.hpp>

#include "support/catch.hpp"

using namespace ssm;

namespace {

template <class T>
std::vector<T> random_numbers(std::size_t count, Rng& rng) {
    std::vector<T> numbers(count);
    for (T& number : numbers)
        number = static_cast<T>(rng.normal());
    return numbers;
}

/// W, x and d, and what their product is in double.
template <class T, class Stored>
struct Problem {
    Problem(std::size_t rows, std::size_t columns, std::size_t vectors)
        : n(rows), k(columns), count(vectors), y(n * count, T(NAN)) {
        Rng rng(7);
        W = random_numbers<Stored>(n * k, rng);
        x = random_numbers<T>(count * k, rng);
        d = random_numbers<T>(n, rng);
    }
    /// Largest error, in sizes of the sums' terms.
    [[nodiscard]] double error(const std::vector<T>& result, bool has_d) const {
        double largest = 0.0;
        for (std::size_t v = 0; v < count; ++v)
            for (std::size_t row = 0; row < n; ++row) {
                double sum = has_d ? static_cast<double>(d[row]) : 0.0;
                double size = std::abs(sum);
                for (std::size_t i = 0; i < k; ++i) {
                    const double term =
                        static_cast<double>(W[row * k + i]) * static_cast<double>(x[v * k + i]);
                    sum += term;
                    size += std::abs(term);
                }
                const double found = static_cast<double>(result[v * n + row]);
                largest = std::max(largest, std::abs(found - sum) / size);
            }
        return largest;
    }

    std::size_t n, k, count;
    std::vector<Stored> W;
    std::vector<T> x, d, y;
};

/// Sums of k numbers in T: k / 8 roundings in a row at most, for no pack is narrower than 2 and 4 run side by side.
template <class T>
double tolerance(std::size_t k) {
    return static_cast<double>(k / 8 + 8) * static_cast<double>(std::numeric_limits<T>::epsilon());
}

}  // namespace

TEMPLATE_TEST_CASE("a matrix times a few vectors is what it is in double, whatever stores it", "",
                   (std::pair<float, float>), (std::pair<double, double>),
                   (std::pair<float, Bfloat16>), (std::pair<double, Bfloat16>)) {
    using T = typename TestType::first_type;
    using Stored = typename TestType::second_type;
    Workspace workspace;
    for (const std::size_t n : {1U, 3U, 4U, 9U})
        for (const std::size_t k : {1U, 5U, 16U, 67U, 200U})
            for (const std::size_t count : {1U, 3U, 4U, 5U, 20U}) {
                INFO("n = " << n << ", k = " << k << ", count = " << count);
                Problem<T, Stored> p(n, k, count);
                math::matrix_vector<T>(p.W.data(), n, k, p.x.data(), count, p.d.data(), p.y.data());
                CHECK(p.error(p.y, true) < tolerance<T>(k));
                math::matrix_vector<T>(p.W.data(), n, k, p.x.data(), count, nullptr, p.y.data());
                CHECK(p.error(p.y, false) < tolerance<T>(k));
                // Many rows are a product of matrices.
                std::vector<T> y(n * count);
                math::weight_product<T>(matrix_map<const T>(p.x.data(), count, k), p.W.data(),
                                        p.d.data(), matrix_map(y.data(), count, n), workspace);
                CHECK(p.error(y, true) < 8.0 * tolerance<T>(k));
            }
}

TEST_CASE("weights that are more than a panel are widened in several") {
    const std::size_t k = 1000;
    const std::size_t n = math::widened_panel / k * 2 + 7;
    Workspace workspace;
    Problem<float, Bfloat16> p(n, k, 12);
    math::weight_product<float>(matrix_map<const float>(p.x.data(), p.count, k), p.W.data(),
                                p.d.data(), matrix_map(p.y.data(), p.count, n), workspace);
    CHECK(p.error(p.y, true) < 8.0 * tolerance<float>(k));
}

TEST_CASE("a matrix times a vector is the same bits for any number of threads and vectors") {
    const std::size_t n = 1003;
    const std::size_t k = 301;
    Problem<float, Bfloat16> p(n, k, 5);
    const auto multiply = [&](std::size_t count) {
        std::vector<float> y(n * count);
        math::matrix_vector<float>(p.W.data(), n, k, p.x.data(), count, p.d.data(), y.data());
        return y;
    };
    const double before = least_parallel_work();
    set_least_parallel_work(1.0);
    set_threads(3);
    const std::vector<float> many = multiply(5);
    set_threads(1);
    set_least_parallel_work(before);
    CHECK(many == multiply(5));
    set_threads(0);
}
