// Numbers of the minimal-LRU code: initialisation, the layer with its states, residual layers, models.

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <ssm/init/ring.hpp>
#include <ssm/io/names/s5.hpp>
#include <ssm/layer/lru.hpp>
#include <ssm/model/gated_block.hpp>

#include "golden/mimo.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/prebuilt_scan.hpp"

namespace {

using ssm_test::GoldenCase;
using ssm_test::GoldenReport;
using ssm_test::mimo_tolerance;
using Layer = ssm::LRU<double>;

void check_init(GoldenCase& golden, GoldenReport& report) {
    const auto& radii = golden.config.at("radii");
    const std::vector<double> draws = golden.tensor("uniform").values;
    for (std::size_t i = 0; i < radii.size(); ++i) {
        const ssm::init::Ring ring{radii[i][0], radii[i][1], golden.config.at("phases")[i]};
        std::vector<double> nu, theta, gamma;
        for (const double uniform : draws) {
            nu.push_back(ring.nu_log(uniform));
            theta.push_back(ring.theta_log(uniform));
            gamma.push_back(ssm::init::Ring::gamma_log(nu.back()));
        }
        const std::string suffix = "_" + std::to_string(i);
        report.compare("nu_log" + suffix, nu, mimo_tolerance);
        report.compare("theta_log" + suffix, theta, mimo_tolerance);
        report.compare("gamma_log" + suffix, gamma, mimo_tolerance);
    }
}

Layer layer_of(const GoldenCase& golden) {
    const auto& config = golden.config;
    return Layer(
        {.channels = config.at("H"),
         .state = config.at("N"),
         .dynamics = {.ring = {config.at("r_min"), config.at("r_max"), config.at("max_phase")}}});
}

void check_core(GoldenCase& golden, GoldenReport& report) {
    Layer layer = layer_of(golden);
    const ssm_test::StoredNames names = [](std::string_view weight) {
        ssm::StoredAs stored = ssm::names::lru(weight);
        for (std::string& part : stored.names)
            part = "param." + part;
        return stored;
    };
    ssm_test::load_original(layer, golden, names);
    report.compare("lambda", layer.poles(), mimo_tolerance);
    ssm::Workspace workspace;
    ssm_test::check_training(
        layer, golden, "u", names, workspace, report,
        [&](ssm::Batch<double>&) { return ssm_test::batch_of(golden.tensor("g")); });
    ssm_test::check_streams(layer, golden, report);
}

void run_case(GoldenCase& golden, GoldenReport& report) {
    if (golden.name.starts_with("init"))
        return check_init(golden, report);
    if (golden.name.starts_with("core"))
        return check_core(golden, report);
    const ssm::names::FlaxModel flax{.layer = ssm::names::lru,
                                     .norm = "normalization",
                                     .params = "param.",
                                     .statistics = "buffer.",
                                     .separator = "."};
    const auto& config = golden.config;
    const bool prenorm = config.at("prenorm");
    const auto block = ssm::full_glu_block(layer_of(golden));
    if (golden.name.starts_with("layer"))
        return ssm_test::check_residual_layer(block, config.at("norm") == "batch", prenorm, flax,
                                              golden, report);
    if (golden.name.starts_with("model")) {
        std::size_t depth = 0;
        while (golden.has("param.encoder.layers_" + std::to_string(depth) + ".seq.D"))
            ++depth;
        const bool batch = golden.has("buffer.encoder.layers_0.normalization.mean");
        return ssm_test::check_classifier(block, batch, prenorm, config.at("pooling"), depth, flax,
                                          golden, report);
    }
    throw std::runtime_error("the runner does not know this kind of case");
}

}  // namespace

TEST_CASE("golden lru") {
    ssm_test::run_family("lru", run_case);
}
