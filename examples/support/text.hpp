#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include <ssm/core/rng.hpp>

namespace examples {

/// The bytes that occur in a text, numbered in order.
class Alphabet {
public:
    explicit Alphabet(const std::string& text) {
        numbers_.fill(-1);
        for (const char c : text)
            numbers_[static_cast<unsigned char>(c)] = 0;
        for (std::size_t byte = 0; byte < 256; ++byte)
            if (numbers_[byte] == 0) {
                numbers_[byte] = static_cast<std::int32_t>(letters_.size());
                letters_.push_back(static_cast<char>(byte));
            }
    }
    [[nodiscard]] std::size_t size() const { return letters_.size(); }
    [[nodiscard]] char letter(std::int32_t number) const {
        return letters_.at(static_cast<std::size_t>(number));
    }
    [[nodiscard]] const std::string& letters() const { return letters_; }
    [[nodiscard]] std::vector<std::int32_t> encode(const std::string& text) const {
        std::vector<std::int32_t> numbers;
        for (const char c : text) {
            numbers.push_back(numbers_[static_cast<unsigned char>(c)]);
            if (numbers.back() < 0)
                throw std::runtime_error(std::string("the text never has the character ") + c);
        }
        return numbers;
    }

private:
    std::string letters_;
    std::array<std::int32_t, 256> numbers_{};
};

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
