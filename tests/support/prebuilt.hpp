#pragma once

// Eigen's matrix products are half of what a test file costs to compile, under sanitizers nearly
// all of it. They are compiled once, in prebuilt.cpp.

#include <ssm/core/batch.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/math/product.hpp>

#if !defined(SSM_TEST_PREBUILT)
#define SSM_TEST_PREBUILT extern template
#endif

// clang-format off
#define SSM_TEST_PRODUCTS(T)                                                                         \
    SSM_TEST_PREBUILT void ssm::math::product_transposed<T>(                                         \
        MatrixMap<const T>, MatrixMap<const T>, const T*, MatrixMap<T>);                             \
    SSM_TEST_PREBUILT void ssm::math::product<T>(                                                    \
        MatrixMap<const T>, MatrixMap<const T>, MatrixMap<T>);                                       \
    SSM_TEST_PREBUILT void ssm::math::add_product_of_transpose<T>(                                   \
        MatrixMap<const T>, MatrixMap<const T>, MatrixMap<T>, Workspace&);
// clang-format on

SSM_TEST_PRODUCTS(float)
SSM_TEST_PRODUCTS(double)
