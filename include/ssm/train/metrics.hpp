#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/error.hpp>

namespace ssm {

/// Position of the largest number, the first of equals; 0 when there is none.
template <class T>
[[nodiscard]] std::size_t argmax(std::span<const T> values) noexcept {
    return static_cast<std::size_t>(std::max_element(values.begin(), values.end()) -
                                    values.begin());
}

/// Right answers among those that count.
struct Hits {
    std::uint64_t right = 0;
    std::uint64_t counted = 0;

    Hits& operator+=(const Hits& other) noexcept {
        right += other.right;
        counted += other.counted;
        return *this;
    }
    /// Share of right answers; NaN when nothing counts.
    [[nodiscard]] double accuracy() const noexcept {
        return counted == 0 ? std::numeric_limits<double>::quiet_NaN()
                            : static_cast<double>(right) / static_cast<double>(counted);
    }
};

/// Counts the rows of logits whose largest entry is at their label. Rows with the ignored label do
/// not count.
///
/// Shapes    logits (batch, L, C), batch * L labels
/// Errors    ShapeError when the numbers differ
template <class T>
[[nodiscard]] Hits count_hits(BatchView<const T> logits, std::span<const std::int32_t> labels,
                              std::int32_t ignored_label = -100) {
    require<ShapeError>(labels.size() == logits.shape().rows(), "ssm::count_hits: ", labels.size(),
                        " labels for ", logits.shape().rows(), " rows of logits");
    const std::size_t classes = logits.channels();
    Hits hits;
    for (std::size_t r = 0; r < labels.size(); ++r) {
        if (labels[r] == ignored_label)
            continue;
        const std::size_t answer = argmax(logits.flat().subspan(r * classes, classes));
        hits += {static_cast<std::int64_t>(answer) == labels[r] ? 1U : 0U, 1U};
    }
    return hits;
}

/// Share of right answers: of rows whose largest logit is at their label. NaN when nothing counts.
template <class T>
[[nodiscard]] double accuracy(BatchView<const T> logits, std::span<const std::int32_t> labels,
                              std::int32_t ignored_label = -100) {
    return count_hits<T>(logits, labels, ignored_label).accuracy();
}

/// How often each class was taken for each class.
class ConfusionMatrix {
public:
    /// Errors    ValueError for no classes
    explicit ConfusionMatrix(std::size_t classes) : classes_(classes), counts_(classes * classes) {
        require<ValueError>(classes > 0, "ssm::ConfusionMatrix: no classes");
    }

    /// Counts one answer.
    ///
    /// Errors    ValueError for a class outside 0 .. classes - 1
    void add(std::size_t truth, std::size_t answer) {
        require<ValueError>(truth < classes_ && answer < classes_, "ssm::ConfusionMatrix: class ",
                            truth, " taken for ", answer, ", expected 0 .. ", classes_ - 1);
        ++counts_[truth * classes_ + answer];
    }
    /// Counts the largest logit of every row whose label is not ignored. Nothing is counted on an
    /// error.
    template <class T>
    void add(BatchView<const T> logits, std::span<const std::int32_t> labels,
             std::int32_t ignored_label = -100) {
        require<ShapeError>(logits.channels() == classes_ && labels.size() == logits.shape().rows(),
                            "ssm::ConfusionMatrix: ", labels.size(), " labels and logits ",
                            logits.shape(), " for ", classes_, " classes");
        for (std::size_t r = 0; r < labels.size(); ++r)
            require<ValueError>(
                labels[r] == ignored_label ||
                    (labels[r] >= 0 && static_cast<std::size_t>(labels[r]) < classes_),
                "ssm::ConfusionMatrix: row ", r, " has label ", labels[r], ", expected 0 .. ",
                classes_ - 1);
        for (std::size_t r = 0; r < labels.size(); ++r)
            if (labels[r] != ignored_label)
                add(static_cast<std::size_t>(labels[r]),
                    argmax(logits.flat().subspan(r * classes_, classes_)));
    }

    [[nodiscard]] std::size_t classes() const noexcept { return classes_; }
    /// Times that class `truth` was taken for `answer`. Precondition: both below classes().
    [[nodiscard]] std::uint64_t operator()(std::size_t truth, std::size_t answer) const noexcept {
        return counts_[truth * classes_ + answer];
    }
    /// Share of right answers; NaN when there is none at all.
    [[nodiscard]] double accuracy() const noexcept {
        Hits hits;
        for (std::size_t truth = 0; truth < classes_; ++truth)
            hits += {(*this)(truth, truth), row_sum(truth)};
        return hits.accuracy();
    }
    /// Share of the members of a class that were found; NaN without members.
    [[nodiscard]] double recall(std::size_t truth) const noexcept {
        return Hits{(*this)(truth, truth), row_sum(truth)}.accuracy();
    }
    /// Share of the answers of a class that were right; NaN without such answers.
    [[nodiscard]] double precision(std::size_t answer) const noexcept {
        std::uint64_t answers = 0;
        for (std::size_t truth = 0; truth < classes_; ++truth)
            answers += (*this)(truth, answer);
        return Hits{(*this)(answer, answer), answers}.accuracy();
    }

private:
    [[nodiscard]] std::uint64_t row_sum(std::size_t truth) const noexcept {
        std::uint64_t sum = 0;
        for (std::size_t answer = 0; answer < classes_; ++answer)
            sum += (*this)(truth, answer);
        return sum;
    }

    std::size_t classes_;
    std::vector<std::uint64_t> counts_;
};

}  // namespace ssm
