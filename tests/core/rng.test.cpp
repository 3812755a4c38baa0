#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include <ssm/core/rng.hpp>

#include "support/catch.hpp"

using namespace ssm;

TEST_CASE("the generator is xoshiro256** seeded by splitmix64") {
    // The state after seeding with 0 is splitmix64's published sequence; then the published step.
    const Rng seeded(0);
    CHECK(seeded.state() == Rng::State{0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f,
                                       0xf88bb8a8724c81ec});
    Rng one(Rng::State{1, 2, 3, 4});
    CHECK(one() == 11520U);
    CHECK(one() == 0U);
    CHECK(one() == 1509978240U);
    CHECK(one() == 1215971899390074240U);
}

TEST_CASE("drawn numbers are the same bits on every platform") {
    Rng rng(42);
    std::uint64_t mixed = 0;
    for (int i = 0; i < 1000; ++i) {
        mixed = std::rotl(mixed, 1) ^ std::bit_cast<std::uint64_t>(rng.normal());
        mixed = std::rotl(mixed, 1) ^ std::bit_cast<std::uint64_t>(rng.uniform(-3.0, 5.0));
        mixed = std::rotl(mixed, 1) ^ rng.below(1000);
    }
    CHECK(mixed == 0xbb30bd38950c1009U);
}

TEST_CASE("uniform numbers fill their interval evenly") {
    Rng rng(1);
    double mean = 0.0;
    double square = 0.0;
    for (int i = 0; i < 100000; ++i) {
        const double u = rng.uniform();
        REQUIRE((u >= 0.0 && u < 1.0));
        mean += u / 1e5;
        square += u * u / 1e5;
    }
    CHECK(mean == Approx(0.5).margin(0.005));  // five standard deviations
    CHECK(square == Approx(1.0 / 3.0).margin(0.005));
}

TEST_CASE("normal numbers have mean 0, variance 1, fourth moment 3") {
    Rng rng(2);
    double moments[4] = {};
    for (int i = 0; i < 200000; ++i) {
        const double x = rng.normal();
        for (int p = 1; p <= 4; ++p)
            moments[p - 1] += std::pow(x, p) / 2e5;
    }
    CHECK(moments[0] == Approx(0.0).margin(0.012));  // five standard deviations each
    CHECK(moments[1] == Approx(1.0).margin(0.016));
    CHECK(moments[2] == Approx(0.0).margin(0.044));
    CHECK(moments[3] == Approx(3.0).margin(0.11));
}

TEST_CASE("bounded integers are unbiased and in range") {
    Rng rng(3);
    std::vector<int> counts(7);
    for (int i = 0; i < 70000; ++i)
        ++counts.at(rng.below(7));
    for (const int count : counts)
        CHECK(std::abs(count - 10000) < 500);  // five standard deviations are 463
    CHECK(rng.below(1) == 0);
}

TEST_CASE("a copy has the same future, a split another one") {
    Rng rng(4);
    Rng copy = rng;
    CHECK(copy == rng);
    CHECK(copy() == rng());
    Rng child = rng.split();
    CHECK_FALSE(child == rng);
    CHECK(child() != rng());
    CHECK(Rng(rng.state()) == rng);
}

TEST_CASE("shuffling keeps all elements and reaches every order") {
    Rng rng(5);
    std::vector<int> order(20);
    std::iota(order.begin(), order.end(), 0);
    std::vector<int> shuffled = order;
    rng.shuffle(std::span<int>(shuffled));
    CHECK(shuffled != order);
    std::sort(shuffled.begin(), shuffled.end());
    CHECK(shuffled == order);
    std::vector<int> counts(6);
    for (int i = 0; i < 6000; ++i) {
        std::vector<int> three = {0, 1, 2};
        rng.shuffle(std::span<int>(three));
        ++counts.at(static_cast<std::size_t>(three[0] * 2 + (three[1] > three[2] ? 1 : 0)));
    }
    for (const int count : counts)
        CHECK(std::abs(count - 1000) < 150);  // five standard deviations are 144
}
