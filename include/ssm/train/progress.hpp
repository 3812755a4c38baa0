#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>

namespace ssm {

/// Numbers of a training run after an update or an epoch; NaN where unknown.
struct Progress {
    static constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

    std::uint64_t epoch = 0;   ///< the present one, from 1
    std::uint64_t epochs = 0;  ///< of the whole run
    std::uint64_t step = 0;    ///< updates made
    std::uint64_t steps = 0;   ///< updates of the whole run
    double loss = unknown;     ///< of the update's examples, or the mean over the epoch's
    double accuracy = unknown;
    double validation_loss = unknown;
    double validation_accuracy = unknown;
    double learning_rate = unknown;  ///< base rate times the schedule's factor
    double gradient_norm = unknown;  ///< before clipping; known only when gradients are clipped
    double seconds = unknown;        ///< since this call of fit
    double samples_per_second = unknown;
    double remaining_seconds = unknown;
};

namespace detail {

/// printf of one number.
[[nodiscard]] inline std::string formatted(const char* format, double value) {
    char text[64];
    const int length = std::snprintf(text, sizeof text, format, value);
    return std::string(text, text + (length > 0 && length < 64 ? length : 0));
}

/// h:mm:ss, or m:ss below an hour.
[[nodiscard]] inline std::string formatted_time(double seconds) {
    const auto all = static_cast<std::uint64_t>(std::fmax(0.0, std::fmin(seconds, 1e9)) + 0.5);
    char text[48];
    const unsigned long long hours = all / 3600;
    const unsigned long long minutes = all / 60 % 60;
    const unsigned long long rest = all % 60;
    if (hours > 0)
        std::snprintf(text, sizeof text, "%llu:%02llu:%02llu", hours, minutes, rest);
    else
        std::snprintf(text, sizeof text, "%llu:%02llu", minutes, rest);
    return text;
}

}  // namespace detail

/// One line of text for a person, without line end; what is unknown is left out.
///
///     epoch 3/10  step 120/400  loss 0.1234  accuracy 96.1 %  lr 1.0e-03  812 samples/s ...
[[nodiscard]] inline std::string progress_line(const Progress& progress) {
    std::string line = "epoch " + std::to_string(progress.epoch) + "/" +
                       std::to_string(progress.epochs) + "  step " + std::to_string(progress.step) +
                       "/" + std::to_string(progress.steps);
    const auto add = [&line](const char* format, double value) {
        if (!std::isnan(value))
            line += detail::formatted(format, value);
    };
    add("  loss %.4f", progress.loss);
    add("  accuracy %.1f %%", 100.0 * progress.accuracy);
    add("  validation loss %.4f", progress.validation_loss);
    add("  validation accuracy %.1f %%", 100.0 * progress.validation_accuracy);
    add("  lr %.1e", progress.learning_rate);
    add("  gradient norm %.2e", progress.gradient_norm);
    add("  %.0f samples/s", progress.samples_per_second);
    if (!std::isnan(progress.remaining_seconds))
        line += "  " + detail::formatted_time(progress.remaining_seconds) + " left";
    return line;
}

}  // namespace ssm
