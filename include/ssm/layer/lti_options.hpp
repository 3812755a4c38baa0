#pragma once

#include <cstddef>
#include <optional>

#include <ssm/core/error.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/layer/timescale.hpp>

namespace ssm {

/// Which way time runs in a bank of systems.
struct Causal {
    static constexpr bool is_causal = true;
    static constexpr std::size_t kernels = 1;  ///< convolution kernels for each head
};

/// Forward and backward in time: y[t] = sum_{j<=t} K+[t-j] u[j] + sum_{j>t} K-[j-t-1] u[j]. Such a layer
/// sees the future and cannot stream.
struct Bidirectional {
    static constexpr bool is_causal = false;
    static constexpr std::size_t kernels = 2;
};

/// Sizes and time steps that all banks of linear time-invariant systems have.
struct LtiSizes {
    std::size_t channels = 0;  ///< H: independent single-input systems
    std::size_t state =
        64;  ///< N: state size of each, as papers count it (conjugate pairs count twice)
    std::size_t heads = 1;  ///< outputs of each system; the layer puts out heads * H channels
    std::size_t copies =
        0;  ///< S: different A and B, channel h uses h mod S; 0 means one for each channel

    /// These, with `copies` as it is meant. Errors: ValueError for sizes of 0 and for copies that do not divide the
    /// channels.
    [[nodiscard]] LtiSizes resolved() const {
        check();
        LtiSizes result = *this;
        if (copies == 0)
            result.copies = channels;
        require<ValueError>(channels % result.copies == 0, "ssm::Lti: copies = ", copies,
                            " does not divide channels = ", channels);
        return result;
    }
    /// Errors  ValueError for sizes of 0.
    void check() const {
        require<ValueError>(channels > 0 && heads > 0 && state > 0,
                            "ssm::Lti: channels = ", channels, ", heads = ", heads,
                            " and state = ", state, " must be positive");
    }
};

/// What of the dynamics is trained, and how fast. A, B and dt never decay.
struct DynamicsTraining {
    bool A = true;
    bool B = true;
    bool dt = true;
    std::optional<double> learning_rate = 1e-3;  ///< of A, B, dt; none: the optimiser's own

    [[nodiscard]] WeightTraits traits_of_A() const { return traits(A); }
    [[nodiscard]] WeightTraits traits_of_B() const { return traits(B); }
    [[nodiscard]] WeightTraits traits_of_dt() const { return traits(dt); }

private:
    [[nodiscard]] WeightTraits traits(bool trained) const {
        return {.role = trained ? WeightRole::trained : WeightRole::frozen,
                .learning_rate = learning_rate,
                .weight_decay = 0.0};
    }
};

}  // namespace ssm
