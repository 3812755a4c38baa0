// Dense systems against scipy.signal (discretisation, simulation) and the S4 code (kernels, steps, gradients).

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <Eigen/Core>
#include <Eigen/LU>

#include <ssm/discretize/bilinear.hpp>
#include <ssm/discretize/dense.hpp>
#include <ssm/discretize/dirac.hpp>
#include <ssm/discretize/zoh.hpp>
#include <ssm/init/hippo.hpp>
#include <ssm/layer/lti.hpp>
#include <ssm/layer/structure/dense.hpp>

#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/prebuilt_bank.hpp"

namespace {

using namespace ssm;
using ssm_test::GoldenCase;
using ssm_test::GoldenReport;
using ssm_test::GoldenTensor;

constexpr double tolerance = 1e-11;

/// A tensor whose last two axes are a matrix; `index` counts the ones before.
DenseMatrix matrix(const GoldenTensor& tensor, std::size_t index = 0) {
    const std::size_t columns = tensor.shape.back();
    const std::size_t rows = tensor.rank() > 1 ? tensor.extent(tensor.rank() - 2) : 1;
    return matrix_map(tensor.values.data() + index * rows * columns, rows, columns);
}

std::vector<double> flat(const DenseMatrix& m) {
    return {m.data(), m.data() + m.size()};
}

/// A system with outputs, discrete or not.
struct System {
    DenseMatrix A, B, C, D;
};

System continuous(GoldenCase& golden, const std::string& prefix = "") {
    return {matrix(golden.tensor(prefix + "A")), matrix(golden.tensor(prefix + "B")),
            matrix(golden.tensor(prefix + "C")), matrix(golden.tensor(prefix + "D"))};
}

/// Outputs (L, p) and states (L, N) of a simulation. `delayed`: y = C x + D u before the update, as scipy has it;
/// else after it, as here.
struct Simulation {
    DenseMatrix y, x;
    Eigen::VectorXd last;
};
Simulation simulate(const System& system, const DenseMatrix& u, Eigen::VectorXd x, bool delayed) {
    Simulation result{DenseMatrix(u.rows(), system.C.rows()), DenseMatrix(u.rows(), x.size()), x};
    for (Eigen::Index k = 0; k < u.rows(); ++k) {
        const Eigen::VectorXd input = u.row(k);
        const Eigen::VectorXd next = system.A * x + system.B * input;
        result.x.row(k) = x;
        result.y.row(k) = system.C * (delayed ? x : next) + system.D * input;
        x = next;
    }
    result.last = x;
    return result;
}

void compare_system(GoldenReport& report, const std::string& name, const System& system,
                    const DenseMatrix& u) {
    report.compare(name + ".A", flat(system.A), tolerance);
    report.compare(name + ".B", flat(system.B), tolerance);
    report.compare(name + ".C", flat(system.C), tolerance);
    report.compare(name + ".D", flat(system.D), tolerance);
    const Simulation run = simulate(system, u, Eigen::VectorXd::Zero(system.A.rows()), true);
    report.compare(name + ".y", flat(run.y), tolerance);
    report.compare(name + ".x", flat(run.x), tolerance);
}

void compare_discretizations(GoldenCase& golden, GoldenReport& report) {
    const System system = continuous(golden);
    const DenseMatrix u = matrix(golden.tensor("u"));
    const double dt = golden.tensor("dt").values.at(0);
    report.check(dt == golden.config.at("dt").get<double>(), "dt of the tensors is the config's");
    const auto discrete = [&](const auto& method) {
        const DenseTransition step = discretize(method, system.A, system.B, dt);
        return System{step.A, step.B, system.C, system.D};
    };
    // scipy's bilinear methods change the outputs instead of adding the input before they are read.
    const auto with_outputs = [&](const GeneralizedBilinear& method) {
        System result = discrete(method);
        const DenseMatrix left =
            DenseMatrix::Identity(system.A.rows(), system.A.cols()) - method.alpha * dt * system.A;
        result.C = system.C * left.inverse();
        result.D = system.D + method.alpha * (system.C * result.B);
        return result;
    };
    compare_system(report, "zoh", discrete(Zoh{}), u);
    compare_system(report, "bilinear", with_outputs({0.5}), u);
    compare_system(report, "euler", with_outputs({0.0}), u);
    compare_system(report, "backward_diff", with_outputs({1.0}), u);
    compare_system(report, "gbt", with_outputs({golden.config.at("alpha")}), u);

    // Impulses: here they are in the state before it is read, and not of weight dt.
    System impulse = discrete(Dirac{});
    report.compare("expm_A_dt", flat(impulse.A), tolerance);
    impulse.D = dt * system.C * impulse.B;
    impulse.B = dt * impulse.A * impulse.B;
    compare_system(report, "impulse", impulse, u);

    // The first-order hold in the state z[t] = x[t] - B u[t], which does not look ahead.
    const FirstOrderHold hold = first_order_hold(system.A, system.B, dt);
    const System foh{hold.A, hold.B_previous + hold.A * hold.B, system.C,
                     system.D + system.C * hold.B};
    compare_system(report, "foh", foh, u);
    const Eigen::VectorXd start = -hold.B * u.row(0).transpose();
    report.compare("lsim_foh.y", flat(simulate(foh, u, start, true).y), tolerance);

    const Eigen::VectorXd x0 = matrix(golden.tensor("x0")).row(0);
    for (const std::string name : {"zoh", "bilinear"}) {
        const System step = name == "zoh" ? discrete(Zoh{}) : discrete(Bilinear{});
        const Simulation rest = simulate(step, u, Eigen::VectorXd::Zero(x0.size()), false);
        report.compare(name + ".y_ssm", flat(rest.y), tolerance);
        report.compare(name + ".x_ssm_final", rest.last, tolerance);
        const Simulation run = simulate(step, u, x0, false);
        report.compare(name + ".y_ssm_x0", flat(run.y), tolerance);
        report.compare(name + ".x_ssm_x0_final", run.last, tolerance);
    }
}

/// Gradients of sum(y g) + sum(x_L g_final) through the steps, and then through the discretisation.
template <class Method>
void compare_gradient(GoldenCase& golden, GoldenReport& report, const std::string& name,
                      const Method& method) {
    const System system = continuous(golden, "in.");
    const double dt = std::exp(golden.tensor("in.log_dt").values.at(0));
    const DenseTransition step = discretize(method, system.A, system.B, dt);
    const System discrete{step.A, step.B, system.C, system.D};
    report.compare(name + ".Ad", flat(step.A), tolerance);
    report.compare(name + ".Bd", flat(step.B), tolerance);
    System gradient{0.0 * system.A, 0.0 * system.B, 0.0 * system.C, 0.0 * system.D};
    std::vector<double> y, last, du, dx0;
    const auto append = [](std::vector<double>& all, const DenseMatrix& part) {
        all.insert(all.end(), part.data(), part.data() + part.size());
    };
    for (std::size_t b = 0; b < golden.config.at("B").get<std::size_t>(); ++b) {
        const DenseMatrix u = matrix(golden.tensor("in.u"), b);
        const DenseMatrix g = matrix(golden.tensor("g"), b);
        const auto row = static_cast<Eigen::Index>(b);
        const Eigen::VectorXd x0 = matrix(golden.tensor("in.x0")).row(row);
        const Simulation run = simulate(discrete, u, x0, false);
        append(y, run.y);
        append(last, run.last);
        Eigen::VectorXd lambda = matrix(golden.tensor("g_final")).row(row);
        DenseMatrix g_u(u.rows(), u.cols());
        for (Eigen::Index k = u.rows() - 1; k >= 0; --k) {
            const Eigen::VectorXd after =
                k + 1 < u.rows() ? Eigen::VectorXd(run.x.row(k + 1)) : Eigen::VectorXd(run.last);
            lambda += system.C.transpose() * g.row(k).transpose();
            gradient.C += g.row(k).transpose() * after.transpose();
            gradient.D += g.row(k).transpose() * u.row(k);
            gradient.A += lambda * run.x.row(k);
            gradient.B += lambda * u.row(k);
            g_u.row(k) = step.B.transpose() * lambda + system.D.transpose() * g.row(k).transpose();
            lambda = step.A.transpose() * lambda;
        }
        append(du, g_u);
        append(dx0, lambda);
    }
    report.compare(name + ".y", y, tolerance);
    report.compare(name + ".x_final", last, tolerance);
    report.compare(name + ".grad.u", du, tolerance);
    report.compare(name + ".grad.x0", dx0, tolerance);
    report.compare(name + ".grad.C", flat(gradient.C), tolerance);
    report.compare(name + ".grad.D", flat(gradient.D), tolerance);
    DenseMatrix dA = system.A;
    DenseMatrix dB = system.B;
    const double ddt = DenseDiscretizer<Method>().adjoint(method, system.A, system.B, dt, step.A,
                                                          step.B, gradient.A, gradient.B, dA, dB);
    report.compare(name + ".grad.A", flat(dA), tolerance);
    report.compare(name + ".grad.B", flat(dB), tolerance);
    report.compare(name + ".grad.log_dt", std::vector<double>{dt * ddt}, tolerance);
}

/// The real parts of a tensor of real pairs; the imaginary ones are zero.
std::vector<double> real_parts(const GoldenTensor& tensor) {
    std::vector<double> result;
    for (std::size_t i = 0; i < tensor.size(); i += 2)
        result.push_back(tensor.values[i]);
    return result;
}
void set(Tensor<double>& weight, const std::vector<double>& values) {
    REQUIRE(weight.size() == values.size());
    std::copy(values.begin(), values.end(), weight.data());
}

void compare_kernels(GoldenCase& golden, GoldenReport& report) {
    using Layer = Lti<double, Dense<>, Bilinear>;
    const std::size_t H = golden.config.at("H");
    const std::size_t N = golden.config.at("N");
    const std::size_t heads = golden.config.at("C");
    const std::size_t L = golden.config.at("L");
    const std::size_t batch = golden.config.at("B");
    Layer::Options options;
    options.channels = H;
    options.state = N;
    options.heads = heads;
    options.skip = false;
    Layer layer(options);
    init::hippo::Transition start = golden.config.at("init") == "legs"
                                        ? init::hippo::LegS::transition(N)
                                        : init::hippo::LegT::transition(N);
    report.compare(
        "A of the first channel", flat(start.A),
        [&] {
            auto all = real_parts(golden.tensor("param.A"));
            all.resize(N * N);
            return all;
        }(),
        tolerance);
    set(layer.bank.transition.A, real_parts(golden.tensor("param.A")));
    set(layer.bank.transition.B, real_parts(golden.tensor("param.B")));
    set(layer.bank.C, real_parts(golden.tensor("param.C")));
    set(layer.bank.inv_dt, golden.tensor("param.inv_dt").values);
    const DenseSystem system = layer.system();
    report.compare("dA", system.A, real_parts(golden.tensor("dA")), tolerance);
    report.compare("dB", system.B, real_parts(golden.tensor("dB")), tolerance);
    report.compare("kernel", layer.kernel(L).flat(), tolerance);

    Layer gradient = zeros_like(layer);
    Workspace workspace;
    DenseSystem upstream(system.shape);
    convolution_kernel_adjoint<double>(system, L, golden.tensor("g").values, upstream, workspace);
    layer.bank.adjoint(Bilinear{}, 1.0, system, upstream, gradient.bank, workspace);
    report.compare("grad.A", gradient.bank.transition.A.flat(), real_parts(golden.tensor("grad.A")),
                   tolerance);
    report.compare("grad.B", gradient.bank.transition.B.flat(), real_parts(golden.tensor("grad.B")),
                   tolerance);
    report.compare("grad.C", gradient.bank.C.flat(), real_parts(golden.tensor("grad.C")),
                   tolerance);
    report.compare("grad.inv_dt", gradient.bank.inv_dt.flat(), tolerance);

    Tensor<double> x({batch, H, N});
    set(x, real_parts(golden.tensor("state.in")));
    const auto run = [&](const std::vector<double>& input) {
        auto state = layer.rest_state(batch);
        layer.set_state_values(state, x);
        std::vector<double> y(batch * heads * H * L), u_t(batch * H), y_t(batch * heads * H);
        for (std::size_t l = 0; l < L; ++l) {
            for (std::size_t i = 0; i < u_t.size(); ++i)
                u_t[i] = input.empty() ? 0.0 : input[i * L + l];
            layer.step(u_t, y_t, state);
            for (std::size_t i = 0; i < y_t.size(); ++i)
                y[i * L + l] = y_t[i];
        }
        return std::pair(y, layer.state_values(state));
    };
    report.compare("state.k_state", run({}).first, tolerance);
    const auto [y, last] = run(golden.tensor("step.u").values);
    report.compare("step.y", y, tolerance);
    report.compare("step.state_final", last.flat(), real_parts(golden.tensor("step.state_final")),
                   tolerance);
}

}  // namespace

TEST_CASE("dense agrees with the original implementation") {
    ssm_test::run_family("dense", [](GoldenCase& golden, GoldenReport& report) {
        if (ssm_test::matches("discretize_*", golden.name)) {
            compare_discretizations(golden, report);
        } else if (ssm_test::matches("grad_*", golden.name)) {
            compare_gradient(golden, report, "zoh", Zoh{});
            compare_gradient(golden, report, "bilinear", Bilinear{});
        } else if (ssm_test::matches("kernel_*", golden.name)) {
            compare_kernels(golden, report);
        } else {
            report.check(false, "unknown kind of case");
        }
    });
}
