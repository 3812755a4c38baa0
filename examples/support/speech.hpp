#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include <ssm/core/rng.hpp>

#include "wav.hpp"

namespace examples {

/// Sounds at 8 kHz, each at the same loudness, and the digit that is spoken.
struct Speech {
    std::vector<std::vector<float>> sounds;
    std::vector<std::int32_t> digits;
};

/// The official parts of the Free Spoken Digit Dataset: recordings 0 to 4 of each speaker and digit are for tests.
struct SpeechData {
    Speech training, test;
};

namespace detail {

inline void add_sound(Speech& speech, std::vector<float> samples, std::int32_t digit) {
    double power = 1e-12;
    for (const float sample : samples)
        power += static_cast<double>(sample) * static_cast<double>(sample);
    const auto scale = static_cast<float>(std::sqrt(static_cast<double>(samples.size()) / power));
    for (float& sample : samples)
        sample *= scale;
    speech.sounds.push_back(std::move(samples));
    speech.digits.push_back(digit);
}

}  // namespace detail

/// Reads `{digit}_{speaker}_{index}.wav` in a folder, in alphabetical order.
inline SpeechData read_speech(const std::string& folder) {
    namespace fs = std::filesystem;
    std::vector<fs::path> files;
    std::error_code missing;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, missing))
        if (entry.path().extension() == ".wav")
            files.push_back(entry.path());
    if (files.empty())
        throw std::runtime_error(
            "no WAV files in \"" + folder +
            "\". The Free Spoken Digit Dataset is at "
            "https://github.com/Jakobovski/free-spoken-digit-dataset: clone it and pass its folder "
            "\"recordings\" as --data; or try the program with --data melodies");
    std::sort(files.begin(), files.end());
    SpeechData data;
    for (const fs::path& file : files) {
        const std::string name = file.stem().string();
        const std::size_t last = name.rfind('_');
        if (last == std::string::npos || name[0] < '0' || name[0] > '9' || name[1] != '_')
            throw std::runtime_error(file.string() + ": expected a name like 7_jackson_32.wav");
        const Sound sound = read_wav(file.string());
        if (sound.rate != 8000.0)
            throw std::runtime_error(file.string() + ": expected 8000 samples per second");
        detail::add_sound(std::stoi(name.substr(last + 1)) < 5 ? data.test : data.training,
                          sound.samples, name[0] - '0');
    }
    return data;
}

/// What to try the program with where there are no recordings: "digit" d is one tone for a twentieth of a second
/// and then another, of a pair that belongs to d, in some noise.
inline SpeechData make_melodies(std::size_t count, std::uint64_t seed) {
    ssm::Rng rng(seed);
    SpeechData data;
    for (std::size_t i = 0; i < count; ++i) {
        const auto digit = static_cast<std::int32_t>(i % 10);
        std::vector<float> samples(700 + rng.below(200));
        double phase = 0.0;
        for (std::size_t t = 0; t < samples.size(); ++t) {
            const int tone = t < 400 ? digit % 5 : 4 - digit / 2;
            phase += 2.0 * std::numbers::pi * 200.0 * std::pow(1.3, tone) / 8000.0;
            samples[t] = static_cast<float>(std::sin(phase) + 0.05 * rng.normal());
        }
        detail::add_sound(i % 10 == i / 10 % 10 ? data.test : data.training, std::move(samples),
                          digit);
    }
    return data;
}

/// Every other sample, behind a low-pass filter (a sinc of 63 taps in a Hann window) that removes what the lower
/// rate cannot hold.
inline std::vector<float> at_half_rate(const std::vector<float>& sound) {
    constexpr int half = 31;
    std::vector<float> result;
    for (std::ptrdiff_t t = 0; t < std::ssize(sound); t += 2) {
        double sum = 0.0;
        for (int k = -half; k <= half; ++k) {
            if (t + k < 0 || t + k >= std::ssize(sound))
                continue;
            const double x = 0.5 * std::numbers::pi * k;
            const double window = 0.5 + 0.5 * std::cos(std::numbers::pi * k / (half + 1));
            sum += 0.5 * (k == 0 ? 1.0 : std::sin(x) / x) * window *
                   static_cast<double>(sound[static_cast<std::size_t>(t + k)]);
        }
        result.push_back(static_cast<float>(sum));
    }
    return result;
}

}  // namespace examples
