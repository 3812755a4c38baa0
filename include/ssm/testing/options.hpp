#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>

#include <ssm/core/error.hpp>

namespace ssm::testing {

/// A layer does not do what its concepts promise; the message says which promise, where and by how
/// much.
class ConformanceError : public Error {
public:
    using Error::Error;
};

/// How a layer is probed. The defaults suit layers of a few channels.
struct ConformanceOptions {
    std::size_t batch = 3;
    std::size_t length = 13;
    std::size_t large_length = 131;  ///< long enough that calls are cut into several tasks

    /// Largest difference between modes, relative to the largest number compared; 0 means 2000
    /// times the rounding unit of value_type.
    double tolerance = 0.0;
    /// The same between the gradient and central differences (made when value_type is double).
    double gradient_tolerance = 1e-7;
    double difference_step = 1e-4;
    std::size_t entries = 16;  ///< compared with differences in each weight and in the input

    /// Allocations of this thread up to now. Without it allocations are not checked.
    std::function<std::size_t()> allocations{};

    std::int32_t tokens = 8;  ///< layers that read token ids get 0 .. tokens - 1
    bool training_differs =
        false;  ///< the training forward computes something else (dropout, batch norm)
    bool rows_are_coupled = false;     ///< in training the rows of a batch are normalised together
    bool allocates_in_blocks = false;  ///< whole-sequence calls may allocate even when warm
};

/// Largest relative differences that were seen; all within the options' tolerances.
struct ConformanceReport {
    double modes = 0.0;      ///< forward, any split, steps, training forward
    double rows = 0.0;       ///< a sequence in a batch and alone
    double resets = 0.0;     ///< reset mask and starting fresh
    double lengths = 0.0;    ///< padded and cut sequences
    double gradients = 0.0;  ///< gradient and central differences
    double added = 0.0;      ///< gradient added to another and on its own
};

}  // namespace ssm::testing
