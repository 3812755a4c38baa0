#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <numeric>
#include <span>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>

namespace ssm {

/// 0 .. count - 1 in order.
[[nodiscard]] inline std::vector<std::size_t> ordered_indices(std::size_t count) {
    std::vector<std::size_t> indices(count);
    std::iota(indices.begin(), indices.end(), std::size_t{0});
    return indices;
}

/// 0 .. count - 1 in random order; the generator moves on.
[[nodiscard]] inline std::vector<std::size_t> shuffled_indices(std::size_t count, Rng& rng) {
    std::vector<std::size_t> indices = ordered_indices(count);
    rng.shuffle(std::span<std::size_t>(indices));
    return indices;
}

/// The order in which an epoch takes its examples, drawn anew for each: a permutation of 0 .. count - 1.
using Order = std::function<std::vector<std::size_t>(Rng&)>;

/// What happens to the last, smaller batch of an epoch.
enum class Rest { kept, dropped };

/// Indices cut into mini-batches of `batch_size`; a view, the indices must live on.
///
///     const IndexBatches batches(indices, 32);
///     for (std::size_t i = 0; i < batches.size(); ++i)
///         source.take(batches[i], mini_batch);
///
/// Errors    ValueError for a batch size of 0
class IndexBatches {
public:
    IndexBatches(std::span<const std::size_t> indices, std::size_t batch_size,
                 Rest rest = Rest::kept)
        : indices_(indices), batch_size_(batch_size) {
        require<ValueError>(batch_size > 0, "ssm::IndexBatches: batch size 0");
        size_ = (indices.size() + (rest == Rest::kept ? batch_size - 1 : 0)) / batch_size;
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::span<const std::size_t> operator[](std::size_t i) const noexcept {
        const std::size_t first = i * batch_size_;
        return indices_.subspan(first, std::min(batch_size_, indices_.size() - first));
    }

private:
    std::span<const std::size_t> indices_;
    std::size_t batch_size_;
    std::size_t size_ = 0;
};

/// Two disjoint sets of indices, both in ascending order.
struct Split {
    std::vector<std::size_t> training;
    std::vector<std::size_t> validation;
};

/// Splits labelled examples so that the share of validation examples is the same in every class, up
/// to rounding to whole examples. The same generator gives the same split.
///
/// Errors    ValueError unless 0 <= validation_share <= 1
[[nodiscard]] inline Split stratified_split(std::span<const std::int32_t> labels,
                                            double validation_share, Rng rng) {
    require<ValueError>(validation_share >= 0.0 && validation_share <= 1.0,
                        "ssm::stratified_split: share ", validation_share, " is not in [0, 1]");
    std::map<std::int32_t, std::vector<std::size_t>> classes;
    for (std::size_t i = 0; i < labels.size(); ++i)
        classes[labels[i]].push_back(i);

    Split split;
    for (auto& [label, members] : classes) {
        rng.shuffle(std::span<std::size_t>(members));
        const auto held = std::llround(validation_share * static_cast<double>(members.size()));
        const auto middle = members.begin() + static_cast<std::ptrdiff_t>(held);
        split.validation.insert(split.validation.end(), members.begin(), middle);
        split.training.insert(split.training.end(), middle, members.end());
    }
    std::sort(split.training.begin(), split.training.end());
    std::sort(split.validation.begin(), split.validation.end());
    return split;
}

/// Splits `count` examples without regard to labels.
[[nodiscard]] inline Split random_split(std::size_t count, double validation_share, Rng rng) {
    return stratified_split(std::vector<std::int32_t>(count), validation_share, rng);
}

}  // namespace ssm
