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
    {"s5", "init_numpy_*/normal_blocks*",
     "make_Normal_HiPPO of the port adds 1/2 q q^T with q_n = sqrt(2 n + 3) where the normal part "
     "of HiPPO-LegS "
     "has sqrt(2 n + 1): its result has eigenvalues in the right half plane, and no layer uses it"},
};

}  // namespace ssm_test
