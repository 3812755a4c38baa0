#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/train/cross_entropy.hpp>

#include "reference/cross_entropy.hpp"
#include "support/catch.hpp"

namespace {

using CrossEntropy = ssm::loss::CrossEntropy<double>;
using Labels = std::vector<std::int32_t>;

ssm::Batch<double> random_logits(std::size_t rows, std::size_t classes) {
    ssm::Batch<double> z(1, rows, classes);
    ssm::Rng rng(11);
    for (double& value : z.view().flat())
        value = 3.0 * rng.normal();
    return z;
}

/// The loss by its formula, in double.
double reference_loss(const CrossEntropy& loss, const ssm::Batch<double>& z, const Labels& labels) {
    const std::size_t classes = z.channels();
    const auto weight = [&](std::size_t c) {
        return loss.class_weights.empty() ? 1.0 : loss.class_weights[c];
    };
    double sum = 0.0;
    double weights = 0.0;
    for (std::size_t r = 0; r < labels.size(); ++r) {
        if (labels[r] == loss.ignored_label)
            continue;
        const auto label = static_cast<std::size_t>(labels[r]);
        std::vector<double> a(classes);
        std::vector<double> row(classes);
        for (std::size_t c = 0; c < classes; ++c) {
            const double hot = c == label ? 1.0 - loss.label_smoothing : 0.0;
            a[c] = weight(c) * (hot + loss.label_smoothing / static_cast<double>(classes));
            row[c] = z(0, r, c);
        }
        sum += reference::cross_entropy(row, a);
        weights += weight(label);
    }
    return loss.reduction == ssm::Reduction::sum ? sum : sum / weights;
}

template <class Target>
void check_gradient(const CrossEntropy& loss, ssm::Batch<double> z, const Target& target) {
    ssm::Batch<double> dz(z.shape());
    dz.fill(std::nan(""));
    loss(z, target, dz);
    const double step = 1e-5;
    for (double& value : z.view().flat()) {
        const double before = value;
        value = before + step;
        const double above = loss(z, target);
        value = before - step;
        const double below = loss(z, target);
        value = before;
        const double slope = dz.data()[&value - z.data()];
        // Central differences: error of second order in the step, and of rounding over the step.
        CHECK(slope == Approx((above - below) / (2.0 * step)).margin(1e-8));
    }
}

const std::vector<double> weights = {0.5, 2.0, 1.0, 0.0, 3.0};

}  // namespace

TEST_CASE("cross-entropy equals its formula and its gradient central differences") {
    const ssm::Batch<double> z = random_logits(6, 5);
    const Labels labels = {0, 4, 2, -100, 1, 1};
    for (const double smoothing : {0.0, 0.1, 1.0})
        for (const bool weighted : {false, true})
            for (const auto reduction : {ssm::Reduction::mean, ssm::Reduction::sum}) {
                const CrossEntropy loss{.label_smoothing = smoothing,
                                        .class_weights = weighted ? weights : std::vector<double>(),
                                        .reduction = reduction};
                const ssm::Loss found = loss(z, labels);
                CHECK(found.value == Approx(reference_loss(loss, z, labels)).epsilon(1e-13));
                CHECK(found.weight == (weighted ? 0.5 + 3.0 + 1.0 + 2.0 + 2.0 : 5.0));
                check_gradient(loss, z, labels);
            }
}

TEST_CASE("cross-entropy with probabilities generalises labels") {
    const ssm::Batch<double> z = random_logits(4, 5);
    ssm::Batch<double> target(1, 4, 5);
    const Labels labels = {3, 0, 2, 2};
    for (std::size_t r = 0; r < 4; ++r)
        target(0, r, static_cast<std::size_t>(labels[r])) = 1.0;
    const CrossEntropy loss{.label_smoothing = 0.2};
    CHECK(loss(z, target).value == Approx(loss(z, labels).value).epsilon(1e-14));
    for (double& value : target.view().flat())
        value = 0.5 * value + 0.1;
    check_gradient(loss, z, target);
    check_gradient(CrossEntropy{.class_weights = weights}, z, target);
}

TEST_CASE("cross-entropy without reduction gives each row's loss") {
    const ssm::Batch<double> z = random_logits(3, 5);
    const Labels labels = {1, -100, 4};
    const std::vector<double> upstream = {0.5, 7.0, -2.0};
    std::vector<double> each(3);
    ssm::Batch<double> dz(z.shape());
    CrossEntropy{}.each(z, labels, each, upstream, dz);
    CHECK(each[1] == 0.0);
    CHECK(each[0] + each[2] ==
          Approx(CrossEntropy{.reduction = ssm::Reduction::sum}(z, labels).value));
    ssm::Batch<double> unscaled(z.shape());
    CrossEntropy{}.each(z, labels, each, {}, unscaled);
    for (std::size_t c = 0; c < 5; ++c) {
        CHECK(dz(0, 0, c) == Approx(0.5 * unscaled(0, 0, c)));
        CHECK(dz(0, 1, c) == 0.0);
        CHECK(dz(0, 2, c) == Approx(-2.0 * unscaled(0, 2, c)));
    }
}

