#pragma once

// What evaluates banks of diagonal systems, and its adjoints. Files that use such layers include this, and leave the
// kernels to prebuilt_bank.cpp.

#include <span>

#include <ssm/convolution/chunked.hpp>
#include <ssm/convolution/fft.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/kernel/vandermonde.hpp>
#include <ssm/scan/diagonal.hpp>
#include <ssm/scan/diagonal_backward.hpp>
#include <ssm/scan/diagonal_step.hpp>

#include "support/prebuilt.hpp"

// clang-format off
#define SSM_TEST_BANK(T)                                                                             \
    SSM_TEST_PREBUILT void ssm::KernelSpectrum<T>::prepare(                                          \
        ConvolutionKernel<const T>, std::size_t, Workspace&);                                        \
    SSM_TEST_PREBUILT void ssm::KernelSpectrum<T>::transform(                                        \
        const Fft&, std::size_t, std::size_t, T*, T*) const;                                         \
    SSM_TEST_PREBUILT void ssm::fft_convolution<T>(                                                  \
        BatchView<const T>, const KernelSpectrum<T>&, BatchView<T>, const Context&);                 \
    SSM_TEST_PREBUILT void ssm::fft_convolution_adjoint<T>(                                          \
        BatchView<const T>, BatchView<const T>, const KernelSpectrum<T>&, BatchView<T>,              \
        const ConvolutionKernel<T>&, const Context&);                                                \
    SSM_TEST_PREBUILT void ssm::chunked_forward<T>(                                                  \
        const Modes&, std::span<const T>, BatchView<const T>, BatchView<T>, DiagonalState<T>&,       \
        const Context&);                                                                             \
    SSM_TEST_PREBUILT void ssm::chunked_forward<T>(                                                  \
        const Modes&, std::span<const T>, BatchView<const T>, BatchView<T>, const Context&);         \
    SSM_TEST_PREBUILT void ssm::diagonal_forward<T>(                                                 \
        const Modes&, std::span<const T>, BatchView<const T>, BatchView<T>, const Context&);         \
    SSM_TEST_PREBUILT void ssm::diagonal_backward<T>(                                                \
        const Modes&, std::span<const T>, BatchView<const T>, BatchView<const T>, BatchView<T>,      \
        Modes&, std::span<T>, const Context&);                                                       \
    SSM_TEST_PREBUILT void ssm::detail::step_stream<T>(                                              \
        const IncrementBank<T>&, const T*, std::span<const T>, T*, T*) noexcept;                     \
    SSM_TEST_PREBUILT void ssm::vandermonde<T>(                                                      \
        const Modes&, std::size_t, std::span<T>, Workspace&);                                        \
    SSM_TEST_PREBUILT void ssm::vandermonde_adjoint<T>(                                              \
        const Modes&, std::size_t, std::span<const T>, Modes&, Workspace&);
// clang-format on

SSM_TEST_BANK(float)
SSM_TEST_BANK(double)
