#pragma once

#include <cstddef>
#include <optional>

#include <ssm/discretize/transform.hpp>

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
};

/// How the time steps of a bank start and are stored.
struct Timescale {
    double min = 1e-3;  ///< smallest dt at the start, in steps of the training rate
    double max = 1e-1;  ///< largest
    bool tied = true;   ///< one dt for a channel, or else one for each of its modes
    Transform transform = Transform::exp;  ///< dt as a function of the stored weight
    bool fast =
        false;  ///< the weight is stored as its inverse hyperbolic sine, which learns large dt faster
};

/// What of the dynamics is trained, and how fast. A, B and dt never decay.
struct DynamicsTraining {
    bool A = true;
    bool B = true;
    bool dt = true;
    std::optional<double> learning_rate = 1e-3;  ///< of A, B, dt; none: the optimiser's own
};

}  // namespace ssm
