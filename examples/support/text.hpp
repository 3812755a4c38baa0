#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <ssm/core/rng.hpp>

namespace examples {

/// The bytes of a text as tokens 0 to 255.
inline std::vector<std::int32_t> bytes_of(const std::string& text) {
    std::vector<std::int32_t> tokens;
    for (const char c : text)
        tokens.push_back(static_cast<unsigned char>(c));
    return tokens;
}

inline std::string read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file.good() && !file.eof())
        throw std::runtime_error("cannot read " + path);
    return text;
}

/// A text to learn from where there is no other: sums such as "17+25=42", one a line.
inline std::string sums(std::size_t lines) {
    ssm::Rng rng(1);
    std::string text;
    for (std::size_t i = 0; i < lines; ++i) {
        const std::uint64_t a = rng.below(50);
        const std::uint64_t b = rng.below(50);
        text += std::to_string(a) + "+" + std::to_string(b) + "=" + std::to_string(a + b) + "\n";
    }
    return text;
}

}  // namespace examples
