#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <ssm/core/batch.hpp>

namespace examples {

/// Pictures of handwritten digits as sequences of 64 pixels in [0, 1], and what they show.
struct Digits {
    ssm::Batch<float> images;  ///< (n, 64, 1)
    std::vector<std::int32_t> labels;
};

/// Reads lines of 64 pixels from 0 to 16 and a label, after a line of names.
inline Digits read_digits(const std::string& path) {
    std::ifstream file(path);
    if (!file)
        throw std::runtime_error(path + ": cannot be opened");
    std::vector<float> pixels;
    Digits digits;
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
        std::istringstream fields(line);
        std::string field;
        std::vector<float> row;
        while (std::getline(fields, field, ','))
            row.push_back(std::stof(field));
        if (row.size() != 65)
            throw std::runtime_error(path + ": a line has " + std::to_string(row.size()) +
                                     " fields, expected 65");
        digits.labels.push_back(static_cast<std::int32_t>(row.back()));
        for (std::size_t i = 0; i < 64; ++i)
            pixels.push_back(row[i] / 16.0F);
    }
    digits.images = ssm::Batch<float>(
        ssm::BatchView<const float>(pixels.data(), {digits.labels.size(), 64, 1}));
    return digits;
}

}  // namespace examples
