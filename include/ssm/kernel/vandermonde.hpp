#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/subnormals.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/kernel/detail/vandermonde_adjoint.hpp>
#include <ssm/kernel/detail/vandermonde_forward.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm {

namespace detail {

inline void require_kernel_size(const char* what, const ModeShape& shape, std::size_t length,
                                std::size_t found) {
    require<ShapeError>(found == shape.heads * shape.channels * length, what, " holds ", found,
                        " numbers, expected (heads ", shape.heads, ", H ", shape.channels, ", L ",
                        length, ")");
}

/// One worker for each thread, living in the workspace until its innermost frame ends.
template <class Worker, class... Arguments>
[[nodiscard]] std::span<Worker> make_workers(Workspace& workspace, const Arguments&... arguments) {
    const std::span<Worker> workers = workspace.take<Worker>(threads());
    for (Worker& worker : workers)
        std::construct_at(&worker, arguments..., workspace);
    return workers;
}

}  // namespace detail

/// The convolution kernels of a bank of diagonal systems, a Vandermonde product:
///
///   K[c, h, l] = Re sum_n r[c, h, n] z[h, n]^l
///
/// Shapes    modes (heads, H, n) -> kernel (heads, H, L)
/// Cost      2 multiply-adds of T for each (c, h, n, l): with AVX-512 on one port, 1/8 cycle in float; besides
///           about 20 ns for each mode (h, n)
/// Accuracy  4e-7 of the largest |K| in float for L up to 1e5; in double 1e-16 L of it, for modes that do not
///           decay; tests/kernel/vandermonde.test.cpp
/// Note      subnormal taps, in which kernels that decay end and with which many processors compute far slower, are zero
/// Errors    ShapeError if kernel has another size
/// Threads   parallel over channels; same bits for any number of threads
template <class T, class Arch = simd::Arch>
void vandermonde(const Modes& modes, std::size_t length, std::span<T> kernel,
                 Workspace& workspace) {
    const ModeShape& shape = modes.shape;
    detail::require_kernel_size("ssm::vandermonde: kernel", shape, length, kernel.size());
    const FlushSubnormals flush;
    const auto frame = workspace.frame();
    using Worker = detail::VandermondeForward<T, Arch>;
    const std::span<Worker> workers = detail::make_workers<Worker>(workspace, shape.modes, length);
    parallel_for(
        shape.channels,
        [&](std::size_t h, std::size_t w) {
            Worker& worker = workers[w];
            worker.set_poles(modes.pole_re.data() + modes.pole(h, 0),
                             modes.pole_im.data() + modes.pole(h, 0));
            for (std::size_t c = 0; c < shape.heads; ++c)
                worker.evaluate(modes.residue_re.data() + modes.residue(c, h, 0),
                                modes.residue_im.data() + modes.residue(c, h, 0),
                                kernel.data() + (c * shape.channels + h) * length);
        },
        TaskCost{0.05 * static_cast<double>(shape.heads * shape.modes * (length + 64))});
}

/// Adjoint of `vandermonde`: adds to `gradient`, for upstream g = d loss / d K,
///
///   G(r[c, h, n]) = sum_l g[c, h, l] conj(z^l)      G(z[h, n]) = sum_{c, l} g[c, h, l] conj(r l z^{l-1})
///
/// Shapes    dkernel (heads, H, L); gradient as modes
/// Cost      4 multiply-adds of T for each (c, h, n, l)
/// Errors    ShapeError if dkernel or gradient have another size
/// Threads   parallel over channels; same bits for any number of threads
template <class T, class Arch = simd::Arch>
void vandermonde_adjoint(const Modes& modes, std::size_t length, std::span<const T> dkernel,
                         Modes& gradient, Workspace& workspace) {
    const ModeShape& shape = modes.shape;
    detail::require_kernel_size("ssm::vandermonde_adjoint: dkernel", shape, length, dkernel.size());
    require<ShapeError>(gradient.shape == shape,
                        "ssm::vandermonde_adjoint: gradient and modes differ in shape");
    const FlushSubnormals flush;
    const auto frame = workspace.frame();
    using Worker = detail::VandermondeAdjoint<T, Arch>;
    const std::span<Worker> workers = detail::make_workers<Worker>(workspace, shape, length);
    parallel_for(
        shape.channels,
        [&](std::size_t h, std::size_t w) { workers[w].add(modes, h, dkernel.data(), gradient); },
        TaskCost{0.1 * static_cast<double>(shape.heads * shape.modes * (length + 64))});
}

/// The kernels of a bank, as evaluations ask for them: `vandermonde`.
template <class T>
void convolution_kernel(const Modes& modes, std::size_t length, std::span<T> kernel,
                        Workspace& workspace) {
    vandermonde<T>(modes, length, kernel, workspace);
}
/// Its adjoint: `vandermonde_adjoint`.
template <class T>
void convolution_kernel_adjoint(const Modes& modes, std::size_t length, std::span<const T> dkernel,
                                Modes& gradient, Workspace& workspace) {
    vandermonde_adjoint<T>(modes, length, dkernel, gradient, workspace);
}

}  // namespace ssm
