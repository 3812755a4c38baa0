#pragma once

#include <string_view>
#include <vector>

namespace ssm_test {

/// What golden tests deliberately do not compare, and why: the only way not to look at a number.
///
/// `pattern` is matched with "case" (the whole case is left out) or "case/tensor" (that tensor need
/// not be read); `*` stands for any text, slashes included.
struct GoldenUnsupported {
    std::string_view family;
    std::string_view pattern;
    std::string_view reason;
};

inline const std::vector<GoldenUnsupported> golden_unsupported = {
    // {"family", "pattern", "reason"},
    {"lm", "jamba*", "hybrids with attention: the library is about what replaces it"},
    {"nn", "layers*/attention.*", "the library has no attention: it is about what replaces it"},
    {"nn", "layers*/conv1d_same.*",
     "convolutions are causal and depthwise, or of width 1 (Linear)"},
    {"hippo", "nplr_*", "measures other than LegS and Fourier are not there yet"},
    {"hippo", "transition_*", "measures other than LegS and Fourier are not there yet"},
};

}  // namespace ssm_test
