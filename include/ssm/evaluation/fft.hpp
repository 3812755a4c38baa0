#pragma once

#include <cstddef>
#include <span>

#include <ssm/convolution/fft.hpp>
#include <ssm/convolution/kernel.hpp>
#include <ssm/convolution/kernel_spectrum.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/evaluation/chunked.hpp>
#include <ssm/kernel/vandermonde.hpp>

namespace ssm::evaluation {

namespace detail {

/// The convolution kernel of a system over `length` steps; with two directions the kernels that run backward in time
/// are the second half of the heads. `taps` holds the numbers (or their gradient).
template <class Direction, class T, class SystemShape>
[[nodiscard]] ConvolutionKernel<T> as_kernel(const SystemShape& shape, std::size_t length,
                                             std::span<T> taps, std::span<T> skip) {
    const KernelShape kernel{shape.heads / Direction::kernels, shape.channels, length};
    return {kernel, taps.first(kernel.taps()), taps.subspan(kernel.taps()), skip};
}

}  // namespace detail

/// Evaluates a bank by fast Fourier transforms with its kernel written out over the whole sequence. The fastest for
/// training; the only one for systems that see the future.
///
/// A continued stream has no whole sequence: there this is `Chunked`.
///
/// Cost      kernel: 2 n multiply-adds for each (head, channel, step) and one transform; then about 10 log2(2 L)
///           flops for each number put out. backward: 1.5 times that, and 4 n for the kernel
/// Memory    about 3 heads H L numbers for kernel and spectra, whatever the batch
/// Accuracy  float: errors of 1e-6 relative to the largest output
struct Fft {
    static constexpr bool sees_future = true;
    template <class System>
    static constexpr bool trains = true;

    /// Spectra of the kernel.
    template <class T>
    struct Cache {
        KernelSpectrum<T> kernel;
    };

    template <class Direction, class T, class System>
    static void forward(const System& system, std::span<const T> skip, BatchView<const T> u,
                        BatchView<T> y, const Context& context) {
        const auto kernel = context.workspace.template borrow<KernelSpectrum<T>>();
        prepare<Direction, T>(system, skip, u.length(), *kernel, context.workspace);
        fft_convolution<T>(u, *kernel, y, context);
    }

    template <class T, class Stream>
    static void forward(const Stream& stream, std::span<const T> skip, BatchView<const T> u,
                        BatchView<T> y, typename Stream::State& state, const Context& context) {
        Chunked::forward<T>(stream, skip, u, y, state, context);
    }

    template <class Direction, class T, class System>
    static void forward(const System& system, std::span<const T> skip, BatchView<const T> u,
                        BatchView<T> y, Cache<T>& cache, const Context& context) {
        prepare<Direction, T>(system, skip, u.length(), cache.kernel, context.workspace);
        fft_convolution<T>(u, cache.kernel, y, context);
    }

    template <class Direction, class T, class System>
    static void backward(const System& system, std::span<const T>, BatchView<const T> u,
                         BatchView<const T> dy, BatchView<T> du, const Cache<T>& cache,
                         System& gradient, std::span<T> dskip, const Context& context) {
        const auto frame = context.workspace.frame();
        const std::size_t count = system.shape.heads * system.shape.channels * u.length();
        const std::span<T> dtaps = context.workspace.template take_zero<T>(count);
        fft_convolution_adjoint<T>(
            u, dy, cache.kernel, du,
            detail::as_kernel<Direction, T>(system.shape, u.length(), dtaps, dskip), context);
        convolution_kernel_adjoint<T>(system, u.length(), dtaps, gradient, context.workspace);
    }

private:
    template <class Direction, class T, class System>
    static void prepare(const System& system, std::span<const T> skip, std::size_t length,
                        KernelSpectrum<T>& kernel, Workspace& workspace) {
        const auto frame = workspace.frame();
        const std::span<T> taps =
            workspace.take<T>(system.shape.heads * system.shape.channels * length);
        convolution_kernel<T>(system, length, taps, workspace);
        kernel.prepare(detail::as_kernel<Direction, const T>(system.shape, length, taps, skip),
                       length, workspace);
    }
};

}  // namespace ssm::evaluation
