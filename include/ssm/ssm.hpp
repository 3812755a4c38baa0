#pragma once

/// Everything, for convenience. A program that cares for its compile time includes what it uses.
/// The list is written by cmake -D WRITE=ON -P cmake/umbrella.cmake.

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/config.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/layer/dropout.hpp>
#include <ssm/layer/identity.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/layer/lti.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/layer/stateless.hpp>
#include <ssm/layer/structure/diagonal.hpp>
#include <ssm/math/product.hpp>
#include <ssm/math/small_float.hpp>
#include <ssm/model/repeat.hpp>
#include <ssm/model/residual.hpp>
#include <ssm/model/sequential.hpp>
#include <ssm/simd/bits.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/exp.hpp>
#include <ssm/simd/log.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/register.hpp>
#include <ssm/simd/transpose.hpp>
#include <ssm/train/loss.hpp>
#include <ssm/train/softmax.hpp>
#include <ssm/version.hpp>

#if __has_include(<nlohmann/json.hpp>)
#include <ssm/io/dtype.hpp>
#include <ssm/io/mapped_file.hpp>
#endif
