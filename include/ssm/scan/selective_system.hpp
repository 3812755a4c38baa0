#pragma once

#include <complex>
#include <cstddef>
#include <numeric>
#include <type_traits>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>

namespace ssm {

namespace detail {
template <class Number>
struct RealOf {
    using type = Number;
};
template <class T>
struct RealOf<std::complex<T>> {
    using type = T;
};
template <class Number>
using RealOfNumber = typename RealOf<Number>::type;
}  // namespace detail

/// The weights of a selective scan (S6) and what it does with its input:
///
///   dt_t = delta_t + delta_bias, or softplus of that       per channel
///   h_t  = exp(dt_t A) h_{t-1} + dt_t B_t u_t              per channel and mode (or exact zero-order hold)
///   v_t  = sum_n C_t h_t + D u_t                           2 Re sum_n C_t h_t + D u_t for complex A
///   y_t  = v_t silu(z_t)                                   y_t = v_t without a gate
///
/// `Number` is T for real A. It is std::complex<T> for complex A: then every mode stands for a conjugate pair.
///
/// Shapes    A (modes, channels): the transpose of Mamba's, because vectors run across channels;
///           D and delta_bias (channels), null: zeros
/// Owns      nothing
template <class Number>
struct SelectiveSystem {
    using Real = detail::RealOfNumber<Number>;

    std::size_t channels = 0;
    std::size_t modes = 0;
    const Number* A = nullptr;
    bool log_A =
        false;  ///< A holds log(-A), as Mamba stores it; its gradient then is that of the log
    const Real* D = nullptr;
    const Real* delta_bias = nullptr;
    bool softplus = false;
};

/// B or C: `groups` times (modes) numbers at each step, shared by neighbouring channels, or constant numbers
/// (modes, channels). Complex numbers are pairs (re, im).
template <class Number>
struct SelectiveMap {
    Number* data = nullptr;
    std::size_t groups = 0;  ///< 0: constant
    std::size_t stride = 0;  ///< numbers from one step to the next

    [[nodiscard]] bool is_constant() const noexcept { return groups == 0; }
    /// The numbers of step `row` (b L + l) for group `group`. Precondition: not constant.
    [[nodiscard]] Number* at(std::size_t row, std::size_t group, std::size_t modes) const noexcept {
        return data + row * stride + group * modes;
    }
    operator SelectiveMap<const Number>() const noexcept { return {data, groups, stride}; }
};

/// What a selective scan reads at each step.
///
/// Shapes    u, delta, z (batch, L, channels), z may be empty: no gate
template <class Number>
struct SelectiveInput {
    using Real = detail::RealOfNumber<Number>;

    BatchView<const Real> u;
    BatchView<const Real> delta;
    SelectiveMap<const Number> B;
    SelectiveMap<const Number> C;
    BatchView<const Real> z{};
};

/// Where the adjoint of a selective scan writes. Null pointers and empty views are not wanted.
///
/// Shapes    as the input's and the system's; the maps have groups and stride of their own
template <class Number>
struct SelectiveGradient {
    using Real = detail::RealOfNumber<Number>;

    BatchView<Real> u;           ///< overwritten
    BatchView<Real> delta;       ///< overwritten
    SelectiveMap<Number> B{};    ///< overwritten; added to if B is constant
    SelectiveMap<Number> C{};    ///< overwritten; added to if C is constant
    BatchView<Real> z{};         ///< overwritten
    Number* A = nullptr;         ///< added to
    Real* D = nullptr;           ///< added to
    Real* delta_bias = nullptr;  ///< added to
    Number* state =
        nullptr;  ///< that of the last state on entry, that of the first on return; null: zeros
};

namespace detail {

/// Channels that share both B and C, next to each other.
struct SelectiveSections {
    std::size_t count = 1;
    std::size_t channels = 0;  ///< of each
    std::size_t B_groups = 0;
    std::size_t C_groups = 0;

    [[nodiscard]] std::size_t B_group(std::size_t section) const noexcept {
        return section * B_groups / count;
    }
    [[nodiscard]] std::size_t C_group(std::size_t section) const noexcept {
        return section * C_groups / count;
    }
};

template <class Number>
[[nodiscard]] SelectiveSections selective_sections(const SelectiveSystem<Number>& system,
                                                   const SelectiveInput<Number>& input) noexcept {
    const std::size_t count = std::lcm(input.B.is_constant() ? 1 : input.B.groups,
                                       input.C.is_constant() ? 1 : input.C.groups);
    return {count, system.channels / count, input.B.groups, input.C.groups};
}

template <class Number>
void check_selective_map(const char* what, const char* name, const SelectiveMap<Number>& map,
                         std::size_t modes, std::size_t channels) {
    require<ShapeError>(map.is_constant() || channels % map.groups == 0, what, ": ", name, " has ",
                        map.groups, " groups, which do not divide ", channels, " channels");
    require<ShapeError>(map.is_constant() || map.stride >= map.groups * modes, what, ": ", name,
                        " has a stride of ", map.stride, ", less than ", map.groups, " groups of ",
                        modes, " modes");
}

/// Raises ShapeError unless input, output and context fit the system.
template <class Number, class T>
void check_selective(const char* what, const SelectiveSystem<Number>& system,
                     const SelectiveInput<Number>& input, BatchView<T> y, const Context& context) {
    const Shape shape = input.u.shape();
    require<ShapeError>(system.modes > 0, what, ": 0 modes, expected at least 1");
    require<ShapeError>(shape.channels == system.channels, what, ": input has ", shape.channels,
                        " channels, expected ", system.channels);
    require<ShapeError>(input.delta.shape() == shape, what, ": delta has shape ",
                        input.delta.shape(), ", expected ", shape);
    require<ShapeError>(input.z.data() == nullptr || input.z.shape() == shape, what,
                        ": z has shape ", input.z.shape(), ", expected ", shape);
    require<ShapeError>(y.shape() == shape, what, ": output has shape ", y.shape(), ", expected ",
                        shape);
    require<ValueError>(!system.log_A || std::is_floating_point_v<Number>, what,
                        ": the logarithm of a complex A");
    check_selective_map(what, "B", input.B, system.modes, system.channels);
    check_selective_map(what, "C", input.C, system.modes, system.channels);
    context.check(shape);
}

}  // namespace detail

}  // namespace ssm
