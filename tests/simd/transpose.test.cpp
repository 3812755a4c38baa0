#include <cstddef>
#include <cstdint>

#include <ssm/simd/transpose.hpp>

#include "support/catch.hpp"

namespace simd = ssm::simd;

TEMPLATE_TEST_CASE("a transposed block has rows and lanes exchanged", "[simd]", float, double,
                   std::int32_t) {
    using T = TestType;
    constexpr std::size_t w = simd::width<T>;
    simd::Pack<T> rows[w];
    for (std::size_t i = 0; i < w; ++i)
        rows[i] = simd::iota<T>() + simd::Pack<T>(static_cast<T>(100 * i));
    simd::transpose(rows);
    for (std::size_t i = 0; i < w; ++i) {
        T lane[w];
        simd::store(lane, rows[i]);
        for (std::size_t j = 0; j < w; ++j)
            CHECK(lane[j] == static_cast<T>(100 * j + i));
    }
}
