#pragma once

#include <array>
#include <cstddef>

namespace ssm_test {

/// A shape that is measured, and for that reason tested.
struct S4DCase {
    std::size_t length;
    std::size_t batch;
    std::size_t channels;
    std::size_t state;
};

/// Whole sequences through one S4D layer.
inline constexpr std::array<S4DCase, 8> s4d_cases = {{
    {1024, 1, 256, 64},
    {1024, 8, 256, 64},
    {4096, 1, 256, 64},
    {4096, 8, 256, 64},
    {16384, 1, 256, 64},
    {16384, 8, 256, 64},
    {65536, 1, 256, 64},
    {65536, 8, 256, 64},
}};

/// Channels of layers that are run step by step, with a state of 64.
inline constexpr std::array<std::size_t, 4> s4d_step_channels = {1, 8, 64, 512};

}  // namespace ssm_test
