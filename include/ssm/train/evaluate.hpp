#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/train/indices.hpp>
#include <ssm/train/loss.hpp>
#include <ssm/train/metrics.hpp>
#include <ssm/train/source.hpp>
#include <ssm/train/train_state.hpp>

namespace ssm {

/// What the training loop asks of a loss: `loss(y, targets, dy)` returns the loss, as `Loss` or as
/// a number, and writes its gradient to dy unless that is empty. The losses of `ssm::loss` and a
/// user's lambdas are such.
template <class F, class T, class Target>
concept LossFunction = requires(const F& loss, BatchView<const T> y, BatchView<const Target> target,
                                BatchView<T> dy) {
    { loss(y, target, dy) } -> std::convertible_to<double>;
};

/// Mean loss and accuracy over examples. Without labels the accuracy is NaN.
struct Scores {
    double loss = 0.0;
    double accuracy = 0.0;
};

namespace detail {

/// Whether a loss of several rows is their sum; a user's own is taken for a mean.
template <class LossFn>
[[nodiscard]] bool is_sum(const LossFn& loss) noexcept {
    if constexpr (requires { loss.reduction; })
        return loss.reduction == Reduction::sum;
    else
        return false;
}

/// Label that does not count.
template <class LossFn>
[[nodiscard]] std::int32_t ignored_label_of(const LossFn& loss) noexcept {
    if constexpr (requires { loss.ignored_label; })
        return loss.ignored_label;
    else
        return -100;
}

/// Loss of outputs and its gradient, added up for a mean over several batches.
template <class T, class Target, class LossFn>
[[nodiscard]] Tally tally_of(const LossFn& loss, BatchView<const T> y,
                             BatchView<const Target> targets, BatchView<T> dy) {
    Tally tally;
    tally.samples = targets.batch();
    const auto result = loss(y, targets, dy);
    if constexpr (std::same_as<std::remove_cvref_t<decltype(result)>, Loss>)
        tally.weight = result.weight;
    else
        tally.weight = static_cast<double>(targets.batch());
    const double value = static_cast<double>(result);
    tally.loss_sum = is_sum(loss) ? value : value * tally.weight;
    if constexpr (std::same_as<Target, std::int32_t>)
        if (y.channels() > 1 && y.shape().rows() == targets.size())
            tally.hits = count_hits<T>(y, targets.flat(), ignored_label_of(loss));
    return tally;
}

}  // namespace detail

/// Mean loss and accuracy of a model over all examples of a source, without changing anything. The
/// loss is weighted as if all examples were one batch.
///
/// Errors    ValueError for no examples and a batch size of 0
template <Layer L, Source S, LossFunction<value_t<L>, typename S::target_type> LossFn>
[[nodiscard]] Scores evaluate(const L& model, const S& source, const LossFn& loss,
                              std::size_t batch_size, Workspace& workspace) {
    using T = value_t<L>;
    require<ValueError>(source.size() > 0, "ssm::evaluate: there are no examples");
    const std::vector<std::size_t> indices = ordered_indices(source.size());
    const IndexBatches batches(indices, batch_size);
    MiniBatch<typename S::input_type, typename S::target_type> batch;
    Batch<T> y;
    Tally tally;
    for (std::size_t i = 0; i < batches.size(); ++i) {
        source.take(batches[i], batch);
        y.resize(output_shape(model, batch.inputs.shape()));
        model.forward(batch.inputs, y, batch.context(workspace));
        tally += detail::tally_of<T, typename S::target_type>(loss, y, batch.targets, {});
    }
    return {tally.loss(), tally.hits.accuracy()};
}

}  // namespace ssm
