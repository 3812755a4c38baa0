#pragma once

#include <cstddef>

#include <ssm/core/error.hpp>
#include <ssm/layer/detail/dt_init.hpp>
#include <ssm/layer/detail/require_sizes.hpp>

namespace ssm {

/// How delta, B and C are normalised (RMS) before they are used.
enum class MambaNorm {
    none,     ///< Mamba
    plain,    ///< without weights: Falcon-Mamba
    learned,  ///< with weights dt_layernorm, b_layernorm, c_layernorm: Jamba
};

/// How the weight of `dt_proj` begins.
enum class DtProjInit {
    random,    ///< uniform in +-scale / sqrt(rank)
    constant,  ///< scale / sqrt(rank)
};

/// Sizes and first values of `Mamba`.
struct MambaOptions {
    std::size_t channels = 0;  ///< d_model
    std::size_t state = 16;    ///< d_state, N
    std::size_t width = 4;     ///< d_conv
    std::size_t expand = 2;
    std::size_t inner = 0;  ///< E; 0: expand channels
    std::size_t rank = 0;   ///< dt_rank, R; 0: channels / 16, rounded up
    bool bias = false;      ///< of in_proj and out_proj
    bool conv_bias = true;
    MambaNorm norm = MambaNorm::none;
    double epsilon = 1e-6;  ///< of the norm
    SelectiveTimescale timescale{};
    DtProjInit dt_init = DtProjInit::random;
    double dt_scale = 1.0;
};

namespace detail {

/// The options with `inner` and `rank` filled in.
[[nodiscard]] inline MambaOptions resolved(MambaOptions options) {
    require_sizes("ssm::Mamba", {{"channels", options.channels},
                                 {"state", options.state},
                                 {"width", options.width},
                                 {"expand", options.expand},
                                 {"rank", options.rank}});
    require<ValueError>(options.channels > 0 && options.state > 0 && options.width > 0 &&
                            (options.inner > 0 || options.expand > 0),
                        "ssm::Mamba: channels = ", options.channels, ", state = ", options.state,
                        ", width = ", options.width, " and expand = ", options.expand,
                        " must be positive");
    if (options.inner == 0)
        options.inner = options.expand * options.channels;
    require_sizes("ssm::Mamba", {{"inner", options.inner}});
    if (options.rank == 0)
        options.rank = (options.channels + 15) / 16;
    return options;
}

}  // namespace detail

}  // namespace ssm
