#include <cstddef>
#include <memory>
#include <vector>

#include <ssm/simd/partial.hpp>

#include "support/catch.hpp"

namespace simd = ssm::simd;

TEMPLATE_TEST_CASE("partial loads read n numbers and zeros, partial stores write n", "[simd]",
                   float, double) {
    using T = TestType;
    constexpr std::size_t w = simd::width<T>;
    for (std::size_t n = 0; n <= w; ++n) {
        // Exactly n numbers long on the heap, so that the address sanitizer sees a step too far.
        const std::unique_ptr<T[]> from(new T[n]);
        const std::unique_ptr<T[]> to(new T[n]);
        for (std::size_t i = 0; i < n; ++i)
            from[i] = static_cast<T>(i + 1);
        const simd::Pack<T> x = simd::load_partial(from.get(), n);
        T lane[w];
        simd::store(lane, x);
        for (std::size_t i = 0; i < w; ++i)
            CHECK(lane[i] == (i < n ? static_cast<T>(i + 1) : T(0)));

        simd::store_partial(to.get(), x, n);
        for (std::size_t i = 0; i < n; ++i)
            CHECK(to[i] == from[i]);

        std::vector<T> row(w + 1, T(-1));
        simd::store_partial(row.data(), simd::Pack<T>(T(5)), n);
        for (std::size_t i = 0; i < row.size(); ++i)
            CHECK(row[i] == (i < n ? T(5) : T(-1)));
    }
}

TEMPLATE_TEST_CASE("lanes for the first numbers of a pack move these and no others", "[simd]",
                   float, double) {
    using T = TestType;
    constexpr std::size_t w = simd::width<T>;
    for (std::size_t n = 1; n < w; ++n)
        simd::with_first_lanes<T>(n, [&](auto lanes) {
            REQUIRE(lanes.count() == n);
            const std::unique_ptr<T[]> x(new T[n]);  // as above
            for (std::size_t i = 0; i < n; ++i)
                x[i] = static_cast<T>(i + 1);
            lanes.store(x.get(), lanes.load(x.get()) + T(1));
            for (std::size_t i = 0; i < n; ++i)
                CHECK(x[i] == static_cast<T>(i + 2));
            T row[w];
            simd::store(row, lanes.load(x.get()));
            for (std::size_t i = n; i < w; ++i)
                CHECK(row[i] == T(0));
        });
    T row[w] = {};
    simd::HalfLanes<T>{}.store(row, simd::Pack<T>(T(5)));
    for (std::size_t i = 0; i < w; ++i)
        CHECK(row[i] == (i < w / 2 ? T(5) : T(0)));
    T half[w];
    simd::store(half, simd::HalfLanes<T>{}.load(row));
    for (std::size_t i = 0; i < w; ++i)
        CHECK(half[i] == row[i]);
}

TEMPLATE_TEST_CASE("loops over packs see each number once, for any length", "[simd]", float,
                   double) {
    using T = TestType;
    constexpr std::size_t w = simd::width<T>;
    for (std::size_t n = 0; n <= 3 * w + 1; ++n) {
        std::vector<T> y(n + 1, T(0));
        std::size_t covered = 0;
        simd::for_each_pack<T>(n, [&](auto lanes, std::size_t i) {
            CHECK(i == covered);
            covered += lanes.count();
            lanes.store(y.data() + i, lanes.load(y.data() + i) + T(1));
        });
        CHECK(covered == n);
        for (std::size_t i = 0; i < n; ++i)
            CHECK(y[i] == T(1));
        CHECK(y[n] == T(0));
    }
}
