#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>

/// What layers made of layers share.
namespace ssm::detail {

/// The State of a composite with a part that cannot stream: no value of it can be made, so that the
/// composite is not a StreamingLayer, while asking it to stream still reaches the sentence that
/// says why.
struct NoState {
    NoState() = delete;
    NoState(const NoState&) = delete;
    NoState& operator=(const NoState&) = delete;
};

/// The same for the Cache of a composite with a part that cannot be trained.
struct NoCache {
    NoCache() = delete;
};

/// Two buffers that the parts of a chain write in turn: what is between two parts has a number, and
/// odd and even numbers are in different buffers.
template <class T>
class Alternating {
public:
    Alternating(Workspace& workspace, std::size_t largest)
        : halves_{workspace.take<T>(largest), workspace.take<T>(largest)} {}

    [[nodiscard]] BatchView<T> operator()(std::size_t part, const Shape& shape) const noexcept {
        return {halves_[part % 2].data(), shape};
    }

private:
    std::array<std::span<T>, 2> halves_;
};

/// Rows between the parts of a composite while it steps. Scratch: no part of what a stream
/// remembers, hence all are equal; kept in the State because `step` must not allocate.
template <class T>
class ScratchRows {
public:
    ScratchRows() = default;
    explicit ScratchRows(std::size_t largest) : numbers_(2 * largest) {}

    /// `size` numbers of buffer `part`; odd and even ones are different.
    [[nodiscard]] std::span<T> operator()(std::size_t part, std::size_t size) noexcept {
        return {numbers_.data() + (part % 2) * (numbers_.size() / 2), size};
    }

    friend bool operator==(const ScratchRows&, const ScratchRows&) noexcept { return true; }

private:
    AlignedVector<T> numbers_;
};

/// Numbers of one task of an elementwise pass: a fraction of the level 1 cache.
inline constexpr std::size_t elementwise_grain = 4096;

/// y += x
template <class T>
void add_to(std::span<T> y, std::span<const T> x) {
    parallel_ranges(y.size(), elementwise_grain,
                    [&](std::size_t begin, std::size_t end, std::size_t) {
                        for (std::size_t i = begin; i < end; ++i)
                            y[i] += x[i];
                    });
}

}  // namespace ssm::detail
