#pragma once

#include <algorithm>
#include <cstddef>

#include <ssm/core/aligned.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/discretize/modes.hpp>

namespace ssm {

namespace detail {
/// Numbers in a cache line: rows of states and coefficients are padded to it, so that their layout
/// is the same for every instruction set and whole registers can be read.
template <class T>
inline constexpr std::size_t line = alignment / sizeof(T);

template <class T>
[[nodiscard]] constexpr std::size_t padded(std::size_t count) noexcept {
    return (count + line<T> - 1) / line<T> * line<T>;
}
}  // namespace detail

/// The states s (batch, H, n) of `batch` streams through a bank of diagonal systems: a regular
/// value.
///
/// Layout    [batch][H][re, im][n padded to a cache line]; what the padding holds has no meaning
/// Memory    2 n sizeof(T) bytes a channel and stream, n rounded up to 64 bytes
template <class T>
class DiagonalState {
public:
    DiagonalState() = default;
    /// Streams at rest.
    DiagonalState(const ModeShape& shape, std::size_t batch) { reset(shape, batch); }

    [[nodiscard]] std::size_t batch() const noexcept { return batch_; }
    [[nodiscard]] std::size_t channels() const noexcept { return channels_; }
    [[nodiscard]] std::size_t modes() const noexcept { return modes_; }

    /// Real parts of the n modes of channel `h` of stream `b`.
    [[nodiscard]] T* re(std::size_t b, std::size_t h) noexcept { return data_.data() + row(b, h); }
    [[nodiscard]] const T* re(std::size_t b, std::size_t h) const noexcept {
        return data_.data() + row(b, h);
    }
    /// Imaginary parts.
    [[nodiscard]] T* im(std::size_t b, std::size_t h) noexcept { return re(b, h) + stride(); }
    [[nodiscard]] const T* im(std::size_t b, std::size_t h) const noexcept {
        return re(b, h) + stride();
    }

    /// Makes this a state of `batch` streams at rest; keeps the memory.
    void reset(const ModeShape& shape, std::size_t batch) {
        batch_ = batch;
        channels_ = shape.channels;
        modes_ = shape.modes;
        data_.assign(batch * channels_ * 2 * stride(), T(0));
    }
    /// Puts all streams to rest.
    void reset() noexcept { std::fill(data_.begin(), data_.end(), T(0)); }
    /// Puts stream `b` to rest.
    void reset(std::size_t b) noexcept {
        std::fill_n(data_.begin() + static_cast<std::ptrdiff_t>(row(b, 0)),
                    channels_ * 2 * stride(), T(0));
    }

    [[nodiscard]] Extents extents() const { return {batch_, channels_, modes_, 2}; }
    /// Those of `batch` streams through systems of this shape.
    [[nodiscard]] static Extents extents_of(const ModeShape& shape, std::size_t batch) {
        return {batch, shape.channels, shape.modes, 2};
    }
    /// The numbers (batch, H, n, 2).
    [[nodiscard]] Tensor<T> values() const {
        Tensor<T> result(extents());
        for (std::size_t i = 0; i < result.size() / 2; ++i) {
            result[2 * i] = re(0, i / modes_)[i % modes_];
            result[2 * i + 1] = im(0, i / modes_)[i % modes_];
        }
        return result;
    }
    /// Errors  ShapeError for another shape; unchanged then
    void set_values(const Tensor<T>& values) {
        require_extents("ssm::Lti: state values", values.extents(), extents());
        for (std::size_t i = 0; i < values.size() / 2; ++i) {
            re(0, i / modes_)[i % modes_] = values[2 * i];
            im(0, i / modes_)[i % modes_] = values[2 * i + 1];
        }
    }

    /// Whether this state is one of `batch` streams through systems of this shape.
    [[nodiscard]] bool fits(const ModeShape& shape, std::size_t batch) const noexcept {
        return batch_ == batch && channels_ == shape.channels && modes_ == shape.modes;
    }

    friend bool operator==(const DiagonalState& a, const DiagonalState& b) noexcept {
        if (a.batch_ != b.batch_ || a.channels_ != b.channels_ || a.modes_ != b.modes_)
            return false;
        for (std::size_t row = 0; row < 2 * a.batch_ * a.channels_; ++row) {
            const T* left = a.data_.data() + row * a.stride();
            if (!std::equal(left, left + a.modes_, b.data_.data() + row * b.stride()))
                return false;
        }
        return true;
    }

    template <class Visitor, class... States>
    static void visit_numbers(Visitor&& visitor, States&... states) {
        visitor("data", states.data_...);
    }

private:
    [[nodiscard]] std::size_t stride() const noexcept { return detail::padded<T>(modes_); }
    [[nodiscard]] std::size_t row(std::size_t b, std::size_t h) const noexcept {
        return (b * channels_ + h) * 2 * stride();
    }

    std::size_t batch_ = 0;
    std::size_t channels_ = 0;
    std::size_t modes_ = 0;
    AlignedVector<T> data_;
};

}  // namespace ssm
