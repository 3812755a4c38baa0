#pragma once

#include <cstddef>

#include <ssm/core/aligned.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm {

/// Numbers of a bank of companion systems: `channels` (H) single-input systems of `state` (d) numbers each, of which
/// only `kernels` are different: groups of `group` neighbouring channels share one, and the kernels repeat.
struct CompanionShape {
    std::size_t channels = 0;
    std::size_t state = 0;
    std::size_t heads = 1;
    std::size_t kernels = 1;
    std::size_t group = 1;

    /// The kernel that channel `h` uses.
    [[nodiscard]] std::size_t kernel_of(std::size_t h) const noexcept {
        return h / group % kernels;
    }
    friend bool operator==(const CompanionShape&, const CompanionShape&) = default;
};

template <class T, class Arch>
class CompanionStream;

/// A bank of discrete systems whose state matrix is a companion matrix: a shift with one full column,
///
///   x_i[t] = x_{i-1}[t-1] + a_i x_{d-1}[t-1] + b_i u[t]      y[t] = sum_i c_i x_i[t]      K[l] = c A^l b
///
/// which is an autoregressive moving average: the transfer function of any single-input system of d states can be
/// had. With a = 0 it is a shift register, a finite impulse response. Its gradient has the same type. Always in
/// double.
///
/// Shapes    a, b (kernels, d); c (heads, kernels, d)
struct CompanionSystem {
    template <class T>
    using Stream = CompanionStream<T, simd::Arch>;

    CompanionSystem() = default;
    explicit CompanionSystem(CompanionShape sizes) { reset(sizes); }

    /// Takes these sizes and becomes zero; keeps its storage.
    void reset(CompanionShape sizes) {
        shape = sizes;
        a.assign(sizes.kernels * sizes.state, 0.0);
        b.assign(sizes.kernels * sizes.state, 0.0);
        c.assign(sizes.heads * sizes.kernels * sizes.state, 0.0);
    }

    CompanionShape shape{};
    AlignedVector<double> a, b, c;
};

}  // namespace ssm
