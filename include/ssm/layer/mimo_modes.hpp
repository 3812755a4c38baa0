#pragma once

#include <cstddef>

#include <ssm/core/aligned.hpp>

namespace ssm {

/// Sizes of one system with many inputs and outputs.
struct MimoSizes {
    std::size_t channels = 0;  ///< H: inputs, and outputs
    std::size_t state = 64;  ///< size of the state, as papers count it: conjugate pairs count twice
};

/// The discrete dynamics of one diagonal system with many inputs, x_p[t] = z_p x_p[t-1] + b_p (B u[t])_p: poles z
/// and input weights b of its P modes, in double. Its gradient has the same type.
struct MimoModes {
    MimoModes() = default;
    explicit MimoModes(std::size_t modes) { reset(modes); }

    /// Takes this size and becomes zero; keeps its storage.
    void reset(std::size_t modes) {
        for (auto* values : {&pole_re, &pole_im, &input_re, &input_im})
            values->assign(modes, 0.0);
    }
    [[nodiscard]] std::size_t size() const noexcept { return pole_re.size(); }

    AlignedVector<double> pole_re, pole_im;
    AlignedVector<double> input_re, input_im;
};

}  // namespace ssm
