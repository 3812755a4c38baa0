#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace examples {

/// Mono sound, samples in [-1, 1).
struct Sound {
    double rate = 0.0;  ///< samples per second
    std::vector<float> samples;
};

namespace detail {
inline std::uint32_t little_endian(const char* bytes, int count) {
    std::uint32_t value = 0;
    for (int i = count - 1; i >= 0; --i)
        value = value << 8U | static_cast<unsigned char>(bytes[i]);
    return value;
}
}  // namespace detail

/// Reads 16-bit PCM; of several channels the first. Throws std::runtime_error that says what is wrong.
inline Sound read_wav(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file),
                                  std::istreambuf_iterator<char>()};
    const auto fail = [&path](const char* why) { throw std::runtime_error(path + ": " + why); };
    if (bytes.size() < 12 || std::memcmp(bytes.data(), "RIFF", 4) != 0 ||
        std::memcmp(bytes.data() + 8, "WAVE", 4) != 0)
        fail("not a readable WAV file");
    Sound sound;
    std::size_t frame = 0;
    for (std::size_t at = 12; at + 8 <= bytes.size();) {
        const char* chunk = bytes.data() + at;
        const std::size_t size = detail::little_endian(chunk + 4, 4);
        const std::size_t present = std::min(size, bytes.size() - at - 8);
        if (std::memcmp(chunk, "fmt ", 4) == 0 && present >= 16) {
            if (detail::little_endian(chunk + 8, 2) != 1 ||
                detail::little_endian(chunk + 22, 2) != 16)
                fail("only 16-bit PCM is supported");
            frame = 2 * detail::little_endian(chunk + 10, 2);
            sound.rate = detail::little_endian(chunk + 12, 4);
        } else if (std::memcmp(chunk, "data", 4) == 0 && frame > 0) {
            for (std::size_t i = 0; i + frame <= present; i += frame)
                sound.samples.push_back(static_cast<float>(static_cast<std::int16_t>(
                                            detail::little_endian(chunk + 8 + i, 2))) /
                                        32768.0F);
        }
        at += 8 + size + size % 2;
    }
    if (frame == 0 || sound.samples.empty())
        fail("no samples found");
    return sound;
}

}  // namespace examples
