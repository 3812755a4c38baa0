#pragma once

// Scans of layers with complex states that share their input, and the adjoints. Files that use such layers include
// this, and leave the scans to prebuilt_scan.cpp.

#include <span>
#include <type_traits>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/scan/linear_scan.hpp>
#include <ssm/scan/linear_scan_adjoint.hpp>

#include "support/prebuilt.hpp"

// clang-format off
#define SSM_TEST_SCAN(T)                                                                             \
    SSM_TEST_PREBUILT void ssm::linear_scan<ssm::ComplexIncrements, T>(                              \
        std::type_identity_t<std::span<const T>>, BatchView<T>, std::type_identity_t<std::span<T>>,  \
        const Context&, TimeDirection);                                                              \
    SSM_TEST_PREBUILT void ssm::linear_scan<ssm::ComplexIncrements, T>(                              \
        std::type_identity_t<BatchView<const T>>, BatchView<T>, std::type_identity_t<std::span<T>>,  \
        const Context&, TimeDirection);                                                              \
    SSM_TEST_PREBUILT void ssm::linear_scan_adjoint<ssm::ComplexIncrements, T>(                      \
        std::type_identity_t<std::span<const T>>, std::type_identity_t<BatchView<const T>>,          \
        BatchView<T>, std::span<double>, std::type_identity_t<std::span<const T>>,                   \
        std::type_identity_t<std::span<T>>, const Context&, TimeDirection);                          \
    SSM_TEST_PREBUILT void ssm::linear_scan_adjoint<ssm::ComplexIncrements, T>(                      \
        std::type_identity_t<BatchView<const T>>, std::type_identity_t<BatchView<const T>>,          \
        BatchView<T>, std::type_identity_t<BatchView<T>>,                                            \
        std::type_identity_t<std::span<const T>>, std::type_identity_t<std::span<T>>,                \
        const Context&, TimeDirection);
// clang-format on

SSM_TEST_SCAN(float)
SSM_TEST_SCAN(double)
