#pragma once

// Matrix products are half of what a test file costs to compile, under sanitizers nearly all of it. They are compiled
// once, in prebuilt_products.cpp; other kernels in files of their own beside it.

#include <cstddef>

#include <ssm/core/batch.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/math/matrix_vector.hpp>
#include <ssm/math/product.hpp>
#include <ssm/math/small_float.hpp>
#include <ssm/math/weight_product.hpp>

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
        MatrixMap<const T>, MatrixMap<const T>, MatrixMap<T>, Workspace&);                           \
    SSM_TEST_PREBUILT void ssm::math::add_product_transposed<T>(                                     \
        MatrixMap<const T>, MatrixMap<const T>, MatrixMap<T>);                                       \
    SSM_TEST_WEIGHT_PRODUCTS(T, T)
#define SSM_TEST_WEIGHT_PRODUCTS(T, Stored)                                                          \
    SSM_TEST_PREBUILT void ssm::math::matrix_vector<T, Stored>(                                      \
        const Stored*, std::size_t, std::size_t, const T*, std::size_t, const T*, T*) noexcept;      \
    SSM_TEST_PREBUILT void ssm::math::weight_product<T, Stored>(                                     \
        MatrixMap<const T>, const Stored*, const T*, MatrixMap<T>, Workspace&);
// clang-format on

SSM_TEST_PRODUCTS(float)
SSM_TEST_PRODUCTS(double)
SSM_TEST_WEIGHT_PRODUCTS(float, ssm::Bfloat16)
