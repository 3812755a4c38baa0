#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include <ssm/core/error.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/dplr_system.hpp>
#include <ssm/kernel/detail/dplr_recurrence.hpp>
#include <ssm/kernel/detail/dplr_recurrence_adjoint.hpp>
#include <ssm/kernel/detail/generating_kernel.hpp>
#include <ssm/kernel/detail/krylov_taps.hpp>
#include <ssm/kernel/detail/krylov_taps_adjoint.hpp>
#include <ssm/kernel/fold.hpp>
#include <ssm/kernel/vandermonde.hpp>

namespace ssm {
namespace detail {

/// Steps before a kernel is cut off.
[[nodiscard]] inline std::size_t steps_of_kernel(const DplrSystem& system, std::size_t length) {
    return system.limit == 0 ? length : std::min(length, system.limit);
}

/// Whether the generating function gives this kernel.
template <class T>
[[nodiscard]] bool is_generated(const DplrSystem& system, std::size_t length) {
    using Kernel = GeneratingKernel<T>;
    return steps_of_kernel(system, length) <= system.folded && Kernel::has_room(system.shape) &&
           Kernel::is_possible(system);
}

/// From plain C.
template <class T>
void plain_kernel(const DplrSystem& system, std::size_t length, std::span<T> kernel,
                  Workspace& workspace) {
    const auto frame = workspace.frame();
    const std::size_t count = steps_of_kernel(system, length);
    if (count == 0)
        return;
    const std::span<char> is_done = workspace.take_zero<char>(system.shape.channels);
    if constexpr (sizeof(T) < sizeof(double))
        if (has_krylov_taps<T>(system.shape)) {
            krylov_kernel(system, length, count, kernel, is_done, workspace);
            if (std::find(is_done.begin(), is_done.end(), 0) == is_done.end())
                return;
        }
    const auto bank = workspace.borrow<DplrBank<double>>();
    bank->reset(system);
    DplrKernel<T>(*bank, length, kernel, is_done).run(count, workspace);
}

/// Adjoint of `plain_kernel`.
template <class T>
void plain_kernel_adjoint(const DplrSystem& system, std::size_t length, std::span<const T> dkernel,
                          DplrSystem& gradient, Workspace& workspace) {
    const auto frame = workspace.frame();
    const std::size_t count = steps_of_kernel(system, length);
    if (count == 0)
        return;
    const std::span<char> is_done = workspace.take_zero<char>(system.shape.channels);
    if constexpr (sizeof(T) < sizeof(double))
        if (has_krylov_taps<T>(system.shape)) {
            krylov_kernel_adjoint(system, length, count, dkernel, gradient, is_done, workspace);
            if (std::find(is_done.begin(), is_done.end(), 0) == is_done.end())
                return;
        }
    const auto bank = workspace.borrow<DplrBank<double>>();
    bank->reset(system);
    if (system.shape.rank == 1)
        DplrKernelAdjoint<T, 1>(*bank, length, count, dkernel, gradient, is_done).run(workspace);
    else
        DplrKernelAdjoint<T, 0>(*bank, length, count, dkernel, gradient, is_done).run(workspace);
}

}  // namespace detail

/// The convolution kernels of a bank that is diagonal plus low rank:
///
///   K[head, h, l] = Re c A_bar^l b      l < length, and l < limit if the system has one
///
/// From plain C, which has no length built in: in float, of rank 1 and of up to 256 modes by products with powers of
/// A_bar; else, and for channels of which two modes nearly coincide or a power overflows, by the recurrence. From a C
/// folded for at least this length, by the generating function (`cauchy`); from one folded for fewer steps, C is
/// unfolded first. All give the same numbers; of products subnormal ones are zero.
///
/// Shapes    kernel (heads, H, L)
/// Cost      in float 2 multiply-adds for each (h, n, l), as for diagonal systems, and for each h about 40 n sqrt(n L)
///           of double; by the recurrence about 10 of double for each (h, n, l) and 2 more for each further head
/// Errors    ShapeError if kernel has another size
/// Accuracy  float: over 16,384 steps 3e-7 of the largest |K| with 64 modes and 1e-6 with 256, tests/layer/s4.test.cpp
/// Threads   parallel over channels; same bits for any number of threads
template <class T>
void convolution_kernel(const DplrSystem& system, std::size_t length, std::span<T> kernel,
                        Workspace& workspace) {
    detail::require_kernel_size("ssm::convolution_kernel: kernel", system.shape, length,
                                kernel.size());
    if (system.folded == 0)
        return detail::plain_kernel(system, length, kernel, workspace);
    if (detail::is_generated<T>(system, length))
        return detail::GeneratingKernel<T>(system, length, detail::steps_of_kernel(system, length),
                                           workspace)
            .forward(kernel);
    const auto plain = workspace.borrow<DplrSystem>();
    *plain = system;
    unfold(*plain);
    detail::plain_kernel(*plain, length, kernel, workspace);
}

/// Adjoint of `convolution_kernel`: adds to `gradient`. With a folded C, that of c belongs to C_tilde. Kernels that are
/// products have adjoints that are; as these divide by differences of modes twice, the recurrence takes over for modes that
/// are somewhat further apart.
///
/// Shapes    dkernel (heads, H, L); gradient as the system
/// Cost      in float about three times the kernel; by the recurrence about 35 multiply-adds of double for each (h, n, l)
/// Accuracy  float: 2e-6 of the largest number of each gradient, tests/layer/s4.test.cpp
/// Threads   parallel over channels; same bits for any number of threads
template <class T>
void convolution_kernel_adjoint(const DplrSystem& system, std::size_t length,
                                std::span<const T> dkernel, DplrSystem& gradient,
                                Workspace& workspace) {
    detail::require_kernel_size("ssm::convolution_kernel_adjoint: dkernel", system.shape, length,
                                dkernel.size());
    require<ShapeError>(gradient.shape == system.shape,
                        "ssm::convolution_kernel_adjoint: gradient and system differ in shape");
    if (system.folded == 0)
        return detail::plain_kernel_adjoint(system, length, dkernel, gradient, workspace);
    if (detail::is_generated<T>(system, length))
        return detail::GeneratingKernel<T>(system, length, detail::steps_of_kernel(system, length),
                                           workspace)
            .adjoint(dkernel, gradient);
    const auto plain = workspace.borrow<DplrSystem>();
    *plain = system;
    unfold(*plain);
    const auto of_plain = workspace.borrow<DplrSystem>();
    of_plain->reset(system.shape);
    detail::plain_kernel_adjoint(*plain, length, dkernel, *of_plain, workspace);
    unfold_adjoint(system, *plain, *of_plain);
    for (auto [to, from] :
         {std::pair{&gradient.z, &of_plain->z}, std::pair{&gradient.p, &of_plain->p},
          std::pair{&gradient.q, &of_plain->q}, std::pair{&gradient.b, &of_plain->b},
          std::pair{&gradient.c, &of_plain->c}})
        for (std::size_t i = 0; i < to->re.size(); ++i) {
            to->re[i] += from->re[i];
            to->im[i] += from->im[i];
        }
}

}  // namespace ssm
