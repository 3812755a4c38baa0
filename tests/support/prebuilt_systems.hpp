#pragma once

// What turns a HiPPO matrix into modes, and the kernels of S4 systems: decompositions of Eigen that take ten seconds and
// more to compile. Files that use them include this, and leave them to prebuilt_systems.cpp.

#include <ssm/init/nplr.hpp>
#include <ssm/init/ptd.hpp>
#include <ssm/kernel/dplr.hpp>
#include <ssm/kernel/fold.hpp>

#include "support/prebuilt.hpp"

SSM_TEST_PREBUILT ssm::init::detail::SkewEigen ssm::init::detail::eigen_of_skew<Eigen::MatrixXd>(
    const Eigen::MatrixXd&);
SSM_TEST_PREBUILT ssm::init::Nplr ssm::init::nplr<ssm::init::hippo::LegS>(
    const ssm::init::hippo::LegS&, std::size_t, std::size_t);
SSM_TEST_PREBUILT ssm::init::PerturbedModes ssm::init::perturb_then_diagonalize<>(
    const ssm::init::hippo::Transition&, const Eigen::MatrixXd&, std::optional<double>);

SSM_TEST_PREBUILT void ssm::fold<ssm::DplrSystem>(ssm::DplrSystem&, std::size_t);
SSM_TEST_PREBUILT void ssm::unfold<ssm::DplrSystem>(ssm::DplrSystem&);
SSM_TEST_PREBUILT void ssm::unfold_adjoint<ssm::DplrSystem>(const ssm::DplrSystem&,
                                                            const ssm::DplrSystem&,
                                                            ssm::DplrSystem&);

// clang-format off
#define SSM_TEST_DPLR(T)                                                                             \
    SSM_TEST_PREBUILT void ssm::convolution_kernel<T>(                                               \
        const DplrSystem&, std::size_t, std::span<T>, Workspace&);                                   \
    SSM_TEST_PREBUILT void ssm::convolution_kernel_adjoint<T>(                                       \
        const DplrSystem&, std::size_t, std::span<const T>, DplrSystem&, Workspace&);
// clang-format on

SSM_TEST_DPLR(float)
SSM_TEST_DPLR(double)
