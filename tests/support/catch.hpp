#pragma once

// Catch2 2 and 3 through one include: TEST_CASE, SECTION, TEMPLATE_TEST_CASE, GENERATE, matchers
// and Approx are the same names with both.

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>

using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
