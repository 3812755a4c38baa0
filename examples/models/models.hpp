#pragma once

#include <cctype>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>

#include <ssm/init/ring.hpp>
#include <ssm/model/any_layer.hpp>

namespace examples {

/// What the state space layers of all models have in common.
struct SystemSettings {
    std::size_t state = 64;  ///< state size of each channel; of the whole layer for S5 and LRU
    double rate = 1.0;       ///< time step relative to the training data
    ssm::init::Ring ring{};  ///< where poles of LRU are at first
    std::optional<double>
        pole_rate{};  ///< learning rate of poles of LRU; none: that of all weights
};

// A source file beside this one makes the layers of one family, so that each model is compiled once for all examples.

/// How to make the layers of S4D, S4 and DSS (exp).
ssm::AnyLayer<float>::Options bank(const std::string& model, const SystemSettings& settings);
/// Those of S5 and LRU.
ssm::AnyLayer<float>::Options mimo(const std::string& model, const SystemSettings& settings);
/// Those of Mamba and Mamba-2.
ssm::AnyLayer<float>::Options selective(const std::string& model, const SystemSettings& settings);

/// Whether the model has a time step that `rate` multiplies. LRU is made in discrete time, and selective models choose
/// their time steps themselves.
inline bool has_rate(const std::string& model) {
    return model == "s4d" || model == "s4" || model == "dss" || model == "s5";
}

/// Whether the model chooses by its input what it remembers: Mamba and Mamba-2.
inline bool is_selective(const std::string& model) {
    return model.starts_with("mamba");
}

/// The model as it is written in headings.
inline std::string title(std::string model) {
    if (is_selective(model))
        return model == "mamba" ? "Mamba" : "Mamba-2";
    for (char& letter : model)
        letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
    return model;
}

/// How to make the layers of a model: s4d, s4, dss, s5, lru, mamba or mamba2.
inline ssm::AnyLayer<float>::Options system(const std::string& model,
                                            const SystemSettings& settings) {
    if (settings.rate != 1.0 && !has_rate(model))
        throw std::runtime_error(model + " has no time step");
    if (model == "s4d" || model == "s4" || model == "dss")
        return bank(model, settings);
    if (model == "s5" || model == "lru")
        return mimo(model, settings);
    if (model == "mamba" || model == "mamba2")
        return selective(model, settings);
    throw std::runtime_error("--model " + model + ": there is no such model");
}

}  // namespace examples
