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
#include <ssm/layer/linear.hpp>
#include <ssm/layer/stateless.hpp>
#include <ssm/math/product.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/register.hpp>
#include <ssm/simd/transpose.hpp>
#include <ssm/version.hpp>
