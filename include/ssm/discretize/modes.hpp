#pragma once

#include <complex>
#include <cstddef>
#include <vector>

#include <ssm/core/aligned.hpp>

namespace ssm {

template <class T>
class DiagonalSystem;

/// Numbers of a bank of diagonal systems: `channels` (H) single-input systems of `modes` (n) stored
/// modes each, read out by `heads` output heads.
struct ModeShape {
    std::size_t channels = 0;
    std::size_t modes = 0;
    std::size_t heads = 1;

    [[nodiscard]] std::size_t poles() const noexcept { return channels * modes; }
    [[nodiscard]] std::size_t residues() const noexcept { return heads * channels * modes; }
    friend bool operator==(const ModeShape&, const ModeShape&) = default;
};

/// The modal form that everything diagonal shares, in discrete time:
///
///   s_n[t] = z_n s_n[t-1] + u[t]        y[t] = Re sum_n r_n s_n[t]        K[l] = Re sum_n r_n z_n^l
///
/// with poles z and residues r for each channel. Initialisation and discretisation produce it,
/// evaluations consume it, and its gradient has the same type: (d loss / d Re, d loss / d Im) of each
/// pole and residue. Always in double: that is what keeps long sequences exact in float.
///
/// Shapes    poles (H, n), residues (heads, H, n), real and imaginary parts apart. The input matrix is
///           inside the residues; of conjugate pairs one mode is stored and the factor 2 is in r.
struct Modes {
    using Shape = ModeShape;
    /// The same system, prepared for running as a recurrence in numbers of type T.
    template <class T>
    using Stream = DiagonalSystem<T>;

    Modes() = default;
    explicit Modes(ModeShape sizes) { reset(sizes); }

    /// Takes these sizes and becomes zero; keeps its storage.
    void reset(ModeShape sizes) {
        shape = sizes;
        for (auto* values : {&pole_re, &pole_im})
            values->assign(sizes.poles(), 0.0);
        for (auto* values : {&residue_re, &residue_im})
            values->assign(sizes.residues(), 0.0);
    }

    /// Index of the pole of mode `n` of channel `h`.
    [[nodiscard]] std::size_t pole(std::size_t h, std::size_t n) const noexcept {
        return h * shape.modes + n;
    }
    /// Index of the residue of head `c` at mode `n` of channel `h`.
    [[nodiscard]] std::size_t residue(std::size_t c, std::size_t h, std::size_t n) const noexcept {
        return (c * shape.channels + h) * shape.modes + n;
    }

    /// The poles z, (H, n).
    [[nodiscard]] std::vector<std::complex<double>> poles() const {
        std::vector<std::complex<double>> result;
        for (std::size_t p = 0; p < shape.poles(); ++p)
            result.emplace_back(pole_re[p], pole_im[p]);
        return result;
    }

    ModeShape shape{};
    AlignedVector<double> pole_re, pole_im;
    AlignedVector<double> residue_re, residue_im;
};

}  // namespace ssm
