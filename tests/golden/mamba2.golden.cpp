// The Mamba-2 block against the released modules: output, gradients, prefill and decoding.

#include <cstddef>
#include <string_view>
#include <vector>

#include <ssm/layer/mamba2.hpp>

#include "golden/mamba_block.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/prebuilt_selective.hpp"

namespace {

using namespace ssm_test;
using Mamba2 = ssm::Mamba2<double>;

/// A weight as the library has it: the filter of the convolution and the first states are transposed.
std::vector<double> arranged(std::string_view name, const GoldenTensor& tensor) {
    if (name == "conv1d.weight")
        return tensor.permuted({2, 1, 0}).values;
    if (name == "init_states")
        return tensor.permuted({0, 2, 1}).values;
    return tensor.values;
}

Mamba2::Options options_of(const GoldenCase& golden) {
    const auto& config = golden.config;
    check_known(config, {"d_model", "d_state", "headdim", "expand", "ngroups", "d_conv", "d_ssm",
                         "chunk_size", "B", "L", "bias", "conv_bias", "rmsnorm", "norm_before_gate",
                         "D_has_hdim", "dt_limit", "learnable_init_states"});
    Mamba2::Options options;
    options.channels = config.at("d_model");
    options.state = config.at("d_state");
    options.head_channels = config.at("headdim");
    options.expand = config.at("expand");
    options.groups = config.value("ngroups", std::size_t{1});
    options.width = config.value("d_conv", std::size_t{4});
    options.ssm_channels = config.value("d_ssm", std::size_t{0});
    options.bias = config.value("bias", false);
    options.conv_bias = config.value("conv_bias", true);
    options.norm = config.value("rmsnorm", true);
    options.order = config.value("norm_before_gate", false) ? ssm::GateOrder::norm_first
                                                            : ssm::GateOrder::gate_first;
    options.D_per_channel = config.value("D_has_hdim", false);
    options.learns_init_state = config.value("learnable_init_states", false);
    if (golden.name.starts_with("simple"))
        options.norm_groups = 1;  // the small module normalises all channels together
    if (config.contains("dt_limit")) {
        options.dt_lowest = config.at("dt_limit")[0];
        options.dt_highest = config.at("dt_limit")[1];
    }
    return options;
}

}  // namespace

TEST_CASE("golden.mamba2") {
    run_family("mamba2", [](GoldenCase& golden, GoldenReport& report) {
        check_block(Mamba2(options_of(golden)), golden, report, arranged);
    });
}
