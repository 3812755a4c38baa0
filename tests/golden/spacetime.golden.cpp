// Numbers of the authors' SpaceTime: companion and shift layers, closed and open loops, preprocessing filters, and a
// small network.

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/companion.hpp>
#include <ssm/discretize/dense.hpp>
#include <ssm/discretize/dense_system.hpp>
#include <ssm/kernel/companion.hpp>
#include <ssm/kernel/krylov.hpp>
#include <ssm/kernel/power.hpp>
#include <ssm/layer/activation.hpp>
#include <ssm/layer/closed_loop.hpp>
#include <ssm/layer/identity.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/layer/spacetime.hpp>
#include <ssm/math/activation.hpp>
#include <ssm/model/residual.hpp>
#include <ssm/model/sequential.hpp>

#include "golden/layers.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/prebuilt_bank.hpp"

namespace {

using namespace ssm_test;
using Batch = Sequences;

constexpr double tolerance = 1e-9;

/// The original has D as `skip`, and no folder for what makes the kernel.
std::string original_name(std::string_view name) {
    const std::string inner(name.substr(name.starts_with("kernel.") ? 7 : 0));
    return inner == "D" ? "skip" : inner;
}

/// Sets the weights of a layer: to its weight NAME belongs the tensor `prefix` + NAME of the case.
template <class L>
void load(L& layer, GoldenCase& golden, const std::string& prefix) {
    set_weights(layer, [&](const std::string& name) -> const GoldenTensor& {
        const std::string full = prefix + original_name(name);
        const bool is_buffer = !golden.has("param." + full) && prefix.empty();
        return golden.tensor((is_buffer ? "buffer." : "param.") + full);
    });
}

/// What the original stores but does not use: its skip when that is off, and the zero feedback of a shift.
void look_at_unused(GoldenCase& golden, const std::string& prefix, GoldenReport& report) {
    if (golden.has("buffer.a"))
        report.check(std::ranges::all_of(golden.tensor("buffer.a").values,
                                         [](double a) { return a == 0.0; }),
                     "a shift has no feedback");
    if (golden.has("param." + prefix + "skip"))
        report.check(golden.tensor("param." + prefix + "skip").rank() == 1 &&
                         !golden.has("grad." + prefix + "skip"),
                     "a skip that is off has no gradient");
}

/// Compares all gradients that the case has.
template <class L>
void compare_gradient(const L& gradient, const std::string& prefix, GoldenCase& golden,
                      GoldenReport& report) {
    ssm::visit(
        [&](std::string_view name, const ssm::WeightTraits&, const ssm::Tensor<double>& weight) {
            const std::string full = prefix + original_name(name);
            if (golden.has(full))
                report.compare(full, weight.flat(), tolerance);
        },
        gradient);
}

ssm::RowNorm norm_of(const GoldenCase& golden) {
    const int norm = golden.config.at("norm");
    if (norm < 0 || norm > 2)
        throw std::runtime_error("the runner knows the norms 0, 1 and 2");
    return norm == 0 ? ssm::RowNorm::none : norm == 1 ? ssm::RowNorm::l1 : ssm::RowNorm::l2;
}

/// Outputs step by step and in two blocks.
template <class L>
void check_streams(const L& layer, const Batch& u, std::span<const double> expected,
                   GoldenReport& report) {
    ssm::Workspace workspace;
    std::vector<double> steps(expected.size()), blocks(expected.size());
    const std::size_t width = layer.out_channels();
    for (std::size_t b = 0; b < u.batch(); ++b) {
        auto state = layer.rest_state();
        auto other = layer.rest_state();
        double* const y = steps.data() + b * u.length() * width;
        for (std::size_t l = 0; l < u.length(); ++l)
            layer.step(u.view().row(b, l), {y + l * width, width}, state);
        const std::size_t cut = u.length() / 3;
        const auto sequence = u.view().sequence(b);
        const ssm::BatchView<double> z(blocks.data() + b * u.length() * width,
                                       {1, u.length(), width});
        layer.forward(sequence.steps(0, cut), z.steps(0, cut), other, workspace);
        layer.forward(sequence.steps(cut, u.length() - cut), z.steps(cut, u.length() - cut), other,
                      workspace);
    }
    report.compare("y step by step", steps, expected, tolerance);
    report.compare("y in blocks", blocks, expected, tolerance);
}

/// Forward and gradients of a layer with the case's u, y, g.
template <class L>
void check_training(const L& layer, GoldenCase& golden, GoldenReport& report) {
    const Batch u = batch_of(golden.tensor("u"));
    const Batch g = batch_of(golden.tensor("g"));
    ssm::Workspace workspace;
    Batch y(u.shape()), du(u.shape());
    layer.forward(u, y, workspace);
    report.compare("y", numbers_of(y), tolerance);
    typename L::Cache cache;
    L gradient = ssm::zeros_like(layer);
    layer.forward(u, y, cache, workspace);
    report.compare("y", numbers_of(y), tolerance);
    layer.backward(u, g, du, cache, gradient, workspace);
    report.compare("grad.u", numbers_of(du), tolerance);
    compare_gradient(gradient, "grad.", golden, report);
    check_streams(layer, u, numbers_of(y), report);
}

template <class L>
void check_layer(GoldenCase& golden, GoldenReport& report) {
    const auto& config = golden.config;
    typename L::Options options;
    options.channels = config.at("D");
    options.state = config.at("kd");
    options.copies = config.at("nk");
    options.skip = config.value("skip", false);
    options.structure.norm = norm_of(golden);
    options.structure.group =
        config.at("nh").get<std::size_t>() * config.at("head_dim").get<std::size_t>();
    L layer(options);
    load(layer, golden, "");
    if (!options.skip)
        look_at_unused(golden, "", report);
    // One channel of each kernel.
    const std::size_t length = config.at("L");
    const ssm::Tensor<double> all = layer.kernel(length);
    std::vector<double> kernels;
    for (std::size_t k = 0; k < options.copies; ++k)
        for (std::size_t l = 0; l < length; ++l)
            kernels.push_back(all[k * options.structure.group * length + l]);
    report.compare("kernel", kernels, tolerance);
    check_training(layer, golden, report);
}

/// Columns first .. first + count - 1 of each step.
Batch columns(const Batch& batch, std::size_t first, std::size_t count) {
    Batch result(batch.batch(), batch.length(), count);
    for (std::size_t row = 0; row < batch.shape().rows(); ++row)
        std::copy_n(batch.data() + row * batch.channels() + first, count,
                    result.data() + row * count);
    return result;
}

/// Two batches side by side.
Batch joined(const Batch& left, const Batch& right) {
    Batch result(left.batch(), left.length(), left.channels() + right.channels());
    for (std::size_t row = 0; row < left.shape().rows(); ++row) {
        double* const to = result.data() + row * result.channels();
        std::copy_n(left.data() + row * left.channels(), left.channels(), to);
        std::copy_n(right.data() + row * right.channels(), right.channels(), to + left.channels());
    }
    return result;
}

template <class L>
void check_closed_loop(GoldenCase& golden, GoldenReport& report) {
    const std::size_t width = golden.config.at("D");
    L layer({.channels = width,
             .state = golden.config.at("kd"),
             .horizon = golden.config.at("horizon"),
             .predict_inputs = true,
             .norm = norm_of(golden)});
    load(layer, golden, "");
    look_at_unused(golden, "", report);
    const Batch u = batch_of(golden.tensor("u"));
    const Batch g = joined(batch_of(golden.tensor("g")), batch_of(golden.tensor("g_u_next")));
    ssm::Workspace workspace;
    Batch y(g.shape()), du(u.shape());
    typename L::Cache cache;
    layer.forward(u, y, cache, workspace);
    report.compare("y", numbers_of(columns(y, 0, width)), tolerance);
    report.compare("u_next", numbers_of(columns(y, width, width)), tolerance);
    L gradient = ssm::zeros_like(layer);
    layer.backward(u, g, du, cache, gradient, workspace);
    report.compare("grad.u", numbers_of(du), tolerance);
    compare_gradient(gradient, "grad.", golden, report);

    typename L::OpenCache open;
    Batch both(u.batch(), u.length(), 2 * width);
    layer.forward_open(u, both, open, workspace);
    report.compare("open.y", numbers_of(columns(both, 0, width)), tolerance);
    report.compare("open.y_u", numbers_of(columns(both, width, width)), tolerance);
    const Batch open_g = joined(batch_of(golden.tensor("open.g")), Batch(u.shape()));
    ssm::set_zero(gradient);
    layer.backward_open(u, open_g, du, open, gradient, workspace);
    report.compare("open.grad.u", numbers_of(du), tolerance);
    compare_gradient(gradient, "open.grad.", golden, report);
}

void check_companion_kernel(GoldenCase& golden, GoldenReport& report) {
    const std::size_t channels = golden.config.at("H");
    const std::size_t length = golden.config.at("L");
    ssm::CompanionSystem system(
        {.channels = channels, .state = golden.config.at("N"), .kernels = channels});
    std::ranges::copy(golden.tensor("companion.a").values, system.a.begin());
    std::ranges::copy(golden.tensor("b").values, system.b.begin());
    std::ranges::copy(golden.tensor("c").values, system.c.begin());
    std::vector<double> kernel(channels * length);
    ssm::Workspace workspace;
    ssm::companion_kernel<double>(system, length, kernel, workspace);
    report.compare("companion.kernel", kernel, tolerance);
}

/// Krylov sequences of dense matrices: A^l b, c A^l b, and the last power.
void check_dense_krylov(GoldenCase& golden, GoldenReport& report) {
    const std::size_t channels = golden.config.at("H");
    const std::size_t state = golden.config.at("N");
    const std::size_t length = golden.config.at("L");
    ssm::Workspace workspace;
    const auto kernel = [&](std::size_t heads, auto&& set_output) {
        ssm::DenseSystem system({.channels = channels, .state = state, .heads = heads});
        std::ranges::copy(golden.tensor("A").values, system.A.begin());
        std::ranges::copy(golden.tensor("b").values, system.B.begin());
        set_output(system);
        GoldenTensor result{{heads, channels, length},
                            std::vector<double>(heads * channels * length)};
        ssm::convolution_kernel<double>(system, length, std::span<double>(result.values),
                                        workspace);
        return result;
    };
    const GoldenTensor states = kernel(state, [&](ssm::DenseSystem& system) {
        for (std::size_t n = 0; n < state; ++n)
            for (std::size_t h = 0; h < channels; ++h)
                system.C[(n * channels + h) * state + n] = 1.0;
    });
    report.compare("krylov", states.permuted({1, 0, 2}).values, tolerance);
    const GoldenTensor outputs = kernel(1, [&](ssm::DenseSystem& system) {
        std::ranges::copy(golden.tensor("c").values, system.C.begin());
    });
    report.compare("krylov_c", outputs.values, tolerance);

    std::vector<double> powers;
    for (std::size_t h = 0; h < channels; ++h) {
        ssm::DenseMatrix A(static_cast<Eigen::Index>(state), static_cast<Eigen::Index>(state));
        for (Eigen::Index i = 0; i < A.rows(); ++i)
            for (Eigen::Index j = 0; j < A.cols(); ++j)
                A(i, j) =
                    golden.tensor("A").values[(h * state + static_cast<std::size_t>(i)) * state +
                                              static_cast<std::size_t>(j)];
        const ssm::DenseMatrix last = ssm::power(A, length - 1);
        for (Eigen::Index i = 0; i < A.rows(); ++i)
            for (Eigen::Index j = 0; j < A.cols(); ++j)
                powers.push_back(last(i, j));
    }
    // The original gives one identity for all channels when there is nothing to multiply.
    powers.resize(std::min(powers.size(), golden.tensor("power").size()));
    report.compare("power", powers, tolerance);
}

void check_krylov(GoldenCase& golden, GoldenReport& report) {
    check_companion_kernel(golden, report);
    check_dense_krylov(golden, report);
}

void check_preprocess(GoldenCase& golden, GoldenReport& report) {
    const auto& config = golden.config;
    const std::size_t order = config.at("order");
    const std::size_t group = config.at("hd");
    const std::size_t averages = config.at("nk").get<std::size_t>() - order;
    const std::size_t repeats = config.at("kr");
    const std::size_t windows = config.at("wmax");
    using L = ssm::Detrend<double>;
    L layer({.channels = repeats * (order + averages) * group,
             .state = std::max(windows, order),
             .skip = false,
             .structure = {.order = order,
                           .averages = averages,
                           .min_window = config.at("wmin"),
                           .group = group}});
    report.compare("buffer.diff_kernel", layer.bank.diff_kernel.flat(), tolerance);
    load(layer, golden, "");
    const Batch u = batch_of(golden.tensor("u"));
    report.compare("kernel", layer.kernel(golden.tensor("kernel").extent(1)).flat(), tolerance);
    Batch y(u.shape());
    ssm::Workspace workspace;
    layer.forward(u, y, workspace);
    report.compare("y", numbers_of(y), tolerance);
    check_streams(layer, u, golden.tensor("y").values, report);

    const Batch v = batch_of(golden.tensor("differencing.u"));
    const L differencing({.channels = v.channels(),
                          .state = order,
                          .skip = false,
                          .structure = {.order = order, .averages = 0, .group = group}});
    const auto pascal = differencing.bank.diff_kernel.flat().first(order * order);
    report.compare("pascal", pascal, tolerance);
    y.resize(v.shape());
    differencing.forward(v, y, workspace);
    report.compare("differencing.y", numbers_of(y), tolerance);
}

void check_network(GoldenCase& golden, GoldenReport& report) {
    const auto& config = golden.config;
    const std::size_t inputs = config.at("din");
    const std::size_t width = config.at("D");
    using Gelu = ssm::Activation<double, ssm::math::Gelu>;
    const ssm::Identity<double> identity({.channels = width});
    ssm::Linear<double> embedding({.in = inputs, .out = width});
    ssm::CompanionSsm<double> system(
        {.channels = width, .state = config.at("kd"), .copies = config.at("nk"), .skip = false});
    ssm::Linear<double> mixing({.in = width, .out = width});
    ssm::ClosedLoop<double> decoder(
        {.channels = width, .state = config.at("kd"), .horizon = config.at("horizon")});
    ssm::Linear<double> output({.in = width, .out = inputs});
    load(embedding, golden, "embedding.layers.");
    load(system, golden, "encoder.blocks.0.ssm.");
    load(mixing, golden, "encoder.blocks.0.mlp.layers.2.");
    load(decoder, golden, "decoder.blocks.ssm.");
    load(output, golden, "output.layers.2.");
    look_at_unused(golden, "encoder.blocks.0.ssm.", report);
    look_at_unused(golden, "decoder.blocks.ssm.", report);

    const ssm::Sequential encoder(
        embedding,
        ssm::Residual(identity, ssm::Sequential(system, Gelu({.channels = width}), mixing)));
    const ssm::Sequential head(Gelu({.channels = width}), output);

    const Batch u = batch_of(golden.tensor("u"));
    ssm::Workspace workspace;
    Batch z(u.batch(), u.length(), width), dz(z.shape()), dz_open(z.shape()), du(u.shape());
    Batch both(u.batch(), u.length(), 2 * width), dboth(both.shape());
    Batch future(u.batch(), decoder.output_length(), width), dfuture(future.shape());
    Batch y(u.batch(), future.length(), inputs), y_open(u.shape());
    decltype(encoder)::Cache encoder_cache;
    decltype(head)::Cache closed_head, open_head;
    decltype(decoder)::Cache loop;
    decltype(decoder)::OpenCache open;
    encoder.forward(u, z, encoder_cache, workspace);
    report.compare("z_true", numbers_of(z), tolerance);
    decoder.forward(z, future, loop, workspace);
    head.forward(future, y, closed_head, workspace);
    report.compare("y", numbers_of(y), tolerance);
    decoder.forward_open(z, both, open, workspace);
    report.compare("z_pred", numbers_of(columns(both, width, width)), tolerance);
    const Batch open_y = columns(both, 0, width);
    head.forward(open_y, y_open, open_head, workspace);
    report.compare("y_open", numbers_of(y_open), tolerance);

    auto dencoder = ssm::zeros_like(encoder);
    auto ddecoder = ssm::zeros_like(decoder);
    auto dhead = ssm::zeros_like(head);
    Batch dopen(open_y.shape());
    head.backward(future, batch_of(golden.tensor("g")), dfuture, closed_head, dhead, workspace);
    head.backward(open_y, batch_of(golden.tensor("g_open")), dopen, open_head, dhead, workspace);
    decoder.backward(z, dfuture, dz, loop, ddecoder, workspace);
    decoder.backward_open(z, joined(dopen, Batch(z.shape())), dz_open, open, ddecoder, workspace);
    for (std::size_t i = 0; i < dz.size(); ++i)
        dz.data()[i] += dz_open.data()[i];
    encoder.backward(u, dz, du, encoder_cache, dencoder, workspace);
    report.compare("grad.u", numbers_of(du), tolerance);
    const auto& block = std::get<1>(dencoder.layers).inner;
    compare_gradient(std::get<0>(dencoder.layers), "grad.embedding.layers.", golden, report);
    compare_gradient(std::get<0>(block.layers), "grad.encoder.blocks.0.ssm.", golden, report);
    compare_gradient(std::get<2>(block.layers), "grad.encoder.blocks.0.mlp.layers.2.", golden,
                     report);
    compare_gradient(ddecoder, "grad.decoder.blocks.ssm.", golden, report);
    compare_gradient(std::get<1>(dhead.layers), "grad.output.layers.2.", golden, report);
}

}  // namespace

TEST_CASE("golden.spacetime") {
    run_family("spacetime", [](GoldenCase& golden, GoldenReport& report) {
        const std::string method = golden.config.value("method", "");
        if (method == "companion")
            check_layer<ssm::CompanionSsm<double>>(golden, report);
        else if (method == "shift")
            check_layer<ssm::ShiftSsm<double>>(golden, report);
        else if (method == "closed_loop_companion")
            check_closed_loop<ssm::ClosedLoop<double>>(golden, report);
        else if (method == "closed_loop_shift")
            check_closed_loop<ssm::ClosedLoop<double, ssm::init::ShiftRegister>>(golden, report);
        else if (golden.name.starts_with("krylov"))
            check_krylov(golden, report);
        else if (golden.name.starts_with("preprocess"))
            check_preprocess(golden, report);
        else if (golden.name.starts_with("network"))
            check_network(golden, report);
        else
            throw std::runtime_error("the runner does not know this case");
    });
}
