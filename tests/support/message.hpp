#pragma once

#include <string>
#include <string_view>

#include <ssm/core/error.hpp>

namespace ssm_test {

/// Message of the `E` that the call throws; empty when it throws nothing.
template <class E = ssm::FileError, class Function>
[[nodiscard]] std::string message_of(Function&& function) {
    try {
        function();
    } catch (const E& error) {
        return error.what();
    }
    return {};
}

[[nodiscard]] inline bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

}  // namespace ssm_test
