#include <cmath>
#include <cstdint>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/error.hpp>
#include <ssm/train/metrics.hpp>

#include "support/catch.hpp"

namespace {

/// Logits of four rows whose answers are 0, 1, 2, 1.
ssm::Batch<float> answers() {
    ssm::Batch<float> z(2, 2, 3);
    z(0, 0, 0) = 1.0F;
    z(0, 1, 1) = 1.0F;
    z(1, 0, 2) = 1.0F;
    z(1, 1, 1) = 1.0F;
    return z;
}

}  // namespace

TEST_CASE("accuracy counts the rows whose largest logit is at their label") {
    CHECK(ssm::accuracy<float>(answers(), std::vector<std::int32_t>{0, 1, 0, 0}) == 0.5);
    CHECK(ssm::accuracy<float>(answers(), std::vector<std::int32_t>{0, -100, -100, 0}) == 0.5);
    CHECK(std::isnan(ssm::accuracy<float>(answers(), std::vector<std::int32_t>(4, -100))));
    CHECK(
        std::isnan(ssm::accuracy<float>(ssm::Batch<float>(0, 2, 3), std::vector<std::int32_t>())));
    CHECK_THROWS_AS(ssm::accuracy<float>(answers(), std::vector<std::int32_t>{0}), ssm::ShapeError);
}

TEST_CASE("the first of equal logits is the answer") {
    const std::vector<float> values = {1.0F, 3.0F, 3.0F};
    CHECK(ssm::argmax(std::span<const float>(values)) == 1);
    CHECK(ssm::argmax(std::span<const float>()) == 0);
}

TEST_CASE("a confusion matrix counts each class taken for each class") {
    ssm::ConfusionMatrix matrix(3);
    CHECK(std::isnan(matrix.accuracy()));
    matrix.add<float>(answers(), std::vector<std::int32_t>{0, 1, 1, -100});
    CHECK(matrix(0, 0) == 1);
    CHECK(matrix(1, 1) == 1);
    CHECK(matrix(1, 2) == 1);
    CHECK(matrix.accuracy() == Approx(2.0 / 3.0));
    CHECK(matrix.recall(1) == 0.5);
    CHECK(matrix.precision(2) == 0.0);
    CHECK(std::isnan(matrix.recall(2)));
}

TEST_CASE("a confusion matrix rejects classes out of range and counts nothing then") {
    CHECK_THROWS_AS(ssm::ConfusionMatrix(0), ssm::ValueError);
    ssm::ConfusionMatrix matrix(3);
    CHECK_THROWS_AS(matrix.add(3, 0), ssm::ValueError);
    CHECK_THROWS_AS(matrix.add<float>(answers(), std::vector<std::int32_t>{0, 1, 2, 3}),
                    ssm::ValueError);
    CHECK_THROWS_AS(matrix.add<float>(answers(), std::vector<std::int32_t>{0}), ssm::ShapeError);
    CHECK(matrix(0, 0) == 0);
}
