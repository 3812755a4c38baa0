#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <ssm/core/error.hpp>
#include <ssm/io/hugging_face_config.hpp>
#include <ssm/io/names/mamba.hpp>
#include <ssm/io/stored_as.hpp>
#include <ssm/layer/gated_norm.hpp>
#include <ssm/layer/mamba.hpp>
#include <ssm/layer/mamba2.hpp>

// Layers of published language models: what they have to do with a config.json and with tensors, in
// both directions.

namespace ssm::detail {

/// For each such layer
///
///   reads(family)              whether models of this kind are made of it
///   options(config)            its options, as the config describes them
///   describe(options, config)  puts them into the config; ValueError for what a config cannot say
///   stored_as(weight, ...)     names and shapes of the published weights
///   require_shapes(config, require)   calls require(name, shape) for tensors from which the size of all others follows
template <class Mixer>
struct HuggingFaceMixer;

template <class T, class Stored>
struct HuggingFaceMixer<Mamba<T, Stored>> {
    static bool reads(ModelFamily family) { return family != ModelFamily::mamba2; }
    static MambaOptions options(const HuggingFaceConfig& config) {
        return {
            .channels = config.model.width,
            .state = config.state,
            .width = config.conv_width,
            .inner = config.inner,
            .rank = config.rank,
            .bias = config.bias,
            .conv_bias = config.conv_bias,
            .norm = config.family == ModelFamily::falcon_mamba ? MambaNorm::plain : MambaNorm::none,
            .epsilon = config.mixer_epsilon};
    }
    static void describe(const MambaOptions& options, HuggingFaceConfig& config) {
        require<ValueError>(options.norm != MambaNorm::learned,
                            "ssm::save_hugging_face: no published model of Mamba layers alone has "
                            "learned norms inside of them");
        const bool has_norm = options.norm == MambaNorm::plain;
        config.family = has_norm ? ModelFamily::falcon_mamba : ModelFamily::mamba;
        config.state = options.state;
        config.conv_width = options.width;
        config.inner = options.inner;
        config.rank = options.rank;
        config.bias = options.bias;
        config.conv_bias = options.conv_bias;
        if (has_norm)
            config.mixer_epsilon = options.epsilon;
    }
    static StoredAs stored_as(std::string_view weight,
                              const std::string& embedding = names::mamba_embedding) {
        return names::mamba(weight, embedding);
    }
    template <class Require>
    static void require_shapes(const HuggingFaceConfig& c, Require&& require) {
        require("in_proj.weight", {2 * c.inner, c.model.width});
        require("x_proj.weight", {c.rank + 2 * c.state, c.inner});
        require("conv1d.weight", {c.inner, 1, c.conv_width});
        require("A_log", {c.inner, c.state});
    }
};

template <class T, class Stored>
struct HuggingFaceMixer<Mamba2<T, Stored>> {
    static bool reads(ModelFamily family) { return family == ModelFamily::mamba2; }
    static Mamba2Options options(const HuggingFaceConfig& config) {
        return {.channels = config.model.width,
                .state = config.state,
                .head_channels = config.head_width,
                .groups = config.groups,
                .width = config.conv_width,
                .inner = config.inner,
                .bias = config.bias,
                .conv_bias = config.conv_bias,
                .norm_groups = config.norm_groups,
                .epsilon = config.model.epsilon,
                .dt_lowest = config.dt_least,
                .dt_highest = config.dt_most};
    }
    static void describe(const Mamba2Options& options, HuggingFaceConfig& config) {
        const auto require_plain = [](bool claim, const auto&... parts) {
            require<ValueError>(claim,
                                "ssm::save_hugging_face: a config.json of Mamba-2 cannot say that ",
                                parts...);
        };
        require_plain(options.norm && options.order == GateOrder::gate_first,
                      "the gate is applied otherwise than in front of a norm");
        require_plain(options.norm_groups == 1, "channels are normalised in ", options.norm_groups,
                      " groups");
        require_plain(options.epsilon == config.model.epsilon, "epsilon of the mixers' norms, ",
                      options.epsilon, ", is not that of the model's, ", config.model.epsilon);
        require_plain(options.ssm_channels == options.inner, options.ssm_channels, " of ",
                      options.inner, " inner channels have a state");
        require_plain(!options.D_per_channel, "D has a number for each channel");
        require_plain(!options.learns_init_state, "initial states are learned");
        config.family = ModelFamily::mamba2;
        config.state = options.state;
        config.head_width = options.head_channels;
        config.heads = options.inner / options.head_channels;
        config.groups = options.groups;
        config.conv_width = options.width;
        config.inner = options.inner;
        config.bias = options.bias;
        config.conv_bias = options.conv_bias;
        config.dt_least = options.dt_lowest;
        config.dt_most = options.dt_highest;
    }
    static StoredAs stored_as(std::string_view weight,
                              const std::string& embedding = names::mamba_embedding) {
        return names::mamba2(weight, embedding);
    }
    template <class Require>
    static void require_shapes(const HuggingFaceConfig& c, Require&& require) {
        const std::size_t convolved = c.inner + 2 * c.groups * c.state;
        require("in_proj.weight", {c.inner + convolved + c.heads, c.model.width});
        require("conv1d.weight", {convolved, 1, c.conv_width});
        require("A_log", {c.heads});
    }
};

}  // namespace ssm::detail
