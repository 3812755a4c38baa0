#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/aligned.hpp>
#include <ssm/discretize/companion.hpp>
#include <ssm/scan/diagonal_state.hpp>

namespace ssm {

/// The states x (batch, H, d) of `batch` streams through a bank of companion systems: a regular value.
///
/// Layout    [batch][H][one cache line, zero][d padded to a cache line]: the shift reads x_{-1} = 0
/// Memory    d sizeof(T) bytes a channel and stream, and up to two cache lines
template <class T>
class CompanionState {
public:
    CompanionState() = default;
    /// Streams at rest.
    CompanionState(const CompanionShape& shape, std::size_t batch) { reset(shape, batch); }

    [[nodiscard]] std::size_t batch() const noexcept { return batch_; }
    [[nodiscard]] std::size_t channels() const noexcept { return channels_; }
    /// d
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// The d numbers of channel `h` of stream `b`.
    [[nodiscard]] std::span<T> x(std::size_t b, std::size_t h) noexcept {
        return {data_.data() + first(b, h), size_};
    }
    [[nodiscard]] std::span<const T> x(std::size_t b, std::size_t h) const noexcept {
        return {data_.data() + first(b, h), size_};
    }

    /// Makes this a state of `batch` streams at rest; keeps the memory.
    void reset(const CompanionShape& shape, std::size_t batch) {
        batch_ = batch;
        channels_ = shape.channels;
        size_ = shape.state;
        data_.assign(batch * channels_ * stride(), T(0));
    }
    /// Puts stream `b` to rest.
    void reset(std::size_t b) noexcept {
        std::fill_n(data_.data() + b * channels_ * stride(), channels_ * stride(), T(0));
    }

    /// Whether this state is one of `batch` streams through systems of this shape.
    [[nodiscard]] bool fits(const CompanionShape& shape, std::size_t batch) const noexcept {
        return batch_ == batch && channels_ == shape.channels && size_ == shape.state;
    }

    friend bool operator==(const CompanionState& a, const CompanionState& b) noexcept {
        if (a.batch_ != b.batch_ || a.channels_ != b.channels_ || a.size_ != b.size_)
            return false;
        for (std::size_t row = 0; row < a.batch_ * a.channels_; ++row)
            if (!std::ranges::equal(a.x(0, row), b.x(0, row)))
                return false;
        return true;
    }

    template <class Visitor, class... States>
    static void visit_numbers(Visitor&& visitor, States&... states) {
        visitor("data", states.data_...);
    }

private:
    [[nodiscard]] std::size_t stride() const noexcept {
        return detail::line<T> + detail::padded<T>(size_);
    }
    [[nodiscard]] std::size_t first(std::size_t b, std::size_t h) const noexcept {
        return (b * channels_ + h) * stride() + detail::line<T>;
    }

    std::size_t batch_ = 0;
    std::size_t channels_ = 0;
    std::size_t size_ = 0;
    AlignedVector<T> data_;
};

}  // namespace ssm
