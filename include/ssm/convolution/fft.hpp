#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>

#include <ssm/convolution/detail/fft_convolver.hpp>
#include <ssm/convolution/detail/kernel_sums.hpp>
#include <ssm/convolution/detail/pieces.hpp>
#include <ssm/convolution/kernel.hpp>
#include <ssm/convolution/kernel_spectrum.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/padding.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm {

namespace detail {

template <class T, class Arch>
void require_convolution(const char* what, BatchView<const T> u,
                         const KernelSpectrum<T, Arch>& kernel, const Shape& y,
                         const Context& context) {
    const KernelShape& shape = kernel.shape();
    require<ShapeError>(u.channels() == shape.channels, what, ": input has ", u.channels(),
                        " channels, expected ", shape.channels);
    require<ShapeError>(u.length() <= kernel.size(), what, ": input has ", u.length(),
                        " steps, but the kernel is prepared for up to ", kernel.size());
    require_shape(what, y, {u.batch(), u.length(), shape.heads * shape.channels});
    context.check(u.shape());
}

/// Pieces in a slice: all groups of channels together make about `tasks` tasks, whatever the number of threads,
/// and the lanes of the last group are full.
template <class T, class Arch>
[[nodiscard]] std::size_t slice_length(const Pieces<T>& pieces,
                                       const KernelSpectrum<T, Arch>& kernel, std::size_t tasks) {
    const std::size_t at_once = kernel.group(kernel.groups() - 1).pieces;
    const std::size_t slices = (tasks + kernel.groups() - 1) / kernel.groups();
    const std::size_t fair = std::max<std::size_t>(1, (pieces.count() + slices - 1) / slices);
    return (fair + at_once - 1) / at_once * at_once;
}

/// Calls `body(worker, group, begin, end)` in parallel for all groups of channels and slices of pieces.
template <class T, class Arch, class Body>
void for_each_slice(const Pieces<T>& pieces, const KernelSpectrum<T, Arch>& kernel,
                    std::size_t slice, Workspace& workspace, Body&& body) {
    const auto workers = workspace.take<FftConvolver<T, Arch>>(threads());
    for (FftConvolver<T, Arch>& worker : workers)
        std::construct_at(&worker, pieces.numbers(), workspace);
    const std::size_t slices = (pieces.count() + slice - 1) / slice;
    parallel_for(
        slices * kernel.groups(),
        [&](std::size_t task, std::size_t worker) {
            const std::size_t begin = task / kernel.groups() * slice;
            body(workers[worker], task % kernel.groups(), begin,
                 std::min(begin + slice, pieces.count()));
        },
        TaskCost{static_cast<double>(slice * kernel.shape().heads * pieces.numbers())});
}

}  // namespace detail

/// Convolution of sequences with a bank of long kernels by fast Fourier transforms:
///
///   y[b, l, c H + h] = sum_{j <= l} causal[c, h, l - j] u[b, j, h] + sum_{j > l} anticausal[c, h, j - l - 1] u[b, j, h]
///                    + skip[c, h] u[b, l, h]
///
/// Shapes    u (batch, L, H) -> y (batch, L, heads H); the kernel is prepared for at least L steps
/// Resets    each piece of a sequence between two resets is convolved by itself. What lies behind the valid length
///           of a sequence is not read, and y is 0 there
/// Aliasing  y may be exactly u if there is one head; no partial overlap
/// Errors    ShapeError
/// Cost      about 10 log2(2 L) flops for each (b, l, c, h); a kernel in another size than the prepared one is
///           transformed once for each few pieces
/// Accuracy  errors of a few epsilon times the norms of kernel and sequence; tests/convolution/fft.test.cpp
/// Threads   parallel over channels and sequences; same bits for any number of threads
/// Source    the convolution mode of arXiv:2111.00396; the transform is `math::RightAngleFft`
template <class T, class Arch>
void fft_convolution(BatchView<const T> u, const KernelSpectrum<T, Arch>& kernel, BatchView<T> y,
                     const Context& context) {
    detail::require_convolution("ssm::fft_convolution", u, kernel, y.shape(), context);
    if (u.empty())
        return;
    const auto frame = context.workspace.frame();
    const detail::Pieces<T> pieces(u.shape(), context);
    const std::size_t slice = detail::slice_length(pieces, kernel, 64);
    detail::for_each_slice(
        pieces, kernel, slice, context.workspace,
        [&](auto& worker, std::size_t group, std::size_t begin, std::size_t end) {
            pieces.for_each_run(begin, end,
                                [&](const auto& run) { worker.forward(kernel, group, run, u, y); });
        });
    detail::clear_padding(y, context);
}

/// Adjoint of `fft_convolution`: overwrites du, which may be empty (not wanted), and adds to the taps and the skip
/// of `gradient` that are not empty.
///
/// Shapes    u and du (batch, L, H), dy (batch, L, heads H), gradient as the kernel
/// Cost      three transforms of the forward's two for each head, and one for each kernel: gradients of kernels are
///           summed over the batch in the frequency domain
/// Aliasing  none
/// Errors    ShapeError
/// Threads   as `fft_convolution`; same bits for any number of threads
template <class T, class Arch>
void fft_convolution_adjoint(BatchView<const T> u, BatchView<const T> dy,
                             const KernelSpectrum<T, Arch>& kernel, BatchView<T> du,
                             const ConvolutionKernel<T>& gradient, const Context& context) {
    constexpr const char* what = "ssm::fft_convolution_adjoint";
    detail::require_convolution(what, u, kernel, dy.shape(), context);
    require<ShapeError>(gradient.shape == kernel.shape(), what, ": gradient has shape ",
                        gradient.shape, ", expected ", kernel.shape());
    require<ShapeError>(du.data() == nullptr || du.shape() == u.shape(), what,
                        ": gradient of the input has shape ", du.shape(), ", expected ", u.shape());
    gradient.check(what);
    if (u.empty())
        return;
    const auto frame = context.workspace.frame();
    const detail::Pieces<T> pieces(u.shape(), context);
    const std::size_t slice = detail::slice_length(pieces, kernel, 16);
    const detail::KernelSums<T> sums(gradient, (pieces.count() + slice - 1) / slice,
                                     context.workspace);
    detail::for_each_slice(
        pieces, kernel, slice, context.workspace,
        [&](auto& worker, std::size_t group, std::size_t begin, std::size_t end) {
            const ConvolutionKernel<T> term = sums.term(begin / slice);
            pieces.for_each_run(begin, end, [&](const auto& run) {
                worker.backward(kernel, group, run, u, dy, du, term);
            });
        });
    sums.finish();
    if (!du.empty())
        detail::clear_padding(du, context);
}

}  // namespace ssm
