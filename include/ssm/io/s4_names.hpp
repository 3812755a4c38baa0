#pragma once

#include <string>
#include <string_view>

namespace ssm {

/// Releases of the original S4 code whose checkpoints name the weights of a layer in other ways than the present one.
enum class S4Release {
    v2,  ///< with Hurwitz parameters: log_dt, log_w_real, w_imag
    v3   ///< log_dt, inv_w_real, w_imag
};

/// The name in an older checkpoint of a weight of an `S4` layer, for `LoadOptions::name`:
///
///   load(layer, "s4_v3.safetensors",
///        {.name = [](std::string_view name) { return s4_name(S4Release::v3, name); },
///         .allow_unexpected = true,   // caches of nodes (omega, z)
///         .ignore_unit_axes = true}); // log_dt (H) is inv_dt (H, 1) here
///   convert_s4(layer);
///
/// The layer must have `Transform::exp` for dt and for the real part, as they had. Their C is folded for the length L
/// that the file names, which the layer takes over as l_kernel.
[[nodiscard]] inline std::string s4_name(S4Release release, std::string_view name) {
    constexpr std::string_view kernel = "kernel.";
    if (!name.starts_with(kernel))
        return std::string(name);
    std::string_view weight = name.substr(kernel.size());
    if (weight == "inv_dt")
        weight = "log_dt";
    else if (weight == "A_real")
        weight = release == S4Release::v2 ? "log_w_real" : "inv_w_real";
    else if (weight == "A_imag")
        weight = "w_imag";
    else if (weight == "l_kernel")
        weight = "L";
    return "kernel.kernel." + std::string(weight);
}

/// What is left after loading weights of an older release: their w_imag is the imaginary part itself, A_imag is minus
/// that.
template <class L>
void convert_s4(L& layer) noexcept {
    for (auto& frequency : layer.bank.A_imag.flat())
        frequency = -frequency;
}

}  // namespace ssm
