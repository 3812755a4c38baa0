#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/train/adagrad.hpp>
#include <ssm/train/adam.hpp>
#include <ssm/train/adamax.hpp>
#include <ssm/train/nadam.hpp>
#include <ssm/train/optimizer.hpp>
#include <ssm/train/radam.hpp>
#include <ssm/train/rmsprop.hpp>
#include <ssm/train/sgd.hpp>

#include "support/catch.hpp"

namespace {

using ssm::WeightRole;
using ssm::WeightTraits;

/// Two weights, of which the second has traits to be tested.
template <class T>
struct Pair {
    using value_type = T;

    explicit Pair(std::size_t size = 3, WeightTraits traits = {})
        : plain({size}), special({size}), special_traits(traits) {}

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&& visitor, Layers&... layers) {
        visitor("plain", WeightTraits{}, layers.plain...);
        visitor("special", traits_of(layers...), layers.special...);
    }

    ssm::Tensor<T> plain;
    ssm::Tensor<T> special;
    WeightTraits special_traits;

private:
    template <class First, class... Others>
    static const WeightTraits& traits_of(const First& first, const Others&...) {
        return first.special_traits;
    }
};

template <class T>
Pair<T> random_pair(std::size_t size, std::uint64_t seed, WeightTraits traits = {}) {
    Pair<T> pair(size, traits);
    ssm::Rng rng(seed);
    for (auto* tensor : {&pair.plain, &pair.special})
        for (T& value : tensor->flat())
            value = static_cast<T>(rng.normal());
    return pair;
}

/// One optimiser with every moment it can have.
template <class Rule>
typename Rule::Options all_moments(typename Rule::Options options) {
    if constexpr (requires { options.amsgrad; })
        options.amsgrad = true;
    if constexpr (requires { options.momentum; })
        options.momentum = 0.9;
    if constexpr (requires { options.centered; })
        options.centered = true;
    return options;
}

}  // namespace

#define SSM_ALL_RULES                                                                         \
    ssm::rule::SGD, ssm::rule::Adam, ssm::rule::AdamW, ssm::rule::Adagrad, ssm::rule::Adamax, \
        ssm::rule::NAdam, ssm::rule::RAdam, ssm::rule::RMSprop

TEMPLATE_TEST_CASE("every optimiser finds the minimum of a quadratic", "", SSM_ALL_RULES) {
    const Pair<double> target = random_pair<double>(37, 1);
    for (const bool all : {false, true}) {
        typename TestType::Options options;
        options.learning_rate = 0.02;
        options.weight_decay = 0.0;
        if (std::string(TestType::name) == "Adagrad")
            options.learning_rate = 0.5;
        if (all)
            options = all_moments<TestType>(options);
        Pair<double> model(37);
        ssm::Optimizer<Pair<double>, TestType> optimizer(model, options);
        for (std::size_t step = 0; step < 2000; ++step) {
            Pair<double> gradient = model;
            for (std::size_t i = 0; i < 37; ++i) {
                gradient.plain[i] -= target.plain[i];
                gradient.special[i] -= target.special[i];
            }
            optimizer.step(model, gradient, step < 1500 ? 1.0 : 0.05);
        }
        for (std::size_t i = 0; i < 37; ++i) {
            CHECK(model.plain[i] == Approx(target.plain[i]).margin(2e-3));
            CHECK(model.special[i] == Approx(target.special[i]).margin(2e-3));
        }
    }
}

TEMPLATE_TEST_CASE("an optimiser gives the same bits for any number of threads", "",
                   SSM_ALL_RULES) {
    const Pair<float> start = random_pair<float>(50000, 1);
    const Pair<float> gradient = random_pair<float>(50000, 2);
    const auto options = all_moments<TestType>({});
    std::vector<Pair<float>> results;
    for (const std::size_t threads : {1U, 2U, 7U}) {
        ssm::set_threads(threads);
        Pair<float> model = start;
        ssm::Optimizer<Pair<float>, TestType> optimizer(model, options);
        for (int step = 0; step < 3; ++step)
            optimizer.step(model, gradient);
        results.push_back(model);
    }
    ssm::set_threads(0);
    for (const Pair<float>& result : results) {
        CHECK(result.plain == results[0].plain);
        CHECK(result.special == results[0].special);
    }
}

TEMPLATE_TEST_CASE("what happens to a number does not depend on its place in a tensor", "",
                   SSM_ALL_RULES) {
    const auto options = all_moments<TestType>({});
    Pair<double> many(61);
    many.plain.fill(0.7);
    Pair<double> many_slope(61);
    many_slope.plain.fill(-0.3);
    ssm::Optimizer<Pair<double>, TestType> optimizer(many, options);
    for (int step = 0; step < 7; ++step)
        optimizer.step(many, many_slope);
    for (const double value : many.plain.flat())
        CHECK(value == many.plain[0]);
}

TEMPLATE_TEST_CASE("float and double updates agree to float's rounding", "", SSM_ALL_RULES) {
    const Pair<double> start = random_pair<double>(33, 1);
    const Pair<double> gradient = random_pair<double>(33, 2);
    Pair<double> exact = start;
    Pair<float> rounded(33);
    Pair<float> slope(33);
    for (std::size_t i = 0; i < 33; ++i) {
        rounded.plain[i] = static_cast<float>(start.plain[i]);
        slope.plain[i] = static_cast<float>(gradient.plain[i]);
    }
    const auto options = all_moments<TestType>({});
    ssm::Optimizer<Pair<double>, TestType> in_double(exact, options);
    ssm::Optimizer<Pair<float>, TestType> in_float(rounded, options);
    for (int step = 0; step < 5; ++step) {
        in_double.step(exact, gradient);
        in_float.step(rounded, slope);
    }
    for (std::size_t i = 0; i < 33; ++i)
        CHECK(static_cast<double>(rounded.plain[i]) ==
              Approx(exact.plain[i]).epsilon(1e-5).margin(1e-5));
}

