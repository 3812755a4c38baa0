#include <cmath>
#include <cstddef>

#include <ssm/core/batch.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/train/regression_loss.hpp>

#include "support/catch.hpp"

namespace {

ssm::Batch<double> numbers(std::uint64_t seed, double scale) {
    ssm::Batch<double> result(2, 3, 5);
    ssm::Rng rng(seed);
    for (double& value : result.view().flat())
        value = scale * rng.normal();
    return result;
}

/// Loss against `value` of each pair, and gradient against central differences.
template <class Loss, class Value>
void check(const Loss& loss, ssm::Batch<double> y, const ssm::Batch<double>& target, Value value) {
    double sum = 0.0;
    for (std::size_t i = 0; i < y.size(); ++i)
        sum += value(y.data()[i], target.data()[i]);
    ssm::Batch<double> dy(y.shape());
    dy.fill(std::nan(""));
    const ssm::Loss found = loss(y, target, dy);
    const double count = static_cast<double>(y.size());
    const double scale = loss.reduction == ssm::Reduction::sum ? 1.0 : 1.0 / count;
    CHECK(found.value == Approx(scale * sum).epsilon(1e-13));
    CHECK(found.weight == count);
    const double step = 1e-6;
    for (std::size_t i = 0; i < y.size(); ++i) {
        const double at = y.data()[i];
        const double slope =
            (value(at + step, target.data()[i]) - value(at - step, target.data()[i])) /
            (2.0 * step);
        // Rounding over the step; no number lies within a step of a kink.
        CHECK(dy.data()[i] == Approx(scale * slope).margin(1e-8));
    }
}

double huber(double error, double delta) {
    const double size = std::abs(error);
    return size < delta ? 0.5 * error * error : delta * (size - 0.5 * delta);
}

}  // namespace

TEST_CASE("regression losses equal their formulas and their gradients central differences") {
    const ssm::Batch<double> y = numbers(1, 2.0);
    const ssm::Batch<double> t = numbers(2, 2.0);
    for (const auto reduction : {ssm::Reduction::mean, ssm::Reduction::sum}) {
        check(ssm::loss::MSE<double>{reduction}, y, t,
              [](double a, double b) { return (a - b) * (a - b); });
        check(ssm::loss::MAE<double>{reduction}, y, t,
              [](double a, double b) { return std::abs(a - b); });
        check(ssm::loss::Huber<double>{1.5, reduction}, y, t,
              [](double a, double b) { return huber(a - b, 1.5); });
        check(ssm::loss::SmoothL1<double>{0.5, reduction}, y, t,
              [](double a, double b) { return huber(a - b, 0.5) / 0.5; });
        check(ssm::loss::SmoothL1<double>{0.0, reduction}, y, t,
              [](double a, double b) { return std::abs(a - b); });
    }
}

TEST_CASE("binary cross-entropy equals its formula") {
    ssm::Batch<double> t = numbers(3, 1.0);
    for (double& value : t.view().flat())
        value = 0.5 + 0.5 * std::tanh(value);
    check(ssm::loss::BinaryCrossEntropy<double>{}, numbers(4, 3.0), t, [](double y, double p) {
        const double s = 1.0 / (1.0 + std::exp(-y));
        return -p * std::log(s) - (1.0 - p) * std::log1p(-s);
    });
}

TEST_CASE("binary cross-entropy does not overflow") {
    ssm::Batch<float> y(1, 1, 4);
    ssm::Batch<float> t(1, 1, 4);
    ssm::Batch<float> dy(1, 1, 4);
    y(0, 0, 0) = 1e30F;
    t(0, 0, 0) = 1.0F;
    y(0, 0, 1) = -1e30F;
    y(0, 0, 2) = 200.0F;
    y(0, 0, 3) = -200.0F;
    t(0, 0, 3) = 1.0F;
    CHECK(ssm::loss::BinaryCrossEntropy<float>{}(y, t, dy).value == Approx(100.0));
    CHECK(dy(0, 0, 0) == 0.0F);
    CHECK(dy(0, 0, 1) == 0.0F);
    CHECK(dy(0, 0, 2) == 0.25F);
    CHECK(dy(0, 0, 3) == -0.25F);
}

TEST_CASE("each gives a regression loss without reduction") {
    const ssm::Batch<double> y = numbers(1, 1.0);
    const ssm::Batch<double> t = numbers(2, 1.0);
    const ssm::Batch<double> upstream = numbers(3, 1.0);
    ssm::Batch<double> losses(y.shape());
    ssm::Batch<double> dy(y.shape());
    ssm::loss::each(ssm::loss::MSE<double>{}, y, t, losses, upstream, dy);
    for (std::size_t i = 0; i < y.size(); ++i) {
        const double error = y.data()[i] - t.data()[i];
        CHECK(losses.data()[i] == Approx(error * error));
        CHECK(dy.data()[i] == Approx(2.0 * error * upstream.data()[i]));
    }
    ssm::Batch<double> wrong(1, 1, 1);
    CHECK_THROWS_AS(ssm::loss::each(ssm::loss::MSE<double>{}, y, t, wrong), ssm::ShapeError);
}

TEST_CASE("regression losses reject what does not fit and take no numbers") {
    const ssm::Batch<double> y = numbers(1, 1.0);
    ssm::Batch<double> wrong(2, 3, 4);
    const ssm::loss::MSE<double> loss;
    CHECK_THROWS_AS(loss(y, wrong), ssm::ShapeError);
    CHECK_THROWS_AS(loss(y, y, wrong), ssm::ShapeError);
    CHECK_THROWS_AS(ssm::loss::Huber<double>{0.0}(y, y), ssm::ValueError);
    CHECK_THROWS_AS(ssm::loss::SmoothL1<double>{-1.0}(y, y), ssm::ValueError);
    const ssm::Batch<double> none(0, 3, 5);
    CHECK(loss(none, none).value == 0.0);
}

TEST_CASE("NaN spreads into a regression loss") {
    ssm::Batch<double> y = numbers(1, 1.0);
    y(0, 1, 2) = std::nan("");
    const ssm::Batch<double> t = numbers(2, 1.0);
    CHECK(std::isnan(ssm::loss::MSE<double>{}(y, t).value));
    CHECK(std::isnan(ssm::loss::MAE<double>{}(y, t).value));
    CHECK(std::isnan(ssm::loss::Huber<double>{}(y, t).value));
    CHECK(std::isnan(ssm::loss::SmoothL1<double>{}(y, t).value));
    CHECK(std::isnan(ssm::loss::BinaryCrossEntropy<double>{}(y, t).value));
}

TEST_CASE("regression losses give the same bits for any number of threads") {
    ssm::Batch<float> y(1, 1000, 123);
    ssm::Batch<float> t(y.shape());
    ssm::Rng rng(5);
    for (float& value : y.view().flat())
        value = static_cast<float>(rng.normal());
    ssm::set_threads(1);
    const double one = ssm::loss::MSE<float>{}(y, t);
    ssm::set_threads(7);
    const double many = ssm::loss::MSE<float>{}(y, t);
    ssm::set_threads(0);
    CHECK(one == many);
}
