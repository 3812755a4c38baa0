#pragma once

// Eigen's matrix products and decompositions are half of what a test file costs to compile, under
// sanitizers nearly all of it. They are compiled once, in prebuilt.cpp.

#include <ssm/core/batch.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/init/nplr.hpp>
#include <ssm/kernel/fold.hpp>
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

SSM_TEST_PREBUILT ssm::init::detail::SkewEigen ssm::init::detail::eigen_of_skew<Eigen::MatrixXd>(
    const Eigen::MatrixXd&);
SSM_TEST_PREBUILT void ssm::init::detail::repair_zero_frequencies<Eigen::MatrixXcd>(
    Eigen::VectorXd&, Eigen::MatrixXcd&);
SSM_TEST_PREBUILT ssm::init::Nplr ssm::init::nplr<ssm::init::hippo::LegS>(
    const ssm::init::hippo::LegS&, std::size_t, std::size_t);

SSM_TEST_PREBUILT void ssm::fold<ssm::DplrSystem>(ssm::DplrSystem&, std::size_t);
SSM_TEST_PREBUILT void ssm::unfold<ssm::DplrSystem>(ssm::DplrSystem&);
SSM_TEST_PREBUILT void ssm::unfold_adjoint<ssm::DplrSystem>(
    const ssm::DplrSystem&, const ssm::DplrSystem&, ssm::DplrSystem&);
