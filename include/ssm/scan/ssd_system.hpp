#pragma once

#include <cstddef>
#include <limits>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>

namespace ssm {

/// The weights of a state space dual scan (SSD), Mamba-2's selective scan whose A is one number for each head:
///
///   dt_t = clamp(softplus(delta_t + dt_bias), dt_min, dt_max)     per head; softplus is optional
///   S_t  = exp(dt_t A) S_{t-1} + dt_t B_t x_t^T                   (modes, channels) per head
///   y_t  = S_t^T C_t + D x_t
///
/// Shapes    A, dt_bias (heads); D (heads), or (heads, channels) with D_per_channel; null bias and D: zeros.
///           rest (heads, modes, channels), what a state is at rest and after a reset, null: zeros.
///           Head h reads group h / (heads / groups) of B and C
/// Owns      nothing
template <class T>
struct SsdSystem {
    std::size_t heads = 0;
    std::size_t channels = 0;  ///< of each head
    std::size_t modes = 0;
    std::size_t groups = 1;  ///< of B and C
    const T* A = nullptr;
    bool log_A =
        false;  ///< A holds log(-A), as Mamba-2 stores it; its gradient then is that of the log
    const T* D = nullptr;
    bool D_per_channel = false;
    const T* dt_bias = nullptr;
    bool softplus = true;
    double dt_min = 0.0;  ///< limits are applied only where they are narrower than (0, inf)
    double dt_max = std::numeric_limits<double>::infinity();
    const T* rest = nullptr;

    /// Numbers of a state: (heads, modes, channels), the transpose of the paper's: vectors run across channels.
    [[nodiscard]] std::size_t state_size() const noexcept { return heads * modes * channels; }
    /// Numbers of a row of x and y.
    [[nodiscard]] std::size_t width() const noexcept { return heads * channels; }
};

/// Rows of numbers, one for each step of each sequence, that may be parts of wider rows: row b L + l starts at
/// data + (b L + l) stride. Null data: not wanted.
template <class T>
struct StridedRows {
    T* data = nullptr;
    std::size_t stride = 0;

    [[nodiscard]] T* at(std::size_t row) const noexcept { return data + row * stride; }
    operator StridedRows<const T>() const noexcept { return {data, stride}; }
};

/// What an SSD scan reads at each step of `batch` sequences of `length`.
///
/// Shapes    of rows: x (heads, channels), delta (heads), B and C (groups, modes)
template <class T>
struct SsdInput {
    std::size_t batch = 0;
    std::size_t length = 0;
    StridedRows<const T> x;
    StridedRows<const T> delta;
    StridedRows<const T> B;
    StridedRows<const T> C;
};

/// Where the adjoint of an SSD scan writes. What is null is not wanted.
template <class T>
struct SsdGradient {
    StridedRows<T> x{};  ///< overwritten, as all rows
    StridedRows<T> delta{};
    StridedRows<T> B{};
    StridedRows<T> C{};
    T* A = nullptr;  ///< added to, as all weights
    T* D = nullptr;
    T* dt_bias = nullptr;
    T* rest = nullptr;
    T* state = nullptr;  ///< that of the last state on entry, that of the first on return
};

namespace detail {

template <class T>
void check_ssd_rows(const char* what, const char* name, const StridedRows<T>& rows,
                    std::size_t numbers) {
    require<ShapeError>(rows.stride >= numbers, what, ": ", name, " has a stride of ", rows.stride,
                        ", less than the ", numbers, " numbers of a row");
}

/// Raises ValueError for a system without sense, ShapeError unless input and context fit it.
template <class T>
void check_ssd(const char* what, const SsdSystem<T>& system, const SsdInput<T>& input,
               const Context& context) {
    require<ValueError>(system.heads > 0 && system.channels > 0 && system.modes > 0, what, ": ",
                        system.heads, " heads of ", system.channels, " channels and ", system.modes,
                        " modes, expected at least 1 of each");
    require<ValueError>(system.groups > 0 && system.heads % system.groups == 0, what, ": ",
                        system.groups, " groups do not divide ", system.heads, " heads");
    require<ValueError>(system.dt_min <= system.dt_max, what, ": time steps from ", system.dt_min,
                        " to ", system.dt_max);
    check_ssd_rows(what, "x", input.x, system.width());
    check_ssd_rows(what, "delta", input.delta, system.heads);
    check_ssd_rows(what, "B", input.B, system.groups * system.modes);
    check_ssd_rows(what, "C", input.C, system.groups * system.modes);
    context.check({input.batch, input.length, 1});
}

}  // namespace detail

}  // namespace ssm
