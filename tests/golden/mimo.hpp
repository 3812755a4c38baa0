#pragma once

#include <cmath>
#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/io/load.hpp>
#include <ssm/io/names/s5.hpp>
#include <ssm/io/stored_as.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/layer/norm.hpp>
#include <ssm/layer/pool.hpp>
#include <ssm/model/gated_block.hpp>
#include <ssm/model/repeat.hpp>
#include <ssm/model/residual.hpp>
#include <ssm/model/sequential.hpp>

#include "golden/any_layer.hpp"
#include "golden/layers.hpp"
#include "support/golden.hpp"

/// What the golden cases of S5 and LRU share: loading by original names, comparing, and the blocks and models.
namespace ssm_test {

inline constexpr double mimo_tolerance = 1e-9;
using StoredNames = std::function<ssm::StoredAs(std::string_view)>;

/// (B, L, H), or one step (B, H).
inline ssm::Batch<double> steps_of(const GoldenTensor& tensor) {
    if (tensor.rank() != 2)
        return batch_of(tensor);
    return batch_of({{tensor.extent(0), 1, tensor.extent(1)}, tensor.values});
}

/// Loads by the library's loader from the case's own file, and counts the tensors as read.
template <class L>
void load_original(L& layer, GoldenCase& golden, const StoredNames& names) {
    ssm::load(layer, golden.path,
              {.stored_as = names, .allow_unexpected = true, .ignore_unit_axes = true});
    ssm::visit(
        [&](std::string_view name, const ssm::WeightTraits&, auto&) {
            for (const std::string& part : names(name).names)
                static_cast<void>(golden.tensor(part));
        },
        layer);
}

/// Compares all gradients under their original names; "param." stands for "grad.".
template <class L>
void compare_gradients(const L& gradient, const StoredNames& names, GoldenReport& report) {
    ssm::visit(
        [&](std::string_view name, const ssm::WeightTraits& traits, auto& weight) {
            if (traits.role == ssm::WeightRole::statistic)
                return;
            const ssm::StoredAs stored = names(name);
            const ssm::detail::StoredParts parts(stored, weight.extents());
            for (std::size_t part = 0; part < stored.names.size(); ++part) {
                std::vector<double> numbers(parts.size());
                parts.for_each(part, [&](std::size_t i, std::size_t j) { numbers[j] = weight[i]; });
                report.compare("grad." + stored.names[part].substr(6), numbers, mimo_tolerance);
            }
        },
        gradient);
}

/// Forward, training forward, and all gradients; `head` maps the output to y, and d loss / d y to d loss / d output.
template <class L, class Head>
void check_training(const L& layer, GoldenCase& golden, const std::string& input,
                    const StoredNames& names, const ssm::Context& context, GoldenReport& report,
                    Head&& head) {
    const ssm::Batch<double> u = steps_of(golden.tensor(input));
    ssm::Batch<double> y(ssm::output_shape(layer, u.shape()));
    layer.forward(u, y, context);
    ssm::Batch<double> dy = head(y);
    report.compare("y", numbers_of(y), mimo_tolerance);

    typename L::Cache cache;
    L gradient = ssm::zeros_like(layer);
    ssm::Batch<double> du(u.shape());
    layer.forward(u, y, cache, context);
    dy = head(y);
    report.compare("y", numbers_of(y), mimo_tolerance);
    layer.backward(u, dy, du, cache, gradient, context);
    if (golden.has("grad." + input))
        report.compare("grad." + input, numbers_of(du), mimo_tolerance);
    compare_gradients(gradient, names, report);
}

/// y = log softmax(output); the gradient of sum(y g), or of the mean negative log likelihood of "target".
inline ssm::Batch<double> log_softmax_head(ssm::Batch<double>& y, GoldenCase& golden,
                                           GoldenReport& report) {
    ssm::Batch<double> g(y.shape());
    if (golden.has("g")) {
        std::copy(golden.tensor("g").values.begin(), golden.tensor("g").values.end(), g.data());
    } else {
        const auto targets = golden.tensor("target").as<std::size_t>();
        for (std::size_t b = 0; b < targets.size(); ++b)
            g(b, 0, targets[b]) = -1.0 / static_cast<double>(targets.size());
    }
    double loss = 0.0;
    for (std::size_t row = 0; row < y.shape().rows(); ++row) {
        double* const numbers = y.data() + row * y.channels();
        double* const slopes = g.data() + row * y.channels();
        double sum = 0.0;
        double slope = 0.0;
        for (std::size_t c = 0; c < y.channels(); ++c) {
            sum += std::exp(numbers[c]);
            slope += slopes[c];
        }
        for (std::size_t c = 0; c < y.channels(); ++c) {
            numbers[c] -= std::log(sum);
            loss += slopes[c] * numbers[c];
            slopes[c] -= std::exp(numbers[c]) * slope;
        }
    }
    if (golden.has("loss"))
        report.compare("loss", std::vector<double>{loss}, mimo_tolerance);
    return g;
}

/// What follows an S5 system in a layer with this name of an activation.
inline constexpr auto any_gated_block = []<class System>(const System& system,
                                                         const std::string& name) {
    using ssm::full_glu_block, ssm::gelu_block, ssm::half_glu1_block, ssm::half_glu2_block;
    using Any = AnyLayer<decltype(gelu_block(system)), decltype(half_glu1_block(system)),
                         decltype(half_glu2_block(system)), decltype(full_glu_block(system))>;
    if (name == "gelu")
        return Any(gelu_block(system));
    if (name == "half_glu1")
        return Any(half_glu1_block(system));
    if (name == "half_glu2")
        return Any(half_glu2_block(system));
    if (name == "full_glu")
        return Any(full_glu_block(system));
    throw std::runtime_error("the runner does not know the activation \"" + name + "\"");
};

using AnyNorm = AnyLayer<ssm::LayerNorm<double>, FixedBatchNorm>;

inline AnyNorm flax_norm(std::size_t channels, bool batch) {
    if (batch)
        return AnyNorm(FixedBatchNorm(channels));
    return AnyNorm(ssm::LayerNorm<double>({.channels = channels, .epsilon = 1e-6}));
}

inline ssm::NormOrder norm_order(bool prenorm) {
    return prenorm ? ssm::NormOrder::pre : ssm::NormOrder::post;
}

/// A residual layer around `block`, the system with what follows it.
template <class Block>
void check_residual_layer(const Block& block, bool batch_norm, bool prenorm,
                          const ssm::names::FlaxModel& flax, GoldenCase& golden,
                          GoldenReport& report) {
    ssm::Residual layer(flax_norm(block.in_channels(), batch_norm), block,
                        {.order = norm_order(prenorm)});
    const StoredNames names = [&](std::string_view weight) { return flax.block(weight); };
    load_original(layer, golden, names);
    ssm::Workspace workspace;
    check_training(layer, golden, "u", names, workspace, report,
                   [&](ssm::Batch<double>&) { return steps_of(golden.tensor("g")); });
}

using AnyPool = AnyLayer<ssm::MeanPool<double>, ssm::LastPool<double>>;

/// Encoder, `depth` layers, pooling, decoder, log softmax. Sizes are named as in S5's cases.
template <class Block>
void check_classifier(const Block& block, bool batch_norm, bool prenorm, const std::string& pooling,
                      std::size_t depth, const ssm::names::FlaxModel& flax, GoldenCase& golden,
                      GoldenReport& report) {
    const std::size_t width = block.in_channels();
    const StoredNames names = [&](std::string_view weight) { return flax.model(weight); };
    ssm::Workspace workspace;
    std::vector<std::size_t> lengths;
    if (golden.has("lengths"))
        lengths = golden.tensor("lengths").as<std::size_t>();
    const ssm::Context context = ssm::Context(workspace).with_lengths(lengths);
    using Layer = ssm::Residual<AnyNorm, Block>;
    const ssm::Linear<double> encoder({.in = golden.config.at("din"), .out = width});
    const ssm::Linear<double> decoder({.in = width, .out = golden.config.at("out")});
    const ssm::Repeat<Layer> layers(depth, [&](std::size_t) {
        return Layer(flax_norm(width, batch_norm), block, {.order = norm_order(prenorm)});
    });
    const auto check = [&](auto model) {
        load_original(model, golden, names);
        check_training(model, golden, "x", names, context, report,
                       [&](ssm::Batch<double>& y) { return log_softmax_head(y, golden, report); });
    };
    if (pooling == "none")
        return check(ssm::Sequential(encoder, layers, decoder));
    if (pooling != "last" && pooling != "mean" && pooling != "pool")
        throw std::runtime_error("the runner does not know the pooling \"" + pooling + "\"");
    const AnyPool pool = pooling == "last" ? AnyPool(ssm::LastPool<double>({.channels = width}))
                                           : AnyPool(ssm::MeanPool<double>({.channels = width}));
    check(ssm::Sequential(encoder, layers, pool, decoder));
}

/// States: the final state of the forward, and of steps; a stream that goes on from "state.in".
template <class L>
void check_streams(const L& layer, GoldenCase& golden, GoldenReport& report) {
    const ssm::Batch<double> u = steps_of(golden.tensor("u"));
    ssm::Workspace workspace;
    const auto check = [&](auto&& start, const std::string& y_name, const std::string& x_name) {
        ssm::Batch<double> y(u.shape());
        auto state = start();
        layer.forward(u, y, state, workspace);
        report.compare(y_name, numbers_of(y), mimo_tolerance);
        report.compare(x_name, layer.state_values(state).flat(), mimo_tolerance);

        auto stepped = start();
        y = run_steps(layer, u, stepped);
        report.compare(y_name, numbers_of(y), mimo_tolerance);
        report.compare(x_name, layer.state_values(stepped).flat(), mimo_tolerance);
    };
    check([&] { return layer.rest_state(u.batch()); }, "y", "final_state");
    if (golden.has("state.in"))
        check(
            [&] {
                auto state = layer.rest_state(u.batch());
                layer.set_state_values(state, tensor_of(golden.tensor("state.in")));
                return state;
            },
            "state.y", "state.out");
}

}  // namespace ssm_test
