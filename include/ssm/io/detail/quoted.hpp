#pragma once

#include <cstddef>
#include <ostream>
#include <span>
#include <string_view>

namespace ssm::detail {

/// Writes a text of unknown origin into a message: in quotes, cut to a readable length, without
/// control characters.
struct Quoted {
    std::string_view text;

    friend std::ostream& operator<<(std::ostream& out, const Quoted& quoted) {
        constexpr std::size_t longest = 200;
        out << '"';
        for (const char c : quoted.text.substr(0, longest))
            out << (static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c);
        return out << (quoted.text.size() > longest ? "...\"" : "\"");
    }
};

/// Writes a shape as (2, 3).
struct ShapeText {
    std::span<const std::size_t> sizes;

    friend std::ostream& operator<<(std::ostream& out, const ShapeText& shape) {
        out << '(';
        for (std::size_t axis = 0; axis < shape.sizes.size(); ++axis)
            out << (axis == 0 ? "" : ", ") << shape.sizes[axis];
        return out << ')';
    }
};

}  // namespace ssm::detail
