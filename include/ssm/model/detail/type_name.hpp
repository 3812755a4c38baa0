#pragma once

#include <cstddef>
#include <string_view>

namespace ssm::detail {

/// The type L as the compiler writes it, such as `ssm::Linear<float>`, for messages.
template <class L>
[[nodiscard]] constexpr auto type_name() noexcept {
    constexpr std::string_view function = __PRETTY_FUNCTION__;
    constexpr std::string_view before = "L = ";
    constexpr std::size_t begin = function.find(before) + before.size();
    return function.substr(begin, function.find_first_of(";]", begin) - begin);
}

}  // namespace ssm::detail
