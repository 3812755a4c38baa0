#include <cmath>
#include <limits>

#include <ssm/core/error.hpp>
#include <ssm/discretize/transform.hpp>

#include "support/catch.hpp"

using namespace ssm;

namespace {

constexpr Transform all_transforms[] = {Transform::none, Transform::exp, Transform::relu,
                                        Transform::sigmoid, Transform::softplus};

}  // namespace

TEST_CASE("Transforms have their formulas") {
    CHECK(value(Transform::none, -0.7) == -0.7);
    CHECK(value(Transform::exp, -0.7) == Approx(std::exp(-0.7)));
    CHECK(value(Transform::relu, -0.7) == 1e-4);
    CHECK(value(Transform::relu, 0.7) == Approx(0.7001));
    CHECK(value(Transform::sigmoid, -0.7) == Approx(1.0 / (1.0 + std::exp(0.7))));
    CHECK(value(Transform::softplus, -0.7) == Approx(std::log(1.0 + std::exp(-0.7))));
}

TEST_CASE("Transforms are undone by their inverse") {
    for (const Transform transform : all_transforms)
        for (const double v : {1e-4, 1e-3, 0.1, 0.5, 0.9}) {
            const double shift = transform == Transform::relu ? 1e-4 : 0.0;
            CHECK(value(transform, inverse(transform, v)) == Approx(v + shift).epsilon(1e-12));
        }
    CHECK(value(Transform::softplus, inverse(Transform::softplus, 800.0)) == Approx(800.0));
}

TEST_CASE("Derivatives of transforms agree with central differences") {
    const double step = 1e-5;
    for (const Transform transform : all_transforms)
        for (const double p : {-3.0, -0.2, 0.3, 4.0}) {
            const double slope =
                (value(transform, p + step) - value(transform, p - step)) / (2.0 * step);
            CHECK(derivative(transform, p) == Approx(slope).margin(1e-8));
        }
}

TEST_CASE("Transforms neither overflow nor vanish far out") {
    CHECK(value(Transform::softplus, 1000.0) == 1000.0);
    CHECK(value(Transform::softplus, -700.0) == Approx(std::exp(-700.0)));
    CHECK(value(Transform::sigmoid, 1000.0) == 1.0);
    CHECK(value(Transform::sigmoid, -700.0) == Approx(std::exp(-700.0)));
    CHECK(derivative(Transform::softplus, -700.0) == Approx(std::exp(-700.0)));
    CHECK(derivative(Transform::sigmoid, 700.0) == Approx(std::exp(-700.0)));
}

TEST_CASE("Initial values below 1e-4 start there") {
    CHECK(initial_weight(Transform::none, 0.0) == 1e-4);
    CHECK(initial_weight(Transform::exp, -1.0) == Approx(std::log(1e-4)));
    CHECK(initial_weight(Transform::exp, 0.5) == Approx(std::log(0.5)));
    CHECK_THROWS_AS(initial_weight(Transform::sigmoid, 1.0), ValueError);
    CHECK_THROWS_AS(initial_weight(Transform::none, std::numeric_limits<double>::quiet_NaN()),
                    ValueError);
}

TEST_CASE("Transforms are known by name") {
    for (const Transform transform : all_transforms)
        CHECK(transform_named(name(transform)) == transform);
    CHECK_THROWS_AS(transform_named("tanh"), ValueError);
}
