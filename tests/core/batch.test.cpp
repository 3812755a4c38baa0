#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/tensor.hpp>

#include "support/catch.hpp"

using namespace ssm;

TEST_CASE("a batch is zero when made, aligned, and laid out channels last") {
    Batch<float> batch(2, 3, 5);
    for (const float value : batch.view().flat())
        CHECK(value == 0.0F);
    CHECK(reinterpret_cast<std::uintptr_t>(batch.data()) % alignment == 0);
    batch(1, 2, 4) = 7.0F;
    CHECK(batch.data()[(1 * 3 + 2) * 5 + 4] == 7.0F);
    CHECK(batch.shape() == Shape{2, 3, 5});
    CHECK(batch.size() == 30);
}

TEST_CASE("a batch is a regular value") {
    Batch<double> batch(1, 2, 3);
    batch(0, 1, 2) = 4.0;
    Batch<double> copy = batch;
    CHECK(copy == batch);
    copy(0, 0, 0) = 1.0;
    CHECK_FALSE(copy == batch);
    const Batch<double> moved = std::move(copy);
    CHECK(moved(0, 1, 2) == 4.0);
    batch = moved;
    CHECK(batch == moved);
    CHECK(Batch<double>(moved.view()) == moved);
}

TEST_CASE("views are windows on rows, steps and sequences") {
    Batch<double> batch(2, 4, 3);
    for (std::size_t i = 0; i < batch.size(); ++i)
        batch.data()[i] = static_cast<double>(i);
    const BatchView<const double> view = batch;
    CHECK(view.row(1, 2)[0] == 18.0);
    CHECK(view.sequence(1).shape() == Shape{1, 4, 3});
    CHECK(view.sequence(1)(0, 2, 0) == 18.0);
    CHECK(view.sequence(1).steps(2, 2)(0, 1, 2) == 23.0);
    CHECK(view.matrix()(6, 1) == 19.0);
    CHECK(view.matrix(1)(2, 1) == 19.0);
    CHECK_FALSE(view.empty());
    CHECK(BatchView<double>().empty());
    CHECK(Batch<double>(0, 4, 3).view().empty());
}

TEST_CASE("resizing keeps the capacity") {
    Batch<float> batch(2, 8, 4);
    const float* data = batch.data();
    batch.resize({1, 8, 4});
    batch.resize({2, 8, 4});
    CHECK(batch.data() == data);
    batch.fill(3.0F);
    CHECK(batch(1, 7, 3) == 3.0F);
}

TEST_CASE("shapes that cannot be are refused") {
    constexpr std::size_t huge = std::numeric_limits<std::size_t>::max() / 2;
    CHECK_THROWS_AS(Batch<float>(huge, 3, 1), ShapeError);
    CHECK_THROWS_AS(Batch<float>(1, 3, huge), ShapeError);
    CHECK_THROWS_AS(Tensor<float>({huge, 4}), ShapeError);
    CHECK_THROWS_AS(Extents({1, 2, 3, 4, 5, 6}), ShapeError);
    CHECK_THROWS_AS(require_shape("input", Shape{1, 2, 3}, Shape{1, 2, 4}), ShapeError);
    CHECK_NOTHROW(Batch<float>(huge, 0, huge));
}

TEST_CASE("a tensor holds any rank up to five, row-major") {
    Tensor<double> scalar(Extents{}, 2.0);
    CHECK(scalar.size() == 1);
    CHECK(scalar[0] == 2.0);
    CHECK(Tensor<double>().empty());
    Tensor<double> matrix({2, 3});
    matrix[1 * 3 + 2] = 5.0;
    CHECK(matrix.matrix()(1, 2) == 5.0);
    CHECK(matrix.extents() == Extents{2, 3});
    CHECK(reinterpret_cast<std::uintptr_t>(matrix.data()) % alignment == 0);
    CHECK(Tensor<float>({1, 2, 3, 4, 5}).size() == 120);
}
