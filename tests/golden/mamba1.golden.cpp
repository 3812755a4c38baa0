// The Mamba-1 block against the released module: output, gradients, prefill and decoding.

#include <cstddef>
#include <string_view>
#include <vector>

#include <ssm/layer/mamba.hpp>

#include "golden/mamba_block.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/prebuilt_selective.hpp"

namespace {

using namespace ssm_test;
using Mamba = ssm::Mamba<double>;

/// A weight as the library has it: A_log and the filter of the convolution are transposed.
std::vector<double> arranged(std::string_view name, const GoldenTensor& tensor) {
    if (name == "A_log")
        return tensor.permuted({1, 0}).values;
    if (name == "conv1d.weight")
        return tensor.permuted({2, 1, 0}).values;
    return tensor.values;
}

Mamba::Options options_of(const nlohmann::json& config) {
    Mamba::Options options;
    options.channels = config.at("d_model");
    options.state = config.at("d_state");
    options.width = config.at("d_conv");
    options.expand = config.at("expand");
    options.rank = config.value("dt_rank", std::size_t{0});
    options.bias = config.value("bias", false);
    options.conv_bias = config.value("conv_bias", true);
    return options;
}

}  // namespace

TEST_CASE("golden.mamba1") {
    run_family("mamba1", [](GoldenCase& golden, GoldenReport& report) {
        report.check(golden.has("decode.x"), "the case decodes");
        check_block(Mamba(options_of(golden.config)), golden, report, arranged);
    });
}
