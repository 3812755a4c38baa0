// Numbers of the S5 authors' code and of its PyTorch port: initialisation, layers, states, residual layers, models.

#include <cmath>
#include <complex>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <Eigen/Core>

#include <ssm/discretize/bilinear.hpp>
#include <ssm/discretize/zoh.hpp>
#include <ssm/init/hippo.hpp>
#include <ssm/init/hippo_blocks.hpp>
#include <ssm/io/names/s5.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/layer/s5.hpp>

#include "golden/mimo.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/prebuilt_scan.hpp"
#include "support/prebuilt_systems.hpp"

namespace {

using ssm_test::GoldenCase;
using ssm_test::GoldenReport;
using ssm_test::GoldenTensor;
using ssm_test::mimo_tolerance;

// ---- initialisation ------------------------------------------------------------------------------

Eigen::MatrixXcd matrix(const GoldenTensor& tensor) {
    const auto values = tensor.complex();
    return Eigen::Map<const Eigen::Matrix<std::complex<double>, -1, -1, Eigen::RowMajor>>(
        values.data(), static_cast<Eigen::Index>(tensor.extent(0)),
        static_cast<Eigen::Index>(tensor.extent(1)));
}
GoldenTensor as_complex(GoldenTensor tensor) {
    tensor.is_complex = true;
    return tensor;
}
template <class Matrix>
std::vector<typename Matrix::Scalar> row_major(const Matrix& m) {
    std::vector<typename Matrix::Scalar> result;
    for (Eigen::Index i = 0; i < m.rows(); ++i)
        for (Eigen::Index j = 0; j < m.cols(); ++j)
            result.push_back(m(i, j));
    return result;
}
/// Eigenvectors have any phase: absolute values do not.
std::vector<double> sizes(const std::vector<std::complex<double>>& values) {
    std::vector<double> result;
    for (const auto value : values)
        result.push_back(std::abs(value));
    return result;
}
/// All poles, in the order of the layer.
std::vector<std::complex<double>> poles(const ssm::init::HippoBlocks& blocks) {
    std::vector<std::complex<double>> result;
    for (std::size_t p = 0; p < blocks.modes(); ++p)
        result.push_back(blocks.pole(p));
    return result;
}

void check_init(GoldenCase& golden, GoldenReport& report) {
    const std::size_t N = golden.config.at("N");
    const ssm::init::hippo::LegS legs;
    const auto transition = legs.transition(N);
    report.compare(golden.has("A") ? "A" : "HiPPO", row_major(transition.A), mimo_tolerance);
    report.compare("B", row_major(transition.B), mimo_tolerance);
    report.compare("P", row_major(legs.low_rank(N)), mimo_tolerance);

    const auto whole = ssm::init::hippo_blocks(legs, N, 1, false);
    report.compare("Lambda", poles(whole), mimo_tolerance);
    report.compare("|V|", sizes(row_major(whole.V)), sizes(golden.tensor("V").complex()),
                   mimo_tolerance);
    const Eigen::VectorXcd VB = whole.V.adjoint() * transition.B;
    report.compare("|V* B|", sizes(row_major(VB)), sizes(golden.tensor("VstarB").complex()),
                   mimo_tolerance);
    const Eigen::VectorXcd VP = whole.V.adjoint() * legs.low_rank(N).transpose();
    report.compare("|V* P|", sizes(row_major(VP)), sizes(golden.tensor("VstarP").complex()),
                   mimo_tolerance);

    for (const std::string& name : golden.names("blocks")) {
        const std::size_t blocks = std::stoul(name.substr(std::string("blocks").size()));
        const bool conjugate = name.find("_conj1") != std::string::npos;
        report.compare(name, poles(ssm::init::hippo_blocks(legs, N, blocks, conjugate)),
                       mimo_tolerance);
    }
    if (golden.has("BC.V")) {
        ssm::init::HippoBlocks basis;
        basis.V = matrix(golden.tensor("BC.V"));
        report.compare("BC.Vinv", row_major(Eigen::MatrixXcd(basis.V.adjoint())), mimo_tolerance);
        basis.W = Eigen::VectorXcd(basis.V.cols());
        const GoldenTensor& raw = golden.tensor("BC.B_raw");
        const Eigen::MatrixXd G = Eigen::Map<const Eigen::Matrix<double, -1, -1, Eigen::RowMajor>>(
            raw.values.data(), static_cast<Eigen::Index>(raw.extent(0)),
            static_cast<Eigen::Index>(raw.extent(1)));
        report.compare("BC.VinvB", row_major(basis.into_basis(G)), mimo_tolerance);
        report.compare("BC.CV",
                       row_major(basis.out_of_basis(matrix(as_complex(golden.tensor("BC.C_raw"))))),
                       mimo_tolerance);
    }
    if (golden.has("log_step"))
        for (const double step : golden.tensor("log_step").values)
            report.check(step >= std::log(0.001) && step <= std::log(0.1),
                         "time steps start between 0.001 and 0.1");
}

// ---- layers --------------------------------------------------------------------------------------

void check_options(const nlohmann::json& config) {
    ssm_test::check_known(config,
                          {"blocks", "C_init", "disc",   "conj",  "bidir",  "H",       "P",
                           "B",      "L",      "clip",   "scale", "act",    "prenorm", "batchnorm",
                           "din",    "out",    "layers", "mode",  "padded", "bc",      "liquid"});
    if (config.value("bc", "dense") != "dense")
        throw std::runtime_error("the runner knows bc dense only");
}

/// Of the authors' cases or of the port's.
bool is_port(const GoldenCase& golden) {
    return golden.name.starts_with("torch");
}

template <class L>
L layer_of(const GoldenCase& golden) {
    const auto& config = golden.config;
    typename L::Options options;
    options.channels = config.at("H");
    options.state = config.at("P");
    options.rate = config.value("scale", 1.0);
    options.liquid = config.value("liquid", false);
    options.dynamics.blocks = config.at("blocks");
    options.dynamics.conjugate = !is_port(golden) && config.value("conj", true);
    options.dynamics.clip_poles = config.value("clip", false);
    return L(options);
}

ssm_test::StoredNames layer_names(const GoldenCase& golden, const std::string& c1) {
    if (is_port(golden))
        return
            [](std::string_view weight) { return ssm::StoredAs("param." + std::string(weight)); };
    const bool two = golden.has(c1);
    return [two](std::string_view weight) {
        ssm::StoredAs stored = two ? ssm::names::s5_two_outputs(weight) : ssm::names::s5(weight);
        for (std::string& part : stored.names)
            part = "param." + part;
        return stored;
    };
}

template <class Discretization>
void check_layer(GoldenCase& golden, GoldenReport& report) {
    const auto check = [&]<class Direction>(Direction) {
        using L = ssm::S5<double, Discretization, Direction>;
        using Causal = ssm::S5<double, Discretization>;
        auto layer = layer_of<L>(golden);
        const auto names = layer_names(golden, "param.C1");
        ssm_test::load_original(layer, golden, names);
        report.compare("Lambda_bar", layer.poles(), mimo_tolerance);
        if (golden.has("B_bar"))
            report.compare("B_bar", layer.input_matrix(), mimo_tolerance);
        if (golden.has("C_tilde"))
            report.compare("C_tilde", layer.C.flat(), mimo_tolerance);
        ssm::Workspace workspace;
        ssm_test::check_training(
            layer, golden, "u", names, workspace, report,
            [&](ssm::Batch<double>&) { return ssm_test::batch_of(golden.tensor("g")); });
        if constexpr (L::streams) {
            ssm_test::check_streams(layer, golden, report);
        } else if (golden.has("final_state")) {
            Causal forward = layer_of<Causal>(golden);
            forward.bank = layer.bank;
            forward.B = layer.B;
            const ssm::Batch<double> u = ssm_test::batch_of(golden.tensor("u"));
            ssm::Batch<double> y(u.shape());
            auto state = forward.rest_state(u.batch());
            forward.forward(u, y, state, workspace);
            report.compare("final_state", forward.state_values(state).flat(), mimo_tolerance);
        }
    };
    if (golden.config.at("bidir"))
        check(ssm::Bidirectional{});
    else
        check(ssm::Causal{});
}

// ---- residual layers and models ----------------------------------------------------------------------

using Causal = ssm::S5<double>;
using Bidirectional = ssm::S5<double, ssm::Zoh, ssm::Bidirectional>;
using AnyS5 = ssm_test::AnyLayer<Causal, Bidirectional>;

void check_surroundings(GoldenCase& golden, GoldenReport& report, bool model) {
    const auto& config = golden.config;
    if (config.at("disc") != "zoh")
        throw std::runtime_error("the runner knows residual layers with zero-order hold only");
    const AnyS5 system = config.at("bidir") ? AnyS5(layer_of<Bidirectional>(golden))
                                            : AnyS5(layer_of<Causal>(golden));
    const bool two = golden.has(model ? "param.encoder.layers_0.seq.C1" : "param.seq.C1");
    const ssm::names::FlaxModel flax{.layer = two ? ssm::names::s5_two_outputs : ssm::names::s5,
                                     .params = "param.",
                                     .statistics = "buffer.",
                                     .separator = "."};
    const bool batch = config.value("batchnorm", false);
    const auto block = ssm_test::any_gated_block(system, config.at("act"));
    if (model)
        ssm_test::check_classifier(block, batch, config.at("prenorm"), config.at("mode"),
                                   config.at("layers"), flax, golden, report);
    else
        ssm_test::check_residual_layer(block, batch, config.at("prenorm"), flax, golden, report);
}

void run_case(GoldenCase& golden, GoldenReport& report) {
    if (golden.name.starts_with("init"))
        return check_init(golden, report);
    check_options(golden.config);
    if (golden.name.starts_with("jax_layer") || golden.name.starts_with("jax_model"))
        return check_surroundings(golden, report, golden.name.starts_with("jax_model"));
    if (golden.config.at("disc") == "zoh")
        return check_layer<ssm::Zoh>(golden, report);
    if (golden.config.at("disc") == "bilinear")
        return check_layer<ssm::Bilinear>(golden, report);
    throw std::runtime_error("the runner does not know this discretisation");
}

}  // namespace

TEST_CASE("golden s5") {
    ssm_test::run_family("s5", run_case);
}
