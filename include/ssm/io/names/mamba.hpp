#pragma once

#include <string>
#include <string_view>

#include <ssm/io/stored_as.hpp>

namespace ssm::names {

/// Weights of a `LanguageModel` of `Mamba2` layers as they are published. They have this library's own names, but for the
/// embedding of the original code, which says "backbone.embedding.weight"; transposed are those in which vectors run
/// across channels here.
[[nodiscard]] inline StoredAs mamba2(std::string_view weight,
                                     const std::string& embedding = "backbone.embeddings.weight") {
    if (weight == "backbone.embeddings.weight")
        return embedding;
    if (weight.ends_with(".mixer.conv1d.weight"))
        return StoredAs(std::string(weight)).transposed().with_unit_axis(1);
    return std::string(weight);
}

/// The same of `Mamba` layers, with those of Falcon-Mamba.
[[nodiscard]] inline StoredAs mamba(std::string_view weight,
                                    const std::string& embedding = "backbone.embeddings.weight") {
    if (weight.ends_with(".mixer.A_log"))
        return StoredAs(std::string(weight)).transposed();
    return mamba2(weight, embedding);
}

}  // namespace ssm::names
