#include <string>
#include <type_traits>

#include <ssm/core/error.hpp>

#include "support/catch.hpp"

using namespace ssm;

static_assert(std::is_base_of_v<Error, ShapeError> && std::is_base_of_v<Error, FileError>);
static_assert(std::is_base_of_v<std::runtime_error, Error>);

TEST_CASE("errors say what their parts say") {
    try {
        raise<ValueError>("layer ", 3, " has ", 2.5, " of something");
        FAIL("not reached");
    } catch (const ValueError& error) {
        CHECK(std::string(error.what()) == "layer 3 has 2.5 of something");
    }
    CHECK_THROWS_AS(require<ShapeError>(false, "no"), ShapeError);
    CHECK_NOTHROW(require<ShapeError>(true, "yes"));
}
