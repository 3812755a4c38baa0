#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "support/message.hpp"

namespace ssm_test {

using Bytes = std::vector<std::byte>;

/// A safetensors file of this header, whatever it says, and these bytes of data.
[[nodiscard]] inline Bytes safetensors_bytes(std::string_view header,
                                             std::span<const std::byte> data) {
    Bytes bytes;
    for (unsigned shift = 0; shift < 64; shift += 8)
        bytes.push_back(static_cast<std::byte>(std::uint64_t{header.size()} >> shift));
    for (const char c : header)
        bytes.push_back(static_cast<std::byte>(c));
    bytes.insert(bytes.end(), data.begin(), data.end());
    return bytes;
}

/// The same with `size` bytes of data 0, 1, 2, ...
[[nodiscard]] inline Bytes safetensors_bytes(std::string_view header, std::size_t size) {
    Bytes data;
    for (std::size_t i = 0; i < size; ++i)
        data.push_back(static_cast<std::byte>(i));
    return safetensors_bytes(header, data);
}

}  // namespace ssm_test
