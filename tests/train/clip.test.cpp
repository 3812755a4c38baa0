#include <cmath>
#include <cstddef>
#include <limits>

#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/train/clip.hpp>
#include <ssm/train/ema.hpp>

#include "support/catch.hpp"

namespace {

/// A trained weight and a running statistic.
struct Weights {
    using value_type = float;

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&& visitor, Layers&... layers) {
        visitor("weight", ssm::WeightTraits{}, layers.weight...);
        visitor("mean", ssm::WeightTraits{.role = ssm::WeightRole::statistic, .momentum = 0.1},
                layers.mean...);
    }

    ssm::Tensor<float> weight{{2}};
    ssm::Tensor<float> mean{{2}, 100.0F};
};

Weights three_four() {
    Weights weights;
    weights.weight[0] = 3.0F;
    weights.weight[1] = -4.0F;
    return weights;
}

}  // namespace

TEST_CASE("clipping by norm returns the norm and shortens only what is longer") {
    Weights gradient = three_four();
    CHECK(ssm::gradient_norm(gradient) == 5.0);
    CHECK(ssm::clip_norm(gradient, 10.0) == 5.0);
    CHECK(gradient.weight == three_four().weight);
    CHECK(ssm::clip_norm(gradient, 1.0) == 5.0);
    CHECK(gradient.weight[0] == Approx(0.6).epsilon(1e-6));
    CHECK(gradient.weight[1] == Approx(-0.8).epsilon(1e-6));
    CHECK(gradient.mean[0] == 100.0F);
}

TEST_CASE("a norm that is not finite is returned and the gradient left alone") {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        Weights gradient = three_four();
        gradient.weight[1] = bad;
        CHECK_FALSE(std::isfinite(ssm::clip_norm(gradient, 1.0)));
        CHECK(gradient.weight[0] == 3.0F);
    }
}

TEST_CASE("clipping by value limits every trained entry and leaves NaN") {
    Weights gradient = three_four();
    ssm::clip_value(gradient, 3.5);
    CHECK(gradient.weight[0] == 3.0F);
    CHECK(gradient.weight[1] == -3.5F);
    CHECK(gradient.mean[0] == 100.0F);
    gradient.weight[0] = std::numeric_limits<float>::quiet_NaN();
    ssm::clip_value(gradient, 3.5);
    CHECK(std::isnan(gradient.weight[0]));
}

TEST_CASE("limits of clipping must be positive") {
    Weights gradient = three_four();
    CHECK_THROWS_AS(ssm::clip_norm(gradient, 0.0), ssm::ValueError);
    CHECK_THROWS_AS(ssm::clip_norm(gradient, std::nan("")), ssm::ValueError);
    CHECK_THROWS_AS(ssm::clip_value(gradient, -1.0), ssm::ValueError);
}

TEST_CASE("the norm of a long gradient is the same bits for any number of threads") {
    Weights gradient;
    gradient.weight = ssm::Tensor<float>({100003});
    ssm::Rng rng(1);
    for (float& value : gradient.weight.flat())
        value = static_cast<float>(rng.normal());
    ssm::set_threads(1);
    const double one = ssm::gradient_norm(gradient);
    ssm::set_threads(7);
    const double many = ssm::gradient_norm(gradient);
    ssm::set_threads(0);
    CHECK(one == many);
}

TEST_CASE("a moving average of weights follows trained weights and copies statistics") {
    Weights average = three_four();
    Weights model = three_four();
    model.weight[0] = 7.0F;
    model.mean[1] = -1.0F;
    ssm::update_average(average, model, 0.75);
    CHECK(average.weight[0] == 4.0F);
    CHECK(average.weight[1] == -4.0F);
    CHECK(average.mean == model.mean);
    CHECK_THROWS_AS(ssm::update_average(average, model, 1.5), ssm::ValueError);
    CHECK_THROWS_AS(ssm::update_average(average, model, std::nan("")), ssm::ValueError);
}