TEST_CASE("a frozen weight stays, a statistic moves by its momentum times the gradient entry") {
    Pair<double> gradient = random_pair<double>(3, 2);
    Pair<double> frozen = random_pair<double>(3, 1, {.role = WeightRole::frozen});
    Pair<double> running =
        random_pair<double>(3, 1, {.role = WeightRole::statistic, .momentum = 0.1});
    const Pair<double> before = frozen;
    ssm::AdamW<Pair<double>> first(frozen);
    ssm::AdamW<Pair<double>> second(running);
    first.step(frozen, gradient);
    second.step(running, gradient, 0.0);
    CHECK(frozen.special == before.special);
    CHECK(frozen.plain[0] != before.plain[0]);
    for (std::size_t i = 0; i < 3; ++i)
        CHECK(running.special[i] == Approx(before.special[i] + 0.1 * gradient.special[i]));
}

TEST_CASE("a weight's own learning rate replaces the base rate and follows the schedule") {
    Pair<double> model(1, {.learning_rate = 0.5});
    Pair<double> gradient(1);
    gradient.plain[0] = gradient.special[0] = 1.0;
    ssm::SGD<Pair<double>> optimizer(model, {.learning_rate = 0.1});
    optimizer.step(model, gradient, 0.25);
    CHECK(model.plain[0] == Approx(-0.025));
    CHECK(model.special[0] == Approx(-0.125));
    optimizer.options.learning_rate = 1.0;
    optimizer.step(model, gradient);
    CHECK(model.plain[0] == Approx(-1.025));
    CHECK(model.special[0] == Approx(-0.625));
}

TEST_CASE("a weight's own weight decay replaces the optimiser's") {
    Pair<double> model(1, {.weight_decay = 0.0});
    model.plain[0] = model.special[0] = 2.0;
    const Pair<double> gradient(1);
    ssm::AdamW<Pair<double>> optimizer(model, {.learning_rate = 0.1, .weight_decay = 0.5});
    optimizer.step(model, gradient);
    CHECK(model.plain[0] == Approx(2.0 * (1.0 - 0.05)));
    CHECK(model.special[0] == 2.0);
}

TEST_CASE("groups by name override the traits of the layer") {
    Pair<double> model(1, {.learning_rate = 0.5});
    Pair<double> gradient(1);
    gradient.plain[0] = gradient.special[0] = 1.0;
    const auto groups = [](std::string_view name, WeightTraits traits) {
        if (name == "plain")
            traits.role = WeightRole::frozen;
        else
            traits.learning_rate = 2.0;
        return traits;
    };
    ssm::SGD<Pair<double>> optimizer(model, {.learning_rate = 0.1}, groups);
    optimizer.step(model, gradient);
    CHECK(model.plain[0] == 0.0);
    CHECK(model.special[0] == Approx(-2.0));
}

TEST_CASE("an optimiser is a value: a copy has the same future") {
    Pair<double> model = random_pair<double>(5, 1);
    const Pair<double> gradient = random_pair<double>(5, 2);
    ssm::AdamW<Pair<double>> optimizer(model);
    optimizer.step(model, gradient);
    Pair<double> other_model = model;
    ssm::AdamW<Pair<double>> other = optimizer;
    optimizer.step(model, gradient);
    other.step(other_model, gradient);
    CHECK(model.plain == other_model.plain);
    CHECK(other.steps() == 2);
}

TEST_CASE("an optimiser rejects what it cannot use and changes nothing") {
    Pair<double> model = random_pair<double>(3, 1);
    const Pair<double> before = model;
    const Pair<double> gradient = random_pair<double>(3, 2);
    using Adam = ssm::AdamW<Pair<double>>;
    using SGD = ssm::SGD<Pair<double>>;
    CHECK_THROWS_AS(Adam(model, {.learning_rate = -0.1}), ssm::ValueError);
    CHECK_THROWS_AS(Adam(model, {.learning_rate = std::nan("")}), ssm::ValueError);
    CHECK_THROWS_AS(Adam(model, {.beta1 = 1.0}), ssm::ValueError);
    CHECK_THROWS_AS(Adam(model, {.weight_decay = -1.0}), ssm::ValueError);
    CHECK_THROWS_AS(SGD(model, {.nesterov = true}), ssm::ValueError);

    Adam optimizer(model);
    CHECK_THROWS_AS(optimizer.step(model, gradient, -1.0), ssm::ValueError);
    CHECK_THROWS_AS(optimizer.step(model, gradient, std::nan("")), ssm::ValueError);
    CHECK_THROWS_AS(optimizer.step(model, Pair<double>(4)), ssm::ShapeError);
    optimizer.options.amsgrad = true;
    CHECK_THROWS_AS(optimizer.step(model, gradient), ssm::ValueError);
    optimizer.options.amsgrad = false;
    optimizer.groups = [](std::string_view, WeightTraits traits) {
        traits.learning_rate = -1.0;
        return traits;
    };
    CHECK_THROWS_AS(optimizer.step(model, gradient), ssm::ValueError);
    CHECK(model.plain == before.plain);
    CHECK(model.special == before.special);
    CHECK(optimizer.steps() == 0);
}

TEST_CASE("empty tensors are no trouble to an optimiser") {
    Pair<double> model(0);
    ssm::AdamW<Pair<double>> optimizer(model);
    optimizer.step(model, Pair<double>(0));
    CHECK(optimizer.steps() == 1);
}
