#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/workspace.hpp>

namespace ssm {

/// Some examples, ready for a forward.
template <class In, class Target>
struct MiniBatch {
    Batch<In> inputs;
    Batch<Target> targets;
    std::vector<std::size_t> lengths{};  ///< of padded sequences; empty: all steps count
    Batch<std::uint8_t> resets{};        ///< mask (batch, L, 1); empty: no resets

    /// The context of a call with these inputs.
    [[nodiscard]] Context context(Workspace& workspace) const {
        Context result = Context(workspace).with_lengths(lengths);
        return resets.size() == 0 ? result : result.with_resets(resets);
    }
};

/// Where examples come from: `size()` of them, of which `take(indices, batch)` fills a mini-batch
/// with some. It may read files, cut windows from a long series, or augment.
template <class S>
concept Source = requires(const S& source, std::span<const std::size_t> indices,
                          MiniBatch<typename S::input_type, typename S::target_type>& batch) {
    { source.size() } -> std::convertible_to<std::size_t>;
    source.take(indices, batch);
};

/// Copies sequences `indices` of `from` to `to`, which takes their shape.
///
/// Errors    ShapeError for an index beyond the last sequence
template <class T>
void gather(BatchView<const T> from, std::span<const std::size_t> indices, Batch<T>& to) {
    for (const std::size_t index : indices)
        require<ShapeError>(index < from.batch(), "ssm::gather: index ", index, " of ",
                            from.batch(), " sequences");
    to.resize({indices.size(), from.length(), from.channels()});
    for (std::size_t i = 0; i < indices.size(); ++i) {
        const std::span<const T> sequence = from.sequence(indices[i]).flat();
        std::copy(sequence.begin(), sequence.end(), to.view().sequence(i).data());
    }
}

namespace detail {

/// A temporary that owns its numbers: what refers to them would outlive them.
template <class V>
concept VanishingOwner = !std::is_lvalue_reference_v<V> && !std::is_trivially_destructible_v<V>;

}  // namespace detail

/// Examples that lie in memory: sequences and what they should give. A view; the data must live on.
///
///     Examples training(u, labels);           // Batch<float>, std::vector<std::int32_t>
///     Examples forecast(history, future);     // two Batch<float>
///
/// Shapes    inputs (n, L, H); targets (n, L', H'), or n L' labels, which are (n, L', 1)
/// Errors    ShapeError when the numbers of inputs, targets and lengths do not fit
template <class In, class Target>
class Examples {
public:
    using input_type = In;
    using target_type = Target;

    Examples(BatchView<const In> inputs, BatchView<const Target> targets,
             std::span<const std::size_t> lengths = {})
        : inputs_(inputs), targets_(targets), lengths_(lengths) {
        require<ShapeError>(inputs.batch() == targets.batch(), "ssm::Examples: ", inputs.batch(),
                            " inputs, but ", targets.batch(), " targets");
        require<ShapeError>(lengths.empty() || lengths.size() == inputs.batch(),
                            "ssm::Examples: ", inputs.batch(), " inputs, but ", lengths.size(),
                            " lengths");
    }
    Examples(BatchView<const In> inputs, std::span<const Target> labels,
             std::span<const std::size_t> lengths = {})
        : Examples(inputs, as_batch(labels, inputs.batch()), lengths) {}
    /// Data that are about to vanish cannot be referred to.
    template <class Inputs, class Targets, class... Lengths>
    requires(detail::VanishingOwner<Inputs> || detail::VanishingOwner<Targets> ||
             (detail::VanishingOwner<Lengths> || ...)) Examples(Inputs&&, Targets&&, Lengths&&...)
    = delete;

    [[nodiscard]] std::size_t size() const noexcept { return inputs_.batch(); }

    void take(std::span<const std::size_t> indices, MiniBatch<In, Target>& batch) const {
        gather(inputs_, indices, batch.inputs);
        gather(targets_, indices, batch.targets);
        batch.lengths.clear();
        if (!lengths_.empty())
            for (const std::size_t index : indices)
                batch.lengths.push_back(lengths_[index]);
    }

private:
    static BatchView<const Target> as_batch(std::span<const Target> labels, std::size_t count) {
        const std::size_t each = count == 0 ? 0 : labels.size() / count;
        require<ShapeError>(each * count == labels.size() && (each > 0 || count == 0),
                            "ssm::Examples: ", labels.size(), " labels for ", count, " inputs");
        return {labels.data(), {count, each, 1}};
    }

    BatchView<const In> inputs_;
    BatchView<const Target> targets_;
    std::span<const std::size_t> lengths_;
};

template <class Inputs, class Targets, class... Lengths>
Examples(const Inputs&, const Targets&, const Lengths&...)
    -> Examples<typename Inputs::value_type, typename Targets::value_type>;

/// Some of the examples of another source.
template <Source S>
class Subset {
public:
    using input_type = typename S::input_type;
    using target_type = typename S::target_type;

    /// Refers to `source`, which must live on.
    ///
    /// Errors    ValueError for an index beyond the last example
    Subset(const S& source, std::vector<std::size_t> indices)
        : source_(&source), indices_(std::move(indices)) {
        for (const std::size_t index : indices_)
            require<ValueError>(index < source.size(), "ssm::Subset: index ", index, " of ",
                                source.size(), " examples");
    }

    /// A source that is about to vanish cannot be referred to.
    Subset(const S&&, std::vector<std::size_t>) = delete;

    [[nodiscard]] std::size_t size() const noexcept { return indices_.size(); }

    void take(std::span<const std::size_t> indices,
              MiniBatch<input_type, target_type>& batch) const {
        std::vector<std::size_t> inner;
        for (const std::size_t index : indices)
            inner.push_back(indices_.at(index));
        source_->take(inner, batch);
    }

private:
    const S* source_;
    std::vector<std::size_t> indices_;
};

}  // namespace ssm
