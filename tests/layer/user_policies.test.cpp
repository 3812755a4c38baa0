#include <cstddef>

#include <ssm/core/concepts.hpp>
#include <ssm/discretize/discretization.hpp>
#include <ssm/layer/lti.hpp>

#include "../../examples/support/resonators.hpp"
#include "support/conformance.hpp"
#include "support/prebuilt_bank.hpp"

using namespace ssm;
using Resonators = Lti<double, examples::Resonators, Discrete>;

static_assert(LinearStructure<examples::Resonators, double, Discrete>);
static_assert(check_streaming<Resonators>() && check_trainable<Resonators>());

TEST_CASE("a structure that a user writes keeps every promise of a layer") {
    ssm_test::check_conformance(Resonators({.channels = 5, .rate = 1.5}));
}
