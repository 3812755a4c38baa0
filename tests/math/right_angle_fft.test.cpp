#include <ssm/math/right_angle_fft.hpp>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <limits>
#include <numbers>
#include <random>
#include <vector>

#include <ssm/core/aligned.hpp>
#include <ssm/core/error.hpp>

#include "support/catch.hpp"

using ssm::AlignedVector;

namespace {

template <class T>
AlignedVector<T> random_numbers(std::size_t count, std::mt19937_64& engine) {
    std::normal_distribution<double> normal;
    AlignedVector<T> x(count);
    for (T& value : x)
        value = static_cast<T>(normal(engine));
    return x;
}

template <class T>
double largest_difference(const AlignedVector<T>& a, const AlignedVector<T>& b) {
    double largest = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i)
        largest = std::max(largest, static_cast<double>(std::abs(a[i] - b[i])));
    return largest;
}

}  // namespace

TEST_CASE("Sizes of transforms are close to the length and no smaller") {
    using Fft = ssm::math::RightAngleFft<float>;
    for (std::size_t length = 0; length <= 5000; ++length) {
        const std::size_t size = Fft::size_for(length);
        REQUIRE(size >= length);
        REQUIRE((size <= 8 || 2 * size <= 3 * length + 1));
        REQUIRE(Fft::size_for(size) == size);
    }
    CHECK(Fft::size_for(1024) == 1024);
    CHECK(Fft::size_for(1100) == 1280);
    CHECK(Fft::size_for(3000) == 3072);
    CHECK_THROWS_AS(Fft(9), ssm::ValueError);
    CHECK_THROWS_AS(Fft(0), ssm::ValueError);
    CHECK_THROWS_AS(Fft::size_for(std::numeric_limits<std::size_t>::max()), ssm::ValueError);
}

TEMPLATE_TEST_CASE("The spectrum has the values of the polynomial at the roots of x^n = i", "",
                   float, double) {
    using Fft = ssm::math::RightAngleFft<TestType>;
    using Complex = std::complex<double>;
    std::mt19937_64 engine(1);
    for (const std::size_t size : std::vector<std::size_t>{4, 8, 12, 16, 20, 24, 28, 64, 112}) {
        const Fft fft(size);
        AlignedVector<TestType> x = random_numbers<TestType>(fft.numbers(), engine);
        const AlignedVector<TestType> coefficients = x;
        fft.forward(x.data());
        const auto number = [](const AlignedVector<TestType>& values, std::size_t n,
                               std::size_t lane) {
            return Complex(static_cast<double>(values[2 * n * Fft::lanes + lane]),
                           static_cast<double>(values[(2 * n + 1) * Fft::lanes + lane]));
        };
        // The order is that of the tree: compare as sets, each root with the nearest value.
        const std::size_t lane = size % Fft::lanes;
        std::vector<bool> used(size);
        for (std::size_t k = 0; k < size; ++k) {
            Complex value = 0.0;
            for (std::size_t l = 0; l < size; ++l)
                value += number(coefficients, l, lane) *
                         std::polar(1.0, 2.0 * std::numbers::pi *
                                             static_cast<double>((1 + 4 * k) * l % (4 * size)) /
                                             static_cast<double>(4 * size));
            std::size_t nearest = 0;
            for (std::size_t p = 0; p < size; ++p)
                if (std::abs(number(x, p, lane) - value) <
                    std::abs(number(x, nearest, lane) - value))
                    nearest = p;
            REQUIRE(std::abs(number(x, nearest, lane) - value) <=
                    200.0 * static_cast<double>(std::numeric_limits<TestType>::epsilon()));
            REQUIRE(!used[nearest]);
            used[nearest] = true;
        }
    }
}

TEMPLATE_TEST_CASE("The inverse transform gives n times the coefficients", "", float, double) {
    using Fft = ssm::math::RightAngleFft<TestType>;
    std::mt19937_64 engine(2);
    for (const std::size_t size :
         std::vector<std::size_t>{4, 8, 12, 16, 20, 24, 28, 256, 448, 768}) {
        const Fft fft(size);
        AlignedVector<TestType> x = random_numbers<TestType>(fft.numbers(), engine);
        const AlignedVector<TestType> before = x;
        fft.forward(x.data());
        fft.inverse(x.data());
        for (TestType& value : x)
            value /= static_cast<TestType>(size);
        CHECK(largest_difference(x, before) <=
              20.0 * static_cast<double>(std::numeric_limits<TestType>::epsilon()));
    }
}

TEMPLATE_TEST_CASE("Real rows are complex coefficients without imaginary parts", "", float,
                   double) {
    using Fft = ssm::math::RightAngleFft<TestType>;
    using ssm::math::FftPass;
    constexpr std::size_t stride = Fft::lanes + 3;
    std::mt19937_64 engine(3);
    for (const std::size_t size : std::vector<std::size_t>{4, 8, 12, 16, 20, 24, 28, 80, 256})
        for (const std::size_t length : {size, size / 2 + 1, std::size_t{1}}) {
            const Fft fft(size);
            const AlignedVector<TestType> rows = random_numbers<TestType>(length * stride, engine);
            AlignedVector<TestType> expected(fft.numbers());
            for (std::size_t l = 0; l < length; ++l)
                for (std::size_t i = 0; i < Fft::lanes; ++i)
                    expected[2 * l * Fft::lanes + i] = rows[l * stride + i];
            fft.forward(expected.data());

            AlignedVector<TestType> x(fft.numbers());
            AlignedVector<TestType> spectrum(fft.numbers());
            fft.open({rows.data(), stride, length}, x.data());
            fft.template walk<FftPass::both>(
                [&](std::size_t point, auto& values) {
                    for (std::size_t j = 0; j < 4; ++j) {
                        ssm::simd::store(&spectrum[2 * (point + j) * Fft::lanes], values[j].re);
                        ssm::simd::store(&spectrum[(2 * (point + j) + 1) * Fft::lanes],
                                         values[j].im);
                    }
                },
                x.data());
            const double tolerance =
                100.0 * static_cast<double>(std::numeric_limits<TestType>::epsilon());
            CHECK(largest_difference(spectrum, expected) <= tolerance);

            AlignedVector<TestType> back = rows;
            fft.template close<true>(x.data(), {back.data(), stride, length});
            for (std::size_t l = 0; l < length; ++l)
                for (std::size_t i = 0; i < stride; ++i) {
                    const double factor = i < Fft::lanes ? 1.0 + static_cast<double>(size) : 1.0;
                    const double number = static_cast<double>(rows[l * stride + i]);
                    REQUIRE(std::abs(static_cast<double>(back[l * stride + i]) - factor * number) <=
                            tolerance * static_cast<double>(size));
                }
        }
}
