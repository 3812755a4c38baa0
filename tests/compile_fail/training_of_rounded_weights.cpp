// EXPECT: ssm: this layer cannot be trained

#include <ssm/core/concepts.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/math/small_float.hpp>

static_assert(ssm::check_trainable<ssm::Linear<float, ssm::Bfloat16>>());