TEST_CASE("the gradient of cross-entropy may overwrite the logits") {
    const ssm::Batch<double> z = random_logits(4, 21);
    const Labels labels = {20, 3, 0, 7};
    const CrossEntropy loss{.label_smoothing = 0.1};
    ssm::Batch<double> apart(z.shape());
    ssm::Batch<double> in_place = z;
    CHECK(loss(z, labels, apart).value == loss(in_place, labels, in_place).value);
    CHECK(in_place == apart);
}

TEST_CASE("logits of a thousand and of -infinity give finite losses") {
    ssm::Batch<double> z(1, 1, 3);
    z(0, 0, 0) = 1000.0;
    z(0, 0, 1) = -std::numeric_limits<double>::infinity();
    ssm::Batch<double> dz(z.shape());
    CHECK(CrossEntropy{}(z, Labels{2}, dz).value == Approx(1000.0));
    CHECK(dz(0, 0, 0) == Approx(1.0));
    CHECK(dz(0, 0, 1) == 0.0);
    CHECK(dz(0, 0, 2) == Approx(-1.0));
    CHECK(std::isinf(CrossEntropy{}(z, Labels{1}).value));
}

TEST_CASE("a mean over no rows or ignored rows alone is 0") {
    const ssm::Batch<double> none(0, 4, 3);
    CHECK(CrossEntropy{}(none, Labels{}).value == 0.0);
    const ssm::Batch<double> z = random_logits(2, 3);
    ssm::Batch<double> dz(z.shape());
    dz.fill(1.0);
    const ssm::Loss loss = CrossEntropy{}(z, Labels{-100, -100}, dz);
    CHECK(loss.value == 0.0);
    CHECK(loss.weight == 0.0);
    for (const double slope : dz.view().flat())
        CHECK(slope == 0.0);
}

TEST_CASE("NaN in one row of logits makes the loss NaN and leaves the other gradients") {
    ssm::Batch<double> z = random_logits(3, 4);
    z(0, 1, 2) = std::nan("");
    ssm::Batch<double> dz(z.shape());
    CHECK(std::isnan(CrossEntropy{}(z, Labels{0, 1, 2}, dz).value));
    for (std::size_t c = 0; c < 4; ++c) {
        CHECK(std::isfinite(dz(0, 0, c)));
        CHECK(std::isfinite(dz(0, 2, c)));
    }
}

TEST_CASE("cross-entropy names the row and the value of a label out of range") {
    const ssm::Batch<double> z = random_logits(3, 4);
    ssm::Batch<double> dz(z.shape());
    dz.fill(5.0);
    const ssm::Batch<double> before = dz;
    try {
        CrossEntropy{}(z, Labels{0, 4, 1}, dz);
        FAIL("label 4 of 4 classes was accepted");
    } catch (const ssm::ValueError& error) {
        const std::string message = error.what();
        CHECK(message.find("row 1") != std::string::npos);
        CHECK(message.find("label 4") != std::string::npos);
    }
    CHECK(dz == before);
    CHECK_THROWS_AS(CrossEntropy{}(z, Labels{0, -1, 1}), ssm::ValueError);
}

TEST_CASE("cross-entropy rejects what does not fit") {
    const ssm::Batch<double> z = random_logits(3, 4);
    const Labels labels = {0, 1, 2};
    ssm::Batch<double> wrong(1, 3, 3);
    CHECK_THROWS_AS(CrossEntropy{}(z, Labels{0, 1}), ssm::ShapeError);
    CHECK_THROWS_AS(CrossEntropy{}(z, labels, wrong), ssm::ShapeError);
    CHECK_THROWS_AS(CrossEntropy{}(z, wrong), ssm::ShapeError);
    CHECK_THROWS_AS(CrossEntropy{.class_weights = {1.0}}(z, labels), ssm::ShapeError);
    CHECK_THROWS_AS((CrossEntropy{.class_weights = {1.0, -1.0, 1.0, 1.0}}(z, labels)),
                    ssm::ValueError);
    CHECK_THROWS_AS(CrossEntropy{.label_smoothing = 1.5}(z, labels), ssm::ValueError);
    CHECK_THROWS_AS(CrossEntropy{}(ssm::Batch<double>(1, 0, 0), Labels{}), ssm::ValueError);
    std::vector<double> losses(2);
    CHECK_THROWS_AS(CrossEntropy{}.each(z, labels, losses), ssm::ShapeError);
}

TEST_CASE("cross-entropy gives the same bits for any number of threads") {
    ssm::Batch<float> z(1, 5000, 33);
    Labels labels(5000);
    ssm::Rng rng(3);
    for (float& value : z.view().flat())
        value = static_cast<float>(rng.normal());
    for (std::int32_t& label : labels)
        label = static_cast<std::int32_t>(rng.below(33));
    const ssm::loss::CrossEntropy<float> loss{.label_smoothing = 0.1};
    ssm::Batch<float> one(z.shape());
    ssm::Batch<float> many(z.shape());
    ssm::set_threads(1);
    const double first = loss(z, labels, one);
    ssm::set_threads(7);
    const double second = loss(z, labels, many);
    ssm::set_threads(0);
    CHECK(first == second);
    CHECK(one == many);
}
