#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/train/softmax.hpp>

#include "support/catch.hpp"

namespace {

template <class T>
ssm::Batch<T> random_rows(std::size_t rows, std::size_t width, double scale) {
    ssm::Batch<T> result(1, rows, width);
    ssm::Rng rng(7);
    for (T& value : result.view().flat())
        value = static_cast<T>(scale * rng.normal());
    return result;
}

}  // namespace

TEMPLATE_TEST_CASE("softmax, its logarithm and logsumexp agree with a plain reference", "", float,
                   double) {
    // Sums of at most 40 exponentials, each within a few units in the last place.
    const double tolerance = 50.0 * static_cast<double>(std::numeric_limits<TestType>::epsilon());
    for (const std::size_t width : {1U, 2U, 7U, 8U, 16U, 17U, 40U}) {
        const ssm::Batch<TestType> z = random_rows<TestType>(5, width, 30.0);
        ssm::Batch<TestType> p(z.shape());
        ssm::Batch<TestType> log_p(z.shape());
        std::vector<TestType> sums(5);
        p.fill(std::numeric_limits<TestType>::quiet_NaN());
        log_p.fill(std::numeric_limits<TestType>::quiet_NaN());
        ssm::softmax<TestType>(z, p);
        ssm::log_softmax<TestType>(z, log_p);
        ssm::logsumexp<TestType>(z, sums);
        for (std::size_t r = 0; r < 5; ++r) {
            long double sum = 0.0L;
            for (std::size_t c = 0; c < width; ++c)
                sum += std::exp(static_cast<long double>(z(0, r, c)));
            const auto log_sum = static_cast<double>(std::log(sum));
            CHECK(static_cast<double>(sums[r]) ==
                  Approx(log_sum).epsilon(tolerance).margin(tolerance));
            for (std::size_t c = 0; c < width; ++c) {
                const double exact = static_cast<double>(z(0, r, c)) - log_sum;
                CHECK(static_cast<double>(log_p(0, r, c)) ==
                      Approx(exact).epsilon(tolerance).margin(100.0 * tolerance));
                CHECK(static_cast<double>(p(0, r, c)) ==
                      Approx(std::exp(exact)).epsilon(100.0 * tolerance).margin(1e-37));
            }
        }
    }
}

TEST_CASE("softmax may overwrite its input") {
    const ssm::Batch<double> z = random_rows<double>(4, 11, 3.0);
    ssm::Batch<double> apart(z.shape());
    ssm::Batch<double> in_place = z;
    ssm::softmax<double>(z, apart);
    ssm::softmax<double>(in_place, in_place);
    CHECK(in_place == apart);
}

TEST_CASE("huge logits neither overflow nor underflow, and -infinity is a class that cannot be") {
    const double infinity = std::numeric_limits<double>::infinity();
    ssm::Batch<double> z(1, 2, 3);
    z(0, 0, 0) = 1e4;
    z(0, 0, 1) = 1e4 - 1.0;
    z(0, 0, 2) = -1e4;
    z(0, 1, 0) = -infinity;
    ssm::Batch<double> p(z.shape());
    std::vector<double> sums(2);
    ssm::softmax<double>(z, p);
    ssm::logsumexp<double>(z, sums);
    CHECK(p(0, 0, 0) == Approx(1.0 / (1.0 + std::exp(-1.0))));
    CHECK(sums[0] == Approx(1e4 + std::log1p(std::exp(-1.0))));
    CHECK(p(0, 1, 0) == 0.0);
    CHECK(p(0, 1, 1) == Approx(0.5));
}

TEST_CASE("NaN stays in its row of a softmax") {
    ssm::Batch<double> z = random_rows<double>(3, 19, 1.0);
    z(0, 1, 17) = std::nan("");
    ssm::softmax<double>(z, z);
    for (std::size_t c = 0; c < 19; ++c) {
        CHECK(std::isfinite(z(0, 0, c)));
        CHECK(std::isnan(z(0, 1, c)));
        CHECK(std::isfinite(z(0, 2, c)));
    }
}

TEST_CASE("softmax gives the same bits for any number of threads") {
    const ssm::Batch<float> z = random_rows<float>(3000, 37, 2.0);
    ssm::Batch<float> one(z.shape());
    ssm::Batch<float> many(z.shape());
    ssm::set_threads(1);
    ssm::softmax<float>(z, one);
    ssm::set_threads(7);
    ssm::softmax<float>(z, many);
    ssm::set_threads(0);
    CHECK(one == many);
}

TEST_CASE("softmax rejects outputs of another shape, and takes no rows") {
    ssm::Batch<double> z(1, 2, 3);
    ssm::Batch<double> other(1, 3, 2);
    std::vector<double> sums(3);
    CHECK_THROWS_AS(ssm::softmax<double>(z, other), ssm::ShapeError);
    CHECK_THROWS_AS(ssm::log_softmax<double>(z, other), ssm::ShapeError);
    CHECK_THROWS_AS(ssm::logsumexp<double>(z, sums), ssm::ShapeError);
    ssm::Batch<double> none(0, 2, 3);
    CHECK_NOTHROW(ssm::softmax<double>(none, none));
}
