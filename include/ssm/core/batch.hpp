#pragma once

#include <cstddef>
#include <limits>
#include <ostream>
#include <span>
#include <type_traits>

#include <Eigen/Core>

#include <ssm/core/aligned.hpp>
#include <ssm/core/error.hpp>

namespace ssm {

/// Sizes of a batch of sequences: `batch` sequences of `length` steps of `channels` numbers.
struct Shape {
    std::size_t batch = 0;
    std::size_t length = 0;
    std::size_t channels = 0;

    /// Steps of all sequences together.
    [[nodiscard]] constexpr std::size_t rows() const noexcept { return batch * length; }
    /// Numbers in all.
    [[nodiscard]] constexpr std::size_t size() const noexcept { return batch * length * channels; }

    friend constexpr bool operator==(const Shape&, const Shape&) = default;
    friend std::ostream& operator<<(std::ostream& out, const Shape& shape) {
        return out << "(batch " << shape.batch << ", length " << shape.length << ", channels "
                   << shape.channels << ")";
    }
};

/// Row-major Eigen map of rows of numbers. `T` may be const.
template <class T>
using MatrixMap = Eigen::Map<std::conditional_t<
    std::is_const_v<T>,
    const Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>,
    Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>>;

/// Row-major Eigen map of `rows` times `columns` numbers at `data`.
template <class T>
[[nodiscard]] MatrixMap<T> matrix_map(T* data, std::size_t rows, std::size_t columns) {
    return {data, static_cast<Eigen::Index>(rows), static_cast<Eigen::Index>(columns)};
}

/// A view of sequences owned by someone else: contiguous, row-major `(batch, L, H)`, channels last.
/// One step of one sequence is a contiguous row of H numbers. `T` may be const; a view of T converts
/// to a view of const T. An empty view (no data) stands for "not wanted" where a call allows it.
template <class T>
class BatchView {
public:
    using value_type = std::remove_const_t<T>;

    BatchView() = default;
    BatchView(T* data, Shape shape) noexcept : data_(data), shape_(shape) {}
    template <class U>
    requires std::is_same_v<const U, T> BatchView(BatchView<U> other)
    noexcept : data_(other.data()), shape_(other.shape()) {}

    [[nodiscard]] T* data() const noexcept { return data_; }
    [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
    [[nodiscard]] std::size_t batch() const noexcept { return shape_.batch; }
    [[nodiscard]] std::size_t length() const noexcept { return shape_.length; }
    [[nodiscard]] std::size_t channels() const noexcept { return shape_.channels; }
    [[nodiscard]] std::size_t size() const noexcept { return shape_.size(); }
    [[nodiscard]] bool empty() const noexcept { return data_ == nullptr || size() == 0; }

    [[nodiscard]] T& operator()(std::size_t b, std::size_t l, std::size_t h) const noexcept {
        return data_[(b * shape_.length + l) * shape_.channels + h];
    }
    /// All numbers, `batch * L * H` of them.
    [[nodiscard]] std::span<T> flat() const noexcept { return {data_, size()}; }
    /// The H numbers of step `l` of sequence `b`.
    [[nodiscard]] std::span<T> row(std::size_t b, std::size_t l) const noexcept {
        return {data_ + (b * shape_.length + l) * shape_.channels, shape_.channels};
    }
    /// Sequence `b` as a batch of one.
    [[nodiscard]] BatchView sequence(std::size_t b) const noexcept {
        return {data_ + b * shape_.length * shape_.channels, {1, shape_.length, shape_.channels}};
    }
    /// Steps `first .. first + count - 1` of a batch of one. Precondition: batch() == 1.
    [[nodiscard]] BatchView steps(std::size_t first, std::size_t count) const noexcept {
        return {data_ + first * shape_.channels, {1, count, shape_.channels}};
    }
    /// Eigen map `(batch * L, H)` of all rows.
    [[nodiscard]] MatrixMap<T> matrix() const {
        return matrix_map(data_, shape_.rows(), shape_.channels);
    }
    /// Eigen map `(L, H)` of sequence `b`.
    [[nodiscard]] MatrixMap<T> matrix(std::size_t b) const { return sequence(b).matrix(); }

private:
    T* data_ = nullptr;
    Shape shape_{};
};

/// Sequences with storage: a regular value, aligned to `alignment`, zero when made.
template <class T>
class Batch {
public:
    using value_type = T;

    Batch() = default;
    explicit Batch(Shape shape) : shape_(shape), data_(checked_size(shape)) {}
    Batch(std::size_t batch, std::size_t length, std::size_t channels)
        : Batch(Shape{batch, length, channels}) {}
    explicit Batch(BatchView<const T> other)
        : shape_(other.shape()), data_(other.flat().begin(), other.flat().end()) {}

    [[nodiscard]] BatchView<T> view() noexcept { return {data_.data(), shape_}; }
    [[nodiscard]] BatchView<const T> view() const noexcept { return {data_.data(), shape_}; }
    operator BatchView<T>() noexcept { return view(); }
    operator BatchView<const T>() const noexcept { return view(); }

    [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
    [[nodiscard]] std::size_t batch() const noexcept { return shape_.batch; }
    [[nodiscard]] std::size_t length() const noexcept { return shape_.length; }
    [[nodiscard]] std::size_t channels() const noexcept { return shape_.channels; }
    [[nodiscard]] std::size_t size() const noexcept { return data_.size(); }
    [[nodiscard]] T* data() noexcept { return data_.data(); }
    [[nodiscard]] const T* data() const noexcept { return data_.data(); }
    [[nodiscard]] T& operator()(std::size_t b, std::size_t l, std::size_t h) noexcept {
        return view()(b, l, h);
    }
    [[nodiscard]] const T& operator()(std::size_t b, std::size_t l, std::size_t h) const noexcept {
        return view()(b, l, h);
    }
    /// Changes the shape; keeps the capacity, and the contents are unspecified afterwards.
    void resize(Shape shape) {
        data_.resize(checked_size(shape));
        shape_ = shape;
    }
    void fill(T value) { data_.assign(data_.size(), value); }

    friend bool operator==(const Batch&, const Batch&) = default;

private:
    static std::size_t checked_size(const Shape& shape) {
        constexpr std::size_t limit = std::numeric_limits<std::size_t>::max() / 64 / sizeof(T);
        const bool fits = (shape.batch == 0 || shape.length <= limit / shape.batch) &&
                          (shape.rows() == 0 || shape.channels <= limit / shape.rows());
        require<ShapeError>(fits, "ssm::Batch: shape ", shape, " does not fit into memory");
        return shape.size();
    }

    Shape shape_{};
    AlignedVector<T> data_;
};

/// Raises ShapeError unless `found == expected`; `what` names the object, as in "ssm::Linear: input".
inline void require_shape(const char* what, const Shape& found, const Shape& expected) {
    require<ShapeError>(found == expected, what, " has shape ", found, ", expected ", expected);
}

}  // namespace ssm
