#include <ssm/math/fft.hpp>

#include <algorithm>
#include <cmath>
#include <complex>
#include <concepts>
#include <cstddef>
#include <limits>
#include <numbers>
#include <random>
#include <vector>

#include <ssm/core/error.hpp>

#include "support/catch.hpp"

namespace {

using Wide = std::complex<double>;

template <class T>
std::vector<std::complex<T>> random_numbers(std::size_t n, std::mt19937_64& engine) {
    std::normal_distribution<double> normal;
    std::vector<std::complex<T>> x(n);
    for (auto& value : x) {
        const T re = static_cast<T>(normal(engine));
        value = {re, static_cast<T>(normal(engine))};
    }
    return x;
}

/// The sum that defines the transform; angles are reduced before they are rounded.
template <class T>
std::vector<Wide> direct(const std::vector<std::complex<T>>& x, double sign) {
    const std::size_t n = x.size();
    std::vector<Wide> X(n);
    for (std::size_t k = 0; k < n; ++k)
        for (std::size_t l = 0; l < n; ++l) {
            const double turns = static_cast<double>(k * l % n) / static_cast<double>(n);
            X[k] += Wide(x[l]) * std::polar(1.0, sign * 2.0 * std::numbers::pi * turns);
        }
    return X;
}

template <std::floating_point T>
Wide widened(T x) {
    return Wide(static_cast<double>(x));
}
template <class T>
Wide widened(const std::complex<T>& x) {
    return Wide(x);
}

template <class Found>
double relative_error(const Found& found, const std::vector<Wide>& expected) {
    double error = 0.0;
    double largest = 1e-30;
    for (std::size_t i = 0; i < found.size(); ++i) {
        error = std::max(error, std::abs(widened(found[i]) - expected[i]));
        largest = std::max(largest, std::abs(expected[i]));
    }
    return error / largest;
}

}  // namespace

TEMPLATE_TEST_CASE("Transforms of any length agree with their definition", "", float, double) {
    using T = TestType;
    using Complex = std::complex<T>;
    const double tolerance = 30.0 * static_cast<double>(std::numeric_limits<T>::epsilon());
    std::mt19937_64 engine(1);
    ssm::math::Fft<T> transform;
    for (std::size_t n = 1; n <= 130; ++n) {
        CAPTURE(n);
        const std::vector<Complex> x = random_numbers<T>(n, engine);
        std::vector<Complex> X(n);
        transform.fft(x, X);
        CHECK(relative_error(X, direct(x, -1.0)) <= tolerance);

        std::vector<Wide> expected = direct(x, 1.0);
        for (Wide& value : expected)
            value /= static_cast<double>(n);
        transform.ifft(x, X);
        CHECK(relative_error(X, expected) <= tolerance);

        std::vector<T> real(n);
        for (std::size_t l = 0; l < n; ++l)
            real[l] = x[l].real();
        std::vector<Complex> half(n / 2 + 1);
        transform.rfft(real, half);
        CHECK(relative_error(half, direct(std::vector<Complex>(real.begin(), real.end()), -1.0)) <=
              tolerance);

        const std::vector<Wide> sequence(real.begin(), real.end());
        half.front() += Complex(0, 1);
        if (n % 2 == 0)
            half.back() += Complex(0, 1);
        transform.irfft(half, real);
        CHECK(relative_error(real, sequence) <= tolerance);
    }
}

TEST_CASE("Transforms refuse lengths that do not fit together") {
    ssm::math::Fft<double> transform;
    std::vector<std::complex<double>> four(4);
    std::vector<std::complex<double>> three(3);
    std::vector<double> real(4);
    CHECK_THROWS_AS(transform.fft(four, three), ssm::ShapeError);
    CHECK_THROWS_AS(transform.ifft(three, four), ssm::ShapeError);
    CHECK_THROWS_AS(transform.rfft(real, four), ssm::ShapeError);
    CHECK_NOTHROW(transform.rfft(real, three));
    CHECK_THROWS_AS(transform.irfft(four, real), ssm::ShapeError);
    CHECK_THROWS_AS(transform.fft({}, {}), ssm::ShapeError);
}
