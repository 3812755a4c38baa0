#pragma once

#include <cstddef>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace examples {

/// A series of numbers with the times they belong to.
struct Series {
    std::vector<double> time;
    std::vector<double> value;
};

/// Reads lines `time,value` after a line of names. Throws std::runtime_error that says what is wrong.
inline Series read_series(const std::string& path) {
    std::ifstream file(path);
    if (!file)
        throw std::runtime_error(path + ": cannot be opened");
    Series series;
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
        std::istringstream fields(line);
        double time = 0.0, value = 0.0;
        char comma = '\0';
        if (!(fields >> time >> comma >> value) || comma != ',')
            throw std::runtime_error(path + ": \"" + line + "\" is not a time and a value");
        series.time.push_back(time);
        series.value.push_back(value);
    }
    return series;
}

}  // namespace examples
