#pragma once

// Losses and the softmax family against torch.nn.functional: the cases `losses*` of the family nn.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/train/cross_entropy.hpp>
#include <ssm/train/regression_loss.hpp>
#include <ssm/train/softmax.hpp>

#include "support/golden.hpp"

namespace ssm_test::losses {

inline constexpr double tolerance = 1e-12;  // one exponential and sums of some dozens of numbers

inline ssm::Batch<double> rows_of(const GoldenTensor& tensor) {
    ssm::Batch<double> result(1, tensor.extent(0), tensor.extent(1));
    for (std::size_t i = 0; i < tensor.size(); ++i)
        result.data()[i] = tensor.values[i];
    return result;
}

/// Compares `name`.loss and `name`.`gradient` with what `loss(input, target, gradient)` gives.
template <class LossFunction, class Target>
void check(GoldenReport& report, const std::string& name, const std::string& gradient,
           const LossFunction& loss, const ssm::Batch<double>& input, const Target& target) {
    ssm::Batch<double> slope(input.shape());
    slope.fill(std::nan(""));
    report.compare(name + ".loss", std::vector<double>{loss(input, target, slope)}, tolerance);
    report.compare(name + "." + gradient, slope.view().flat(), tolerance);
    const ssm::Loss alone = loss(input, target);
    report.compare(name + ".loss", std::vector<double>{alone.value}, tolerance);
}

inline void check_cross_entropy(GoldenCase& golden, GoldenReport& report, double smoothing) {
    using CrossEntropy = ssm::loss::CrossEntropy<double>;
    const ssm::Batch<double> logits = rows_of(golden.tensor("logits"));
    const std::vector<std::int32_t> target = golden.tensor("target").as<std::int32_t>();
    const std::vector<std::int32_t> ignoring = golden.tensor("target_ignore").as<std::int32_t>();
    const std::vector<double> weights = golden.tensor("class_weight").values;
    const auto run = [&](const std::string& name, const CrossEntropy& loss, const auto& labels) {
        check(report, name, "dlogits", loss, logits, labels);
    };
    run("mean", CrossEntropy{}, target);
    run("sum", CrossEntropy{.reduction = ssm::Reduction::sum}, target);
    run("ignore_mean", CrossEntropy{}, ignoring);
    run("weight_mean", CrossEntropy{.class_weights = weights}, target);
    run("smooth_mean", CrossEntropy{.label_smoothing = smoothing}, target);
    run("prob_mean", CrossEntropy{}, rows_of(golden.tensor("target_prob")));
    run("weight_smooth_ignore",
        CrossEntropy{.label_smoothing = smoothing, .class_weights = weights}, ignoring);

    std::vector<double> each(target.size());
    ssm::Batch<double> slope(logits.shape());
    CrossEntropy{}.each(logits, target, each, golden.tensor("g_none").values, slope);
    report.compare("none.loss", each, tolerance);
    report.compare("none.dlogits", slope.view().flat(), tolerance);
}

inline void check_softmax(GoldenCase& golden, GoldenReport& report) {
    const ssm::Batch<double> logits = rows_of(golden.tensor("logits"));
    ssm::Batch<double> result(logits.shape());
    ssm::softmax<double>(logits, result);
    report.compare("softmax", result.view().flat(), tolerance);
    ssm::log_softmax<double>(logits, result);
    report.compare("log_softmax", result.view().flat(), tolerance);
    std::vector<double> sums(logits.length());
    ssm::logsumexp<double>(logits, sums);
    report.compare("logsumexp", sums, tolerance);
}

inline void check_regression(GoldenCase& golden, GoldenReport& report) {
    const ssm::Batch<double> a = rows_of(golden.tensor("a"));
    const ssm::Batch<double> b = rows_of(golden.tensor("b"));
    check(report, "mse", "da", ssm::loss::MSE<double>{}, a, b);
    check(report, "l1", "da", ssm::loss::MAE<double>{}, a, b);
    // The delta of all cases; their config does not name it.
    check(report, "huber", "da", ssm::loss::Huber<double>{.delta = 0.7}, a, b);
    check(report, "smooth_l1", "da", ssm::loss::SmoothL1<double>{}, a, b);
    ssm::Batch<double> probability(b.shape());
    for (std::size_t i = 0; i < b.size(); ++i)
        probability.data()[i] = 1.0 / (1.0 + std::exp(-b.data()[i]));
    check(report, "bce_logits", "da", ssm::loss::BinaryCrossEntropy<double>{}, a, probability);
}

}  // namespace ssm_test::losses

namespace ssm_test {

/// Checks one case of losses. An entry of the config that is not known here throws.
inline void check_losses(GoldenCase& golden, GoldenReport& report) {
    static const std::set<std::string> known = {"n", "c", "smooth"};
    for (const auto& [name, value] : golden.config.items())
        if (!known.contains(name))
            throw std::runtime_error("unknown entry \"" + name + "\" of the config");
    losses::check_cross_entropy(golden, report, golden.config.at("smooth").get<double>());
    losses::check_softmax(golden, report);
    losses::check_regression(golden, report);
}

}  // namespace ssm_test
