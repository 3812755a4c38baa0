#pragma once

// Scans of the selective layers and their short convolution, and the adjoints. Files that use such layers include this,
// and leave the kernels to prebuilt_selective.cpp.

#include <span>

#include <ssm/convolution/depthwise.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/scan/selective.hpp>
#include <ssm/scan/ssd.hpp>

#include "support/prebuilt.hpp"

// clang-format off
#define SSM_TEST_SELECTIVE(T)                                                                        \
    SSM_TEST_PREBUILT void ssm::selective_forward<ssm::SimplifiedZoh, T, T>(                         \
        const SelectiveSystem<T>&, const SelectiveInput<T>&, BatchView<T>, T*,                       \
        SelectiveCheckpoints<T>*, const Context&);                                                   \
    SSM_TEST_PREBUILT void ssm::selective_backward<ssm::SimplifiedZoh, T, T>(                        \
        const SelectiveSystem<T>&, const SelectiveInput<T>&, BatchView<const T>,                     \
        const SelectiveCheckpoints<T>&, const SelectiveGradient<T>&, const Context&);                \
    SSM_TEST_PREBUILT void ssm::selective_step<ssm::SimplifiedZoh, T, T>(                            \
        const SelectiveSystem<T>&, const SelectiveInput<T>&, BatchView<T>, T*) noexcept;             \
    SSM_TEST_PREBUILT void ssm::ssd_forward<T>(                                                      \
        const SsdSystem<T>&, const SsdInput<T>&, StridedRows<T>, T*, const Context&);                \
    SSM_TEST_PREBUILT void ssm::ssd_backward<T>(                                                     \
        const SsdSystem<T>&, const SsdInput<T>&, StridedRows<const T>, const T*,                     \
        const SsdGradient<T>&, const Context&);                                                      \
    SSM_TEST_PREBUILT void ssm::ssd_step<T>(                                                         \
        const SsdSystem<T>&, const SsdInput<T>&, StridedRows<T>, T*) noexcept;                       \
    SSM_TEST_PREBUILT void ssm::depthwise_forward<T>(                                                \
        const Depthwise<T>&, BatchView<const T>, BatchView<T>, const T*, const Context&);            \
    SSM_TEST_PREBUILT void ssm::depthwise_step<T>(                                                   \
        const Depthwise<T>&, std::span<const T>, std::span<T>, T*) noexcept;                         \
    SSM_TEST_PREBUILT void ssm::depthwise_backward<T>(                                               \
        const Depthwise<T>&, BatchView<const T>, BatchView<const T>, BatchView<T>, const T*, T*, T*, \
        T*, const Context&);
// clang-format on

SSM_TEST_SELECTIVE(float)
SSM_TEST_SELECTIVE(double)
