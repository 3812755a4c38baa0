#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include <ssm/core/error.hpp>
#include <ssm/train/source.hpp>

namespace ssm {

/// Windows of a long text for a language model: `length` tokens in, the tokens one further on as
/// targets. Window i starts at token i * stride. A view; the tokens must live on.
///
/// Shapes    inputs and targets (n, length, 1)
/// Errors    ValueError for length or stride 0, and fewer tokens than one window needs
class TokenWindows {
public:
    using input_type = std::int32_t;
    using target_type = std::int32_t;

    TokenWindows(std::span<const std::int32_t> tokens, std::size_t length, std::size_t stride)
        : tokens_(tokens), length_(length), stride_(stride) {
        require<ValueError>(length > 0 && stride > 0, "ssm::TokenWindows: length ", length,
                            " and stride ", stride, " must be positive");
        require<ValueError>(tokens.size() > length, "ssm::TokenWindows: ", tokens.size(),
                            " tokens are too few for a window of ", length, " and its targets");
    }

    [[nodiscard]] std::size_t size() const noexcept {
        return (tokens_.size() - 1 - length_) / stride_ + 1;
    }

    void take(std::span<const std::size_t> indices,
              MiniBatch<std::int32_t, std::int32_t>& batch) const {
        for (const std::size_t index : indices)
            require<ShapeError>(index < size(), "ssm::TokenWindows: index ", index, " of ", size(),
                                " windows");
        batch.inputs.resize({indices.size(), length_, 1});
        batch.targets.resize({indices.size(), length_, 1});
        for (std::size_t i = 0; i < indices.size(); ++i) {
            const std::span<const std::int32_t> window =
                tokens_.subspan(indices[i] * stride_, length_ + 1);
            std::copy(window.begin(), window.end() - 1, batch.inputs.data() + i * length_);
            std::copy(window.begin() + 1, window.end(), batch.targets.data() + i * length_);
        }
    }

private:
    std::span<const std::int32_t> tokens_;
    std::size_t length_;
    std::size_t stride_;
};

}  // namespace ssm
