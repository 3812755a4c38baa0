#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/dplr_system.hpp>
#include <ssm/kernel/detail/mode_pack.hpp>
#include <ssm/scan/diagonal_state.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::detail {

/// The numbers of one channel of rank 1, lanes across modes, with v = p q; or their gradient. In memory of a workspace:
/// copies see the same numbers.
///
/// Layout    all arrays (re, im)[stride], stride a multiple of a cache line, zero in the padding
struct RankOneChannel {
    RankOneChannel(std::size_t mode_count, Workspace& workspace)
        : modes(mode_count), stride(padded<double>(mode_count)) {
        for (double** numbers : {&z, &p, &q, &v, &b})
            *numbers = workspace.take<double>(size()).data();
        clear();
    }

    /// Numbers of an array.
    [[nodiscard]] std::size_t size() const noexcept { return 2 * stride; }

    void clear() noexcept {
        for (double* numbers : {z, p, q, v, b})
            std::fill_n(numbers, size(), 0.0);
    }

    /// Becomes channel `h` of `system`.
    SSM_INLINE void set(const DplrSystem& system, std::size_t h) noexcept {
        copy(system.z, system.pole(h, 0), z);
        copy(system.b, system.pole(h, 0), b);
        copy(system.p, system.correction(0, h, 0), p);
        copy(system.q, system.correction(0, h, 0), q);
        for (std::size_t n = 0; n < stride; n += simd::width<double>)
            store_modes(v + n, stride, load_modes(p + n, stride) * load_modes(q + n, stride));
    }

    /// The padding too: the last channel may have left NaN there.
    void copy(const ComplexNumbers& from, std::size_t at, double* to) const noexcept {
        for (const auto* numbers : {&from.re, &from.im}) {
            std::copy_n(numbers->data() + at, modes, to);
            std::fill(to + modes, to + stride, 0.0);
            to += stride;
        }
    }
    /// Adds to the numbers beginning with `at`.
    void add(const double* from, ComplexNumbers& to, std::size_t at) const noexcept {
        for (std::size_t n = 0; n < modes; ++n) {
            to.re[at + n] += from[n];
            to.im[at + n] += from[stride + n];
        }
    }

    std::size_t modes, stride;
    double *z, *p, *q, *v, *b;
};

}  // namespace ssm::detail
