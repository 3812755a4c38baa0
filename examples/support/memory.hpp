#pragma once

#include <cstddef>
#include <fstream>

namespace examples {

/// Mebibytes of memory that this program has in use, as Linux counts its resident pages of 4 KiB; 0 elsewhere.
inline double resident_memory() {
    std::ifstream file("/proc/self/statm");
    double size = 0.0, resident = 0.0;
    return file >> size >> resident ? resident * 4096.0 / 1048576.0 : 0.0;
}

}  // namespace examples
