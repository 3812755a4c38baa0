// Numbers of Mamba-2's state space dual scan: output, final states and all gradients.

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include <ssm/core/context.hpp>
#include <ssm/layer/detail/gated_row.hpp>
#include <ssm/scan/ssd.hpp>

#include "golden/layers.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/prebuilt_selective.hpp"

namespace {

using ssm_test::GoldenCase;
using ssm_test::GoldenReport;
using ssm_test::GoldenTensor;

constexpr double tolerance = 1e-9;

/// (B, H, P, N) states as (B, H, N, P) and the other way round.
std::vector<double> transposed(const std::vector<double>& states, std::size_t rows,
                               std::size_t columns) {
    std::vector<double> result(states.size());
    for (std::size_t i = 0; i < states.size(); ++i) {
        const std::size_t at = i % (rows * columns);
        result[i - at + at % columns * rows + at / columns] = states[i];
    }
    return result;
}

struct Sizes {
    std::size_t batch, length, heads, channels, modes, groups;

    explicit Sizes(const nlohmann::json& config)
        : batch(config.at("B")),
          length(config.at("L")),
          heads(config.at("H")),
          channels(config.at("P")),
          modes(config.at("N")),
          groups(config.at("G")) {}

    [[nodiscard]] std::size_t rows() const { return batch * length; }
    [[nodiscard]] std::size_t width() const { return heads * channels; }
};

void check_case(GoldenCase& golden, GoldenReport& report) {
    ssm_test::check_known(golden.config, {"B", "L", "H", "P", "N", "G", "chunk", "D", "z", "bias",
                                          "softplus", "init", "dt_limit"});
    const Sizes size(golden.config);
    const auto optional = [&](const std::string& name) {
        return golden.has(name) ? golden.tensor(name).values : std::vector<double>();
    };
    const auto data = [](const std::vector<double>& values) {
        return values.empty() ? nullptr : values.data();
    };
    const std::vector<double> x = golden.tensor("in.x").values;
    const std::vector<double> dt = golden.tensor("in.dt").values;
    const std::vector<double> A = golden.tensor("in.A").values;
    const std::vector<double> B = golden.tensor("in.B").values;
    const std::vector<double> C = golden.tensor("in.C").values;
    const std::vector<double> D = optional("in.D");
    const std::vector<double> z = optional("in.z");
    const std::vector<double> bias = optional("in.dt_bias");
    const std::vector<double> initial =
        transposed(optional("in.initial_states"), size.channels, size.modes);

    ssm::SsdSystem<double> system{.heads = size.heads,
                                  .channels = size.channels,
                                  .modes = size.modes,
                                  .groups = size.groups,
                                  .A = A.data(),
                                  .D = data(D),
                                  .D_per_channel = golden.config.at("D") == "hp",
                                  .dt_bias = data(bias),
                                  .softplus = golden.config.at("softplus")};
    if (golden.config.contains("dt_limit")) {
        system.dt_min = golden.config.at("dt_limit")[0];
        system.dt_max = golden.config.at("dt_limit")[1];
    }
    const std::size_t maps = size.groups * size.modes;
    const ssm::SsdInput<double> input{
        size.batch,       size.length,     {x.data(), size.width()}, {dt.data(), size.heads},
        {B.data(), maps}, {C.data(), maps}};
    ssm::Workspace workspace;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    std::vector<double> y(x.size(), nan);
    std::vector<double> state = initial;
    state.resize(size.batch * system.state_size());
    ssm::ssd_forward<double>(system, input, {y.data(), size.width()}, state.data(), workspace);
    std::vector<double> gated = y;
    if (!z.empty())
        ssm::detail::gate_row(y.data(), z.data(), y.size(), gated.data());
    report.compare("y", gated, tolerance);
    report.compare("final_states", transposed(state, size.modes, size.channels), tolerance);

    std::vector<double> dy = golden.tensor("g").values;
    if (!z.empty()) {
        std::vector<double> dz(z.size(), nan);
        ssm::detail::gate_row_backward(y.data(), z.data(), dy.data(), dy.size(), dy.data(),
                                       dz.data());
        report.compare("grad.z", dz, tolerance);
    }
    std::vector<double> dx(x.size(), nan), ddt(dt.size(), nan), dB(B.size(), nan),
        dC(C.size(), nan);
    std::vector<double> dA(A.size()), dD(D.size()), dbias(bias.size());
    std::vector<double> dstate =
        transposed(golden.tensor("g_final").values, size.channels, size.modes);
    ssm::SsdGradient<double> gradient{{dx.data(), size.width()},
                                      {ddt.data(), size.heads},
                                      {dB.data(), maps},
                                      {dC.data(), maps},
                                      dA.data(),
                                      D.empty() ? nullptr : dD.data(),
                                      bias.empty() ? nullptr : dbias.data(),
                                      nullptr,
                                      dstate.data()};
    ssm::ssd_backward<double>(system, input, {dy.data(), size.width()}, data(initial), gradient,
                              workspace);
    report.compare("grad.x", dx, tolerance);
    report.compare("grad.dt", ddt, tolerance);
    report.compare("grad.A", dA, tolerance);
    report.compare("grad.B", dB, tolerance);
    report.compare("grad.C", dC, tolerance);
    if (!D.empty())
        report.compare("grad.D", dD, tolerance);
    if (!bias.empty())
        report.compare("grad.dt_bias", dbias, tolerance);
    if (!initial.empty())
        report.compare("grad.initial_states", transposed(dstate, size.modes, size.channels),
                       tolerance);

    std::vector<double> streamed(x.size(), nan);
    state = initial;
    state.resize(size.batch * system.state_size());
    for (std::size_t b = 0; b < size.batch; ++b)
        for (std::size_t l = 0; l < size.length; ++l) {
            const std::size_t row = b * size.length + l;
            const ssm::SsdInput<double> one{1,
                                            1,
                                            {input.x.at(row), size.width()},
                                            {input.delta.at(row), size.heads},
                                            {input.B.at(row), maps},
                                            {input.C.at(row), maps}};
            ssm::ssd_step<double>(system, one, {streamed.data() + row * size.width(), size.width()},
                                  state.data() + b * system.state_size());
        }
    report.compare("y step by step", streamed, y, tolerance);
    report.compare("final_states", transposed(state, size.modes, size.channels), tolerance);
}

}  // namespace

TEST_CASE("golden.ssd") {
    ssm_test::run_family("ssd", check_case);
}
