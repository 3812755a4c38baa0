#pragma once

#include <string>
#include <string_view>

#include <ssm/io/stored_as.hpp>

namespace ssm::names {

/// The embedding of such models in the transformers library, and here.
inline constexpr const char* mamba_embedding = "backbone.embeddings.weight";

/// Weights of a `LanguageModel` of `Mamba2` layers as they are published. They have this library's own names, but for the
/// embedding of the original code, which says "backbone.embedding.weight"; transposed are those in which vectors run
/// across channels here.
[[nodiscard]] inline StoredAs mamba2(std::string_view weight,
                                     const std::string& embedding = mamba_embedding) {
    if (weight == mamba_embedding)
        return embedding;
    if (weight.ends_with(".mixer.conv1d.weight"))
        return StoredAs(std::string(weight)).transposed().with_unit_axis(1);
    return std::string(weight);
}

/// The same of `Mamba` layers, with those of Falcon-Mamba.
[[nodiscard]] inline StoredAs mamba(std::string_view weight,
                                    const std::string& embedding = mamba_embedding) {
    if (weight.ends_with(".mixer.A_log"))
        return StoredAs(std::string(weight)).transposed();
    return mamba2(weight, embedding);
}

}  // namespace ssm::names
