#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/error.hpp>
#include <ssm/train/loss.hpp>
#include <ssm/train/softmax.hpp>

namespace ssm::loss {

namespace detail {
/// No part of the target beside its label.
struct Nothing {};
}  // namespace detail

/// Cross-entropy of the softmax of logits with labels or with probabilities, and its gradient.
///
///   loss_i  = sum_c a_ic (-log p_ic)        p_i = softmax(z_i)
///   dz_ic   = scale_i (p_ic sum_k a_ik - a_ic)
///   labels          a_ic = w_c ((1 - s) [c = label_i] + s / C)
///   probabilities   a_ic = w_c ((1 - s) t_ic + s / C)      w class weights, s label smoothing
///
/// The mean divides by the sum of w at the labels that are not ignored, or by the number of rows
/// for probabilities, as torch.nn.functional.cross_entropy does. A mean over nothing (no rows, or
/// all ignored) is 0 with gradient 0, where torch gives NaN.
///
/// Shapes    logits and dlogits (batch, L, C); batch * L labels; probabilities (batch, L, C)
/// Aliasing  dlogits may be logits exactly
/// Errors    ShapeError for sizes that do not fit; ValueError for no classes, a label outside 0 ..
///           C - 1 that is not `ignored_label` (naming row and value), weights or smoothing outside
///           their range. Logits of +infinity or NaN make the loss NaN; -infinity is a class that
///           cannot be.
/// Cost      one exponential for each logit
/// Threads   rows in parallel, the same bits for any number of threads
template <class T>
struct CrossEntropy {
    double label_smoothing = 0.0;         ///< s in [0, 1]
    std::int32_t ignored_label = -100;    ///< rows with this label count nothing
    std::vector<double> class_weights{};  ///< w, C of them, none negative; empty: all 1
    Reduction reduction = Reduction::mean;

    /// The loss; `dlogits`, unless empty, is overwritten with its gradient.
    Loss operator()(BatchView<const T> logits, std::span<const std::int32_t> labels,
                    BatchView<T> dlogits = {}) const {
        check(logits, dlogits);
        const double weight = check_labels(logits, labels);
        const double scale = ssm::detail::reduction_scale(reduction, weight);
        const double sum = sum_rows(
            logits, [&](std::size_t r) { return label_row(logits, labels[r], r, scale, dlogits); });
        return {scale * sum, weight};
    }
    /// The same with labels of shape (batch, L, 1).
    Loss operator()(BatchView<const T> logits, BatchView<const std::int32_t> labels,
                    BatchView<T> dlogits = {}) const {
        require_shape("ssm::loss::CrossEntropy: labels", labels.shape(),
                      {logits.batch(), logits.length(), 1});
        return (*this)(logits, std::span<const std::int32_t>(labels.flat()), dlogits);
    }
    /// The loss against probabilities.
    Loss operator()(BatchView<const T> logits, BatchView<const T> probabilities,
                    BatchView<T> dlogits = {}) const {
        check(logits, dlogits);
        require_shape("ssm::loss::CrossEntropy: probabilities", probabilities.shape(),
                      logits.shape());
        const double weight = static_cast<double>(logits.shape().rows());
        const double scale = ssm::detail::reduction_scale(reduction, weight);
        const double sum = sum_rows(logits, [&](std::size_t r) {
            return probability_row(logits, probabilities, r, scale, dlogits);
        });
        return {scale * sum, weight};
    }
    /// Without reduction: the loss of every row, 0 where ignored. `dlogits`, unless empty, becomes
    /// the gradient of sum_i upstream_i loss_i; an empty `upstream` is all ones.
    void each(BatchView<const T> logits, std::span<const std::int32_t> labels, std::span<T> losses,
              std::span<const T> upstream = {}, BatchView<T> dlogits = {}) const {
        check(logits, dlogits);
        check_labels(logits, labels);
        const std::size_t rows = logits.shape().rows();
        require<ShapeError>(losses.size() == rows && (upstream.empty() || upstream.size() == rows),
                            "ssm::loss::CrossEntropy: ", losses.size(), " losses and ",
                            upstream.size(), " upstream gradients for ", rows, " rows");
        sum_rows(logits, [&](std::size_t r) {
            const double scale = upstream.empty() ? 1.0 : static_cast<double>(upstream[r]);
            const double value = label_row(logits, labels[r], r, scale, dlogits);
            losses[r] = static_cast<T>(value);
            return value;
        });
    }

private:
    void check(BatchView<const T> logits, BatchView<T> dlogits) const {
        require<ValueError>(logits.channels() > 0,
                            "ssm::loss::CrossEntropy: logits have no classes");
        ssm::detail::require_gradient("ssm::loss::CrossEntropy: gradient", dlogits, logits.shape());
        require<ValueError>(label_smoothing >= 0.0 && label_smoothing <= 1.0,
                            "ssm::loss::CrossEntropy: label smoothing ", label_smoothing,
                            " is not in [0, 1]");
        require<ShapeError>(class_weights.empty() || class_weights.size() == logits.channels(),
                            "ssm::loss::CrossEntropy: ", class_weights.size(),
                            " class weights for ", logits.channels(), " classes");
        for (const double weight : class_weights)
            require<ValueError>(weight >= 0.0 && std::isfinite(weight),
                                "ssm::loss::CrossEntropy: class weight ", weight,
                                " is not a number of at least 0");
    }

