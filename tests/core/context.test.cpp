#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <ssm/core/context.hpp>

#include "support/catch.hpp"

using namespace ssm;

TEST_CASE("a context knows resets and lengths, and nothing by default") {
    Workspace workspace;
    const Context plain(workspace);
    CHECK_FALSE(plain.resets_at(1, 2));
    CHECK(plain.valid_length(1, 9) == 9);
    CHECK(plain.rng == nullptr);

    Batch<std::uint8_t> mask(2, 3, 1);
    mask(1, 2, 0) = 1;
    const std::vector<std::size_t> lengths = {3, 1};
    Rng rng;
    const Context full = plain.with_resets(mask).with_lengths(lengths).with_rng(rng);
    CHECK(full.resets_at(1, 2));
    CHECK_FALSE(full.resets_at(0, 2));
    CHECK(full.valid_length(1, 3) == 1);
    CHECK(full.rng == &rng);
    CHECK_NOTHROW(full.check({2, 3, 7}));

    const Context timeless = full.without_time();
    CHECK_FALSE(timeless.resets_at(1, 2));
    CHECK(timeless.valid_length(1, 3) == 3);
    CHECK(timeless.rng == &rng);
}

TEST_CASE("a context that does not fit the sequences is refused with both sizes") {
    Workspace workspace;
    const Batch<std::uint8_t> mask(2, 3, 1);
    const auto message = [](const Context& context, const Shape& shape) -> std::string {
        try {
            context.check(shape);
        } catch (const ShapeError& error) {
            return error.what();
        }
        return "";
    };
    CHECK(message(Context(workspace).with_resets(mask), {2, 4, 7}) ==
          "ssm::Context: reset mask has shape (batch 2, length 3, channels 1), expected (batch 2, "
          "length 4, channels 1)");
    const std::vector<std::size_t> lengths = {3, 5};
    CHECK(message(Context(workspace).with_lengths(lengths), {3, 4, 7}) ==
          "ssm::Context: 2 lengths for 3 sequences");
    CHECK(message(Context(workspace).with_lengths(lengths), {2, 4, 7}) ==
          "ssm::Context: a sequence has length 5, more than the 4 steps of the batch");
}
