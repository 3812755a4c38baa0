#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/companion.hpp>
#include <ssm/kernel/detail/companion_lanes.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm {

namespace detail {

inline void require_companion_kernel(const char* what, const CompanionSystem& system,
                                     std::size_t length, std::size_t found) {
    const std::size_t expected = system.shape.heads * system.shape.channels * length;
    require<ShapeError>(found == expected, what, " holds ", found, " numbers, expected (heads ",
                        system.shape.heads, ", H ", system.shape.channels, ", L ", length, ")");
}

/// Calls `body(worker, first, count)` in parallel for each group of kernels that fills a register.
template <class Worker, class Body>
void for_each_companion_group(const CompanionShape& shape, std::size_t length, Workspace& workspace,
                              Body&& body) {
    constexpr std::size_t lanes = Worker::lanes;
    const std::size_t numbers = Worker::numbers(shape.state, length);
    double* const memory = workspace.take<double>(threads() * numbers).data();
    parallel_for(
        (shape.kernels + lanes - 1) / lanes,
        [&](std::size_t group, std::size_t w) {
            Worker worker(shape.state, length, memory + w * numbers);
            const std::size_t first = group * lanes;
            body(worker, first, std::min(lanes, shape.kernels - first));
        },
        TaskCost{0.5 * static_cast<double>(shape.heads * shape.state * (length + shape.state))});
}

}  // namespace detail

/// The convolution kernels of a bank of companion systems:
///
///   K[l] = c A^l b for l < d, then K[l] = sum_{m=1}^{d} a_{d-m} K[l-m], since A satisfies its own characteristic
///   polynomial (Cayley and Hamilton)
///
/// Shapes    system (kernels, d) -> kernel (heads, H, L)
/// Cost      d multiply-adds for each (head, kernel, l), in double, one register of kernels at a time. Fourier
///           transforms of the generating function, which do without the factor d, need A^L and some 1000 flops for
///           each l in double: they would win for d > 500. Without a only the first d numbers are computed
/// Accuracy  1e-13 of the largest |K| for sum |a_i| <= 1 and L up to 1e4; tests/kernel/companion.test.cpp
/// Errors    ShapeError if kernel has another size
/// Threads   parallel over kernels; same bits for any number of threads
/// Source    the kernel of arXiv:2303.09489 (SpaceTime), by other means
template <class T, class Arch = simd::Arch>
void companion_kernel(const CompanionSystem& system, std::size_t length, std::span<T> kernel,
                      Workspace& workspace) {
    const CompanionShape& shape = system.shape;
    detail::require_companion_kernel("ssm::companion_kernel: kernel", system, length,
                                     kernel.size());
    if (length == 0)
        return;
    const auto frame = workspace.frame();
    using Worker = detail::CompanionLanes<Arch>;
    const auto taps = [&](std::size_t head, std::size_t h) {
        return kernel.data() + (head * shape.channels + h) * length;
    };
    detail::for_each_companion_group<Worker>(
        shape, length, workspace, [&](Worker& worker, std::size_t first, std::size_t count) {
            worker.load_dynamics(system, first, count);
            for (std::size_t head = 0; head < shape.heads; ++head) {
                worker.load_output(system, head, first, count);
                worker.evaluate();
                for (std::size_t h = 0; h < shape.channels; ++h) {
                    const std::size_t lane = shape.kernel_of(h) - first;
                    if (lane < count)
                        worker.copy_lane(lane, taps(head, h));
                }
            }
        });
}

/// Adjoint of `companion_kernel`: adds to `gradient` the gradient of the system, for upstream d loss / d K.
///
/// Shapes    dkernel (heads, H, L), summed over the channels that share a kernel; gradient as system
/// Cost      three times that of the kernel
/// Errors    ShapeError if dkernel or gradient have another size
/// Threads   parallel over kernels; same bits for any number of threads
template <class T, class Arch = simd::Arch>
void companion_kernel_adjoint(const CompanionSystem& system, std::size_t length,
                              std::span<const T> dkernel, CompanionSystem& gradient,
                              Workspace& workspace) {
    const CompanionShape& shape = system.shape;
    detail::require_companion_kernel("ssm::companion_kernel_adjoint: dkernel", system, length,
                                     dkernel.size());
    require<ShapeError>(gradient.shape == shape,
                        "ssm::companion_kernel_adjoint: gradient and system differ in shape");
    if (length == 0)
        return;
    const auto frame = workspace.frame();
    using Worker = detail::CompanionLanes<Arch>;
    detail::for_each_companion_group<Worker>(
        shape, length, workspace, [&](Worker& worker, std::size_t first, std::size_t count) {
            worker.load_dynamics(system, first, count);
            for (std::size_t head = 0; head < shape.heads; ++head) {
                worker.load_output(system, head, first, count);
                worker.evaluate();
                worker.clear_upstream();
                for (std::size_t h = 0; h < shape.channels; ++h) {
                    const std::size_t lane = shape.kernel_of(h) - first;
                    if (lane < count)
                        worker.add_upstream(lane,
                                            dkernel.data() + (head * shape.channels + h) * length);
                }
                worker.adjoint();
                worker.add_output_gradient(gradient, head, first, count);
            }
            worker.add_dynamics_gradient(gradient, first, count);
        });
}

/// The kernels of a bank, as evaluations ask for them: `companion_kernel`.
template <class T>
void convolution_kernel(const CompanionSystem& system, std::size_t length, std::span<T> kernel,
                        Workspace& workspace) {
    companion_kernel<T>(system, length, kernel, workspace);
}
/// Its adjoint: `companion_kernel_adjoint`.
template <class T>
void convolution_kernel_adjoint(const CompanionSystem& system, std::size_t length,
                                std::span<const T> dkernel, CompanionSystem& gradient,
                                Workspace& workspace) {
    companion_kernel_adjoint<T>(system, length, dkernel, gradient, workspace);
}

}  // namespace ssm