    // Sum of the weights of the labels that count.
    double check_labels(BatchView<const T> logits, std::span<const std::int32_t> labels) const {
        const std::size_t classes = logits.channels();
        require<ShapeError>(labels.size() == logits.shape().rows(),
                            "ssm::loss::CrossEntropy: ", labels.size(), " labels for ",
                            logits.shape().rows(), " rows of logits");
        double weight = 0.0;
        for (std::size_t r = 0; r < labels.size(); ++r) {
            if (labels[r] == ignored_label)
                continue;
            require<ValueError>(labels[r] >= 0 && static_cast<std::size_t>(labels[r]) < classes,
                                "ssm::loss::CrossEntropy: row ", r, " has label ", labels[r],
                                ", expected 0 .. ", classes - 1, " or ", ignored_label,
                                " (ignored)");
            weight += weight_of(static_cast<std::size_t>(labels[r]));
        }
        return weight;
    }

    [[nodiscard]] double weight_of(std::size_t c) const noexcept {
        return class_weights.empty() ? 1.0 : class_weights[c];
    }

    template <class Body>
    static double sum_rows(BatchView<const T> logits, Body&& body) {
        return ssm::detail::parallel_sum(logits.shape().rows(),
                                         ssm::detail::row_grain(logits.channels()),
                                         [&](std::size_t begin, std::size_t end) {
                                             double sum = 0.0;
                                             for (std::size_t r = begin; r < end; ++r)
                                                 sum += body(r);
                                             return sum;
                                         });
    }

    double label_row(BatchView<const T> logits, std::int32_t label, std::size_t r, double scale,
                     BatchView<T> dlogits) const noexcept {
        const std::size_t classes = logits.channels();
        T* dz = dlogits.empty() ? nullptr : dlogits.data() + r * classes;
        if (label == ignored_label) {
            if (dz != nullptr)
                std::fill(dz, dz + classes, T(0));
            return 0.0;
        }
        const std::span<const T> z = logits.flat().subspan(r * classes, classes);
        const auto hot = static_cast<std::size_t>(label);
        const double mass = (1.0 - label_smoothing) * weight_of(hot);
        if (label_smoothing == 0.0)
            return row(z, hot, mass, detail::Nothing{}, scale, dz);
        const double rest = label_smoothing / static_cast<double>(classes);
        return row(
            z, hot, mass, [&](std::size_t c) { return rest * weight_of(c); }, scale, dz);
    }

    double probability_row(BatchView<const T> logits, BatchView<const T> probabilities,
                           std::size_t r, double scale, BatchView<T> dlogits) const noexcept {
        const std::size_t classes = logits.channels();
        const T* target = probabilities.data() + r * classes;
        const double rest = label_smoothing / static_cast<double>(classes);
        const auto spread = [&](std::size_t c) {
            return weight_of(c) * ((1.0 - label_smoothing) * static_cast<double>(target[c]) + rest);
        };
        return row(logits.flat().subspan(r * classes, classes), 0, 0.0, spread, scale,
                   dlogits.empty() ? nullptr : dlogits.data() + r * classes);
    }

    // Loss of one row with a_c = mass [c = hot] + spread(c) and, unless dz is null, scale times its
    // gradient. All that needs z is read before dz, which may be z, is written. Classes with
    // a_c = 0 are left out of the sum: their logarithm may be -infinity.
    template <class Spread>
    static double row(std::span<const T> z, std::size_t hot, double mass, Spread spread,
                      double scale, T* dz) noexcept {
        const T max = ssm::detail::row_max(z);
        double total = 0.0;
        double inner = 0.0;
        const auto add = [&](std::size_t c, double a) {
            if (a != 0.0) {
                total += a;
                inner += a * static_cast<double>(z[c] - max);
            }
        };
        add(hot, mass);
        if constexpr (!std::is_same_v<Spread, detail::Nothing>)
            for (std::size_t c = 0; c < z.size(); ++c)
                add(c, spread(c));
        if (dz == nullptr)
            return total * log_of(ssm::detail::exponential_sum(z, max)) - inner;

        const T sum = ssm::detail::exponentials(z, max, dz);
        const T factor = static_cast<T>(scale * total / static_cast<double>(sum));
        for (std::size_t c = 0; c < z.size(); ++c)
            dz[c] *= factor;
        if constexpr (!std::is_same_v<Spread, detail::Nothing>)
            for (std::size_t c = 0; c < z.size(); ++c)
                dz[c] -= static_cast<T>(scale * spread(c));
        dz[hot] -= static_cast<T>(scale * mass);
        return total * log_of(sum) - inner;
    }
    static double log_of(T sum) noexcept { return std::log(static_cast<double>(sum)); }
};

}  // namespace ssm::loss
