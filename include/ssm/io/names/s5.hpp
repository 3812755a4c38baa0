#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <ssm/io/stored_as.hpp>

/// Names and shapes under which other codes store weights, for `LoadOptions::stored_as` and `SaveOptions`.
namespace ssm::names {

/// Weights of an `S5` layer in the authors' JAX code: Lambda_re, Lambda_im, log_step, B, C, D. That of S5-torch has
/// this library's own names; its layer has `.conjugate = false`, and log_step needs `ignore_unit_axes`.
[[nodiscard]] inline StoredAs s5(std::string_view weight) {
    if (weight == "Lambda")
        return StoredAs::stacked({"Lambda_re", "Lambda_im"}, 1);
    return std::string(weight);
}
/// The same for bidirectional layers with an output matrix for each direction, C1 and C2.
[[nodiscard]] inline StoredAs s5_two_outputs(std::string_view weight) {
    if (weight == "C")
        return StoredAs::parts({"C1", "C2"}, 1);
    return s5(weight);
}
/// Weights of an `LRU` layer in minimal-LRU: nu_log, theta_log, gamma_log, B_re, B_im, C_re, C_im, D.
[[nodiscard]] inline StoredAs lru(std::string_view weight) {
    if (weight == "B")
        return StoredAs::stacked({"B_re", "B_im"}, 2);
    if (weight == "C")
        return StoredAs::stacked({"C_re", "C_im"}, 2);
    return std::string(weight);
}

/// Weights of blocks and models around such layers, as the Flax modules of the S5 and LRU codes store them:
///
///   block   Residual(norm, gelu_block(...), half_glu1_block(...), half_glu2_block(...) or full_glu_block(...))
///   model   Sequential(Linear, Repeat<block>, pooling, Linear), with or without the pooling
///
///   const names::FlaxModel flax{.layer = names::lru, .norm = "normalization"};
///   load(model, file, {.stored_as = [&](std::string_view weight) { return flax.model(weight); }});
struct FlaxModel {
    std::function<StoredAs(std::string_view)> layer = s5;
    std::string norm = "norm";  ///< name of the norm of a block; LRU: "normalization"
    std::string params = "params/";
    std::string statistics = "batch_stats/";
    std::string separator = "/";

    /// A weight of one block; `path` is that of the block, such as "encoder/layers_0/".
    [[nodiscard]] StoredAs block(std::string_view weight, const std::string& path = "") const {
        if (after(weight, "norm."))
            return normalisation(weight, path);
        if (after(weight, "inner.0."))
            return under(path + "seq" + separator, layer(weight));
        if (after(weight, "inner.1.inner.2.") || after(weight, "inner.3.inner."))
            return dense(path + "out2", weight);
        if (after(weight, "inner.3.")) {
            StoredAs both = dense(path + "out1", weight);
            both.names.push_back(dense(path + "out2", weight).names.front());
            return both;
        }
        return std::string(weight);
    }
    /// A weight of a whole model.
    [[nodiscard]] StoredAs model(std::string_view weight) const {
        const std::string encoder = "encoder" + separator;
        if (after(weight, "0."))
            return dense(encoder + "encoder", weight);
        if (after(weight, "1.")) {
            const std::size_t dot = weight.find('.');
            const std::string layers =
                encoder + "layers_" + std::string(weight.substr(0, dot)) + separator;
            return block(weight.substr(dot == weight.npos ? weight.size() : dot + 1), layers);
        }
        after(weight, "2.") || after(weight, "3.");
        return dense("decoder", weight);
    }

private:
    /// Whether `weight` starts so; it goes on behind it then.
    static bool after(std::string_view& weight, std::string_view start) {
        if (!weight.starts_with(start))
            return false;
        weight.remove_prefix(start.size());
        return true;
    }
    [[nodiscard]] StoredAs under(const std::string& path, StoredAs stored) const {
        for (std::string& part : stored.names)
            part = params + path + part;
        return stored;
    }
    [[nodiscard]] StoredAs dense(const std::string& path, std::string_view weight) const {
        if (weight == "weight")
            return StoredAs(params + path + separator + "kernel").transposed();
        return params + path + separator + std::string(weight);
    }
    [[nodiscard]] StoredAs normalisation(std::string_view weight, const std::string& path) const {
        const std::string at = path + norm + separator;
        if (weight == "running_mean")
            return statistics + at + "mean";
        if (weight == "running_var")
            return statistics + at + "var";
        return params + at + (weight == "weight" ? "scale" : std::string(weight));
    }
};

}  // namespace ssm::names
