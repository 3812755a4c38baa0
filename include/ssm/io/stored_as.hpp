#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/tensor.hpp>

namespace ssm {

/// How a file stores a weight. Mostly it is one tensor of the weight's own shape and only the name differs: a
/// string converts. Other codes split weights that belong together here, or swap the axes of matrices:
///
///   StoredAs("seq.kernel").transposed()                      (in, out) for a weight (out, in)
///   StoredAs::parts({"out1.kernel", "out2.kernel"}, 0)       one below the other
///   StoredAs::stacked({"B_re", "B_im"}, 2)                   (P, H) each, for a weight (P, H, 2)
///   StoredAs("conv.weight").with_unit_axis(1)                (H, 1, width) for a weight (H, width)
///
/// Parts are equally large pieces of the weight along one axis, in order; stacked ones are slices of size 1 whose
/// axis is left out. An empty list of names leaves the weight as it is.
struct StoredAs {
    StoredAs() = default;
    StoredAs(std::string name) {
        if (!name.empty())
            names.push_back(std::move(name));
    }
    StoredAs(const char* name) : StoredAs(std::string(name)) {}
    [[nodiscard]] static StoredAs parts(std::vector<std::string> names, std::size_t axis) {
        StoredAs result;
        result.names = std::move(names);
        result.axis = axis;
        return result;
    }
    [[nodiscard]] static StoredAs stacked(std::vector<std::string> names, std::size_t axis) {
        StoredAs result = parts(std::move(names), axis);
        result.is_stacked = true;
        return result;
    }
    /// The same with the two axes of each part swapped in the file: (in, out), as JAX stores its kernels.
    [[nodiscard]] StoredAs transposed() const {
        StoredAs result = *this;
        result.is_transposed = true;
        return result;
    }
    /// The same with an axis of size 1 more in the file, which is this one of the shape there.
    [[nodiscard]] StoredAs with_unit_axis(std::size_t at) const {
        StoredAs result = *this;
        result.unit_axis = at;
        return result;
    }

    std::vector<std::string> names;  ///< of the parts, in order
    std::size_t axis = 0;            ///< of the weight, along which parts follow each other
    bool is_stacked = false;         ///< parts lack that axis
    bool is_transposed = false;      ///< parts have two axes, and they are swapped
    std::optional<std::size_t>
        unit_axis{};  ///< of the shape in the file, of size 1; the weight lacks it
};

namespace detail {

/// Moves numbers between a weight and the parts that a file stores it as.
class StoredParts {
public:
    /// Errors  ValueError when a weight of these sizes cannot be stored so
    StoredParts(const StoredAs& stored, const Extents& extents)
        : count_(std::max<std::size_t>(1, stored.names.size())),
          swaps_(stored.is_transposed),
          shape_(extents.begin(), extents.end()) {
        if (count_ > 1 || stored.is_stacked) {
            require<ValueError>(stored.axis < extents.rank() &&
                                    extents[stored.axis] % count_ == 0 &&
                                    (!stored.is_stacked || extents[stored.axis] == count_),
                                "ssm::StoredAs: a weight of shape ", extents, " has no ", count_,
                                " equal parts along axis ", stored.axis);
            const auto at = shape_.begin() + static_cast<std::ptrdiff_t>(stored.axis);
            for (std::size_t axis = stored.axis + 1; axis < extents.rank(); ++axis)
                inner_ *= extents[axis];
            *at /= count_;
            inner_ *= *at;
            if (stored.is_stacked)
                shape_.erase(at);
        } else {
            inner_ = extents.size();
        }
        outer_ = inner_ == 0 ? 0 : extents.size() / (inner_ * count_);
        require<ValueError>(!swaps_ || shape_.size() == 2, "ssm::StoredAs: parts of ",
                            shape_.size(), " axes are not transposed, only those of 2");
        if (swaps_) {
            std::swap(shape_[0], shape_[1]);
            columns_ = shape_[0];
        }
        if (stored.unit_axis) {
            require<ValueError>(*stored.unit_axis <= shape_.size(), "ssm::StoredAs: parts of ",
                                shape_.size(), " axes have no place for axis ", *stored.unit_axis);
            shape_.insert(shape_.begin() + static_cast<std::ptrdiff_t>(*stored.unit_axis), 1);
        }
    }

    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    /// Whether the file has the numbers in the weight's order.
    [[nodiscard]] bool is_plain() const noexcept { return count_ == 1 && !swaps_; }
    /// Shape of a part in the file.
    [[nodiscard]] const std::vector<std::size_t>& shape() const noexcept { return shape_; }
    [[nodiscard]] std::size_t size() const noexcept { return outer_ * inner_; }

    /// Calls body(i, j) for number i of the weight and j of its part `part` in the file.
    template <class Body>
    void for_each(std::size_t part, Body&& body) const {
        for (std::size_t o = 0; o < outer_; ++o)
            for (std::size_t i = 0; i < inner_; ++i) {
                const std::size_t own = o * inner_ + i;
                body((o * count_ + part) * inner_ + i, swaps_ ? in_file(own) : own);
            }
    }

private:
    /// Number i of the part, row-major in the weight's order, in the order of the file.
    [[nodiscard]] std::size_t in_file(std::size_t i) const noexcept {
        return i % columns_ * (size() / columns_) + i / columns_;
    }

    std::size_t count_;
    bool swaps_;
    std::vector<std::size_t> shape_;
    std::size_t inner_ = 1;  ///< numbers of a part that follow each other
    std::size_t outer_ = 0;
    std::size_t columns_ = 0;  ///< of a part in the weight's order, when they are swapped
};

}  // namespace detail

}  // namespace ssm
