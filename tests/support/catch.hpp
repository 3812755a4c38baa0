#pragma once

// Catch2 2 and 3 through one include: TEST_CASE, SECTION, TEMPLATE_TEST_CASE, GENERATE, matchers
// and Approx are the same names with both. Headers of the other one may be installed too: CMake says
// which one it links.

#include <ssm/core/parallel.hpp>

#if SSM_TEST_CATCH_MAJOR >= 3
#include <catch2/catch_all.hpp>

using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif

namespace ssm_test {

/// Tests are small, and threads shall run in them all the same.
inline const bool threads_are_used = (ssm::set_least_parallel_work(0.0), true);

}  // namespace ssm_test
