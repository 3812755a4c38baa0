#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/aligned.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/scan/diagonal_state.hpp>

namespace ssm {

/// The real states x (batch, H, N) of `batch` streams through a bank of systems: a regular value.
///
/// Layout    [batch][H][margin, zeros][N padded to a cache line], and one such row more that steps use as scratch
///           memory. `margin` is a multiple of a cache line
template <class T, std::size_t margin = 0>
class RealState {
public:
    RealState() = default;
    /// Streams at rest; `shape` has members channels and state.
    template <class SystemShape>
    RealState(const SystemShape& shape, std::size_t batch) {
        reset(shape, batch);
    }

    [[nodiscard]] std::size_t batch() const noexcept { return batch_; }
    [[nodiscard]] std::size_t channels() const noexcept { return channels_; }
    /// N.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// The N numbers of channel `h` of stream `b`.
    [[nodiscard]] T* row(std::size_t b, std::size_t h) noexcept {
        return data_.data() + (b * channels_ + h) * stride() + margin;
    }
    [[nodiscard]] const T* row(std::size_t b, std::size_t h) const noexcept {
        return data_.data() + (b * channels_ + h) * stride() + margin;
    }
    /// N numbers without meaning.
    [[nodiscard]] T* scratch() noexcept { return row(batch_, 0); }

    /// Makes this a state of `batch` streams at rest; keeps the memory.
    template <class SystemShape>
    void reset(const SystemShape& shape, std::size_t batch) {
        batch_ = batch;
        channels_ = shape.channels;
        size_ = shape.state;
        data_.assign((batch * channels_ + 1) * stride(), T(0));
    }
    /// Puts all streams to rest.
    void reset() noexcept { std::fill(data_.begin(), data_.end(), T(0)); }
    /// Puts stream `b` to rest.
    void reset(std::size_t b) noexcept {
        std::fill_n(row(b, 0) - margin, channels_ * stride(), T(0));
    }

    [[nodiscard]] Extents extents() const { return {batch_, channels_, size_}; }
    /// Those of `batch` streams through systems of this shape.
    template <class SystemShape>
    [[nodiscard]] static Extents extents_of(const SystemShape& shape, std::size_t batch) {
        return {batch, shape.channels, shape.state};
    }
    /// The numbers (batch, H, N).
    [[nodiscard]] Tensor<T> values() const {
        Tensor<T> result(extents());
        for (std::size_t i = 0; i < batch_ * channels_; ++i)
            std::copy_n(row(0, i), size_, result.data() + i * size_);
        return result;
    }
    /// Errors  ShapeError for another shape; unchanged then
    void set_values(const Tensor<T>& values) {
        require_extents("ssm::Lti: state values", values.extents(), extents());
        for (std::size_t i = 0; i < batch_ * channels_; ++i)
            std::copy_n(values.data() + i * size_, size_, row(0, i));
    }

    /// Whether this state is one of `batch` streams through systems of this shape.
    template <class SystemShape>
    [[nodiscard]] bool fits(const SystemShape& shape, std::size_t batch) const noexcept {
        return batch_ == batch && channels_ == shape.channels && size_ == shape.state;
    }

    friend bool operator==(const RealState& a, const RealState& b) noexcept {
        if (a.batch_ != b.batch_ || a.channels_ != b.channels_ || a.size_ != b.size_)
            return false;
        for (std::size_t i = 0; i < a.batch_ * a.channels_; ++i)
            if (!std::equal(a.row(0, i), a.row(0, i) + a.size_, b.row(0, i)))
                return false;
        return true;
    }

    template <class Visitor, class... States>
    static void visit_numbers(Visitor&& visitor, States&... states) {
        visitor("data", states.data_...);
    }

private:
    [[nodiscard]] std::size_t stride() const noexcept { return margin + detail::padded<T>(size_); }

    std::size_t batch_ = 0;
    std::size_t channels_ = 0;
    std::size_t size_ = 0;
    AlignedVector<T> data_;
};

}  // namespace ssm
