#pragma once

#include <cstddef>
#include <ostream>
#include <span>

#include <ssm/core/error.hpp>

namespace ssm {

/// Sizes of a bank of convolution kernels: `heads` kernels of `length` taps for each of `channels` (H)
/// input channels.
struct KernelShape {
    std::size_t heads = 1;
    std::size_t channels = 0;
    std::size_t length = 0;

    [[nodiscard]] constexpr std::size_t taps() const noexcept { return heads * channels * length; }
    /// Index of the first tap of head `c` of channel `h`.
    [[nodiscard]] constexpr std::size_t first(std::size_t c, std::size_t h) const noexcept {
        return (c * channels + h) * length;
    }

    friend constexpr bool operator==(const KernelShape&, const KernelShape&) = default;
    friend std::ostream& operator<<(std::ostream& out, const KernelShape& shape) {
        return out << "(heads " << shape.heads << ", H " << shape.channels << ", L " << shape.length
                   << ")";
    }
};

/// A bank of convolution kernels, or its gradient, as views of numbers that belong to someone else:
///
///   y[l, c H + h] = sum_{j <= l} causal[c, h, l - j] u[j, h] + sum_{j > l} anticausal[c, h, j - l - 1] u[j, h]
///                 + skip[c, h] u[l, h]
///
/// Shapes    causal and anticausal (heads, H, L); skip (heads, H). What is empty is not there, or a gradient that
///           is not wanted. T may be const
template <class T>
struct ConvolutionKernel {
    KernelShape shape{};
    std::span<T> causal{};
    std::span<T> anticausal{};
    std::span<T> skip{};

    /// Raises ShapeError unless the numbers of taps fit the shape.
    void check(const char* what) const {
        require<ShapeError>(causal.empty() || causal.size() == shape.taps(), what, ": ",
                            causal.size(), " causal taps, expected ", shape);
        require<ShapeError>(anticausal.empty() || anticausal.size() == shape.taps(), what, ": ",
                            anticausal.size(), " anticausal taps, expected ", shape);
        require<ShapeError>(skip.empty() || skip.size() == shape.heads * shape.channels, what,
                            ": skip has ", skip.size(), " numbers, expected (heads ", shape.heads,
                            ", H ", shape.channels, ")");
    }
};

}  // namespace ssm
