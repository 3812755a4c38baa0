#include <cmath>
#include <cstddef>

#include <ssm/core/error.hpp>
#include <ssm/train/plateau.hpp>
#include <ssm/train/schedule.hpp>

#include "support/catch.hpp"

using namespace ssm::schedule;

static_assert(ssm::Schedule<Constant> && ssm::Schedule<Cosine> && ssm::Schedule<LinearDecay>);
static_assert(ssm::Schedule<Step> && ssm::Schedule<Exponential> && ssm::Schedule<Warmup<Cosine>>);
static_assert(ssm::MetricSchedule<Plateau> && ssm::MetricSchedule<Warmup<Plateau>>);
static_assert(!ssm::MetricSchedule<Cosine> && !ssm::MetricSchedule<Warmup<Cosine>>);
static_assert(ssm::RememberingSchedule<Warmup<Plateau>> && !ssm::RememberingSchedule<Warmup<>>);

TEST_CASE("a warm-up rises linearly and hands over to the next schedule") {
    const Warmup<Cosine> schedule{.steps = 4, .then = {.steps = 10}};
    CHECK(schedule(0) == 0.0);
    CHECK(schedule(1) == 0.25);
    CHECK(schedule(4) == 1.0);
    CHECK(schedule(9) == Approx(0.5));
    CHECK(schedule(14) == Approx(0.0).margin(1e-15));
    const Warmup<> none{};
    CHECK(none(0) == 1.0);
}

TEST_CASE("a cosine falls from 1 to its end and stays there, or repeats when asked") {
    const Cosine once{.steps = 10, .end = 0.1};
    CHECK(once(0) == 1.0);
    CHECK(once(5) == Approx(0.55));
    CHECK(once(10) == 0.1);
    CHECK(once(1000) == 0.1);
    const Cosine again{.steps = 10, .repeats = true};
    CHECK(again(20) == Approx(1.0));
    const Cosine at_once{.end = 0.5};
    CHECK(at_once(0) == 0.5);
}

TEST_CASE("a linear decay ends at its end") {
    const LinearDecay schedule{.steps = 4, .end = 0.5};
    CHECK(schedule(0) == 1.0);
    CHECK(schedule(2) == 0.75);
    CHECK(schedule(4) == 0.5);
    CHECK(schedule(99) == 0.5);
    CHECK(LinearDecay{}(0) == 0.0);
}

TEST_CASE("steps and exponentials are powers") {
    const Step schedule{.every = 3, .gamma = 0.5};
    CHECK(schedule(2) == 1.0);
    CHECK(schedule(3) == 0.5);
    CHECK(schedule(8) == 0.25);
    CHECK(Exponential{.gamma = 0.9}(5) == Approx(std::pow(0.9, 5)));
    CHECK_THROWS_AS((Step{.every = 0}(1)), ssm::ValueError);
}

TEST_CASE("a plateau reduces its factor when the metric stops getting better") {
    Plateau plateau{.gamma = 0.5, .patience = 1};
    plateau.observe(1.0);
    plateau.observe(1.0);
    CHECK(plateau(0) == 1.0);
    plateau.observe(0.99995);  // not better by the relative threshold
    CHECK(plateau(0) == 0.5);
    plateau.observe(0.5);
    plateau.observe(0.6);
    CHECK(plateau(0) == 0.5);
    plateau.observe(std::nan(""));
    CHECK(plateau(0) == 0.25);
}

TEST_CASE("a plateau cools down and has a floor") {
    Plateau plateau{.gamma = 0.1, .patience = 0, .cooldown = 2, .end = 0.05};
    plateau.observe(1.0);
    plateau.observe(2.0);
    CHECK(plateau(0) == Approx(0.1));
    plateau.observe(2.0);
    plateau.observe(2.0);
    CHECK(plateau(0) == Approx(0.1));
    plateau.observe(2.0);
    CHECK(plateau(0) == Approx(0.05));
    Plateau wrong{.gamma = 1.0};
    CHECK_THROWS_AS(wrong.observe(1.0), ssm::ValueError);
}

TEST_CASE("a plateau can follow a metric that is better when larger") {
    Plateau plateau{.gamma = 0.5, .patience = 0, .metric = {.goal = ssm::Goal::maximum}};
    plateau.observe(0.5);
    plateau.observe(0.7);
    CHECK(plateau(0) == 1.0);
    plateau.observe(0.6);
    CHECK(plateau(0) == 0.5);
}
