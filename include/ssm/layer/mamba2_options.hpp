#pragma once

#include <cstddef>
#include <limits>

#include <ssm/core/error.hpp>
#include <ssm/layer/detail/dt_init.hpp>
#include <ssm/layer/detail/require_sizes.hpp>
#include <ssm/layer/gated_norm.hpp>

namespace ssm {

/// Sizes and first values of `Mamba2`.
struct Mamba2Options {
    std::size_t channels = 0;        ///< d_model
    std::size_t state = 128;         ///< d_state, N
    std::size_t head_channels = 64;  ///< headdim, P
    std::size_t groups = 1;          ///< ngroups, G
    std::size_t width = 4;           ///< d_conv
    std::size_t expand = 2;
    std::size_t inner = 0;         ///< E; 0: expand channels
    std::size_t ssm_channels = 0;  ///< d_ssm, S; 0: inner
    bool bias = false;             ///< of in_proj and out_proj
    bool conv_bias = true;
    double conv_init = 0.0;  ///< weights of conv1d uniform in +- this; 0: as Conv1d
    bool norm = true;        ///< rmsnorm; without it y silu(z)
    GateOrder order = GateOrder::gate_first;  ///< norm_first: norm_before_gate
    std::size_t norm_groups = 0;              ///< channels normalised together: S / this; 0: groups
    double epsilon = 1e-5;                    ///< of the norm
    SelectiveTimescale timescale{};
    double dt_lowest = 0.0;  ///< dt_limit
    double dt_highest = std::numeric_limits<double>::infinity();
    double A_lowest = 1.0;  ///< A_init_range, of -A
    double A_highest = 16.0;
    bool D_per_channel = false;      ///< D_has_hdim
    bool learns_init_state = false;  ///< learnable_init_states; a reset goes back to them
};

namespace detail {

/// The options with `inner`, `ssm_channels` and `norm_groups` filled in.
[[nodiscard]] inline Mamba2Options resolved(Mamba2Options o) {
    require_sizes("ssm::Mamba2", {{"channels", o.channels},
                                  {"state", o.state},
                                  {"head_channels", o.head_channels},
                                  {"groups", o.groups},
                                  {"width", o.width},
                                  {"expand", o.expand},
                                  {"ssm_channels", o.ssm_channels}});
    if (o.inner == 0)
        o.inner = o.expand * o.channels;
    require_sizes("ssm::Mamba2", {{"inner", o.inner}});
    if (o.ssm_channels == 0)
        o.ssm_channels = o.inner;
    if (o.norm_groups == 0)
        o.norm_groups = o.groups;
    require<ValueError>(o.channels > 0 && o.state > 0 && o.head_channels > 0 && o.groups > 0 &&
                            o.width > 0 && o.inner > 0,
                        "ssm::Mamba2: channels = ", o.channels, ", state = ", o.state,
                        ", head_channels = ", o.head_channels, ", groups = ", o.groups,
                        ", width = ", o.width, " and inner = ", o.inner, " must be positive");
    require<ValueError>(o.ssm_channels <= o.inner, "ssm::Mamba2: ssm_channels = ", o.ssm_channels,
                        " are more than inner = ", o.inner);
    require<ValueError>(o.ssm_channels % o.head_channels == 0, "ssm::Mamba2: heads of ",
                        o.head_channels, " channels do not divide ", o.ssm_channels);
    require<ValueError>(o.ssm_channels / o.head_channels % o.groups == 0, "ssm::Mamba2: ", o.groups,
                        " groups do not divide ", o.ssm_channels / o.head_channels, " heads");
    require<ValueError>(o.dt_lowest >= 0.0 && o.dt_lowest <= o.dt_highest,
                        "ssm::Mamba2: time steps limited to [", o.dt_lowest, ", ", o.dt_highest,
                        "]");
    require<ValueError>(o.A_lowest > 0.0 && o.A_lowest <= o.A_highest,
                        "ssm::Mamba2: -A begins in [", o.A_lowest, ", ", o.A_highest,
                        "], expected 0 < low <= high");
    require<ValueError>(o.conv_init >= 0.0, "ssm::Mamba2: conv_init = ", o.conv_init,
                        " is negative");
    return o;
}

}  // namespace detail

}  // namespace ssm
