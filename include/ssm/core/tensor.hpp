#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <ostream>
#include <span>
#include <string_view>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/error.hpp>

namespace ssm {

/// Sizes of a tensor, slowest axis first; at most `Extents::max_rank` axes. Rank 0 is a scalar.
class Extents {
public:
    static constexpr std::size_t max_rank = 5;

    Extents() = default;
    Extents(std::initializer_list<std::size_t> sizes)
        : Extents(std::span<const std::size_t>(sizes.begin(), sizes.size())) {}
    explicit Extents(std::span<const std::size_t> sizes) : rank_(sizes.size()) {
        require<ShapeError>(rank_ <= max_rank, "ssm::Extents: ", rank_, " axes, but at most ",
                            max_rank, " are supported");
        std::copy(sizes.begin(), sizes.end(), sizes_.begin());
        std::size_t count = 1;
        for (const std::size_t size : sizes) {
            require<ShapeError>(
                size == 0 || count <= std::numeric_limits<std::size_t>::max() / 64 / size,
                "ssm::Extents: ", *this, " does not fit into memory");
            count *= size;
        }
    }

    [[nodiscard]] std::size_t rank() const noexcept { return rank_; }
    [[nodiscard]] std::size_t operator[](std::size_t axis) const noexcept { return sizes_[axis]; }
    [[nodiscard]] const std::size_t* begin() const noexcept { return sizes_.data(); }
    [[nodiscard]] const std::size_t* end() const noexcept { return sizes_.data() + rank_; }
    /// Product of all sizes; 1 for a scalar.
    [[nodiscard]] std::size_t size() const noexcept {
        std::size_t count = 1;
        for (const std::size_t size : *this)
            count *= size;
        return count;
    }

    friend bool operator==(const Extents&, const Extents&) = default;
    friend std::ostream& operator<<(std::ostream& out, const Extents& extents) {
        out << '(';
        for (std::size_t axis = 0; axis < extents.rank(); ++axis)
            out << (axis == 0 ? "" : ", ") << extents[axis];
        return out << ')';
    }

private:
    std::array<std::size_t, max_rank> sizes_{};
    std::size_t rank_ = 0;
};

/// The storage of one weight: a row-major array of any rank up to 5; a regular value, zero when made.
/// Complex weights are stored as real pairs: the last axis has size 2, (real, imaginary).
template <class T>
class Tensor {
public:
    using value_type = T;

    Tensor() = default;
    explicit Tensor(Extents extents, T value = T(0))
        : extents_(extents), data_(extents.size(), value) {}

    [[nodiscard]] const Extents& extents() const noexcept { return extents_; }
    [[nodiscard]] std::size_t rank() const noexcept { return extents_.rank(); }
    [[nodiscard]] std::size_t extent(std::size_t axis) const noexcept { return extents_[axis]; }
    [[nodiscard]] std::size_t size() const noexcept { return data_.size(); }
    [[nodiscard]] bool empty() const noexcept { return data_.empty(); }
    [[nodiscard]] T* data() noexcept { return data_.data(); }
    [[nodiscard]] const T* data() const noexcept { return data_.data(); }
    [[nodiscard]] std::span<T> flat() noexcept { return data_; }
    [[nodiscard]] std::span<const T> flat() const noexcept { return data_; }
    [[nodiscard]] T& operator[](std::size_t index) noexcept { return data_[index]; }
    [[nodiscard]] const T& operator[](std::size_t index) const noexcept { return data_[index]; }

    /// Eigen map of a rank 2 tensor.
    [[nodiscard]] MatrixMap<T> matrix() { return matrix_map(data(), extents_[0], extents_[1]); }
    [[nodiscard]] MatrixMap<const T> matrix() const {
        return matrix_map(data(), extents_[0], extents_[1]);
    }
    void fill(T value) noexcept { std::fill(data_.begin(), data_.end(), value); }

    friend bool operator==(const Tensor&, const Tensor&) = default;

private:
    Extents extents_{0};
    AlignedVector<T> data_;
};

/// Errors    ShapeError, which names `what` and both, unless the extents are the expected ones.
inline void require_extents(std::string_view what, const Extents& found, const Extents& expected) {
    require<ShapeError>(found == expected, what, " have shape ", found, ", expected ", expected);
}

}  // namespace ssm
