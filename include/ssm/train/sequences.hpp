#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/train/indices.hpp>
#include <ssm/train/source.hpp>

namespace ssm {

/// Sequences of different lengths in memory, and a label for each. A mini-batch is as long as its longest sequence;
/// the others are padded with zeros and carry their lengths. A view; the data must live on.
///
///     std::vector<std::vector<float>> sounds = ...;
///     Sequences training(sounds, labels);
///     fit(model, state, training, test, loss, {.order = by_length(training.lengths(), 16)});
///
/// Shapes    sequences (L_i channels) each, row after row -> inputs (n, largest L_i, channels), targets (n, 1, 1)
/// Errors    ShapeError when there are not as many labels as sequences, and for a sequence that is empty or no
///           whole number of steps
template <class In, class Target>
class Sequences {
public:
    using input_type = In;
    using target_type = Target;

    Sequences(std::span<const std::vector<In>> sequences, std::span<const Target> labels,
              std::size_t channels = 1)
        : sequences_(sequences), labels_(labels), channels_(channels) {
        require<ShapeError>(sequences.size() == labels.size(), "ssm::Sequences: ", sequences.size(),
                            " sequences, but ", labels.size(), " labels");
        for (std::size_t i = 0; i < sequences.size(); ++i)
            require<ShapeError>(
                channels > 0 && !sequences[i].empty() && sequences[i].size() % channels == 0,
                "ssm::Sequences: sequence ", i, " has ", sequences[i].size(),
                " numbers, which are no steps of ", channels, " channels");
    }

    [[nodiscard]] std::size_t size() const noexcept { return sequences_.size(); }
    /// Steps of each sequence.
    [[nodiscard]] std::vector<std::size_t> lengths() const {
        std::vector<std::size_t> result;
        for (const std::vector<In>& sequence : sequences_)
            result.push_back(sequence.size() / channels_);
        return result;
    }

    void take(std::span<const std::size_t> indices, MiniBatch<In, Target>& batch) const {
        batch.lengths.clear();
        for (const std::size_t index : indices) {
            require<ShapeError>(index < size(), "ssm::Sequences: index ", index, " of ", size(),
                                " sequences");
            batch.lengths.push_back(sequences_[index].size() / channels_);
        }
        const std::size_t longest = batch.lengths.empty() ? 0 : std::ranges::max(batch.lengths);
        batch.inputs.resize({indices.size(), longest, channels_});
        batch.targets.resize({indices.size(), 1, 1});
        for (std::size_t i = 0; i < indices.size(); ++i) {
            const std::span<In> row = batch.inputs.view().sequence(i).flat();
            const auto end = std::ranges::copy(sequences_[indices[i]], row.begin()).out;
            std::fill(end, row.end(), In(0));
            batch.targets.data()[i] = labels_[indices[i]];
        }
    }

private:
    std::span<const std::vector<In>> sequences_;
    std::span<const Target> labels_;
    std::size_t channels_;
};

template <class Vectors, class Labels, class... Channels>
Sequences(const Vectors&, const Labels&, Channels...)
    -> Sequences<typename Vectors::value_type::value_type, typename Labels::value_type>;

/// An order for `FitOptions::order` in which the sequences of a mini-batch have similar lengths, so that little is
/// padding, and which yet is random: shuffled, sorted by length within stretches of `mixing` mini-batches, and the
/// mini-batches shuffled again.
///
/// Errors    ValueError for a batch size or mixing of 0
[[nodiscard]] inline Order by_length(std::vector<std::size_t> lengths, std::size_t batch_size,
                                     std::size_t mixing = 8) {
    require<ValueError>(batch_size > 0 && mixing > 0, "ssm::by_length: batch size ", batch_size,
                        " and mixing ", mixing, " must be positive");
    return [lengths = std::move(lengths), batch_size, mixing](Rng& rng) {
        std::vector<std::size_t> indices = shuffled_indices(lengths.size(), rng);
        const std::size_t stretch = batch_size * mixing;
        for (std::size_t begin = 0; begin < indices.size(); begin += stretch)
            std::ranges::stable_sort(
                std::span(indices).subspan(begin).first(std::min(stretch, indices.size() - begin)),
                {}, [&](std::size_t i) { return lengths[i]; });
        // The last, smaller mini-batch stays the last.
        const std::size_t whole = indices.size() / batch_size;
        std::vector<std::size_t> result;
        for (const std::size_t b : shuffled_indices(whole, rng)) {
            const std::size_t begin = b * batch_size;
            for (std::size_t i = begin; i < begin + batch_size; ++i)
                result.push_back(indices[i]);
        }
        for (std::size_t i = whole * batch_size; i < indices.size(); ++i)
            result.push_back(indices[i]);
        return result;
    };
}

}  // namespace ssm
