#pragma once

#include <cstddef>

#include <ssm/core/aligned.hpp>
#include <ssm/discretize/modes.hpp>

namespace ssm {

template <class T>
class DplrStream;

/// Numbers of a bank of systems that are diagonal plus low rank.
struct DplrShape : ModeShape {
    std::size_t rank = 1;  ///< R

    /// Entries of p and q.
    [[nodiscard]] std::size_t corrections() const noexcept { return rank * poles(); }
    friend bool operator==(const DplrShape&, const DplrShape&) = default;
};

namespace detail {
/// Whether kernels of T from plain C are products with powers of A_bar (`KrylovTaps`) instead of a recurrence. With more
/// modes these powers leave the caches.
template <class T>
[[nodiscard]] constexpr bool has_krylov_taps(const DplrShape& shape) noexcept {
    return sizeof(T) < sizeof(double) && shape.rank == 1 && shape.modes <= 256;
}
}  // namespace detail

/// Complex numbers as two arrays.
struct ComplexNumbers {
    AlignedVector<double> re, im;

    /// Becomes `count` zeros; keeps its storage.
    void reset(std::size_t count) {
        re.assign(count, 0.0);
        im.assign(count, 0.0);
    }
    friend bool operator==(const ComplexNumbers&, const ComplexNumbers&) = default;
};

/// A bank of systems whose matrix is diagonal plus low rank, in discrete time:
///
///   x[t] = z x[t-1] - sum_r p_r w_r[t] + b u[t]      w_r[t] = Re sum_n q_rn x_n[t-1]
///   y[t] = Re sum_n c_n x_n[t]                        K[l] = Re c A_bar^l b
///
/// It is the diagonal system of its poles z with R scalar feedbacks, so a step costs O(n R). What `Modes` is for
/// diagonal structures: a discretisation produces it, kernels and streams consume it, and its gradient has the same
/// type. Always in double.
///
/// Of conjugate pairs one mode is stored, and the factor 2 is in q and c.
///
/// Length    With `folded` = L > 0, c holds C_tilde = C (I - A_bar^L) instead of C: what gives the kernel of L steps
///           without powers of A_bar (`cauchy`). `unfold` (kernel/fold.hpp) gives C back
/// Limit     With `limit` > 0 the kernel is cut off behind that many steps. Then there is no recurrence
///
/// Shapes    z, b (H, n); p, q (R, H, n); c (heads, H, n)
struct DplrSystem {
    using Shape = DplrShape;
    /// The same system, prepared for running as a recurrence in numbers of type T.
    template <class T>
    using Stream = DplrStream<T>;

    DplrSystem() = default;
    explicit DplrSystem(const DplrShape& sizes) { reset(sizes); }

    /// Takes these sizes and becomes zero, with plain C; keeps its storage.
    void reset(const DplrShape& sizes) {
        shape = sizes;
        folded = limit = 0;
        for (auto* numbers : {&z, &b})
            numbers->reset(sizes.poles());
        for (auto* numbers : {&p, &q})
            numbers->reset(sizes.corrections());
        c.reset(sizes.residues());
    }

    /// Index of mode `n` of channel `h` in z and b.
    [[nodiscard]] std::size_t pole(std::size_t h, std::size_t n) const noexcept {
        return h * shape.modes + n;
    }
    /// The same in p and q, of term `r`.
    [[nodiscard]] std::size_t correction(std::size_t r, std::size_t h,
                                         std::size_t n) const noexcept {
        return (r * shape.channels + h) * shape.modes + n;
    }
    /// The same in c, of head `head`.
    [[nodiscard]] std::size_t readout(std::size_t head, std::size_t h,
                                      std::size_t n) const noexcept {
        return (head * shape.channels + h) * shape.modes + n;
    }

    /// Whether running sequences in numbers of type T takes less time than a kernel for them. From plain C a kernel in
    /// double, of more than rank 1 or of more than 256 modes is a recurrence that costs as much as about two sequences in
    /// float; else it takes the time of some hundred steps, and its transforms leave the caches when it is very long.
    template <class T>
    [[nodiscard]] bool prefers_recurrence(std::size_t batch, std::size_t length) const noexcept {
        if (folded != 0 || limit != 0)
            return false;
        if (detail::has_krylov_taps<T>(shape))
            return batch * length < 512 || (batch == 1 && length > 100000);
        return batch <= 2;
    }

    DplrShape shape{};
    ComplexNumbers z, p, q, b, c;
    std::size_t folded = 0;
    std::size_t limit = 0;
};

}  // namespace ssm
