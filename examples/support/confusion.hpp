#pragma once

#include <cstddef>
#include <string>

#include <ssm/train/metrics.hpp>

namespace examples {

/// A confusion matrix as text, a row for each true class.
inline std::string table(const ssm::ConfusionMatrix& confusion) {
    const auto field = [](std::size_t number) {
        const std::string digits = std::to_string(number);
        return std::string(digits.size() < 5 ? 5 - digits.size() : 0, ' ') + digits;
    };
    std::string text = "class   taken for\n     ";
    for (std::size_t answer = 0; answer < confusion.classes(); ++answer)
        text += field(answer);
    for (std::size_t truth = 0; truth < confusion.classes(); ++truth) {
        text += "\n" + field(truth);
        for (std::size_t answer = 0; answer < confusion.classes(); ++answer)
            text += field(static_cast<std::size_t>(confusion(truth, answer)));
    }
    return text + "\n";
}

}  // namespace examples
